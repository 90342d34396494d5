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
// cuDNN keeps (N, O, positions): m and g are then [n, o, p] too. Their planes lie `channel` apart for
// the next o, `picture` for the next n.
//
// Blocks: 256 threads. spread: x over positions, y over planes (n, o), strided. gather: a block a
// channel and a part of the pictures. rows, mask: x over the outputs, y over rows or parts.
//
// Shared memory: gather, a float a thread, for the block's sum. Deterministic: a thread sums in
// order, a block by a fixed tree, the parts in order; no atomics. NaN stays NaN in the ReLU.
// These are their own naive versions: a thread an element, or the block that a sum needs.
// Must move: each argument once, y of rows twice.
// Share of the copy bandwidth: not yet measured on a GPU.

__device__ __forceinline__ float activate(float value, int relu) {
    return relu && value < 0.0f ? 0.0f : value;
}

template <typename T>
__device__ __forceinline__ void spread(const T *__restrict__ m, const T *__restrict__ b,
                                       T *__restrict__ y, u32 pictures, u32 outputs, u32 positions,
                                       u32 channel, u32 picture, int relu) {
    u32 p = blockIdx.x * blockDim.x + threadIdx.x;
    if (p >= positions) return;
#pragma unroll 4
    for (u32 plane = blockIdx.y; plane < pictures * outputs; plane += gridDim.y) {
        u32 n = plane / outputs, o = plane - n * outputs;
        size_t from = static_cast<size_t>(o) * channel + static_cast<size_t>(n) * picture;
        float value = load(m, from * positions + p);
        store(y, static_cast<size_t>(plane) * positions + p, activate(value + load(b, o), relu));
    }
}

// The sum of every thread's value, by halves; all threads of the block call it.
__device__ __forceinline__ float block_sum(float value) {
    __shared__ float sums[256];
    sums[threadIdx.x] = value;
    __syncthreads();
    for (u32 half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
        __syncthreads();
    }
    return sums[0];
}

template <typename T>
__device__ __forceinline__ void gather(const T *__restrict__ y, const T *__restrict__ dy,
                                       T *__restrict__ g, float *__restrict__ partial,
                                       u32 pictures, u32 outputs, u32 positions, u32 channel,
                                       u32 picture, u32 part, int relu) {
    u32 o = blockIdx.x, first = blockIdx.y * part, last = min(first + part, pictures);
    float sum = 0.0f;
    size_t from = (static_cast<size_t>(first) * outputs + o) * positions;
    size_t to = static_cast<size_t>(o) * channel + static_cast<size_t>(first) * picture;
    size_t next = static_cast<size_t>(outputs) * positions;
    // The pictures of a part are asked for together.
    for (u32 p = threadIdx.x; p < positions; p += blockDim.x) {
#pragma unroll 4
        for (u32 n = 0; n < last - first; n++) {
            float gradient = load(dy, from + n * next + p);
            if (relu && !(load(y, from + n * next + p) > 0.0f)) gradient = 0.0f;
            store(g, (to + static_cast<size_t>(n) * picture) * positions + p, gradient);
            sum += gradient;
        }
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
                                     u32 outputs, u32 part, int relu) {
    u32 o = blockIdx.x * blockDim.x + threadIdx.x;
    if (o >= outputs) return;
    u32 first = blockIdx.y * part, last = min(first + part, count);
    float sum = 0.0f;
    for (u32 n = first; n < last; n++) {
        size_t at = static_cast<size_t>(n) * outputs + o;
        float gradient = load(dy, at);
        if (relu && !(load(y, at) > 0.0f)) gradient = 0.0f;
        store(g, at, gradient);
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
        u32 channel, u32 picture, u32 part, int relu) {                                            \
        gather<T>(y, dy, g, partial, pictures, outputs, positions, channel, picture, part, relu);  \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(256) bias_rows_##SUFFIX(                          \
        T *y, const T *b, u32 count, u32 outputs, int relu) {                                      \
        rows<T>(y, b, count, outputs, relu);                                                       \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(256) bias_mask_##SUFFIX(                          \
        const T *y, const T *dy, T *g, float *partial, u32 count, u32 outputs, u32 part,           \
        int relu) {                                                                                \
        mask<T>(y, dy, g, partial, count, outputs, part, relu);                                    \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(256) bias_total_##SUFFIX(                         \
        const float *partial, T *db, u32 parts, u32 outputs) {                                     \
        total<T>(partial, db, parts, outputs);                                                     \
    }
FOR_EACH_TYPE(BIAS)
