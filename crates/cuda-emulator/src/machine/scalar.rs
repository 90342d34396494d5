//! Registers hold 64 bits a lane; this module views those bits as PTX types.

use half::{bf16, f16};

use super::rounding::{self, BF16, F16, Round};

/// Threads that execute together.
pub const WARP: usize = 32;

/// One register of a warp: its bits in every lane, narrow values zero-extended.
pub type Lanes = [u64; WARP];

/// A type that fits in a register.
pub trait Scalar: Copy {
    /// From the low bits of a register.
    fn unpack(bits: u64) -> Self;
    /// To a register, zero-extended.
    fn pack(self) -> u64;
}

macro_rules! scalar {
    ($($t:ty, $unpack:expr, $pack:expr;)*) => {$(
        impl Scalar for $t {
            #[inline(always)]
            fn unpack(bits: u64) -> Self { ($unpack)(bits) }
            #[inline(always)]
            fn pack(self) -> u64 { ($pack)(self) }
        }
    )*};
}

scalar! {
    u8, |b| b as u8, |v| v as u64;
    u16, |b| b as u16, |v| v as u64;
    u32, |b| b as u32, |v| v as u64;
    u64, |b| b, |v| v;
    i8, |b| b as i8, |v: i8| v as u8 as u64;
    i16, |b| b as i16, |v: i16| v as u16 as u64;
    i32, |b| b as i32, |v: i32| v as u32 as u64;
    i64, |b| b as i64, |v: i64| v as u64;
    f32, |b| f32::from_bits(b as u32), |v: f32| v.to_bits() as u64;
    f64, f64::from_bits, |v: f64| v.to_bits();
    f16, |b| f16::from_bits(b as u16), |v: f16| v.to_bits() as u64;
    bf16, |b| bf16::from_bits(b as u16), |v: bf16| v.to_bits() as u64;
}

/// Two 16-bit values in a 32-bit register, the low one first.
#[derive(Clone, Copy)]
pub struct Two<T>(pub T, pub T);

impl<T: Scalar> Scalar for Two<T> {
    #[inline(always)]
    fn unpack(bits: u64) -> Self {
        Two(T::unpack(bits & 0xffff), T::unpack(bits >> 16 & 0xffff))
    }
    #[inline(always)]
    fn pack(self) -> u64 {
        self.0.pack() | self.1.pack() << 16
    }
}

/// Floating-point arithmetic as PTX defines it: every operation rounds once.
pub trait Float: Scalar + PartialOrd {
    /// `a + b`.
    fn add(a: Self, b: Self, round: Round) -> Self;
    /// `a · b`.
    fn mul(a: Self, b: Self, round: Round) -> Self;
    /// `a · b + c`, rounded once.
    fn fma(a: Self, b: Self, c: Self, round: Round) -> Self;
    /// The opposite sign, of NaN too.
    fn negate(self) -> Self;
    /// Without sign.
    fn absolute(self) -> Self;
    /// As f64, exactly.
    fn widen(self) -> f64;
    /// From f64.
    fn narrow(v: f64, round: Round) -> Self;
    /// Subnormal numbers become zero of the same sign.
    fn flush(self) -> Self;

    /// The smaller; of a number and NaN the number; −0 below +0.
    fn minimum(a: Self, b: Self) -> Self {
        let (x, y) = (a.widen(), b.widen());
        if x.is_nan() {
            return b;
        }
        if y.is_nan() || x < y || (x == y && x.is_sign_negative()) {
            a
        } else {
            b
        }
    }

    /// The larger; of a number and NaN the number; −0 below +0.
    fn maximum(a: Self, b: Self) -> Self {
        let (x, y) = (a.widen(), b.widen());
        if x.is_nan() {
            return b;
        }
        if y.is_nan() || x > y || (x == y && x.is_sign_positive()) {
            a
        } else {
            b
        }
    }
}

impl Float for f32 {
    #[inline(always)]
    fn add(a: f32, b: f32, round: Round) -> f32 {
        if round == Round::Nearest {
            return a + b;
        }
        f32::narrow(rounding::add_to_odd(f64::from(a), f64::from(b)), round)
    }
    #[inline(always)]
    fn mul(a: f32, b: f32, round: Round) -> f32 {
        if round == Round::Nearest {
            return a * b;
        }
        f32::narrow(f64::from(a) * f64::from(b), round)
    }
    #[inline(always)]
    fn fma(a: f32, b: f32, c: f32, round: Round) -> f32 {
        if round == Round::Nearest {
            return a.mul_add(b, c);
        }
        f32::narrow(
            rounding::add_to_odd(f64::from(a) * f64::from(b), f64::from(c)),
            round,
        )
    }
    #[inline(always)]
    fn negate(self) -> f32 {
        -self
    }
    #[inline(always)]
    fn absolute(self) -> f32 {
        self.abs()
    }
    #[inline(always)]
    fn widen(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn narrow(v: f64, round: Round) -> f32 {
        if round == Round::Nearest {
            v as f32
        } else {
            f32::from_bits(rounding::narrow(v, rounding::F32, round) as u32)
        }
    }
    #[inline(always)]
    fn flush(self) -> f32 {
        if self.is_subnormal() {
            0f32.copysign(self)
        } else {
            self
        }
    }
}

impl Float for f64 {
    #[inline(always)]
    fn add(a: f64, b: f64, round: Round) -> f64 {
        rounding::add(a, b, round)
    }
    #[inline(always)]
    fn mul(a: f64, b: f64, round: Round) -> f64 {
        rounding::directed(a * b, a.mul_add(b, -(a * b)), round)
    }
    #[inline(always)]
    fn fma(a: f64, b: f64, c: f64, round: Round) -> f64 {
        rounding::fma(a, b, c, round)
    }
    #[inline(always)]
    fn negate(self) -> f64 {
        -self
    }
    #[inline(always)]
    fn absolute(self) -> f64 {
        self.abs()
    }
    #[inline(always)]
    fn widen(self) -> f64 {
        self
    }
    #[inline(always)]
    fn narrow(v: f64, _: Round) -> f64 {
        v
    }
    #[inline(always)]
    fn flush(self) -> f64 {
        self
    }
}

macro_rules! sixteen {
    ($t:ty, $format:expr) => {
        impl Float for $t {
            fn add(a: Self, b: Self, round: Round) -> Self {
                Self::narrow(rounding::add_to_odd(a.widen(), b.widen()), round)
            }
            fn mul(a: Self, b: Self, round: Round) -> Self {
                Self::narrow(a.widen() * b.widen(), round)
            }
            fn fma(a: Self, b: Self, c: Self, round: Round) -> Self {
                Self::narrow(
                    rounding::add_to_odd(a.widen() * b.widen(), c.widen()),
                    round,
                )
            }
            fn negate(self) -> Self {
                Self::from_bits(self.to_bits() ^ 0x8000)
            }
            fn absolute(self) -> Self {
                Self::from_bits(self.to_bits() & 0x7fff)
            }
            fn widen(self) -> f64 {
                self.to_f64()
            }
            fn narrow(v: f64, round: Round) -> Self {
                Self::from_bits(rounding::narrow(v, $format, round) as u16)
            }
            fn flush(self) -> Self {
                self
            }
        }
    };
}

sixteen!(f16, F16);
sixteen!(bf16, BF16);
