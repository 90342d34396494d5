// The rearrangements that make a convolution a matrix product, and a product a convolution's input
// gradient, and one of its weight.
//
//     unfold: u[g, (c, a, b), (n, i, j)] = x[n, g, c, i s - p + a, j s - p + b], zero outside x
//     fold:   dx[n, g, c, row, column]   = sum of du over the places that read it
//     turn:   to[g, column, row]         = from[g, row, column]
//
// Layout: x, dx (pictures, groups * channels, height, width); u, du (groups * channels * kernel_h *
// kernel_w, pictures * rows * columns): a row a tap, the pictures of the part side by side, so that
// one product a group covers them all. Callers bound the workspace by the number of pictures.
//
// Unfold: a thread owns one output pixel of one picture and visits every gridDim.y-th plane, all taps
// of it in turn, so that nothing is divided but once. Writes are runs of memory; the reads of
// neighbouring taps overlap and are served by the caches.
// Fold: a thread owns one input pixel of a plane, visits every gridDim.y-th plane and gathers.
// For the paper's kernels (11x11 with stride 4, 5x5 and 3x3) there are versions whose taps are known
// to the compiler. They ask for several values before the first is used, so that many loads are on
// their way: unfold for a row of a kernel, or all of 3x3, fold for a whole kernel.
// Turn: a thread a value; it moves a weight. Blocks: 256 threads.
//
// Must move: unfold x and u, fold du and dx, each once.
// Shared memory: none. Deterministic: every sum has one owner and one order, rows then columns of
// the kernel; no atomics.
// Share of the copy bandwidth: not yet measured on a GPU.

struct Geometry {
    int planes; // groups * channels
    int height, width;
    int rows, columns;
    int kernel_h, kernel_w;
    int stride_h, stride_w;
    int padding_h, padding_w;
};

__device__ __forceinline__ bool within(int at, int length) {
    return static_cast<u32>(at) < static_cast<u32>(length);
}

template <typename T, int KERNEL, int STRIDE>
__device__ __forceinline__ void unfold(const T *__restrict__ x, T *__restrict__ u, u32 pictures,
                                       Geometry g) {
    // Kernel rows whose values are asked for together.
    const int ROWS = KERNEL == 3 ? KERNEL : 1;
    u32 pixels = static_cast<u32>(g.rows * g.columns);
    u32 length = pictures * pixels;
    u32 at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= length) return;
    u32 picture = at / pixels;
    int pixel = static_cast<int>(at - picture * pixels);
    int i = pixel / g.columns, j = pixel - i * g.columns;
    int top = i * STRIDE - g.padding_h, left = j * STRIDE - g.padding_w;
    for (u32 plane = blockIdx.y; plane < static_cast<u32>(g.planes); plane += gridDim.y) {
        const T *from = x + top * g.width + left +
                        (static_cast<size_t>(picture) * g.planes + plane) * g.height * g.width;
        T *to = u + static_cast<size_t>(plane) * (KERNEL * KERNEL) * length + at;
#pragma unroll 1
        for (int first = 0; first < KERNEL; first += ROWS) {
            T values[ROWS][KERNEL];
#pragma unroll
            for (int a = 0; a < ROWS; a++, from += g.width) {
                bool inside = within(top + first + a, g.height);
#pragma unroll
                for (int b = 0; b < KERNEL; b++)
                    values[a][b] = inside && within(left + b, g.width) ? from[b] : T{};
            }
#pragma unroll
            for (int a = 0; a < ROWS; a++)
#pragma unroll
                for (int b = 0; b < KERNEL; b++, to += length) *to = values[a][b];
        }
    }
}

// Stride 1; du has fewer than 2^32 values. A tap that no output reads adds zero, and asks for the
// nearest value that there is: without a branch the loads need not wait for one another.
template <typename T, int KERNEL>
__device__ __forceinline__ void fold(const T *__restrict__ du, T *__restrict__ dx, u32 pictures,
                                     Geometry g) {
    int place = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (place >= g.height * g.width) return;
    int row = place / g.width, column = place - row * g.width;
    // Tap (a, b) adds what stands at output (y - a, x - b).
    int y = row + g.padding_h, x = column + g.padding_w;
    u32 pixels = static_cast<u32>(g.rows * g.columns);
    u32 length = pictures * pixels;
    size_t area = static_cast<size_t>(g.height) * g.width;
    for (u32 plane = blockIdx.y; plane < pictures * g.planes; plane += gridDim.y) {
        u32 picture = plane / g.planes;
        u32 channel = plane - picture * g.planes;
        u32 from = channel * (KERNEL * KERNEL) * length + picture * pixels;
        float terms[KERNEL][KERNEL];
#pragma unroll
        for (int a = 0; a < KERNEL; a++)
#pragma unroll
            for (int b = 0; b < KERNEL; b++) {
                int i = min(max(y - a, 0), g.rows - 1), j = min(max(x - b, 0), g.columns - 1);
                terms[a][b] = load(du, from + (a * KERNEL + b) * length + i * g.columns + j);
            }
        float sum = 0.0f;
#pragma unroll
        for (int a = 0; a < KERNEL; a++)
#pragma unroll
            for (int b = 0; b < KERNEL; b++)
                sum += within(y - a, g.rows) && within(x - b, g.columns) ? terms[a][b] : 0.0f;
        store(dx, plane * area + place, sum);
    }
}

// The first versions, for any kernel. Tests compare with them.
template <typename T>
__device__ __forceinline__ void unfold_naive(const T *__restrict__ x, T *__restrict__ u,
                                             u32 pictures, Geometry g) {
    u32 pixels = static_cast<u32>(g.rows * g.columns);
    u32 length = pictures * pixels;
    u32 at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= length) return;
    u32 picture = at / pixels;
    int pixel = static_cast<int>(at - picture * pixels);
    int i = pixel / g.columns, j = pixel - i * g.columns;
    int top = i * g.stride_h - g.padding_h, left = j * g.stride_w - g.padding_w;
    const T *from = x + static_cast<size_t>(picture) * g.planes * g.height * g.width;
    for (u32 plane = blockIdx.y; plane < static_cast<u32>(g.planes); plane += gridDim.y) {
        T *to = u + static_cast<size_t>(plane) * g.kernel_h * g.kernel_w * length + at;
        for (int row = top; row < top + g.kernel_h; row++) {
            bool inside = row >= 0 && row < g.height;
            const T *line = from + (static_cast<size_t>(plane) * g.height + row) * g.width;
#pragma unroll 2
            for (int column = left; column < left + g.kernel_w; column++, to += length)
                *to = inside && column >= 0 && column < g.width ? line[column] : T{};
        }
    }
}

template <typename T>
__device__ __forceinline__ void fold_naive(const T *__restrict__ du, T *__restrict__ dx,
                                           u32 pictures, Geometry g) {
    int place = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (place >= g.height * g.width) return;
    int row = place / g.width, column = place - row * g.width;
    int y = row + g.padding_h, x = column + g.padding_w;
    // Output rows i with i s <= y < i s + kernel.
    int first_i = y < g.kernel_h ? 0 : (y - g.kernel_h) / g.stride_h + 1;
    int first_j = x < g.kernel_w ? 0 : (x - g.kernel_w) / g.stride_w + 1;
    int last_i = min(y / g.stride_h, g.rows - 1), last_j = min(x / g.stride_w, g.columns - 1);
    u32 pixels = static_cast<u32>(g.rows * g.columns);
    size_t length = static_cast<size_t>(pictures) * pixels;
    size_t area = static_cast<size_t>(g.height) * g.width;
    size_t step = length * g.stride_w - 1;
    for (u32 plane = blockIdx.y; plane < pictures * g.planes; plane += gridDim.y) {
        u32 picture = plane / g.planes;
        u32 channel = plane - picture * g.planes;
        const T *from = du + static_cast<size_t>(channel) * g.kernel_h * g.kernel_w * length +
                        static_cast<size_t>(picture) * pixels;
        float sum = 0.0f;
        // Descending windows are ascending kernel rows and columns. One window to the left is
        // stride_w taps on and one place back.
        for (int i = last_i; i >= first_i; i--) {
            int tap = (y - i * g.stride_h) * g.kernel_w + x - last_j * g.stride_w;
            const T *term = from + static_cast<size_t>(tap) * length + i * g.columns + last_j;
#pragma unroll 4
            for (int j = last_j; j >= first_j; j--, term += step) sum += load(term, 0);
        }
        store(dx, plane * area + place, sum);
    }
}

template <typename S, typename T>
__device__ __forceinline__ void turn(const S *__restrict__ from, T *__restrict__ to, u32 count,
                                     u32 rows, u32 columns) {
    u32 at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= count) return;
    u32 line = at / rows, row = at - line * rows;
    u32 matrix = line / columns, column = line - matrix * columns;
    store(to, at, load(from, (static_cast<size_t>(matrix) * rows + row) * columns + column));
}

#define REARRANGE(T, SUFFIX, NAME, ...)                                                    \
    extern "C" __global__ void __launch_bounds__(256) NAME##_##SUFFIX(                             \
        const T *from, T *to, u32 pictures, int planes, int height, int width, int rows,           \
        int columns, int kernel_h, int kernel_w, int stride_h, int stride_w, int padding_h,        \
        int padding_w) {                                                                           \
        Geometry g = {planes,   height,   width,    rows,      columns,  kernel_h,                 \
                      kernel_w, stride_h, stride_w, padding_h, padding_w};                         \
        __VA_ARGS__(from, to, pictures, g);                                                        \
    }

#define UNFOLD(T, SUFFIX)                                                                          \
    REARRANGE(T, SUFFIX, unfold_three, unfold<T, 3, 1>)                                            \
    REARRANGE(T, SUFFIX, unfold_five, unfold<T, 5, 1>)                                             \
    REARRANGE(T, SUFFIX, unfold_eleven, unfold<T, 11, 4>)                                          \
    REARRANGE(T, SUFFIX, unfold_naive, unfold_naive<T>)                                            \
    REARRANGE(T, SUFFIX, fold_three, fold<T, 3>)                                                   \
    REARRANGE(T, SUFFIX, fold_five, fold<T, 5>)                                                    \
    REARRANGE(T, SUFFIX, fold_naive, fold_naive<T>)                                                \
    extern "C" __global__ void __launch_bounds__(256) turn_##SUFFIX(                               \
        const T *from, T *to, u32 count, u32 rows, u32 columns) {                                  \
        turn(from, to, count, rows, columns);                                                      \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(256) turn_sums_##SUFFIX(                          \
        const float *from, T *to, u32 count, u32 rows, u32 columns) {                              \
        turn(from, to, count, rows, columns);                                                      \
    }
FOR_EACH_TYPE(UNFOLD)
