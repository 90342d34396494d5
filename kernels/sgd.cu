// Stochastic gradient descent with momentum and weight decay (Section 5 of the paper), in place.
//
//     paper:   v <- momentum v - decay rate w - rate g;   w <- w + v
//     pytorch: v <- momentum v + decay w + g;             w <- w - rate v
//
// Layout: slab (2, count) in f32: weights, then velocities; g (count,) in f32, f16 or bf16. A thread
// owns one value and the grid strides over the rest, so gradient, weight and velocity are read once,
// and weight and velocity written once. Blocks: 256 threads.
//
// Shared memory: none. Deterministic: no value depends on another.
// It is its own naive version: a thread an element is all there is to it. Must move: the slab twice,
// the gradient once.
// Share of the copy bandwidth: not yet measured on a GPU.

template <typename T, bool PAPER>
__device__ __forceinline__ void step(float *__restrict__ slab, const T *__restrict__ gradient,
                                     u64 count, float rate, float momentum, float decay) {
    float *velocities = slab + count;
    u64 stride = static_cast<u64>(gridDim.x) * blockDim.x;
    for (u64 i = static_cast<u64>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += stride) {
        float w = slab[i], v = velocities[i], g = load(gradient, i);
        // Rounded after every product, as on the CPU: no fused multiply-add.
        float shrunk = __fmul_rn(decay, w);
        v = __fmul_rn(momentum, v);
        if (PAPER) {
            v = __fsub_rn(__fsub_rn(v, shrunk), __fmul_rn(rate, g));
            w = __fadd_rn(w, v);
        } else {
            v = __fadd_rn(__fadd_rn(v, shrunk), g);
            w = __fsub_rn(w, __fmul_rn(rate, v));
        }
        velocities[i] = v;
        slab[i] = w;
    }
}

// `decay` of the paper's rule is weight decay times rate.
#define SGD(T, SUFFIX)                                                                             \
    extern "C" __global__ void __launch_bounds__(256) sgd_paper_##SUFFIX(                          \
        float *slab, const T *gradient, u64 count, float rate, float momentum, float decay) {      \
        step<T, true>(slab, gradient, count, rate, momentum, decay);                               \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(256) sgd_pytorch_##SUFFIX(                        \
        float *slab, const T *gradient, u64 count, float rate, float momentum, float decay) {      \
        step<T, false>(slab, gradient, count, rate, momentum, decay);                              \
    }
FOR_EACH_TYPE(SGD)
