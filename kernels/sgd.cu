// Stochastic gradient descent with momentum and weight decay (Section 5 of the paper), in place.
//
//     paper:   v <- momentum v - decay rate w - rate g;   w <- w + v
//     pytorch: v <- momentum v + decay w + g;             w <- w - rate v
//
// Layout: slab (2, count) in f32: weights, then velocities; g (count,) in f32, f16 or bf16. Gradient,
// weight and velocity are read once, and weight and velocity written once. Blocks: 256 threads.
//
// four: a multiple of four values, weights and velocities at multiples of 16 bytes. A thread owns four
// values side by side, each moved by one access, and the grid strides over the rest.
// naive: any. A thread owns one value.
//
// Shared memory: none. Deterministic: no value depends on another.
// Must move: the slab twice, the gradient once.
// Share of the copy bandwidth: not yet measured on a GPU.

// Rounded after every product, as on the CPU: no fused multiply-add.
template <bool PAPER>
__device__ __forceinline__ void step(float &w, float &v, float g, float rate, float momentum,
                                     float decay) {
    float shrunk = __fmul_rn(decay, w);
    v = __fmul_rn(momentum, v);
    if (PAPER) {
        v = __fsub_rn(__fsub_rn(v, shrunk), __fmul_rn(rate, g));
        w = __fadd_rn(w, v);
    } else {
        v = __fadd_rn(__fadd_rn(v, shrunk), g);
        w = __fsub_rn(w, __fmul_rn(rate, v));
    }
}

template <typename T, bool PAPER>
__device__ __forceinline__ void four(float *__restrict__ slab, const T *__restrict__ gradient,
                                     u64 count, float rate, float momentum, float decay) {
    u64 stride = static_cast<u64>(gridDim.x) * blockDim.x * 4;
    u64 first = (static_cast<u64>(blockIdx.x) * blockDim.x + threadIdx.x) * 4;
    for (u64 i = first; i < count; i += stride) {
        float w[4], v[4], g[4];
        load_pack(slab + i, w);
        load_pack(slab + count + i, v);
        load_pack(gradient + i, g);
#pragma unroll
        for (int k = 0; k < 4; k++) step<PAPER>(w[k], v[k], g[k], rate, momentum, decay);
        store_pack(slab + count + i, v);
        store_pack(slab + i, w);
    }
}

template <typename T, bool PAPER>
__device__ __forceinline__ void naive(float *slab, const T *gradient, u64 count, float rate,
                                      float momentum, float decay) {
    u64 i = static_cast<u64>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= count) return;
    float w = slab[i], v = slab[count + i];
    step<PAPER>(w, v, load(gradient, i), rate, momentum, decay);
    slab[i] = w;
    slab[count + i] = v;
}

// `decay` of the paper's rule is weight decay times rate.
#define SGD_VERSION(T, SUFFIX, VERSION)                                                            \
    extern "C" __global__ void __launch_bounds__(256) sgd_paper_##VERSION##_##SUFFIX(              \
        float *slab, const T *gradient, u64 count, float rate, float momentum, float decay) {      \
        VERSION<T, true>(slab, gradient, count, rate, momentum, decay);                            \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(256) sgd_pytorch_##VERSION##_##SUFFIX(            \
        float *slab, const T *gradient, u64 count, float rate, float momentum, float decay) {      \
        VERSION<T, false>(slab, gradient, count, rate, momentum, decay);                           \
    }
#define SGD(T, SUFFIX) SGD_VERSION(T, SUFFIX, four) SGD_VERSION(T, SUFFIX, naive)
FOR_EACH_TYPE(SGD)
