//! Values at the edges, and kernels that map them.

use super::nvrtc::compile;
use super::{Plain, Rig, shape};

/// A small generator (SplitMix64).
pub struct Random(pub u64);
impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
    /// Interesting 64-bit values.
    pub fn edge(&mut self) -> u64 {
        let v = self.next();
        match v % 8 {
            0 => 0,
            1 => u64::MAX,
            2 => 1 << (v >> 8 & 63),
            3 => (1u64 << (v >> 8 & 63)).wrapping_sub(1),
            4 => v >> 56,
            5 => 0u64.wrapping_sub(v >> 56),
            _ => self.next(),
        }
    }
}

/// Runs an element-wise kernel `k(const T* a, const U* b, R* out)` over inputs in blocks of 32.
pub fn map<A: Plain, B: Plain, R: Plain>(
    source: &str,
    options: &[&str],
    a: &[A],
    b: &[B],
) -> Vec<R> {
    let mut d = Rig::new(&compile(source, options));
    let (pa, pb) = (d.upload(a), d.upload(b));
    let out = d.empty((a.len() * size_of::<R>()) as u64);
    assert_eq!(a.len() % 32, 0);
    d.ok(shape(a.len() as u32 / 32, 32), &[pa, pb, out]);
    d.read(out, a.len())
}

/// A kernel around one expression of `x` and `y`.
pub fn expression(a: &str, b: &str, r: &str, e: &str) -> String {
    format!(
        "#include <cuda_fp16.h>\n#include <cuda_bf16.h>\ntypedef unsigned char u8; typedef signed char i8; typedef unsigned short u16; typedef unsigned u32; typedef unsigned long long u64; typedef long long i64;
        extern \"C\" __global__ void k(const {a}*pa,const {b}*pb,{r}*po){{ int i=blockIdx.x*blockDim.x+threadIdx.x; {a} x=pa[i]; {b} y=pb[i]; po[i]={e}; }}"
    )
}

/// Floats of every kind, the special ones first.
pub fn f32s(n: usize, seed: u64) -> Vec<f32> {
    let mut r = Random(seed);
    let special = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        f32::MAX,
        f32::MIN,
        f32::MIN_POSITIVE,
        1e-40,
        -1e-40,
        0.5,
        -0.5,
        1.5,
        2.5,
        -2.5,
        2147483648.0,
        -2147483648.0,
        4294967296.0,
        9.223_372e18,
        1.8446744e19,
        255.5,
        -128.5,
        65504.0,
        65520.0,
        1e-45,
    ];
    (0..n)
        .map(|i| {
            if i < special.len() {
                special[i]
            } else if i % 3 == 0 {
                f32::from_bits(r.next() as u32)
            } else {
                ((r.next() >> 40) as f32 / 65536.0 - 128.0)
                    * (2f32).powi((r.next() % 40) as i32 - 20)
            }
        })
        .collect()
}
/// Doubles of every kind.
pub fn f64s(n: usize, seed: u64) -> Vec<f64> {
    let mut r = Random(seed);
    (0..n)
        .map(|i| match i % 5 {
            0 => f64::from(f32s(32, r.next())[i % 27]),
            1 => f64::from_bits(r.next()),
            2 => f64::from_bits(r.next() & 0x800f_ffff_ffff_ffff),
            _ => (r.next() as f64 / 1e18 - 9.0) * 2f64.powi((r.next() % 80) as i32 - 40),
        })
        .collect()
}

/// Equal in every bit, or both NaN.
pub fn same(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}
