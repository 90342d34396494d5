// Max pooling over windows that may overlap (Section 3.4 of the paper: 3x3, stride 2).
//
//     y[i, j] = max x[i s - p + u, j s - p + v]   over the places (u, v) that lie in the picture
//
// The winner is the first maximum in row-major order, and NaN wins over every number. Forward keeps
// it as one byte an output, u * kernel width + v. Backward gathers: each input looks at the windows
// that hold it and adds, in their order, the gradients of those it won.
//
// Layout: planes = N * C; x, dx (planes, height, width), y, dy, winners (planes, rows, columns).
//
// The paper's window, where all windows lie in the picture: forward, a thread owns OUTPUTS outputs of
// a column, one below the other. It asks for the rows they share once, all values before the first
// comparison, takes the maximum of each row of three and then of three rows: the first maximum of the
// first row that has it is the first in row-major order. Backward, a thread owns INPUTS inputs of two
// columns and asks for the winners and gradients of all windows they lie in, two columns of
// INPUTS / 2 + 1, before it compares. Neighbouring threads own neighbouring columns: writes are runs
// of memory, and the reads overlap in the first cache. A row of 55 or 27 values begins at an odd
// place, so no access can be wider than a value. Threads are numbered through `lines` planes, so small
// planes leave none idle, and visit every lines-th, so that a place is worked out once for several.
// Blocks: 256 threads.
//
// Must move: forward x, y and winners, backward winners, dy and dx, each once.
// Shared memory: none. Deterministic: every sum has one owner and one order; no atomics.
// Share of the copy bandwidth: not yet measured on a GPU.

// What a thread owns: a part of a column, or of two, in every plane of a line.
struct Place {
    u32 line, strip, column;
};

__device__ __forceinline__ Place place_of(u32 strips, u32 columns) {
    u32 at = blockIdx.x * blockDim.x + threadIdx.x;
    Place p;
    u32 row = at / columns;
    p.column = at - row * columns;
    p.line = row / strips;
    p.strip = row - p.line * strips;
    return p;
}

const int OUTPUTS = 3;

template <typename T>
__device__ __forceinline__ void forward(const T *__restrict__ x, T *__restrict__ y,
                                        u8 *__restrict__ winners, u32 planes, u32 lines, u32 height,
                                        u32 width, u32 rows, u32 columns) {
    Place p = place_of((rows + OUTPUTS - 1) / OUTPUTS, columns);
    if (p.line >= lines) return;
    u32 first = p.strip * OUTPUTS;
    for (u32 plane = p.line; plane < planes; plane += lines) {
        const T *from = x + static_cast<size_t>(plane) * (height * width) + p.column * 2;
        float values[2 * OUTPUTS + 1][3];
#pragma unroll
        for (int row = 0; row < 2 * OUTPUTS + 1; row++) {
            // The last strip may have rows to spare; they are not looked at.
            const T *here = from + min(2 * first + row, height - 1) * width;
#pragma unroll
            for (int v = 0; v < 3; v++) values[row][v] = load(here, v);
        }
        Maximum of_row[2 * OUTPUTS + 1];
#pragma unroll
        for (int row = 0; row < 2 * OUTPUTS + 1; row++) {
            of_row[row] = {values[row][0], 0};
            take(of_row[row], values[row][1], 1);
            take(of_row[row], values[row][2], 2);
        }
        size_t at = static_cast<size_t>(plane) * (rows * columns) + first * columns + p.column;
#pragma unroll
        for (int i = 0; i < OUTPUTS; i++) {
            Maximum best = of_row[2 * i];
            take(best, of_row[2 * i + 1].value, 3 + of_row[2 * i + 1].place);
            take(best, of_row[2 * i + 2].value, 6 + of_row[2 * i + 2].place);
            if (first + i < rows) {
                store(y, at + i * columns, best.value);
                winners[at + i * columns] = static_cast<u8>(best.place);
            }
        }
    }
}

const int INPUTS = 4;

template <typename T>
__device__ __forceinline__ void backward(const u8 *__restrict__ winners, const T *__restrict__ dy,
                                         T *__restrict__ dx, u32 planes, u32 lines, u32 height,
                                         u32 width, u32 rows, u32 columns) {
    const int WINDOWS = INPUTS / 2 + 1;
    Place p = place_of((height + INPUTS - 1) / INPUTS, (width + 1) / 2);
    if (p.line >= lines) return;
    u32 top = p.strip * INPUTS, left = p.column * 2;
    for (u32 plane = p.line; plane < planes; plane += lines) {
        size_t base = static_cast<size_t>(plane) * (rows * columns);
        u32 won[WINDOWS][2];
        float gradients[WINDOWS][2];
#pragma unroll
        for (int i = 0; i < WINDOWS; i++) {
#pragma unroll
            for (int j = 0; j < 2; j++) {
                // What lies outside wraps around and is no less than `rows` or `columns`.
                u32 row = top / 2 + i - 1, column = p.column + j - 1;
                bool inside = row < rows && column < columns;
                size_t at = base + row * columns + column;
                won[i][j] = inside ? winners[at] : 9;
                gradients[i][j] = inside ? load(dy, at) : 0.0f;
            }
        }
        T *to = dx + static_cast<size_t>(plane) * (height * width) + top * width + left;
#pragma unroll
        for (int row = 0; row < INPUTS; row++, to += width) {
            // The left column is the last of a window and the first of the next, whose middle is the
            // right one.
            float sums[2] = {0.0f, 0.0f};
#pragma unroll
            for (int i = 0; i < WINDOWS; i++) {
                // The inputs' row in this window.
                int u = row - 2 * (i - 1);
                if (u < 0 || u > 2) continue;
                if (won[i][0] == 3 * u + 2) sums[0] += gradients[i][0];
                if (won[i][1] == 3 * u) sums[0] += gradients[i][1];
                if (won[i][1] == 3 * u + 1) sums[1] += gradients[i][1];
            }
            if (top + row >= height) break;
            store(to, 0, sums[0]);
            if (left + 1 < width) store(to, 1, sums[1]);
        }
    }
}

#define THREE_BY_TWO(T, SUFFIX)                                                                    \
    extern "C" __global__ void __launch_bounds__(256) max_pool_forward_three_by_two_##SUFFIX(      \
        const T *x, T *y, u8 *winners, u32 planes, u32 lines, u32 height, u32 width, u32 rows,     \
        u32 columns) {                                                                             \
        forward<T>(x, y, winners, planes, lines, height, width, rows, columns);                    \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(256) max_pool_backward_three_by_two_##SUFFIX(     \
        const u8 *winners, const T *dy, T *dx, u32 planes, u32 lines, u32 height, u32 width,       \
        u32 rows, u32 columns) {                                                                   \
        backward<T>(winners, dy, dx, planes, lines, height, width, rows, columns);                 \
    }
FOR_EACH_TYPE(THREE_BY_TWO)

// The first version, for any window: a thread owns one place of a plane (forward: an output,
// backward: an input) and visits every gridDim.y-th plane. Tests and `bench` compare with it.
struct Window {
    int height, width;
    int rows, columns;
    int kernel_h, kernel_w;
    int stride_h, stride_w;
    int padding_h, padding_w;
};

template <typename T>
__device__ __forceinline__ void forward_naive(const T *__restrict__ x, T *__restrict__ y,
                                              u8 *__restrict__ winners, u32 planes, Window w) {
    int place = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (place >= w.rows * w.columns) return;
    int i = place / w.columns, j = place - i * w.columns;
    int top = i * w.stride_h - w.padding_h, left = j * w.stride_w - w.padding_w;
    int bottom = min(top + w.kernel_h, w.height), right = min(left + w.kernel_w, w.width);
    // The first place that lies in the picture wins a tie of nothing but -infinity.
    u32 none = static_cast<u32>(max(-top, 0) * w.kernel_w + max(-left, 0));
    size_t area = static_cast<size_t>(w.height) * w.width;
    size_t out_area = static_cast<size_t>(w.rows) * w.columns;
    for (u32 plane = blockIdx.y; plane < planes; plane += gridDim.y) {
        const T *from = x + plane * area;
        Maximum best = {-INFINITY_F32, none};
        for (int row = max(top, 0); row < bottom; row++)
#pragma unroll 2
            for (int column = max(left, 0); column < right; column++)
                take(best, load(from, static_cast<size_t>(row * w.width + column)),
                     static_cast<u32>((row - top) * w.kernel_w + column - left));
        size_t at = plane * out_area + place;
        store(y, at, best.value);
        winners[at] = static_cast<u8>(best.place);
    }
}

template <typename T>
__device__ __forceinline__ void backward_naive(const u8 *__restrict__ winners,
                                               const T *__restrict__ dy, T *__restrict__ dx,
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
        const u8 *won = winners + plane * out_area;
        const T *gradient = dy + plane * out_area;
        float sum = 0.0f;
        for (int i = first_i; i <= last_i; i++) {
            for (int j = first_j; j <= last_j; j++) {
                int at = i * w.columns + j;
                int here = (y - i * w.stride_h) * w.kernel_w + (x - j * w.stride_w);
                if (won[at] == here) sum += load(gradient, static_cast<size_t>(at));
            }
        }
        store(dx, plane * area + place, sum);
    }
}

#define NAIVE(T, SUFFIX)                                                                           \
    extern "C" __global__ void __launch_bounds__(256) max_pool_forward_naive_##SUFFIX(             \
        const T *x, T *y, u8 *winners, u32 planes, int height, int width, int rows, int columns,   \
        int kernel_h, int kernel_w, int stride_h, int stride_w, int padding_h, int padding_w) {    \
        Window w = {height,   width,    rows,     columns,   kernel_h,                             \
                    kernel_w, stride_h, stride_w, padding_h, padding_w};                           \
        forward_naive<T>(x, y, winners, planes, w);                                                \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(256) max_pool_backward_naive_##SUFFIX(            \
        const u8 *winners, const T *dy, T *dx, u32 planes, int height, int width, int rows,        \
        int columns, int kernel_h, int kernel_w, int stride_h, int stride_w, int padding_h,        \
        int padding_w) {                                                                           \
        Window w = {height,   width,    rows,     columns,   kernel_h,                             \
                    kernel_w, stride_h, stride_w, padding_h, padding_w};                           \
        backward_naive<T>(winners, dy, dx, planes, w);                                             \
    }
FOR_EACH_TYPE(NAIVE)
