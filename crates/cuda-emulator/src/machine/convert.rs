//! `cvt`: between any two types, with rounding and saturation.

use half::{bf16, f16};

use crate::ptx::Type;

use super::integer::{F1, map1};
use super::rounding::Round;
use super::scalar::{Float, Scalar};

/// A conversion that no lane function does directly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conversion {
    /// Type of the operand.
    pub from: Type,
    /// Type of the result.
    pub to: Type,
    /// For results that are floating point.
    pub round: Round,
    /// For results that are integers, or rounded to integers: `.rni` and the like.
    pub integral: Option<Round>,
    /// Clamp: floats to 0…1, integers to the range of the type.
    pub saturate: bool,
    /// `.relu`: negative values become 0.
    pub relu: bool,
    /// Subnormal f32 operands and results become zero.
    pub flush: bool,
    /// Bits of the result's register, to which narrow signed results extend.
    pub mask: u64,
}

/// An integer as i128, a float as f64.
enum Value {
    Integer(i128),
    Real(f64),
}

impl Conversion {
    /// Converts one value.
    pub fn apply(&self, bits: u64) -> u64 {
        let value = match self.from {
            Type::U8 | Type::B8 => Value::Integer(bits as u8 as i128),
            Type::U16 | Type::B16 => Value::Integer(bits as u16 as i128),
            Type::U32 | Type::B32 => Value::Integer(bits as u32 as i128),
            Type::U64 | Type::B64 => Value::Integer(bits as i128),
            Type::S8 => Value::Integer(bits as i8 as i128),
            Type::S16 => Value::Integer(bits as i16 as i128),
            Type::S32 => Value::Integer(bits as i32 as i128),
            Type::S64 => Value::Integer(bits as i64 as i128),
            Type::F16 => Value::Real(f16::unpack(bits).widen()),
            Type::Bf16 => Value::Real(bf16::unpack(bits).widen()),
            Type::F32 if self.flush => Value::Real(f32::unpack(bits).flush().widen()),
            Type::F32 => Value::Real(f32::unpack(bits).widen()),
            _ => Value::Real(f64::unpack(bits)),
        };
        match (value, self.to.is_float()) {
            (Value::Integer(v), false) => self.integer(v),
            (Value::Integer(v), true) => self.real_of_integer(v),
            (Value::Real(v), false) => self.integer_of_real(v),
            (Value::Real(v), true) => self.real(v),
        }
    }

    fn limits(&self) -> (i128, i128) {
        match self.to {
            Type::S8 => (i8::MIN.into(), i8::MAX.into()),
            Type::S16 => (i16::MIN.into(), i16::MAX.into()),
            Type::S32 => (i32::MIN.into(), i32::MAX.into()),
            Type::S64 => (i64::MIN.into(), i64::MAX.into()),
            other => (0, (1i128 << (8 * other.bytes())) - 1),
        }
    }

    fn integer(&self, v: i128) -> u64 {
        let v = if self.saturate {
            let (low, high) = self.limits();
            v.clamp(low, high)
        } else {
            v
        };
        let bits = match self.to {
            Type::S8 => v as i8 as i64 as u64,
            Type::S16 => v as i16 as i64 as u64,
            Type::S32 => v as i32 as i64 as u64,
            Type::U8 | Type::B8 => v as u8 as u64,
            Type::U16 | Type::B16 => v as u16 as u64,
            Type::U32 | Type::B32 => v as u32 as u64,
            _ => v as u64,
        };
        bits & self.mask
    }

    fn real_of_integer(&self, v: i128) -> u64 {
        // An integer of 64 bits may not fit f64: odd rounding of the low bits keeps one rounding in all.
        let magnitude = v.unsigned_abs();
        let exact = match magnitude >> 53 {
            0 => magnitude as f64,
            _ if self.to == Type::F64 => {
                let nearest = magnitude as f64;
                let error = magnitude as i128 - nearest as i128;
                let round = match (self.round, v < 0) {
                    (Round::Down, true) => Round::Up,
                    (Round::Up, true) => Round::Down,
                    (r, _) => r,
                };
                super::rounding::directed(nearest, error as f64, round)
            }
            _ => {
                let low = magnitude & 0xfff;
                ((magnitude & !0xfff) | u128::from(low != 0) << 11) as f64
            }
        };
        self.real(if v < 0 { -exact } else { exact })
    }

    fn integer_of_real(&self, v: f64) -> u64 {
        let (low, high) = self.limits();
        if v.is_nan() {
            // NaN gives 0, but the top bit alone when either side is 64 bits wide.
            let wide = self.to.bytes() == 8 || self.from == Type::F64;
            return if wide {
                1 << (8 * self.to.bytes() - 1)
            } else {
                0
            };
        }
        let rounded = integral(v, self.integral.unwrap_or(Round::Zero));
        // `as` saturates, and clamping after it keeps to the type.
        self.integer((rounded as i128).clamp(low, high))
    }

    fn real(&self, v: f64) -> u64 {
        let v = match self.integral {
            Some(round) => integral(v, round),
            None => v,
        };
        let v = if self.saturate {
            if v.is_nan() { 0.0 } else { v.clamp(0.0, 1.0) }
        } else {
            v
        };
        let v = if self.relu && v < 0.0 { 0.0 } else { v };
        match self.to {
            Type::F16 => f16::narrow(v, self.round).pack(),
            Type::Bf16 => bf16::narrow(v, self.round).pack(),
            Type::F32 if self.flush => f32::narrow(v, self.round).flush().pack(),
            Type::F32 => f32::narrow(v, self.round).pack(),
            _ => v.pack(),
        }
    }
}

fn integral(v: f64, round: Round) -> f64 {
    match round {
        Round::Nearest => v.round_ties_even(),
        Round::Zero => v.trunc(),
        Round::Down => v.floor(),
        Round::Up => v.ceil(),
    }
}

/// Lane functions of the conversions that kernels spend their time in.
pub fn direct(c: &Conversion) -> Option<F1> {
    use Type::*;
    if c.saturate || c.relu || c.flush {
        return None;
    }
    let wide = c.mask == u64::MAX;
    Some(match (c.from, c.to) {
        (U64 | S64 | B64 | U32 | S32 | B32, U32 | S32 | B32) if !wide => |a| map1(a, |x: u32| x),
        (U32 | B32, U64 | S64 | B64) => |a| map1(a, |x: u32| u64::from(x)),
        (S32, U64 | S64 | B64) => |a| map1(a, |x: i32| i64::from(x)),
        (U16 | B16, U32 | S32 | U64 | S64) => |a| map1(a, |x: u16| x),
        (U8 | B8, U16 | S16 | U32 | S32 | U64 | S64) => |a| map1(a, |x: u8| x),
        (S16, U32 | S32) => |a| map1(a, |x: i16| i32::from(x)),
        (U64 | S64 | U32 | S32, U16 | S16) if c.mask == 0xffff => |a| map1(a, |x: u16| x),
        (S32, F32) if c.round == Round::Nearest => |a| map1(a, |x: i32| x as f32),
        (U32, F32) if c.round == Round::Nearest => |a| map1(a, |x: u32| x as f32),
        (S32, F64) => |a| map1(a, |x: i32| f64::from(x)),
        (F32, F64) if c.integral.is_none() => |a| map1(a, |x: f32| f64::from(x)),
        (F64, F32) if c.integral.is_none() && c.round == Round::Nearest => {
            |a| map1(a, |x: f64| x as f32)
        }
        (F16, F32) if c.integral.is_none() => |a| map1(a, |x: f16| x.to_f32()),
        (Bf16, F32) if c.integral.is_none() => |a| map1(a, |x: bf16| x.to_f32()),
        _ => return None,
    })
}
