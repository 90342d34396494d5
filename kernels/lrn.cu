// Local response normalisation across channels (Section 3.3 of the paper).
//
//     y_c  = x_c s_c^-beta,   s_c = k + alpha sum_j x_j^2,   |j - c| <= size / 2, inside the group
//     dx_c = dy_c s_c^-beta - 2 alpha beta x_c sum_j dy_j x_j s_j^(-beta-1)
//
// Layout: x, y, dy, dx (N, groups * channels, positions); positions = H * W lie side by side.
//
// A thread owns one position of one picture and walks along `chunk` channels of one group. The
// window slides in its registers: each value is read from memory once, and once more at a seam
// between chunks. Neighbouring threads own neighbouring positions, so every access of a warp is one
// run of memory. Nothing is stored between forward and backward; backward computes the scale again
// with a window of windows: the scale of channel j needs x to j + half, the gradient of channel c
// the terms to c + half. Blocks: x over N * positions, y over groups * chunks; 256 threads.
//
// beta = 0.75 takes no pow: s^-0.75 = r sqrt(r), r = 1 / sqrt(s), and s^-1.75 = s^-0.75 r^2.
//
// Shared memory: none. Deterministic: each sum is taken in the order of the channels.
// Share of the copy bandwidth: not yet measured.

enum Power { THREE_QUARTERS, ANY };

__device__ __forceinline__ float sqrt_approximately(float value) {
    float root;
    asm("sqrt.approx.f32 %0, %1;" : "=f"(root) : "f"(value));
    return root;
}

// power = s^-beta and next = s^(-beta-1).
template <Power POWER>
__device__ __forceinline__ void powers(float scale, float beta, float &power, float &next) {
    if (POWER == THREE_QUARTERS) {
        float r = rsqrtf(scale);
        power = r * sqrt_approximately(r);
        next = power * r * r;
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

__device__ __forceinline__ Walk walk(u32 pictures, int groups, int channels, u32 positions, int chunk) {
    Walk w;
    u64 at = static_cast<u64>(blockIdx.x) * blockDim.x + threadIdx.x;
    u32 picture = static_cast<u32>(at / positions);
    u32 position = static_cast<u32>(at - static_cast<u64>(picture) * positions);
    int chunks = (channels + chunk - 1) / chunk;
    int group = static_cast<int>(blockIdx.y) / chunks;
    w.first = (static_cast<int>(blockIdx.y) - group * chunks) * chunk;
    w.end = min(w.first + chunk, channels);
    w.base = (static_cast<size_t>(picture) * groups + group) * channels * positions + position;
    w.inside = picture < pictures;
    return w;
}

template <typename T, int SIZE, Power POWER>
__device__ __forceinline__ void forward(const T *__restrict__ x, T *__restrict__ y, u32 pictures,
                                        int groups, int channels, u32 positions, int chunk, float k,
                                        float alpha, float beta) {
    const int HALF = SIZE / 2;
    Walk w = walk(pictures, groups, channels, positions, chunk);
    if (!w.inside) return;
    x += w.base;
    y += w.base;
    // Channels c - HALF to c + HALF; zero outside the group.
    float window[SIZE];
#pragma unroll
    for (int i = 1; i < SIZE; i++) {
        int c = w.first - HALF + i - 1;
        window[i] = c >= 0 && c < channels ? load(x, static_cast<size_t>(c) * positions) : 0.0f;
    }
#pragma unroll 5
    for (int c = w.first; c < w.end; c++) {
#pragma unroll
        for (int i = 0; i + 1 < SIZE; i++) window[i] = window[i + 1];
        int ahead = c + HALF;
        window[SIZE - 1] =
            ahead < channels ? load(x, static_cast<size_t>(ahead) * positions) : 0.0f;
        float sum = 0.0f;
#pragma unroll
        for (int i = 0; i < SIZE; i++) sum += window[i] * window[i];
        float power, next;
        powers<POWER>(k + alpha * sum, beta, power, next);
        store(y, static_cast<size_t>(c) * positions, window[HALF] * power);
    }
}

template <typename T, int SIZE, Power POWER>
__device__ __forceinline__ void backward(const T *__restrict__ x, const T *__restrict__ dy,
                                         T *__restrict__ dx, u32 pictures, int groups, int channels,
                                         u32 positions, int chunk, float k, float alpha,
                                         float beta) {
    const int HALF = SIZE / 2;
    Walk w = walk(pictures, groups, channels, positions, chunk);
    if (!w.inside) return;
    x += w.base;
    dy += w.base;
    dx += w.base;
    float factor = -2.0f * alpha * beta;
    // At channel j: x of j - HALF to j + HALF; terms of j - 2 HALF to j; dy s^-beta of j - HALF to j.
    float window[SIZE], terms[SIZE], direct[HALF + 1];
    int start = w.first - HALF;
#pragma unroll
    for (int i = 1; i < SIZE; i++) {
        int c = start - HALF + i - 1;
        window[i] = c >= 0 && c < channels ? load(x, static_cast<size_t>(c) * positions) : 0.0f;
    }
#pragma unroll
    for (int i = 0; i < SIZE; i++) terms[i] = 0.0f;
#pragma unroll
    for (int i = 0; i <= HALF; i++) direct[i] = 0.0f;
#pragma unroll 5
    for (int j = start; j < w.end + HALF; j++) {
#pragma unroll
        for (int i = 0; i + 1 < SIZE; i++) {
            window[i] = window[i + 1];
            terms[i] = terms[i + 1];
        }
#pragma unroll
        for (int i = 0; i < HALF; i++) direct[i] = direct[i + 1];
        int ahead = j + HALF;
        window[SIZE - 1] = ahead >= 0 && ahead < channels
                               ? load(x, static_cast<size_t>(ahead) * positions)
                               : 0.0f;
        direct[HALF] = 0.0f;
        terms[SIZE - 1] = 0.0f;
        if (j >= 0 && j < channels) {
            float sum = 0.0f;
#pragma unroll
            for (int i = 0; i < SIZE; i++) sum += window[i] * window[i];
            float power, next, gradient = load(dy, static_cast<size_t>(j) * positions);
            powers<POWER>(k + alpha * sum, beta, power, next);
            direct[HALF] = gradient * power;
            terms[SIZE - 1] = gradient * window[HALF] * next;
        }
        int c = j - HALF;
        if (c >= w.first) {
            float sum = 0.0f;
#pragma unroll
            for (int i = 0; i < SIZE; i++) sum += terms[i];
            store(dx, static_cast<size_t>(c) * positions, direct[0] + factor * window[0] * sum);
        }
    }
}

#define LRN(T, SUFFIX, NAME, SIZE, POWER)                                                          \
    extern "C" __global__ void __launch_bounds__(256) lrn_forward_##NAME##_##SUFFIX(               \
        const T *x, T *y, u32 pictures, int groups, int channels, u32 positions, int chunk,        \
        float k, float alpha, float beta) {                                                        \
        forward<T, SIZE, POWER>(x, y, pictures, groups, channels, positions, chunk, k, alpha,      \
                                beta);                                                             \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(256) lrn_backward_##NAME##_##SUFFIX(              \
        const T *x, const T *dy, T *dx, u32 pictures, int groups, int channels, u32 positions,     \
        int chunk, float k, float alpha, float beta) {                                             \
        backward<T, SIZE, POWER>(x, dy, dx, pictures, groups, channels, positions, chunk, k,       \
                                 alpha, beta);                                                     \
    }

// The paper's window with the paper's beta, and with any other.
#define SLIDING(T, SUFFIX)                                                                         \
    LRN(T, SUFFIX, five, 5, THREE_QUARTERS)                                                        \
    LRN(T, SUFFIX, five_any, 5, ANY)
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
