// What every kernel file begins with; the host puts this text before it, so NVRTC needs no headers
// and no toolkit beside it.
//
// Tensors are stored as f32, f16 or bf16 and computed in f32. The conversions are written out:
// with PTX's own cvt, and with integer arithmetic of the same result where a GPU has none for bf16.
//
// No kernel adds floating-point numbers atomically: a result depends on its input alone, never on
// the order in which blocks run.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

struct f16 {
    u16 bits;
};
struct bf16 {
    u16 bits;
};

#define INFINITY_F32 __int_as_float(0x7f800000)
#define NAN_F32 __int_as_float(0x7fffffff)

__device__ __forceinline__ float widen(float value) { return value; }

__device__ __forceinline__ float widen(f16 value) {
    float wide;
    asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(value.bits));
    return wide;
}

__device__ __forceinline__ float widen(bf16 value) {
    return __int_as_float(static_cast<int>(static_cast<u32>(value.bits) << 16));
}

__device__ __forceinline__ void narrow(float value, float &out) { out = value; }

__device__ __forceinline__ void narrow(float value, f16 &out) {
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(out.bits) : "f"(value));
}

// Round to nearest, ties to even; NaN stays NaN.
__device__ __forceinline__ void narrow(float value, bf16 &out) {
#if __CUDA_ARCH__ >= 800
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(out.bits) : "f"(value));
#else
    u32 bits = static_cast<u32>(__float_as_int(value));
    u32 rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    out.bits = static_cast<u16>((bits & 0x7fffffffu) > 0x7f800000u ? 0x7fffu : rounded);
#endif
}

template <typename T> __device__ __forceinline__ float load(const T *from, size_t at) {
    return widen(from[at]);
}

template <typename T> __device__ __forceinline__ void store(T *to, size_t at, float value) {
    T narrowed;
    narrow(value, narrowed);
    to[at] = narrowed;
}

// WIDTH values side by side that one access moves; their address is a multiple of their size.
template <typename T, int WIDTH> struct alignas(sizeof(T) * WIDTH) Pack {
    T values[WIDTH];
};

template <typename T, int WIDTH>
__device__ __forceinline__ void load_pack(const T *from, float (&values)[WIDTH]) {
    Pack<T, WIDTH> pack = *reinterpret_cast<const Pack<T, WIDTH> *>(from);
#pragma unroll
    for (int i = 0; i < WIDTH; i++) values[i] = widen(pack.values[i]);
}

template <typename T, int WIDTH>
__device__ __forceinline__ void store_pack(T *to, const float (&values)[WIDTH]) {
    Pack<T, WIDTH> pack;
#pragma unroll
    for (int i = 0; i < WIDTH; i++) narrow(values[i], pack.values[i]);
    *reinterpret_cast<Pack<T, WIDTH> *>(to) = pack;
}

// scale^-0.75, and scale^-1.75, of a positive scale that is no subnormal: no pow, no division.
__device__ __forceinline__ void three_quarter_powers(float scale, float &power, float &next) {
    float r, root;
    asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(scale));
    asm("sqrt.approx.ftz.f32 %0, %1;" : "=f"(root) : "f"(r));
    power = r * root;
    next = power * r * r;
}

// The first maximum in the order in which values are taken. NaN wins over every number.
struct Maximum {
    float value;
    u32 place;
};

__device__ __forceinline__ void take(Maximum &best, float value, u32 place) {
    bool wins = !(value <= best.value) && best.value == best.value;
    best.value = wins ? value : best.value;
    best.place = wins ? place : best.place;
}

// Makes one entry point an element type: M(type, suffix of the kernel's name).
#define FOR_EACH_TYPE(M) M(float, f32) M(f16, f16) M(bf16, bf16)
