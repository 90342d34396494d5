// Local response normalisation across channels (Section 3.3 of the paper).
//
//     y_c  = x_c s_c^-beta,   s_c = k + alpha sum_j x_j^2,   |j - c| <= size / 2, inside the group
//     dx_c = dy_c s_c^-beta - 2 alpha beta x_c sum_j dy_j x_j s_j^(-beta-1)
//
// Layout: x, y, dy, dx (N, groups * channels, positions); positions = H * W lie side by side.
//
// A thread owns WIDTH positions of one picture side by side and walks along `chunk` channels of one
// group, BATCH channels at a time: it asks for all values of a batch, and only then computes, so that
// many loads are on their way. The window slides in registers: each value is read once, and again at
// a seam between chunks. Nothing is stored between forward and backward; backward computes the scale
// again with a window of windows: the scale of channel j needs x to j + 2, the gradient of channel c
// the terms to c + 2.
//
// Neighbouring threads own neighbouring positions, so every access of a warp is one run of memory.
// WIDTH is 2 where positions and addresses are even, else 1: the paper's maps of 55 x 55 and 27 x 27
// begin at odd places. Blocks: 256 threads; the chunks of the same positions are neighbours in the
// grid, so that what a seam reads twice is still in the second cache.
//
// beta = 0.75 takes no pow: s^-0.75 = r sqrt(r), r = 1 / sqrt(s), and s^-1.75 = s^-0.75 r^2.
//
// Must move: forward x and y, backward x, dy and dx, each once. With chunks of 32 channels or more
// the first cache is asked for at most an eighth more forward, a quarter more backward.
// Shared memory: none. Deterministic: each sum is taken in the order of the channels.
// Share of the copy bandwidth: not yet measured on a GPU.

enum Power { THREE_QUARTERS, ANY };

const int SIZE = 5, HALF = SIZE / 2;

// power = s^-beta and next = s^(-beta-1).
template <Power POWER>
__device__ __forceinline__ void powers(float scale, float beta, float &power, float &next) {
    if (POWER == THREE_QUARTERS) {
        three_quarter_powers(scale, power, next);
    } else {
        power = powf(scale, -beta);
        next = power / scale;
    }
}

// Where a thread works: its first element, and the channels it writes.
struct Walk {
    size_t base;
    int first, end;
    bool inside;
};

// `positions` in units of WIDTH.
template <int WIDTH>
__device__ __forceinline__ Walk walk(u32 pictures, int groups, int channels, u32 positions,
                                     int chunk) {
    Walk w;
    u32 chunks = static_cast<u32>((channels + chunk - 1) / chunk);
    u32 columns = groups * chunks;
    u32 block = blockIdx.x / columns, column = blockIdx.x - block * columns;
    u32 group = column / chunks;
    u32 at = block * blockDim.x + threadIdx.x;
    u32 picture = at / positions, position = at - picture * positions;
    w.first = static_cast<int>(column - group * chunks) * chunk;
    w.end = min(w.first + chunk, channels);
    w.base = ((static_cast<size_t>(picture) * groups + group) * channels * positions + position) *
             WIDTH;
    w.inside = picture < pictures;
    return w;
}

// The channels of a group as a thread sees them: WIDTH values of each, `stride` elements apart.
template <typename T, int WIDTH> struct Column {
    T *first;
    size_t stride;

    __device__ __forceinline__ T *at(int c) const {
        return first + static_cast<long long>(c) * static_cast<long long>(stride);
    }
};

// BATCH channels from c on. WHOLE: all lie in the group; else those outside are zero.
template <bool WHOLE, typename T, int BATCH, int WIDTH>
__device__ __forceinline__ void fetch(const Column<const T, WIDTH> &x, int c, int channels,
                                      float (*values)[WIDTH]) {
    const T *from = x.at(c);
#pragma unroll
    for (int i = 0; i < BATCH; i++, from += x.stride) {
        float(&here)[WIDTH] = values[i];
#pragma unroll
        for (int p = 0; p < WIDTH; p++) here[p] = 0.0f;
        if (WHOLE || static_cast<u32>(c + i) < static_cast<u32>(channels)) load_pack(from, here);
    }
}

__device__ __forceinline__ float window_scale(float a, float b, float c, float d, float e, float k,
                                              float alpha) {
    return fmaf(alpha, fmaf(e, e, fmaf(d, d, fmaf(c, c, fmaf(b, b, a * a)))), k);
}

// What slides: the last values of a window become the first of the next.
template <int COUNT, int BATCH, int WIDTH>
__device__ __forceinline__ void slide(float (*values)[WIDTH]) {
#pragma unroll
    for (int i = 0; i < COUNT; i++)
#pragma unroll
        for (int p = 0; p < WIDTH; p++) values[i][p] = values[BATCH + i][p];
}

struct Constants {
    float k, alpha, beta;
};

// Channels c to c + BATCH - 1, of which those before `end` are written.
template <bool WHOLE, typename T, int BATCH, int WIDTH, Power POWER>
__device__ __forceinline__ void forward_batch(const Column<const T, WIDTH> &x,
                                              const Column<T, WIDTH> &y, int c, int end,
                                              int channels, Constants constants,
                                              float (&window)[2 * HALF + BATCH][WIDTH]) {
    fetch<WHOLE, T, BATCH, WIDTH>(x, c + HALF, channels, window + 2 * HALF);
    T *to = y.at(c);
#pragma unroll
    for (int i = 0; i < BATCH; i++, to += y.stride) {
        float out[WIDTH];
#pragma unroll
        for (int p = 0; p < WIDTH; p++) {
            float power, next;
            float scale = window_scale(window[i][p], window[i + 1][p], window[i + 2][p],
                                       window[i + 3][p], window[i + 4][p], constants.k,
                                       constants.alpha);
            powers<POWER>(scale, constants.beta, power, next);
            out[p] = window[i + HALF][p] * power;
        }
        if (WHOLE || c + i < end) store_pack(to, out);
    }
    slide<2 * HALF, BATCH>(window);
}

template <typename T, int BATCH, int WIDTH, Power POWER>
__device__ __forceinline__ void forward(const T *__restrict__ x, T *__restrict__ y, u32 pictures,
                                        int groups, int channels, u32 positions, int chunk,
                                        Constants constants) {
    Walk w = walk<WIDTH>(pictures, groups, channels, positions, chunk);
    if (!w.inside) return;
    size_t stride = static_cast<size_t>(positions) * WIDTH;
    Column<const T, WIDTH> from = {x + w.base, stride};
    Column<T, WIDTH> to = {y + w.base, stride};
    // Channels c - HALF to c + BATCH + HALF - 1.
    float window[2 * HALF + BATCH][WIDTH];
    fetch<false, T, 2 * HALF, WIDTH>(from, w.first - HALF, channels, window);
    int c = w.first;
    for (; c + BATCH <= w.end && c + BATCH + HALF <= channels; c += BATCH)
        forward_batch<true, T, BATCH, WIDTH, POWER>(from, to, c, w.end, channels, constants, window);
    for (; c < w.end; c += BATCH)
        forward_batch<false, T, BATCH, WIDTH, POWER>(from, to, c, w.end, channels, constants,
                                                     window);
}

// What backward keeps while it works on channels j to j + BATCH - 1: x of j - HALF on, the terms
// dy x s^(-beta-1) of j - 2 HALF on, and dy s^-beta of j - HALF on.
template <int BATCH, int WIDTH> struct Windows {
    float x[2 * HALF + BATCH][WIDTH];
    float terms[2 * HALF + BATCH][WIDTH];
    float direct[HALF + BATCH][WIDTH];
};

// The scales of channels j to j + BATCH - 1, and the gradients of those HALF before, of which the
// ones from `first` to `end` are written.
template <bool WHOLE, typename T, int BATCH, int WIDTH, Power POWER>
__device__ __forceinline__ void
backward_batch(const Column<const T, WIDTH> &x, const Column<const T, WIDTH> &dy,
               const Column<T, WIDTH> &dx, int j, int first, int end, int channels,
               Constants constants, Windows<BATCH, WIDTH> &w) {
    float gradient[BATCH][WIDTH];
    fetch<WHOLE, T, BATCH, WIDTH>(x, j + HALF, channels, w.x + 2 * HALF);
    fetch<WHOLE, T, BATCH, WIDTH>(dy, j, channels, gradient);
    float factor = -2.0f * constants.alpha * constants.beta;
    T *to = dx.at(j - HALF);
#pragma unroll
    for (int i = 0; i < BATCH; i++, to += dx.stride) {
        // Outside the group nothing is added, whatever the scale.
        bool inside = WHOLE || static_cast<u32>(j + i) < static_cast<u32>(channels);
        float out[WIDTH];
#pragma unroll
        for (int p = 0; p < WIDTH; p++) {
            float power, next;
            float scale = window_scale(w.x[i][p], w.x[i + 1][p], w.x[i + 2][p], w.x[i + 3][p],
                                       w.x[i + 4][p], constants.k, constants.alpha);
            powers<POWER>(scale, constants.beta, power, next);
            float term = gradient[i][p] * w.x[i + HALF][p] * next;
            w.direct[HALF + i][p] = inside ? gradient[i][p] * power : 0.0f;
            w.terms[2 * HALF + i][p] = inside ? term : 0.0f;
            float sum = w.terms[i][p] + w.terms[i + 1][p] + w.terms[i + 2][p] + w.terms[i + 3][p] +
                        w.terms[i + 4][p];
            out[p] = fmaf(factor * w.x[i][p], sum, w.direct[i][p]);
        }
        int c = j + i - HALF;
        if (WHOLE || (c >= first && c < end)) store_pack(to, out);
    }
    slide<2 * HALF, BATCH>(w.x);
    slide<2 * HALF, BATCH>(w.terms);
    slide<HALF, BATCH>(w.direct);
}

template <typename T, int BATCH, int WIDTH, Power POWER>
__device__ __forceinline__ void backward(const T *__restrict__ x, const T *__restrict__ dy,
                                         T *__restrict__ dx, u32 pictures, int groups, int channels,
                                         u32 positions, int chunk, Constants constants) {
    Walk w = walk<WIDTH>(pictures, groups, channels, positions, chunk);
    if (!w.inside) return;
    size_t stride = static_cast<size_t>(positions) * WIDTH;
    Column<const T, WIDTH> from = {x + w.base, stride}, gradients = {dy + w.base, stride};
    Column<T, WIDTH> to = {dx + w.base, stride};
    Windows<BATCH, WIDTH> windows = {};
    int j = w.first - HALF;
    fetch<false, T, 2 * HALF, WIDTH>(from, j - HALF, channels, windows.x);
    // The first batch ends with the scales of channel `first + BATCH - HALF - 1`.
    backward_batch<false, T, BATCH, WIDTH, POWER>(from, gradients, to, j, w.first, w.end, channels,
                                                  constants, windows);
    for (j += BATCH; j + BATCH <= w.end + HALF && j + BATCH + HALF <= channels; j += BATCH)
        backward_batch<true, T, BATCH, WIDTH, POWER>(from, gradients, to, j, w.first, w.end,
                                                     channels, constants, windows);
    for (; j < w.end + HALF; j += BATCH)
        backward_batch<false, T, BATCH, WIDTH, POWER>(from, gradients, to, j, w.first, w.end,
                                                      channels, constants, windows);
}

#define LRN(T, SUFFIX, NAME, WIDTH, POWER)                                                         \
    extern "C" __global__ void __launch_bounds__(256) lrn_forward_##NAME##_##SUFFIX(               \
        const T *x, T *y, u32 pictures, int groups, int channels, u32 positions, int chunk,        \
        float k, float alpha, float beta) {                                                        \
        forward<T, 8, WIDTH, POWER>(x, y, pictures, groups, channels, positions, chunk,            \
                                    {k, alpha, beta});                                             \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(256) lrn_backward_##NAME##_##SUFFIX(              \
        const T *x, const T *dy, T *dx, u32 pictures, int groups, int channels, u32 positions,     \
        int chunk, float k, float alpha, float beta) {                                             \
        backward<T, 4, WIDTH, POWER>(x, dy, dx, pictures, groups, channels, positions, chunk,      \
                                     {k, alpha, beta});                                            \
    }

// The paper's window with the paper's beta, a thread with two positions or one, and any other beta.
#define SLIDING(T, SUFFIX)                                                                         \
    LRN(T, SUFFIX, pair, 2, THREE_QUARTERS)                                                        \
    LRN(T, SUFFIX, five, 1, THREE_QUARTERS)                                                        \
    LRN(T, SUFFIX, five_any, 1, ANY)
FOR_EACH_TYPE(SLIDING)

// The first version: a thread an element, each window read from memory as the formula says. It
// serves windows of other sizes than five, and tests and `bench` compare with it. Backward reads
// size^2 values an element.
template <typename T>
__device__ float scale_at(const T *x, int c, int half, int channels, size_t positions, float k,
                          float alpha) {
    float sum = 0.0f;
    for (int j = max(c - half, 0); j <= min(c + half, channels - 1); j++) {
        float value = load(x, j * positions);
        sum += value * value;
    }
    return k + alpha * sum;
}

template <typename T>
__device__ void forward_naive(const T *x, T *y, u64 count, int channels, u32 positions, int half,
                              float k, float alpha, float beta) {
    u64 i = static_cast<u64>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= count) return;
    u64 row = i / positions;
    int c = static_cast<int>(row % channels);
    // Channel 0 of this position in this group.
    const T *base = x + (i - static_cast<u64>(c) * positions);
    float scale = scale_at(base, c, half, channels, positions, k, alpha);
    store(y, i, load(x, i) * powf(scale, -beta));
}

template <typename T>
__device__ void backward_naive(const T *x, const T *dy, T *dx, u64 count, int channels,
                               u32 positions, int half, float k, float alpha, float beta) {
    u64 i = static_cast<u64>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= count) return;
    int c = static_cast<int>(i / positions % channels);
    u64 first = i - static_cast<u64>(c) * positions;
    const T *base = x + first;
    float sum = 0.0f;
    for (int j = max(c - half, 0); j <= min(c + half, channels - 1); j++) {
        size_t at = static_cast<size_t>(j) * positions;
        float scale = scale_at(base, j, half, channels, positions, k, alpha);
        sum += load(dy, first + at) * load(base, at) * powf(scale, -beta - 1.0f);
    }
    float scale = scale_at(base, c, half, channels, positions, k, alpha);
    store(dx, i, load(dy, i) * powf(scale, -beta) - 2.0f * alpha * beta * load(x, i) * sum);
}

#define NAIVE(T, SUFFIX)                                                                           \
    extern "C" __global__ void lrn_forward_naive_##SUFFIX(const T *x, T *y, u64 count,             \
                                                          int channels, u32 positions, int half,   \
                                                          float k, float alpha, float beta) {      \
        forward_naive<T>(x, y, count, channels, positions, half, k, alpha, beta);                  \
    }                                                                                              \
    extern "C" __global__ void lrn_backward_naive_##SUFFIX(                                        \
        const T *x, const T *dy, T *dx, u64 count, int channels, u32 positions, int half, float k, \
        float alpha, float beta) {                                                                 \
        backward_naive<T>(x, dy, dx, count, channels, positions, half, k, alpha, beta);            \
    }
FOR_EACH_TYPE(NAIVE)
