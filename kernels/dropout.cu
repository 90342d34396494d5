// Dropout (Section 4.2 of the paper).
//
//     y[i] = keep(i) ? factor x[i] : 0,   keep(i) = philox(seed, (i / 4, stream))[i mod 4] >= threshold
//
// Philox4x32-10 (Salmon and others, SC 2011), the same words as random.rs on the CPU, so the mask of
// a seed is the same on every device. It is never stored: backward runs this kernel on dy.
//
// Layout: any shape, as `count` values in row-major order; or those of `towers` side by side, `width`
// each in a row, the mask of each its own, of the streams that follow. Blocks: 256 threads, y over the
// towers.
//
// four: rows of a multiple of four values. A thread draws one block of four words and owns the four
// values they decide, which it moves by one access.
// naive: any. A thread owns one value and uses one of the four words it draws.
//
// Must move: x and y, each once. Shared memory: none. Deterministic: no value depends on another.
// Share of the copy bandwidth: not yet measured on a GPU.

__device__ __forceinline__ uint4 philox(uint2 key, uint4 counter) {
#pragma unroll
    for (int round = 0; round < 10; round++) {
        u32 p_high = __umulhi(0xD2511F53u, counter.x), p_low = 0xD2511F53u * counter.x;
        u32 q_high = __umulhi(0xCD9E8D57u, counter.z), q_low = 0xCD9E8D57u * counter.z;
        counter = make_uint4(q_high ^ counter.y ^ key.x, q_low, p_high ^ counter.w ^ key.y, p_low);
        key.x += 0x9E3779B9u;
        key.y += 0xBB67AE85u;
    }
    return counter;
}

// Where value `at` of this block's tower lies. Of a tower alone all values are one row; several have
// fewer than 2^32 each.
__device__ __forceinline__ u64 place_of(u64 at, u64 width) {
    u32 row = at < width ? 0 : static_cast<u32>(at) / static_cast<u32>(width);
    return at + (row * static_cast<u64>(gridDim.y - 1) + blockIdx.y) * width;
}

// The four words that decide the values from 4 block on of this block's tower.
__device__ __forceinline__ uint4 words_of(u64 block, u64 seed, u64 stream) {
    stream += blockIdx.y;
    return philox(make_uint2(static_cast<u32>(seed), static_cast<u32>(seed >> 32)),
                  make_uint4(static_cast<u32>(block), static_cast<u32>(block >> 32),
                             static_cast<u32>(stream), static_cast<u32>(stream >> 32)));
}

template <typename T>
__device__ __forceinline__ void four(const T *__restrict__ x, T *__restrict__ y, u64 count,
                                     u64 width, u64 seed, u64 stream, u32 threshold, float factor) {
    u64 block = static_cast<u64>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (block * 4 >= count) return;
    uint4 drawn = words_of(block, seed, stream);
    u32 words[4] = {drawn.x, drawn.y, drawn.z, drawn.w};
    u64 at = place_of(block * 4, width);
    float values[4];
    load_pack(x + at, values);
#pragma unroll
    for (int i = 0; i < 4; i++) values[i] = words[i] >= threshold ? values[i] * factor : 0.0f;
    store_pack(y + at, values);
}

template <typename T>
__device__ __forceinline__ void naive(const T *__restrict__ x, T *__restrict__ y, u64 count,
                                      u64 width, u64 seed, u64 stream, u32 threshold,
                                      float factor) {
    u64 i = static_cast<u64>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= count) return;
    uint4 drawn = words_of(i / 4, seed, stream);
    u32 low = i % 2 == 0 ? drawn.x : drawn.y, high = i % 2 == 0 ? drawn.z : drawn.w;
    u32 word = i % 4 < 2 ? low : high;
    u64 at = place_of(i, width);
    store(y, at, word >= threshold ? load(x, at) * factor : 0.0f);
}

#define DROPOUT(T, SUFFIX)                                                                         \
    extern "C" __global__ void __launch_bounds__(256) dropout_four_##SUFFIX(                       \
        const T *x, T *y, u64 count, u64 width, u64 seed, u64 stream, u32 threshold,               \
        float factor) {                                                                            \
        four<T>(x, y, count, width, seed, stream, threshold, factor);                              \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(256) dropout_naive_##SUFFIX(                      \
        const T *x, T *y, u64 count, u64 width, u64 seed, u64 stream, u32 threshold,               \
        float factor) {                                                                            \
        naive<T>(x, y, count, width, seed, stream, threshold, factor);                             \
    }
FOR_EACH_TYPE(DROPOUT)
