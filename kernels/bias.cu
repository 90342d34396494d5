// Bias and ReLU after a matrix product, and what backward does before its products: the ReLU's mask
// on the gradient, and the bias's gradient.
//
//     spread:  y[n, o, p] = f(m[o, n, p] + b[o])            m as a convolution's product leaves it
//     gather:  g[o, n, p] = dy[n, o, p] where y[n, o, p] > 0 (everywhere without a ReLU)
//              partial[part, o] = sum over the part's n, and p, of g
//     rows:    y[n, o] = f(y[n, o] + b[o]) in place, for a linear layer
//     mask:    g[n, o] = dy[n, o] where y[n, o] > 0;  partial[part, o] = sum over the part's n of g
//     total:   db[o] = sum over the parts, in order, of partial[part, o]
//
// The products of a convolution keep the channels first and the pictures of a part side by side;
// spread and gather turn that into (N, O, positions) and back in passes that are needed anyway.
// cuDNN keeps (N, O, positions): m and g are then [n, o, p] too. Their values lie `channel` apart for
// the next o, `picture` for the next n.
//
// A thread of spread, gather or mask works on a place of several pictures, and asks for the values of
// all before it uses the first. Blocks: up to 256 threads. spread: x over channels, y over positions,
// z over parts of the pictures, strided. gather: a block a channel and a part of the pictures. rows,
// mask: x over the outputs, y over rows or parts.
// The naive ones: of spread and rows, a thread a value; of gather and mask, a thread a partial sum and
// all that goes into it. total has one version, a thread a sum.
//
// Shared memory: gather, a float a thread, for the block's sum. Deterministic: a thread sums in
// order, a block by a fixed tree, the parts in order; no atomics. NaN stays NaN in the ReLU.
// Must move: each argument once, y of rows twice.
// Share of the copy bandwidth: not yet measured on a GPU.

__device__ __forceinline__ float activate(float value, int relu) {
    return relu && value < 0.0f ? 0.0f : value;
}

// COUNT pictures of a place, `from` and `to` apart.
template <int COUNT, typename T>
__device__ __forceinline__ void activated(const T *__restrict__ m, float bias, T *__restrict__ y,
                                          size_t from, size_t to, int relu) {
    float values[COUNT];
#pragma unroll
    for (int i = 0; i < COUNT; i++, m += from) values[i] = load(m, 0);
#pragma unroll
    for (int i = 0; i < COUNT; i++, y += to) store(y, 0, activate(values[i] + bias, relu));
}

// The same of their gradients; gives what they add to `sum`.
template <int COUNT, typename T>
__device__ __forceinline__ float masked(const T *__restrict__ y, const T *__restrict__ dy,
                                        T *__restrict__ g, size_t from, size_t to, int relu,
                                        float sum) {
    float gradients[COUNT], outputs[COUNT];
#pragma unroll
    for (int i = 0; i < COUNT; i++, dy += from) gradients[i] = load(dy, 0);
#pragma unroll
    for (int i = 0; i < COUNT; i++, y += from) outputs[i] = relu ? load(y, 0) : 1.0f;
#pragma unroll
    for (int i = 0; i < COUNT; i++, g += to) {
        float gradient = outputs[i] > 0.0f ? gradients[i] : 0.0f;
        store(g, 0, gradient);
        sum += gradient;
    }
    return sum;
}

// Pictures of a part: of spread and gather, and of mask. The last part may have fewer, which go one
// by one.
const int PART = 4, ROWS = 8;

template <typename T>
__device__ __forceinline__ void spread(const T *__restrict__ m, const T *__restrict__ b,
                                       T *__restrict__ y, u32 pictures, u32 outputs, u32 positions,
                                       u32 channel, u32 picture, int relu) {
    u32 o = blockIdx.x, p = blockIdx.y * blockDim.x + threadIdx.x;
    if (p >= positions) return;
    float bias = load(b, o);
    m += static_cast<size_t>(o) * channel + p;
    y += static_cast<size_t>(o) * positions + p;
    size_t next = static_cast<size_t>(outputs) * positions;
    for (u32 n = blockIdx.z * PART; n < pictures; n += gridDim.z * PART) {
        const T *from = m + static_cast<size_t>(n) * picture;
        T *to = y + n * next;
        if (n + PART <= pictures)
            activated<PART>(from, bias, to, picture, next, relu);
        else
#pragma unroll 1
            for (u32 i = n; i < pictures; i++, from += picture, to += next)
                activated<1>(from, bias, to, picture, next, relu);
    }
}

// The sum of every thread's value, by halves; all threads of the block call it.
__device__ __forceinline__ float block_sum(float value) {
    __shared__ float sums[256];
    sums[threadIdx.x] = value;
    __syncthreads();
    for (u32 half = 128, count = blockDim.x; half > 0; half /= 2) {
        if (threadIdx.x < half && threadIdx.x + half < count)
            sums[threadIdx.x] += sums[threadIdx.x + half];
        count = min(count, half);
        __syncthreads();
    }
    return sums[0];
}

template <typename T>
__device__ __forceinline__ void gather(const T *__restrict__ y, const T *__restrict__ dy,
                                       T *__restrict__ g, float *__restrict__ partial,
                                       u32 pictures, u32 outputs, u32 positions, u32 channel,
                                       u32 picture, int relu) {
    u32 o = blockIdx.x, first = blockIdx.y * PART, last = min(first + PART, pictures);
    size_t next = static_cast<size_t>(outputs) * positions;
    size_t plane = first * next + static_cast<size_t>(o) * positions;
    g += static_cast<size_t>(o) * channel + static_cast<size_t>(first) * picture;
    float sum = 0.0f;
    for (u32 p = threadIdx.x; p < positions; p += blockDim.x) {
        const T *out = y + plane + p, *gradient = dy + plane + p;
        T *to = g + p;
        if (first + PART == last)
            sum = masked<PART>(out, gradient, to, next, picture, relu, sum);
        else
#pragma unroll 1
            for (u32 n = first; n < last; n++, out += next, gradient += next, to += picture)
                sum = masked<1>(out, gradient, to, next, picture, relu, sum);
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) partial[static_cast<size_t>(blockIdx.y) * outputs + o] = sum;
}

template <typename T>
__device__ __forceinline__ void rows(T *__restrict__ y, const T *__restrict__ b, u32 count,
                                     u32 outputs, int relu) {
    u32 o = blockIdx.x * blockDim.x + threadIdx.x;
    if (o >= outputs) return;
    float bias = load(b, o);
    for (u32 n = blockIdx.y; n < count; n += gridDim.y) {
        size_t at = static_cast<size_t>(n) * outputs + o;
        store(y, at, activate(load(y, at) + bias, relu));
    }
}

template <typename T>
__device__ __forceinline__ void mask(const T *__restrict__ y, const T *__restrict__ dy,
                                     T *__restrict__ g, float *__restrict__ partial, u32 count,
                                     u32 outputs, int relu) {
    u32 o = blockIdx.x * blockDim.x + threadIdx.x;
    if (o >= outputs) return;
    u32 first = blockIdx.y * ROWS, last = min(first + ROWS, count);
    size_t at = static_cast<size_t>(first) * outputs + o;
    float sum = 0.0f;
    if (first + ROWS == last)
        sum = masked<ROWS>(y + at, dy + at, g + at, outputs, outputs, relu, sum);
    else
#pragma unroll 1
        for (u32 n = first; n < last; n++, at += outputs)
            sum = masked<1>(y + at, dy + at, g + at, outputs, outputs, relu, sum);
    partial[static_cast<size_t>(blockIdx.y) * outputs + o] = sum;
}

template <typename T>
__device__ __forceinline__ void spread_naive(const T *m, const T *b, T *y, u32 pictures,
                                             u32 outputs, u32 positions, u32 channel, u32 picture,
                                             int relu) {
    size_t at = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (at >= static_cast<size_t>(pictures) * outputs * positions) return;
    size_t p = at % positions, o = at / positions % outputs, n = at / positions / outputs;
    store(y, at, activate(load(m, o * channel + n * picture + p) + load(b, o), relu));
}

// Of parts of `part` pictures.
template <typename T>
__device__ __forceinline__ void gather_naive(const T *y, const T *dy, T *g, float *partial,
                                             u32 part, u32 pictures, u32 outputs, u32 positions,
                                             u32 channel, u32 picture, int relu) {
    u32 o = blockIdx.x * blockDim.x + threadIdx.x;
    if (o >= outputs) return;
    u32 first = blockIdx.y * part, last = min(first + part, pictures);
    float sum = 0.0f;
    for (size_t n = first; n < last; n++)
        for (u32 p = 0; p < positions; p++) {
            size_t at = (n * outputs + o) * positions + p;
            float gradient = !relu || load(y, at) > 0.0f ? load(dy, at) : 0.0f;
            store(g, static_cast<size_t>(o) * channel + n * picture + p, gradient);
            sum += gradient;
        }
    partial[static_cast<size_t>(blockIdx.y) * outputs + o] = sum;
}

template <typename T>
__device__ __forceinline__ void total(const float *__restrict__ partial, T *__restrict__ db,
                                      u32 parts, u32 outputs) {
    u32 o = blockIdx.x * blockDim.x + threadIdx.x;
    if (o >= outputs) return;
    float sum = 0.0f;
    for (u32 part = 0; part < parts; part++)
        sum += partial[static_cast<size_t>(part) * outputs + o];
    store(db, o, sum);
}

#define BIAS(T, SUFFIX)                                                                            \
    extern "C" __global__ void __launch_bounds__(256) bias_spread_##SUFFIX(                        \
        const T *m, const T *b, T *y, u32 pictures, u32 outputs, u32 positions, u32 channel,       \
        u32 picture, int relu) {                                                                   \
        spread<T>(m, b, y, pictures, outputs, positions, channel, picture, relu);                  \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(256) bias_gather_##SUFFIX(                        \
        const T *y, const T *dy, T *g, float *partial, u32 pictures, u32 outputs, u32 positions,   \
        u32 channel, u32 picture, int relu) {                                                      \
        gather<T>(y, dy, g, partial, pictures, outputs, positions, channel, picture, relu);        \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(256) bias_rows_##SUFFIX(                          \
        T *y, const T *b, u32 count, u32 outputs, int relu) {                                      \
        rows<T>(y, b, count, outputs, relu);                                                       \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(256) bias_mask_##SUFFIX(                          \
        const T *y, const T *dy, T *g, float *partial, u32 count, u32 outputs, int relu) {         \
        mask<T>(y, dy, g, partial, count, outputs, relu);                                          \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(256) bias_spread_naive_##SUFFIX(                  \
        const T *m, const T *b, T *y, u32 pictures, u32 outputs, u32 positions, u32 channel,       \
        u32 picture, int relu) {                                                                   \
        spread_naive<T>(m, b, y, pictures, outputs, positions, channel, picture, relu);            \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(256) bias_gather_naive_##SUFFIX(                  \
        const T *y, const T *dy, T *g, float *partial, u32 pictures, u32 outputs, u32 positions,   \
        u32 channel, u32 picture, int relu) {                                                      \
        gather_naive<T>(y, dy, g, partial, PART, pictures, outputs, positions, channel, picture,   \
                        relu);                                                                     \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(256) bias_rows_naive_##SUFFIX(                    \
        T *y, const T *b, u32 count, u32 outputs, int relu) {                                      \
        spread_naive<T>(y, b, y, count, outputs, 1, 1, outputs, relu);                             \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(256) bias_mask_naive_##SUFFIX(                    \
        const T *y, const T *dy, T *g, float *partial, u32 count, u32 outputs, int relu) {         \
        gather_naive<T>(y, dy, g, partial, ROWS, count, outputs, 1, 1, outputs, relu);             \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(256) bias_total_##SUFFIX(                         \
        const float *partial, T *db, u32 parts, u32 outputs) {                                     \
        total<T>(partial, db, parts, outputs);                                                     \
    }
FOR_EACH_TYPE(BIAS)
