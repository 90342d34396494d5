// Local response normalisation and the overlapping max pooling behind it, forward, in one pass (the
// paper's order: convolution, ReLU, LRN, pooling): lrn.cu's formula for a window of five channels and
// beta = 0.75, and max_pool.cu's for windows of 3x3, stride 2, that all lie in the picture.
//
// What it saves: apart, LRN reads x and writes as much, and pooling reads that and writes a quarter
// of it; together x is read once and the quarter written. Behind conv1 of the paper at batch 128 in
// f32 that is 491 MB against 193 MB, and 149 MB that need not be kept: backward needs x and the
// winners only. It goes in two steps, max_pool.cu's and then lrn.cu's: in one, each of LRN's inputs
// would gather from up to four windows at every channel.
//
// Layout: x (N, groups * channels, height, width); y, winners (N, groups * channels, rows, columns).
//
// A block owns `strip` rows of outputs of one picture, and the 2 strip + 1 rows of inputs they need,
// a thread an input. It walks along `chunk` channels of one group, BATCH at a time, as lrn.cu does,
// and leaves what it normalised, rounded to T, in shared memory; the values of the next batch are on
// their way while each of the first threads takes the maximum for one output of one channel. There
// are two tiles that take turns, so that one barrier a batch will do. Blocks: up to 512 threads.
//
// Must move: x, y and winners, each once; the row that two strips share, and the channels at a seam
// between chunks, are read again from the second cache.
// Shared memory: 16 KiB. Deterministic, and equal to the two operations apart bit for bit.
// Share of the copy bandwidth: not yet measured on a GPU.

const int HALF = 2, BATCH = 4, THREADS = 512;

template <typename T> __device__ __forceinline__ float rounded(float value) {
    T narrowed;
    narrow(value, narrowed);
    return widen(narrowed);
}

template <typename T>
__device__ __forceinline__ float value_of(const T *__restrict__ x, int c, int channels, u32 area,
                                          bool reads) {
    bool inside = reads && static_cast<u32>(c) < static_cast<u32>(channels);
    return inside ? load(x, static_cast<size_t>(c) * area) : 0.0f;
}

template <typename T>
__device__ __forceinline__ void forward(const T *__restrict__ x, T *__restrict__ y,
                                        u8 *__restrict__ winners, int groups, int channels,
                                        u32 height, u32 width, u32 rows, u32 columns, u32 strip,
                                        int chunk, float k, float alpha) {
    __shared__ float tiles[2][BATCH][THREADS];
    // Chunks of one place are neighbours in the grid, then strips of one picture.
    u32 chunks = static_cast<u32>((channels + chunk - 1) / chunk);
    u32 parts = groups * chunks, strips = (rows + strip - 1) / strip;
    u32 place = blockIdx.x / parts, part = blockIdx.x - place * parts;
    u32 group = part / chunks;
    u32 picture = place / strips, top = (place - picture * strips) * strip;
    int first = static_cast<int>(part - group * chunks) * chunk;
    int end = min(first + chunk, channels);
    size_t plane = (static_cast<size_t>(picture) * groups + group) * channels;
    u32 area = height * width, out_area = rows * columns;

    // The thread's input.
    bool reads = threadIdx.x < min(2 * strip + 1, height - 2 * top) * width;
    x += plane * area + 2 * top * width + threadIdx.x;
    // The thread's output: of which channel of a batch, and which of the strip.
    u32 outputs = min(strip, rows - top) * columns;
    u32 channel = threadIdx.x / outputs, output = threadIdx.x - channel * outputs;
    u32 i = output / columns, j = output - i * columns;
    u32 corner = 2 * (i * width + j);
    size_t to = (plane + channel) * out_area + top * columns + output;

    float window[2 * HALF + BATCH], ahead[BATCH];
#pragma unroll
    for (int b = 0; b < 2 * HALF; b++)
        window[b] = value_of(x, first - HALF + b, channels, area, reads);
#pragma unroll
    for (int b = 0; b < BATCH; b++)
        ahead[b] = value_of(x, first + HALF + b, channels, area, reads);
    u32 turn = 0;
    for (int c = first; c < end; c += BATCH, turn ^= 1) {
#pragma unroll
        for (int b = 0; b < BATCH; b++) window[2 * HALF + b] = ahead[b];
#pragma unroll
        for (int b = 0; b < BATCH; b++) {
            float sum = window[b] * window[b];
#pragma unroll
            for (int other = 1; other < 5; other++)
                sum = fmaf(window[b + other], window[b + other], sum);
            float power, next;
            three_quarter_powers(fmaf(alpha, sum, k), power, next);
            tiles[turn][b][threadIdx.x] = rounded<T>(window[b + HALF] * power);
        }
#pragma unroll
        for (int b = 0; b < BATCH; b++)
            ahead[b] = value_of(x, c + BATCH + HALF + b, channels, area, reads);
        __syncthreads();
        if (channel < BATCH && c + static_cast<int>(channel) < end) {
            const float *from = tiles[turn][channel] + corner;
            Maximum best = {from[0], 0};
#pragma unroll
            for (u32 at = 1; at < 9; at++) take(best, from[at / 3 * width + at % 3], at);
            store(y, to + static_cast<size_t>(c) * out_area, best.value);
            winners[to + static_cast<size_t>(c) * out_area] = static_cast<u8>(best.place);
        }
#pragma unroll
        for (int b = 0; b < 2 * HALF; b++) window[b] = window[BATCH + b];
    }
}

#define LRN_MAX_POOL(T, SUFFIX)                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS) lrn_max_pool_forward_##SUFFIX(           \
        const T *x, T *y, u8 *winners, int groups, int channels, u32 height, u32 width, u32 rows,  \
        u32 columns, u32 strip, int chunk, float k, float alpha) {                                 \
        forward<T>(x, y, winners, groups, channels, height, width, rows, columns, strip, chunk, k, \
                   alpha);                                                                         \
    }
FOR_EACH_TYPE(LRN_MAX_POOL)
