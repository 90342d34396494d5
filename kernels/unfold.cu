// The two rearrangements that make a convolution a matrix product, and a product a convolution's
// input gradient.
//
//     unfold: u[g, (c, a, b), (n, i, j)] = x[n, g, c, i s - p + a, j s - p + b], zero outside x
//     fold:   dx[n, g, c, row, column]   = sum of du over the places that read it
//
// Layout: x, dx (pictures, groups * channels, height, width); u, du (groups * channels * kernel_h *
// kernel_w, pictures * rows * columns): a row a tap, the pictures of the part side by side, so that
// one product a group covers them all. Callers bound the workspace by the number of pictures.
//
// Unfold: a thread owns one output pixel of one picture and visits every gridDim.y-th plane, all taps
// of it in turn, so that nothing is divided but once. Writes are runs of memory; the reads of
// neighbouring taps overlap and are served by the caches.
// Fold: a thread owns one input pixel of a plane, visits every gridDim.y-th plane and gathers.
// Blocks: 256 threads. Both are their own naive versions.
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

template <typename T>
__device__ __forceinline__ void unfold(const T *__restrict__ x, T *__restrict__ u, u32 pictures,
                                       Geometry g) {
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
#pragma unroll 4
            for (int column = left; column < left + g.kernel_w; column++, to += length)
                store(to, 0, inside && column >= 0 && column < g.width ? load(line, column) : 0.0f);
        }
    }
}

template <typename T>
__device__ __forceinline__ void fold(const T *__restrict__ du, T *__restrict__ dx, u32 pictures,
                                     Geometry g) {
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

#define UNFOLD(T, SUFFIX)                                                                          \
    extern "C" __global__ void __launch_bounds__(256) unfold_##SUFFIX(                             \
        const T *x, T *u, u32 pictures, int planes, int height, int width, int rows, int columns,  \
        int kernel_h, int kernel_w, int stride_h, int stride_w, int padding_h, int padding_w) {    \
        Geometry g = {planes,   height,   width,    rows,      columns,  kernel_h,                 \
                      kernel_w, stride_h, stride_w, padding_h, padding_w};                         \
        unfold<T>(x, u, pictures, g);                                                              \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(256) fold_##SUFFIX(                               \
        const T *du, T *dx, u32 pictures, int planes, int height, int width, int rows,             \
        int columns, int kernel_h, int kernel_w, int stride_h, int stride_w, int padding_h,        \
        int padding_w) {                                                                           \
        Geometry g = {planes,   height,   width,    rows,      columns,  kernel_h,                 \
                      kernel_w, stride_h, stride_w, padding_h, padding_w};                         \
        fold<T>(du, dx, pictures, g);                                                              \
    }
FOR_EACH_TYPE(UNFOLD)
