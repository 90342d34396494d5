// Max pooling over windows that may overlap (Section 3.4 of the paper: 3x3, stride 2).
//
//     y[i, j] = max x[i s - p + u, j s - p + v]   over the places (u, v) that lie in the picture
//
// The winner is the first maximum in row-major order, and NaN wins over every number. Forward keeps
// it as one byte an output, u * kernel width + v. Backward gathers: each input looks at the windows
// that hold it and adds, in their order, the gradients of those it won.
//
// Layout: planes = N * C; x, dx (planes, height, width), y, dy, winners (planes, rows, columns).
// A thread owns one place of a plane (forward: an output, backward: an input) and computes its
// bounds once, then visits every gridDim.y-th plane. Neighbouring threads own neighbouring places.
// The windows' overlap is served by the first cache.
//
// Shared memory: none. Deterministic: every sum has one owner and one order; no atomics.
// Share of the copy bandwidth: not yet measured.

struct Window {
    int height, width;
    int rows, columns;
    int kernel_h, kernel_w;
    int stride_h, stride_w;
    int padding_h, padding_w;
};

// KERNEL and STRIDE are those of a square window known when this is compiled, or 0.
template <typename T, int KERNEL, int STRIDE>
__device__ __forceinline__ void forward(const T *__restrict__ x, T *__restrict__ y,
                                        u8 *__restrict__ winners, u32 planes, Window w) {
    int place = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (place >= w.rows * w.columns) return;
    const int kernel_h = KERNEL ? KERNEL : w.kernel_h, kernel_w = KERNEL ? KERNEL : w.kernel_w;
    const int stride_h = STRIDE ? STRIDE : w.stride_h, stride_w = STRIDE ? STRIDE : w.stride_w;
    int i = place / w.columns, j = place - i * w.columns;
    int top = i * stride_h - w.padding_h, left = j * stride_w - w.padding_w;
    // The first place that lies in the picture wins a tie of nothing but -infinity.
    u32 none = static_cast<u32>(max(-top, 0) * kernel_w + max(-left, 0));
    size_t area = static_cast<size_t>(w.height) * w.width;
    size_t out_area = static_cast<size_t>(w.rows) * w.columns;
    for (u32 plane = blockIdx.y; plane < planes; plane += gridDim.y) {
        const T *from = x + plane * area;
        float best = -INFINITY_F32;
        u32 winner = none;
#pragma unroll
        for (int u = 0; u < kernel_h; u++) {
            int row = top + u;
            if (row < 0 || row >= w.height) continue;
#pragma unroll
            for (int v = 0; v < kernel_w; v++) {
                int column = left + v;
                if (column < 0 || column >= w.width) continue;
                float value = load(from, static_cast<size_t>(row * w.width + column));
                // Larger, or NaN where the best so far is a number.
                if (!(value <= best) && best == best) {
                    best = value;
                    winner = static_cast<u32>(u * kernel_w + v);
                }
            }
        }
        size_t at = plane * out_area + place;
        store(y, at, best);
        winners[at] = static_cast<u8>(winner);
    }
}

template <typename T, int KERNEL, int STRIDE>
__device__ __forceinline__ void backward(const u8 *__restrict__ winners, const T *__restrict__ dy,
                                         T *__restrict__ dx, u32 planes, Window w) {
    int place = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (place >= w.height * w.width) return;
    const int kernel_h = KERNEL ? KERNEL : w.kernel_h, kernel_w = KERNEL ? KERNEL : w.kernel_w;
    const int stride_h = STRIDE ? STRIDE : w.stride_h, stride_w = STRIDE ? STRIDE : w.stride_w;
    int row = place / w.width, column = place - row * w.width;
    int y = row + w.padding_h, x = column + w.padding_w;
    // Windows i with i s <= y < i s + kernel.
    int first_i = y < kernel_h ? 0 : (y - kernel_h) / stride_h + 1;
    int first_j = x < kernel_w ? 0 : (x - kernel_w) / stride_w + 1;
    int last_i = min(y / stride_h, w.rows - 1), last_j = min(x / stride_w, w.columns - 1);
    size_t area = static_cast<size_t>(w.height) * w.width;
    size_t out_area = static_cast<size_t>(w.rows) * w.columns;
    for (u32 plane = blockIdx.y; plane < planes; plane += gridDim.y) {
        const u8 *won = winners + plane * out_area;
        const T *gradient = dy + plane * out_area;
        float sum = 0.0f;
        for (int i = first_i; i <= last_i; i++) {
            for (int j = first_j; j <= last_j; j++) {
                int at = i * w.columns + j;
                int here = (y - i * stride_h) * kernel_w + (x - j * stride_w);
                if (won[at] == here) sum += load(gradient, static_cast<size_t>(at));
            }
        }
        store(dx, plane * area + place, sum);
    }
}

#define MAX_POOL(T, SUFFIX, NAME, KERNEL, STRIDE)                                                  \
    extern "C" __global__ void __launch_bounds__(256) max_pool_forward_##NAME##_##SUFFIX(          \
        const T *x, T *y, u8 *winners, u32 planes, int height, int width, int rows, int columns,   \
        int kernel_h, int kernel_w, int stride_h, int stride_w, int padding_h, int padding_w) {    \
        Window w = {height,   width,    rows,     columns,   kernel_h,                             \
                    kernel_w, stride_h, stride_w, padding_h, padding_w};                           \
        forward<T, KERNEL, STRIDE>(x, y, winners, planes, w);                                      \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(256) max_pool_backward_##NAME##_##SUFFIX(         \
        const u8 *winners, const T *dy, T *dx, u32 planes, int height, int width, int rows,        \
        int columns, int kernel_h, int kernel_w, int stride_h, int stride_w, int padding_h,        \
        int padding_w) {                                                                           \
        Window w = {height,   width,    rows,     columns,   kernel_h,                             \
                    kernel_w, stride_h, stride_w, padding_h, padding_w};                           \
        backward<T, KERNEL, STRIDE>(winners, dy, dx, planes, w);                                   \
    }

// The paper's window, and the first version, for any: tests and `bench` compare the two.
#define BOTH(T, SUFFIX)                                                                            \
    MAX_POOL(T, SUFFIX, three_by_two, 3, 2)                                                        \
    MAX_POOL(T, SUFFIX, naive, 0, 0)
FOR_EACH_TYPE(BOTH)
