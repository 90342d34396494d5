// Pictures as bytes into what the network sees (Section 4.1 of the paper): crop, mirror, colour shift,
// and the mean subtracted.
//
//     y[n, c, i, j] = x[n', top + i, left + j', c] + shift[n, c] - mean[c, top + i, left + j']
//     or              (x[...] + shift[n, c]) * scale[c] + offset[c]        (torchvision's constants)
//     n' = n / views;  j' = j, or crop - 1 - j where view n is mirrored
//
// The mean is taken at the picture's own place, before the mirror, as cuda-convnet and Caffe do.
//
// Layout: x u8 (outputs / views, side, side, channels); places u32 (outputs, 3): top, left, mirrored
// or 0; shifts f32 (outputs, 3); mean f32 (channels, side, side); affine f32 (channels, 2): scale,
// offset; y (outputs, channels, crop, crop), channels at most 3. A thread visits every gridDim.y-th
// output. Neighbouring threads own neighbouring pixels. Blocks: 256 threads.
//
// four: a thread owns four pixels, a block's threads apart, all their channels, and asks for all their
// bytes before it uses the first.
// naive: a thread owns one pixel, all its channels.
//
// The arithmetic is rounded step by step, without fused multiply-add: the values of the CPU, bit for
// bit. Shared memory: none. Deterministic: no value depends on another.
// Must move: the bytes of the crops, the mean, and y, each once; `tandem bench` counts whole pictures.
// Share of the copy bandwidth: not yet measured on a GPU.

const u32 CHANNELS = 3;

template <typename T, bool MEAN>
__device__ __forceinline__ void four(const u8 *__restrict__ x, const u32 *__restrict__ places,
                                     const float *__restrict__ shifts,
                                     const float *__restrict__ constants, T *__restrict__ y,
                                     u32 outputs, u32 views, u32 side, u32 channels, u32 crop) {
    const u32 PIXELS = 4;
    u32 area = crop * crop, first = blockIdx.x * blockDim.x * PIXELS + threadIdx.x;
    // Where the pixels lie in a crop's part of the picture, as it is and mirrored; the last stands in
    // for those beyond it.
    u32 plain[PIXELS], turned[PIXELS];
#pragma unroll
    for (u32 k = 0; k < PIXELS; k++) {
        u32 pixel = min(first + k * blockDim.x, area - 1), i = pixel / crop, j = pixel - i * crop;
        plain[k] = i * side + j;
        turned[k] = i * side + crop - 1 - j;
    }
    for (u32 n = blockIdx.y; n < outputs; n += gridDim.y) {
        u32 corner = places[n * 3] * side + places[n * 3 + 1];
        bool mirrored = places[n * 3 + 2] != 0;
        const u8 *picture = x + static_cast<size_t>(n / views) * side * side * channels;
        float values[PIXELS][CHANNELS], means[PIXELS][CHANNELS];
#pragma unroll
        for (u32 k = 0; k < PIXELS; k++) {
            u32 at = corner + (mirrored ? turned[k] : plain[k]);
#pragma unroll
            for (u32 c = 0; c < CHANNELS; c++) {
                if (c >= channels) break;
                values[k][c] = static_cast<float>(picture[static_cast<size_t>(at) * channels + c]);
                if (MEAN) means[k][c] = constants[static_cast<size_t>(c) * side * side + at];
            }
        }
#pragma unroll
        for (u32 c = 0; c < CHANNELS; c++) {
            if (c >= channels) break;
            float shift = shifts[n * 3 + c];
            T *to = y + (static_cast<size_t>(n) * channels + c) * area;
#pragma unroll
            for (u32 k = 0; k < PIXELS; k++) {
                float value = __fadd_rn(values[k][c], shift);
                if (MEAN)
                    value = __fsub_rn(value, means[k][c]);
                else
                    value = __fadd_rn(__fmul_rn(value, constants[c * 2]), constants[c * 2 + 1]);
                u32 pixel = first + k * blockDim.x;
                if (pixel < area) store(to, pixel, value);
            }
        }
    }
}

template <typename T, bool MEAN>
__device__ __forceinline__ void naive(const u8 *x, const u32 *places, const float *shifts,
                                      const float *constants, T *y, u32 outputs, u32 views,
                                      u32 side, u32 channels, u32 crop) {
    u32 pixel = blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= crop * crop) return;
    u32 i = pixel / crop, j = pixel - i * crop;
    for (u32 n = blockIdx.y; n < outputs; n += gridDim.y) {
        u32 top = places[n * 3], left = places[n * 3 + 1], mirrored = places[n * 3 + 2];
        u32 at = (top + i) * side + left + (mirrored ? crop - 1 - j : j);
        const u8 *from = x + (static_cast<size_t>(n / views) * side * side + at) * channels;
        for (u32 c = 0; c < channels; c++) {
            float value = __fadd_rn(static_cast<float>(from[c]), shifts[n * 3 + c]);
            if (MEAN)
                value = __fsub_rn(value, constants[static_cast<size_t>(c) * side * side + at]);
            else
                value = __fadd_rn(__fmul_rn(value, constants[c * 2]), constants[c * 2 + 1]);
            store(y, (static_cast<size_t>(n) * channels + c) * crop * crop + pixel, value);
        }
    }
}

#define AUGMENT_VERSION(T, SUFFIX, VERSION)                                                        \
    extern "C" __global__ void __launch_bounds__(256) augment_mean_##VERSION##_##SUFFIX(           \
        const u8 *x, const u32 *places, const float *shifts, const float *mean, T *y,              \
        u32 outputs, u32 views, u32 side, u32 channels, u32 crop) {                                \
        VERSION<T, true>(x, places, shifts, mean, y, outputs, views, side, channels, crop);        \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(256) augment_affine_##VERSION##_##SUFFIX(         \
        const u8 *x, const u32 *places, const float *shifts, const float *affine, T *y,            \
        u32 outputs, u32 views, u32 side, u32 channels, u32 crop) {                                \
        VERSION<T, false>(x, places, shifts, affine, y, outputs, views, side, channels, crop);     \
    }
#define AUGMENT(T, SUFFIX) AUGMENT_VERSION(T, SUFFIX, four) AUGMENT_VERSION(T, SUFFIX, naive)
FOR_EACH_TYPE(AUGMENT)
