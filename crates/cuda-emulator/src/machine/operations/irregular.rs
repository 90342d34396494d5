//! Arithmetic whose words or operands do not follow the common pattern.

use crate::machine::decode::{Decoder, Frame};
use crate::machine::instruction::{Carry, Op};
use crate::machine::integer::{self, F3, map3};
use crate::ptx::{Instruction, PtxError, Type};

use super::{Words, operand};

/// `None` for what follows it.
pub(super) fn irregular<'m>(
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
        "bmsk" => {
            let wrap = w.one_of(&["clamp", "wrap"]) == Some("wrap");
            w.ty()?;
            let (target, a, b) = (
                value(d, 0, Type::B32)?,
                value(d, 1, Type::U32)?,
                value(d, 2, Type::U32)?,
            );
            let f: integer::F2 = if wrap {
                |a, b| integer::map2(a, b, |p: u32, n: u32| bit_mask(p & 31, n & 31))
            } else {
                |a, b| integer::map2(a, b, bit_mask)
            };
            Op::Two { f, d: target, a, b }
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

/// `length` ones from bit `start` on.
fn bit_mask(start: u32, length: u32) -> u32 {
    let zeros = u32::MAX.checked_shl(length).unwrap_or(0);
    (!zeros).checked_shl(start).unwrap_or(0)
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
