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
// offset; y (outputs, channels, crop, crop), channels at most 3. A thread owns one pixel of the crop,
// all its channels, and visits every gridDim.y-th output. Neighbouring threads own neighbouring
// pixels, so a warp reads one run of bytes and writes one run a channel. Blocks: 256 threads.
//
// The arithmetic is rounded step by step, without fused multiply-add: the values of the CPU, bit for
// bit. Shared memory: none. Deterministic: no value depends on another.
// Share of the copy bandwidth: not yet measured.

template <typename T, bool MEAN>
__device__ __forceinline__ void augment(const u8 *__restrict__ x, const u32 *__restrict__ places,
                                        const float *__restrict__ shifts,
                                        const float *__restrict__ constants, T *__restrict__ y,
                                        u32 outputs, u32 views, u32 side, u32 channels, u32 crop) {
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

#define AUGMENT(T, SUFFIX)                                                                         \
    extern "C" __global__ void __launch_bounds__(256) augment_mean_##SUFFIX(                       \
        const u8 *x, const u32 *places, const float *shifts, const float *mean, T *y,              \
        u32 outputs, u32 views, u32 side, u32 channels, u32 crop) {                                \
        augment<T, true>(x, places, shifts, mean, y, outputs, views, side, channels, crop);        \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(256) augment_affine_##SUFFIX(                     \
        const u8 *x, const u32 *places, const float *shifts, const float *affine, T *y,            \
        u32 outputs, u32 views, u32 side, u32 channels, u32 crop) {                                \
        augment<T, false>(x, places, shifts, affine, y, outputs, views, side, channels, crop);     \
    }
FOR_EACH_TYPE(AUGMENT)
