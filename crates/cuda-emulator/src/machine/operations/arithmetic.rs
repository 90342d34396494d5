//! Arithmetic, comparisons and selections.

use half::{bf16, f16};

use crate::machine::decode::{Decoder, Frame};
use crate::machine::float;
use crate::machine::instruction::{Carry, Logic, Op, Pred};
use crate::machine::integer::{self, Compare, F1, F2, F3, map1, map2, map3};
use crate::machine::rounding::Round;
use crate::ptx::{Instruction, Operand, PtxError, Type};

use super::{Words, operand, result, set_flush};

/// Calls a generic function for the integer type that `ty` names.
macro_rules! by_integer {
    ($ty:expr, $f:ident, $name:expr) => {
        match $ty {
            Type::U16 | Type::B16 => integer::$f::<u16>($name),
            Type::U32 | Type::B32 => integer::$f::<u32>($name),
            Type::U64 | Type::B64 => integer::$f::<u64>($name),
            Type::S16 => integer::$f::<i16>($name),
            Type::S32 => integer::$f::<i32>($name),
            Type::S64 => integer::$f::<i64>($name),
            _ => None,
        }
    };
}

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
    if let Some(op) = special_form(d, frame, source, w)? {
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
    let ty = w.ty()?;
    let name = match part {
        Some(part) => format!("{stem}.{part}"),
        None if not_a_number => format!("{stem}.NaN"),
        None if relu => format!("{stem}.relu"),
        None if stem == "mad" && ty.is_float() => "fma".to_string(),
        None => stem.to_string(),
    };
    let shape = shape(&name, ty, round, approximate).ok_or_else(|| w.unknown_as(ty))?;
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
    fn unknown_as(&self, ty: Type) -> PtxError {
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

fn shape(name: &str, ty: Type, round: Round, approximate: bool) -> Option<Shape> {
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
            "rcp" | "rsqrt" if approximate => {
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

/// Instructions whose words or operands do not follow the common pattern.
fn special_form<'m>(
    d: &mut Decoder<'m>,
    frame: &mut Frame<'m>,
    source: &Instruction,
    w: &mut Words,
) -> Result<Option<Op>, PtxError> {
    let line = source.line;
    let value = |d: &mut Decoder<'m>, at: usize, ty| {
        let operand = operand(source, at)?;
        d.value(frame, operand, ty, line)
    };
    let reads = matches!(w.stem, "addc" | "subc" | "madc");
    if reads || w.rest.contains(&"cc") {
        let kind = match (w.stem.trim_end_matches('c'), w.one_of(&["lo", "hi"])) {
            ("add", _) => Carry::Add,
            ("sub", _) => Carry::Sub,
            ("mad", Some("hi")) => Carry::MadHigh,
            ("mad", Some("lo")) => Carry::MadLow,
            _ => return Err(w.unknown()),
        };
        let writes = w.flag("cc");
        let ty = w.ty()?;
        let (target, a, b) = (value(d, 0, ty)?, value(d, 1, ty)?, value(d, 2, ty)?);
        let c = if matches!(kind, Carry::MadLow | Carry::MadHigh) {
            value(d, 3, ty)?
        } else {
            a
        };
        return Ok(Some(Op::Carry {
            kind,
            d: target,
            a,
            b,
            c,
            bits: 8 * ty.bytes(),
            reads,
            writes,
        }));
    }
    Ok(Some(match w.stem {
        "lop3" => {
            w.ty()?;
            let (target, a, b, c) = (
                value(d, 0, Type::B32)?,
                value(d, 1, Type::B32)?,
                value(d, 2, Type::B32)?,
                value(d, 3, Type::B32)?,
            );
            let e = value(d, 4, Type::B32)?;
            Op::Four {
                f: |a, b, c, e| {
                    std::array::from_fn(|i| {
                        u64::from(integer::lop3(
                            a[i] as u32,
                            b[i] as u32,
                            c[i] as u32,
                            e[i] as u32,
                        ))
                    })
                },
                d: target,
                a,
                b,
                c,
                e,
            }
        }
        "bfi" => {
            let ty = w.ty()?;
            let (target, a, b) = (value(d, 0, ty)?, value(d, 1, ty)?, value(d, 2, ty)?);
            let (c, e) = (value(d, 3, Type::U32)?, value(d, 4, Type::U32)?);
            let f: integer::F4 = match ty {
                Type::B32 => |a, b, c, e| {
                    std::array::from_fn(|i| {
                        integer::insert(a[i], b[i], c[i] as u32, e[i] as u32, 32) & 0xffff_ffff
                    })
                },
                _ => |a, b, c, e| {
                    std::array::from_fn(|i| {
                        integer::insert(a[i], b[i], c[i] as u32, e[i] as u32, 64)
                    })
                },
            };
            Op::Four {
                f,
                d: target,
                a,
                b,
                c,
                e,
            }
        }
        "shf" => {
            let left = w.one_of(&["l", "r"]) == Some("l");
            let wrap = w.one_of(&["wrap", "clamp"]) == Some("wrap");
            w.ty()?;
            let (target, a, b, c) = (
                value(d, 0, Type::B32)?,
                value(d, 1, Type::B32)?,
                value(d, 2, Type::B32)?,
                value(d, 3, Type::U32)?,
            );
            let f: F3 = match (left, wrap) {
                (true, true) => {
                    |a, b, c| map3(a, b, c, |x: u32, y: u32, n: u32| funnel_left(x, y, n & 31))
                }
                (true, false) => |a, b, c| {
                    map3(a, b, c, |x: u32, y: u32, n: u32| {
                        funnel_left(x, y, n.min(32))
                    })
                },
                (false, true) => {
                    |a, b, c| map3(a, b, c, |x: u32, y: u32, n: u32| funnel_right(x, y, n & 31))
                }
                (false, false) => |a, b, c| {
                    map3(a, b, c, |x: u32, y: u32, n: u32| {
                        funnel_right(x, y, n.min(32))
                    })
                },
            };
            Op::Three {
                f,
                d: target,
                a,
                b,
                c,
            }
        }
        "dp4a" => {
            let (b_type, a_type) = (w.ty()?, w.ty()?);
            let (target, a, b, c) = (
                value(d, 0, Type::B32)?,
                value(d, 1, Type::B32)?,
                value(d, 2, Type::B32)?,
                value(d, 3, Type::B32)?,
            );
            let f: F3 = match (a_type, b_type) {
                (Type::S32, Type::S32) => |a, b, c| {
                    map3(a, b, c, |x: u32, y: u32, z: i32| {
                        dot4(x, y, z, |v| v as i8 as i32, |v| v as i8 as i32)
                    })
                },
                (Type::U32, Type::U32) => |a, b, c| {
                    map3(a, b, c, |x: u32, y: u32, z: i32| {
                        dot4(x, y, z, |v| v as u8 as i32, |v| v as u8 as i32)
                    })
                },
                (Type::U32, Type::S32) => |a, b, c| {
                    map3(a, b, c, |x: u32, y: u32, z: i32| {
                        dot4(x, y, z, |v| v as u8 as i32, |v| v as i8 as i32)
                    })
                },
                _ => |a, b, c| {
                    map3(a, b, c, |x: u32, y: u32, z: i32| {
                        dot4(x, y, z, |v| v as i8 as i32, |v| v as u8 as i32)
                    })
                },
            };
            Op::Three {
                f,
                d: target,
                a,
                b,
                c,
            }
        }
        _ => return Ok(None),
    }))
}

fn funnel_left(low: u32, high: u32, by: u32) -> u32 {
    (((u64::from(high) << 32 | u64::from(low)) << by) >> 32) as u32
}

fn funnel_right(low: u32, high: u32, by: u32) -> u32 {
    ((u64::from(high) << 32 | u64::from(low)) >> by) as u32
}

fn dot4(a: u32, b: u32, c: i32, x: impl Fn(u32) -> i32, y: impl Fn(u32) -> i32) -> i32 {
    (0..4).fold(c, |sum, i| {
        sum.wrapping_add(x(a >> (8 * i)).wrapping_mul(y(b >> (8 * i))))
    })
}

fn compare(name: &str, ty: Type) -> Option<Compare> {
    match ty {
        Type::F32 => float::comparison::<f32>(name),
        Type::F64 => float::comparison::<f64>(name),
        Type::F16 => float::comparison::<f16>(name),
        Type::Bf16 => float::comparison::<bf16>(name),
        _ => by_integer!(ty, comparison, name),
    }
}

const COMPARISONS: [&str; 18] = [
    "eq", "ne", "lt", "le", "gt", "ge", "lo", "ls", "hi", "hs", "equ", "neu", "ltu", "leu", "gtu",
    "geu", "num", "nan",
];

/// `setp` and `set`.
pub(super) fn comparison<'m>(
    d: &mut Decoder<'m>,
    frame: &mut Frame<'m>,
    source: &Instruction,
    w: &mut Words,
) -> Result<(), PtxError> {
    let line = source.line;
    let name = w.one_of(&COMPARISONS).ok_or_else(|| w.unknown())?;
    let combine = w.one_of(&["and", "or", "xor"]).map(|name| match name {
        "and" => Logic::And,
        "or" => Logic::Or,
        _ => Logic::Xor,
    });
    let flush = w.flag("ftz");
    let ty = w.ty()?;
    let f = compare(name, ty).ok_or_else(|| w.unknown_as(ty))?;
    let a = d.value(frame, operand(source, 1)?, ty, line)?;
    let b = d.value(frame, operand(source, 2)?, ty, line)?;
    let with = match combine {
        Some(logic) => {
            let (p, negated) = d.predicate_of(frame, operand(source, 3)?, line)?;
            Some((logic, p, negated))
        }
        None => None,
    };
    let op = if w.stem == "set" {
        let to = w.ty()?;
        let target = result(d, frame, operand(source, 0)?, line)?;
        let yes = match to {
            Type::F32 => u64::from(1f32.to_bits()),
            Type::F16 => u64::from(f16::ONE.to_bits()),
            Type::Bf16 => u64::from(bf16::ONE.to_bits()),
            _ => super::mask_of(to),
        };
        Op::Set {
            f,
            d: target,
            a,
            b,
            yes,
            with,
        }
    } else {
        let target = |d: &Decoder<'m>, o: &Operand| -> Result<Option<Pred>, PtxError> {
            if *o == Operand::Sink {
                Ok(None)
            } else {
                d.predicate_of(frame, o, line).map(|p| Some(p.0))
            }
        };
        let (p, q) = match operand(source, 0)? {
            Operand::Pair(p, q) => (target(d, p)?, target(d, q)?),
            single => (target(d, single)?, None),
        };
        Op::SetPredicate {
            f,
            d: p,
            q,
            a,
            b,
            with,
        }
    };
    d.push(op, line);
    set_flush(d, flush && ty == Type::F32);
    Ok(())
}

/// `selp` and `slct`.
pub(super) fn selection<'m>(
    d: &mut Decoder<'m>,
    frame: &mut Frame<'m>,
    source: &Instruction,
    w: &mut Words,
) -> Result<(), PtxError> {
    let line = source.line;
    let last = w.ty()?;
    let ty = if w.stem == "slct" { w.ty()? } else { last };
    let target = result(d, frame, operand(source, 0)?, line)?;
    let a = d.value(frame, operand(source, 1)?, ty, line)?;
    let b = d.value(frame, operand(source, 2)?, ty, line)?;
    let op = if w.stem == "selp" {
        Op::Select {
            d: target,
            a,
            b,
            p: d.predicate_of(frame, operand(source, 3)?, line)?,
        }
    } else {
        let c = d.value(frame, operand(source, 3)?, last, line)?;
        let f: F3 = match last {
            Type::F32 => |a, b, c| {
                map3(
                    a,
                    b,
                    c,
                    |x: u64, y: u64, z: f32| if z >= 0.0 { x } else { y },
                )
            },
            _ => |a, b, c| map3(a, b, c, |x: u64, y: u64, z: i32| if z >= 0 { x } else { y }),
        };
        Op::Three {
            f,
            d: target,
            a,
            b,
            c,
        }
    };
    d.push(op, line);
    Ok(())
}
