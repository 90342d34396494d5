//! Comparisons and selections.

use half::{bf16, f16};

use crate::machine::decode::{Decoder, Frame};
use crate::machine::float;
use crate::machine::instruction::{Logic, Op, Pred};
use crate::machine::integer::{Compare, F3, map3};
use crate::ptx::{Instruction, Operand, PtxError, Type};

use super::{Words, by_integer, operand, result, set_flush};

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
            let (p, negated) = d.truth_of(frame, operand(source, 3)?, line)?;
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
            p: d.truth_of(frame, operand(source, 3)?, line)?,
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
