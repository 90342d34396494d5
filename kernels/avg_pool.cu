// Average pooling over windows that may overlap.
//
//     y[i, j] = 1 / places(i, j) sum x[i s - p + u, j s - p + v]
//
// places counts the padding but not what hangs over beyond it (PyTorch's count_include_pad).
// Backward gathers: each input adds, in their order, the shares of the windows that hold it.
//
// Layout: planes = N * C; x, dx (planes, height, width), y, dy (planes, rows, columns). A thread owns
// one place of a plane and visits every gridDim.y-th plane. Neighbouring threads own neighbouring
// places.
//
// three_by_two: windows of 3 x 3, 2 apart, all inside the picture. A thread asks for the nine inputs
// of its window, or the up to four windows of its input, before it adds the first.
// naive: any window.
//
// Shared memory: none. Deterministic: every sum has one owner and one order, the same in both; no
// atomics.
// Must move: x and y, dy and dx, each once.
// Share of the copy bandwidth: not yet measured on a GPU.

struct Window {
    int height, width;
    int rows, columns;
    int kernel_h, kernel_w;
    int stride_h, stride_w;
    int padding_h, padding_w;
};

__device__ __forceinline__ float places(const Window &w, int i, int j) {
    int high = min(w.kernel_h, w.height + 2 * w.padding_h - i * w.stride_h);
    int wide = min(w.kernel_w, w.width + 2 * w.padding_w - j * w.stride_w);
    return static_cast<float>(high * wide);
}

template <typename T>
__device__ __forceinline__ void forward_naive(const T *__restrict__ x, T *__restrict__ y,
                                              u32 planes, Window w) {
    int place = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (place >= w.rows * w.columns) return;
    int i = place / w.columns, j = place - i * w.columns;
    int top = i * w.stride_h - w.padding_h, left = j * w.stride_w - w.padding_w;
    int bottom = min(top + w.kernel_h, w.height), right = min(left + w.kernel_w, w.width);
    float count = places(w, i, j);
    size_t area = static_cast<size_t>(w.height) * w.width;
    size_t out_area = static_cast<size_t>(w.rows) * w.columns;
    for (u32 plane = blockIdx.y; plane < planes; plane += gridDim.y) {
        const T *from = x + plane * area;
        float sum = 0.0f;
        for (int row = max(top, 0); row < bottom; row++)
            for (int column = max(left, 0); column < right; column++)
                sum += load(from, static_cast<size_t>(row * w.width + column));
        store(y, plane * out_area + place, sum / count);
    }
}

template <typename T>
__device__ __forceinline__ void backward_naive(const T *__restrict__ dy, T *__restrict__ dx,
                                               u32 planes, Window w) {
    int place = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (place >= w.height * w.width) return;
    int row = place / w.width, column = place - row * w.width;
    int y = row + w.padding_h, x = column + w.padding_w;
    // Windows i with i s <= y < i s + kernel.
    int first_i = y < w.kernel_h ? 0 : (y - w.kernel_h) / w.stride_h + 1;
    int first_j = x < w.kernel_w ? 0 : (x - w.kernel_w) / w.stride_w + 1;
    int last_i = min(y / w.stride_h, w.rows - 1), last_j = min(x / w.stride_w, w.columns - 1);
    size_t area = static_cast<size_t>(w.height) * w.width;
    size_t out_area = static_cast<size_t>(w.rows) * w.columns;
    for (u32 plane = blockIdx.y; plane < planes; plane += gridDim.y) {
        const T *gradient = dy + plane * out_area;
        float sum = 0.0f;
        for (int i = first_i; i <= last_i; i++)
#pragma unroll 1
            for (int j = first_j; j <= last_j; j++)
                sum += load(gradient, static_cast<size_t>(i * w.columns + j)) / places(w, i, j);
        store(dx, plane * area + place, sum);
    }
}

template <typename T>
__device__ __forceinline__ void forward_three_by_two(const T *__restrict__ x, T *__restrict__ y,
                                                     u32 planes, int height, int width, int rows,
                                                     int columns) {
    int place = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (place >= rows * columns) return;
    int i = place / columns, j = place - i * columns;
    size_t area = static_cast<size_t>(height) * width;
    size_t out_area = static_cast<size_t>(rows) * columns;
    for (u32 plane = blockIdx.y; plane < planes; plane += gridDim.y) {
        const T *from = x + plane * area + static_cast<size_t>(i * 2 * width + j * 2);
        float values[9];
#pragma unroll
        for (int k = 0; k < 9; k++) values[k] = load(from, static_cast<size_t>(k / 3 * width + k % 3));
        float sum = 0.0f;
#pragma unroll
        for (int k = 0; k < 9; k++) sum += values[k];
        store(y, plane * out_area + place, sum / 9.0f);
    }
}

template <typename T>
__device__ __forceinline__ void backward_three_by_two(const T *__restrict__ dy, T *__restrict__ dx,
                                                      u32 planes, int height, int width, int rows,
                                                      int columns) {
    int place = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (place >= height * width) return;
    int row = place / width, column = place - row * width;
    int i = row / 2, j = column / 2;
    // Windows i - 1 and i hold the row, or one of them.
    bool hold_row[2] = {row % 2 == 0 && i > 0, i < rows};
    bool hold_column[2] = {column % 2 == 0 && j > 0, j < columns};
    int first = (i - 1) * columns + j - 1;
    size_t area = static_cast<size_t>(height) * width;
    size_t out_area = static_cast<size_t>(rows) * columns;
    for (u32 plane = blockIdx.y; plane < planes; plane += gridDim.y) {
        const T *gradient = dy + plane * out_area;
        float shares[4];
#pragma unroll
        for (int k = 0; k < 4; k++) {
            bool holds = hold_row[k / 2] && hold_column[k % 2];
            shares[k] = holds ? load(gradient, static_cast<size_t>(first + k / 2 * columns + k % 2))
                              : 0.0f;
        }
        float sum = 0.0f;
#pragma unroll
        for (int k = 0; k < 4; k++) sum += shares[k] / 9.0f;
        store(dx, plane * area + place, sum);
    }
}

#define AVG_POOL(T, SUFFIX)                                                                        \
    extern "C" __global__ void __launch_bounds__(256) avg_pool_forward_naive_##SUFFIX(             \
        const T *x, T *y, u32 planes, int height, int width, int rows, int columns, int kernel_h,  \
        int kernel_w, int stride_h, int stride_w, int padding_h, int padding_w) {                  \
        Window w = {height,   width,    rows,     columns,   kernel_h,                             \
                    kernel_w, stride_h, stride_w, padding_h, padding_w};                           \
        forward_naive<T>(x, y, planes, w);                                                         \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(256) avg_pool_backward_naive_##SUFFIX(            \
        const T *dy, T *dx, u32 planes, int height, int width, int rows, int columns,              \
        int kernel_h, int kernel_w, int stride_h, int stride_w, int padding_h, int padding_w) {    \
        Window w = {height,   width,    rows,     columns,   kernel_h,                             \
                    kernel_w, stride_h, stride_w, padding_h, padding_w};                           \
        backward_naive<T>(dy, dx, planes, w);                                                      \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(256) avg_pool_forward_three_by_two_##SUFFIX(      \
        const T *x, T *y, u32 planes, int height, int width, int rows, int columns) {              \
        forward_three_by_two<T>(x, y, planes, height, width, rows, columns);                       \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(256) avg_pool_backward_three_by_two_##SUFFIX(     \
        const T *dy, T *dx, u32 planes, int height, int width, int rows, int columns) {            \
        backward_three_by_two<T>(dy, dx, planes, height, width, rows, columns);                    \
    }
FOR_EACH_TYPE(AVG_POOL)
