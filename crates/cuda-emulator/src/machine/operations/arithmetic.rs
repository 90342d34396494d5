//! Arithmetic and logic.

use half::{bf16, f16};

use crate::machine::decode::{Decoder, Frame};
use crate::machine::float;
use crate::machine::instruction::Op;
use crate::machine::integer::{self, F1, F2, F3, map1, map2, map3};
use crate::machine::rounding::Round;
use crate::ptx::{Instruction, PtxError, Type};

use super::irregular::irregular;
use super::{Words, by_integer, operand, result, set_flush};

/// An instruction's function, by the number of its operands.
enum Shape {
    One(F1),
    Two(F2),
    Three(F3),
}

/// Everything without a side effect that [`super::decode`] did not take.
pub(super) fn decode<'m>(
    d: &mut Decoder<'m>,
    frame: &mut Frame<'m>,
    source: &Instruction,
    w: &mut Words,
) -> Result<(), PtxError> {
    let line = source.line;
    if let Some(op) = irregular(d, frame, source, w)? {
        d.push(op, line);
        return Ok(());
    }
    let stem = w.stem;
    let flush = w.flag("ftz");
    let saturate = w.flag("sat");
    let relu = w.flag("relu");
    let not_a_number = w.flag("NaN");
    let approximate = w.flag("approx") | w.flag("full");
    let part = w.one_of(&["lo", "hi", "wide"]);
    let round = w.round();
    let amount = w.flag("shiftamt");
    let ty = w.ty()?;
    let name = match part {
        Some(part) => format!("{stem}.{part}"),
        None if not_a_number => format!("{stem}.NaN"),
        None if relu => format!("{stem}.relu"),
        None if amount => format!("{stem}.shiftamt"),
        None if stem == "mad" && ty.is_float() => "fma".to_string(),
        None => stem.to_string(),
    };
    let shape = shape(&name, ty, round, approximate, flush).ok_or_else(|| w.unknown_as(ty))?;
    let target = result(d, frame, operand(source, 0)?, line)?;
    // The second operand of a shift counts bits, the third of `mad.wide` is as wide as the result.
    let shifts = matches!(stem, "shl" | "shr");
    let second = if shifts || stem == "bfe" {
        Type::U32
    } else {
        ty
    };
    let third = match name.as_str() {
        "mad.wide" => Type::B64,
        "bfe" => Type::U32,
        _ => ty,
    };
    let a = d.value(frame, operand(source, 1)?, ty, line)?;
    let op = match shape {
        Shape::One(f) => Op::One { f, d: target, a },
        Shape::Two(f) => Op::Two {
            f,
            d: target,
            a,
            b: d.value(frame, operand(source, 2)?, second, line)?,
        },
        Shape::Three(f) => {
            let b = d.value(frame, operand(source, 2)?, second, line)?;
            Op::Three {
                f,
                d: target,
                a,
                b,
                c: d.value(frame, operand(source, 3)?, third, line)?,
            }
        }
    };
    d.push(op, line);
    set_flush(d, flush && ty == Type::F32);
    if saturate {
        let f: F1 = match ty {
            Type::F32 => |a| map1(a, |x: f32| if x.is_nan() { 0.0 } else { x.clamp(0.0, 1.0) }),
            Type::F64 => |a| map1(a, |x: f64| if x.is_nan() { 0.0 } else { x.clamp(0.0, 1.0) }),
            _ => {
                return Err(PtxError::new(
                    line,
                    format!("`{stem}.sat` on {ty:?} is not known to the emulator"),
                ));
            }
        };
        d.push(
            Op::One {
                f,
                d: target,
                a: target,
            },
            line,
        );
    }
    Ok(())
}

impl Words<'_> {
    pub(super) fn unknown_as(&self, ty: Type) -> PtxError {
        let name = format!("{ty:?}").to_lowercase();
        PtxError::new(
            self.line,
            format!(
                "opcode `{}` on {name} is not known to the emulator",
                self.stem
            ),
        )
    }
}

fn shape(name: &str, ty: Type, round: Round, approximate: bool, flush: bool) -> Option<Shape> {
    use Type::*;
    if let Some(f) = bits(name, ty) {
        return Some(f);
    }
    match ty {
        F32 => match name {
            "div" => Some(Shape::Two(float::divide(false, round))),
            _ => float::binary::<f32>(name, round)
                .map(Shape::Two)
                .or_else(|| float::ternary::<f32>(name, round).map(Shape::Three))
                .or_else(|| float::unary::<f32>(name).map(Shape::One))
                .or_else(|| float::special_f32(name, round).map(Shape::One)),
        },
        F64 => match name {
            "div" => (round == Round::Nearest).then(|| Shape::Two(float::divide(true, round))),
            // Without `.ftz` the reciprocal root is as good as a function of the library.
            "rcp" | "rsqrt" if approximate && flush => {
                float::special_f64(&format!("{name}.approx")).map(Shape::One)
            }
            _ => float::binary::<f64>(name, round)
                .map(Shape::Two)
                .or_else(|| float::ternary::<f64>(name, round).map(Shape::Three))
                .or_else(|| float::unary::<f64>(name).map(Shape::One))
                .or_else(|| {
                    float::special_f64(name)
                        .filter(|_| round == Round::Nearest)
                        .map(Shape::One)
                }),
        },
        F16 => float::binary::<f16>(name, round)
            .map(Shape::Two)
            .or_else(|| float::ternary::<f16>(name, round).map(Shape::Three))
            .or_else(|| float::unary::<f16>(name).map(Shape::One))
            .or_else(|| float::special_16(name, false).map(Shape::One)),
        Bf16 => float::binary::<bf16>(name, round)
            .map(Shape::Two)
            .or_else(|| float::ternary::<bf16>(name, round).map(Shape::Three))
            .or_else(|| float::unary::<bf16>(name).map(Shape::One))
            .or_else(|| float::special_16(name, true).map(Shape::One)),
        F16x2 => float::pairs::binary::<f16>(name)
            .map(Shape::Two)
            .or_else(|| float::pairs::ternary::<f16>(name).map(Shape::Three))
            .or_else(|| float::pairs::unary::<f16>(name).map(Shape::One)),
        Bf16x2 => float::pairs::binary::<bf16>(name)
            .map(Shape::Two)
            .or_else(|| float::pairs::ternary::<bf16>(name).map(Shape::Three))
            .or_else(|| float::pairs::unary::<bf16>(name).map(Shape::One)),
        _ => by_integer!(ty, binary, name)
            .map(Shape::Two)
            .or_else(|| by_integer!(ty, ternary, name).map(Shape::Three))
            .or_else(|| by_integer!(ty, unary, name).map(Shape::One)),
    }
}

/// Instructions on bits, whose result does not depend on sign.
fn bits(name: &str, ty: Type) -> Option<Shape> {
    use Type::*;
    let wide = ty.bytes() == 8;
    Some(match (name, ty) {
        ("and", B16 | B32 | B64) => Shape::Two(|a, b| map2(a, b, |x: u64, y: u64| x & y)),
        ("or", B16 | B32 | B64) => Shape::Two(|a, b| map2(a, b, |x: u64, y: u64| x | y)),
        ("xor", B16 | B32 | B64) => Shape::Two(|a, b| map2(a, b, |x: u64, y: u64| x ^ y)),
        ("not", B16) => Shape::One(|a| map1(a, |x: u16| !x)),
        ("not", B32) => Shape::One(|a| map1(a, |x: u32| !x)),
        ("not", B64) => Shape::One(|a| map1(a, |x: u64| !x)),
        ("cnot", B32) => Shape::One(|a| map1(a, |x: u32| u32::from(x == 0))),
        ("popc", B32 | B64) => Shape::One(|a| map1(a, |x: u64| x.count_ones())),
        ("clz", B32) => Shape::One(|a| map1(a, |x: u32| x.leading_zeros())),
        ("clz", B64) => Shape::One(|a| map1(a, |x: u64| x.leading_zeros())),
        ("brev", B32) => Shape::One(|a| map1(a, |x: u32| x.reverse_bits())),
        ("brev", B64) => Shape::One(|a| map1(a, |x: u64| x.reverse_bits())),
        ("bfind", U32) => Shape::One(|a| map1(a, |x: u32| 31u32.wrapping_sub(x.leading_zeros()))),
        ("bfind", U64) if wide => {
            Shape::One(|a| map1(a, |x: u64| 63u32.wrapping_sub(x.leading_zeros())))
        }
        ("bfind.shiftamt", U32) => Shape::One(|a| {
            map1(
                a,
                |x: u32| if x == 0 { u32::MAX } else { x.leading_zeros() },
            )
        }),
        ("bfind.shiftamt", U64) => Shape::One(|a| {
            map1(
                a,
                |x: u64| if x == 0 { u32::MAX } else { x.leading_zeros() },
            )
        }),
        ("prmt", B32) => Shape::Three(|a, b, c| map3(a, b, c, integer::permute)),
        ("copysign", F32) => Shape::Two(|a, b| map2(a, b, |sign: f32, x: f32| x.copysign(sign))),
        ("copysign", F64) => Shape::Two(|a, b| map2(a, b, |sign: f64, x: f64| x.copysign(sign))),
        ("mul24.lo", U32) => Shape::Two(|a, b| {
            map2(a, b, |x: u32, y: u32| {
                (x & 0xff_ffff).wrapping_mul(y & 0xff_ffff)
            })
        }),
        _ => return None,
    })
}
