// Softmax and the negative log-likelihood of the right class, the mean over the batch.
//
//     loss = 1/N sum_n (log sum_c exp z[n, c] - z[n, label_n])
//     dz   = (softmax(z) - onehot(label)) dloss / N
//
// Layout: z, dz, p (rows, classes); labels u32 (rows,); losses f32 (rows,); loss, dloss one value.
//
// block: a block owns a row. A thread keeps the maximum of its classes and the sum of exp(z - maximum),
// rescaled when the maximum grows, so one pass finds both and nothing overflows; the threads' pairs
// are merged by a fixed tree. The losses of the rows are then added by one block in a fixed order.
// naive: a thread owns a row, and one thread the mean.
// Backward computes maximum and sum again and reads dloss on the device: the host never waits.
// Blocks: 128 threads, 256 for the mean by a block.
//
// A label that is not a class gives a loss of NaN and no gradient at a class: the host, which made
// the labels, refuses them earlier.
//
// Shared memory: a pair of floats a thread; none in the naive ones. Deterministic: fixed trees, no
// atomics. Must move: z, and dz or p, each once.
// Share of the copy bandwidth: not yet measured on a GPU.

struct Sum {
    float max, sum;
};

// A class ruled out by -infinity adds nothing, and -infinity - -infinity would be NaN.
__device__ __forceinline__ float scaled(float value, float max) {
    return value == -INFINITY_F32 ? 0.0f : expf(value - max);
}

__device__ __forceinline__ Sum merge(Sum a, Sum b) {
    Sum s;
    s.max = b.max > a.max ? b.max : a.max;
    s.sum = a.sum * scaled(a.max, s.max) + b.sum * scaled(b.max, s.max);
    return s;
}

// A block's row: its threads take the classes in turns.
struct Block {
    static __device__ __forceinline__ u32 row() { return blockIdx.x; }
    static __device__ __forceinline__ u32 first() { return threadIdx.x; }
    static __device__ __forceinline__ u32 step() { return blockDim.x; }

    // Maximum and sum of the row, known to every thread.
    template <typename T>
    static __device__ __forceinline__ Sum max_and_sum(const T *z, u32 classes) {
        __shared__ float maxima[128], sums[128];
        Sum mine = {-INFINITY_F32, 0.0f};
        for (u32 c = threadIdx.x; c < classes; c += blockDim.x) {
            float value = load(z, c);
            if (value > mine.max) {
                mine.sum *= scaled(mine.max, value);
                mine.max = value;
            }
            mine.sum += scaled(value, mine.max);
        }
        maxima[threadIdx.x] = mine.max;
        sums[threadIdx.x] = mine.sum;
        __syncthreads();
        for (u32 half = blockDim.x / 2; half > 0; half /= 2) {
            if (threadIdx.x < half) {
                Sum other = {maxima[threadIdx.x + half], sums[threadIdx.x + half]};
                mine = merge(mine, other);
                maxima[threadIdx.x] = mine.max;
                sums[threadIdx.x] = mine.sum;
            }
            __syncthreads();
        }
        Sum all = {maxima[0], sums[0]};
        return all;
    }
};

// A thread's row: the maximum first, then the sum.
struct Thread {
    static __device__ __forceinline__ u32 row() { return blockIdx.x * blockDim.x + threadIdx.x; }
    static __device__ __forceinline__ u32 first() { return 0; }
    static __device__ __forceinline__ u32 step() { return 1; }

    template <typename T>
    static __device__ __forceinline__ Sum max_and_sum(const T *z, u32 classes) {
        Sum s = {-INFINITY_F32, 0.0f};
        for (u32 c = 0; c < classes; c++) s.max = fmaxf(s.max, load(z, c));
        for (u32 c = 0; c < classes; c++) s.sum += scaled(load(z, c), s.max);
        return s;
    }
};

template <typename Of, typename T>
__device__ __forceinline__ void nll_rows(const T *__restrict__ z, const u32 *__restrict__ labels,
                                         float *__restrict__ losses, u32 rows, u32 classes) {
    u32 row = Of::row();
    if (row >= rows) return;
    z += static_cast<size_t>(row) * classes;
    Sum s = Of::max_and_sum(z, classes);
    if (Of::first() == 0) {
        u32 label = labels[row];
        losses[row] = label < classes ? logf(s.sum) + s.max - load(z, label) : NAN_F32;
    }
}

template <typename T>
__device__ __forceinline__ void nll_mean_block(const float *__restrict__ losses, T *__restrict__ loss,
                                               u32 rows) {
    __shared__ float sums[256];
    float sum = 0.0f;
    for (u32 row = threadIdx.x; row < rows; row += blockDim.x) sum += losses[row];
    sums[threadIdx.x] = sum;
    __syncthreads();
    for (u32 half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
        __syncthreads();
    }
    if (threadIdx.x == 0) store(loss, 0, sums[0] / static_cast<float>(rows));
}

template <typename T>
__device__ __forceinline__ void nll_mean_naive(const float *losses, T *loss, u32 rows) {
    float sum = 0.0f;
    for (u32 row = 0; row < rows; row++) sum += losses[row];
    store(loss, 0, sum / static_cast<float>(rows));
}

template <typename Of, typename T>
__device__ __forceinline__ void nll_backward(const T *__restrict__ z,
                                             const u32 *__restrict__ labels,
                                             const T *__restrict__ dloss, T *__restrict__ dz,
                                             u32 rows, u32 classes) {
    u32 row = Of::row();
    if (row >= rows) return;
    size_t first = static_cast<size_t>(row) * classes;
    Sum s = Of::max_and_sum(z + first, classes);
    float scale = load(dloss, 0) / static_cast<float>(rows);
    u32 label = labels[row];
    for (u32 c = Of::first(); c < classes; c += Of::step()) {
        float gradient = expf(load(z, first + c) - s.max) / s.sum * scale;
        store(dz, first + c, c == label ? gradient - scale : gradient);
    }
}

template <typename Of, typename T>
__device__ __forceinline__ void softmax(const T *__restrict__ z, T *__restrict__ p, u32 rows,
                                        u32 classes) {
    u32 row = Of::row();
    if (row >= rows) return;
    size_t first = static_cast<size_t>(row) * classes;
    Sum s = Of::max_and_sum(z + first, classes);
    for (u32 c = Of::first(); c < classes; c += Of::step())
        store(p, first + c, expf(load(z, first + c) - s.max) / s.sum);
}

#define SOFTMAX_NLL_VERSION(T, SUFFIX, VERSION, OF)                                                \
    extern "C" __global__ void __launch_bounds__(128) nll_rows_##VERSION##_##SUFFIX(               \
        const T *z, const u32 *labels, float *losses, u32 rows, u32 classes) {                     \
        nll_rows<OF>(z, labels, losses, rows, classes);                                            \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(256) nll_mean_##VERSION##_##SUFFIX(               \
        const float *losses, T *loss, u32 rows) {                                                  \
        nll_mean_##VERSION<T>(losses, loss, rows);                                                 \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(128) nll_backward_##VERSION##_##SUFFIX(           \
        const T *z, const u32 *labels, const T *dloss, T *dz, u32 rows, u32 classes) {             \
        nll_backward<OF>(z, labels, dloss, dz, rows, classes);                                     \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(128) softmax_##VERSION##_##SUFFIX(                \
        const T *z, T *p, u32 rows, u32 classes) {                                                 \
        softmax<OF>(z, p, rows, classes);                                                          \
    }
#define SOFTMAX_NLL(T, SUFFIX)                                                                     \
    SOFTMAX_NLL_VERSION(T, SUFFIX, block, Block) SOFTMAX_NLL_VERSION(T, SUFFIX, naive, Thread)
FOR_EACH_TYPE(SOFTMAX_NLL)
