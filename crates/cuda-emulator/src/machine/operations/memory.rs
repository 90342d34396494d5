//! Loads, stores, atomics and fences.

use half::{bf16, f16};

use crate::machine::decode::{Decoder, Frame, Location};
use crate::machine::instruction::{Atom, Op, Place};
use crate::machine::rounding::Round;
use crate::machine::scalar::{Float, Scalar, Two};
use crate::ptx::{Instruction, Operand, PtxError, Space, Type};

use super::{Words, mask_of, operand};

/// Everything that touches memory.
pub(super) fn decode<'m>(
    d: &mut Decoder<'m>,
    frame: &mut Frame<'m>,
    source: &Instruction,
    w: &mut Words,
) -> Result<(), PtxError> {
    match w.stem {
        "ld" | "ldu" => load(d, frame, source, w),
        "st" => store(d, frame, source, w),
        "atom" | "red" => atomic(d, frame, source, w),
        "isspacep" => {
            let space = space(w).ok_or_else(|| w.unknown())?;
            let p = d.predicate_of(frame, operand(source, 0)?, source.line)?.0;
            let a = d.value(frame, operand(source, 1)?, Type::U64, source.line)?;
            d.push(Op::IsSpace { d: p, a, space }, source.line);
            Ok(())
        }
        "prefetch" | "prefetchu" => {
            w.rest.clear();
            Ok(())
        }
        _ => {
            d.has_fence |= !w.rest.contains(&"cta");
            w.rest.clear();
            d.push(Op::Nop, source.line);
            Ok(())
        }
    }
}

fn space(w: &mut Words) -> Option<Space> {
    let name = w.one_of(&[
        "global",
        "shared",
        "shared::cta",
        "local",
        "const",
        "param",
        "param::entry",
        "param::func",
    ])?;
    Some(match name {
        "global" => Space::Global,
        "shared" | "shared::cta" => Space::Shared,
        "local" => Space::Local,
        "const" => Space::Const,
        _ => Space::Param,
    })
}

/// Words that say how, not what: caching, ordering, scope. Whether they make the access atomic; one that acquires or
/// releases is a fence, too.
fn manner(d: &mut Decoder, w: &mut Words) -> bool {
    let orders = ["acquire", "release", "acq_rel"]
        .iter()
        .any(|o| w.rest.contains(o));
    d.has_fence |= orders && !w.rest.contains(&"cta");
    let atomic = w.flag("volatile")
        | w.flag("relaxed")
        | w.flag("acquire")
        | w.flag("release")
        | w.flag("mmio");
    while w
        .one_of(&[
            "nc",
            "ca",
            "cg",
            "cs",
            "lu",
            "cv",
            "wb",
            "wt",
            "cta",
            "gpu",
            "sys",
            "cluster",
            "weak",
            "acq_rel",
            "L1::evict_first",
            "L1::evict_last",
            "L1::no_allocate",
            "L1::evict_normal",
            "L1::evict_unchanged",
            "L2::64B",
            "L2::128B",
            "L2::256B",
            "L2::evict_first",
            "L2::evict_last",
            "noftz",
        ])
        .is_some()
    {}
    atomic
}

/// Where an address operand points. `Err(offset)` is a kernel parameter.
fn place<'m>(
    d: &mut Decoder<'m>,
    frame: &Frame<'m>,
    address: &Operand,
    space: Space,
    size: u32,
    atomic: bool,
    line: u32,
) -> Result<Result<Place, u32>, PtxError> {
    let Operand::Memory(base, offset) = address else {
        return Err(PtxError::new(
            line,
            format!("{address:?} is not an address"),
        ));
    };
    let offset = *offset;
    let narrow = d.declared(frame, base).is_some_and(|t| t.bytes() == 4);
    let wrap = if narrow { u32::MAX.into() } else { u64::MAX };
    let make = |space, base, offset| {
        Ok(Place {
            space,
            base,
            offset,
            size,
            atomic,
            wrap,
        })
    };
    if let Operand::Name(name) = &**base {
        return Ok(match d.locate(frame, name, line)? {
            Ok(Location::KernelParam(at)) => Err((i64::from(at) + offset) as u32),
            Ok(Location::Local(at)) => make(Space::Local, d.constant(at), offset),
            Ok(Location::Shared(at)) => make(Space::Shared, d.constant(at), offset),
            Err(at) => make(Space::Global, d.constant(at), offset),
        });
    }
    let base = d.value(frame, base, Type::U64, line)?;
    Ok(make(space, base, offset))
}

fn count(w: &mut Words) -> usize {
    match w.one_of(&["v2", "v4", "v8"]) {
        Some("v2") => 2,
        Some("v4") => 4,
        Some(_) => 8,
        None => 1,
    }
}

/// The `count` elements of operand `index`: of a vector, or itself.
fn elements<'a>(
    source: &'a Instruction,
    index: usize,
    count: usize,
    what: &str,
) -> Result<&'a [Operand], PtxError> {
    let elements = match operand(source, index)? {
        Operand::Vector(list) => list.as_slice(),
        single => std::slice::from_ref(single),
    };
    if elements.len() != count {
        return Err(PtxError::new(
            source.line,
            format!("`{}` needs {count} {what}", source.opcode),
        ));
    }
    Ok(elements)
}

fn load<'m>(
    d: &mut Decoder<'m>,
    frame: &Frame<'m>,
    source: &Instruction,
    w: &mut Words,
) -> Result<(), PtxError> {
    let line = source.line;
    let ty = w.ty()?;
    let space = space(w).unwrap_or(Space::Generic);
    let atomic = manner(d, w);
    let count = count(w);
    let targets = elements(source, 0, count, "results")?;
    let register = targets
        .iter()
        .find_map(|t| d.declared(frame, t))
        .unwrap_or(ty);
    let mask = mask_of(register);
    let parts = targets
        .iter()
        .map(|t| match t {
            Operand::Sink => Ok(None),
            other => d.value(frame, other, ty, line).map(Some),
        })
        .collect::<Result<_, _>>()?;
    let (size, signed) = (ty.bytes(), ty.is_signed());
    let op = match place(d, frame, operand(source, 1)?, space, size, atomic, line)? {
        Ok(place) => Op::Load {
            place,
            signed,
            mask,
            parts,
        },
        Err(offset) => Op::LoadParam {
            offset,
            size,
            signed,
            mask,
            parts,
        },
    };
    d.push(op, line);
    Ok(())
}

fn store<'m>(
    d: &mut Decoder<'m>,
    frame: &Frame<'m>,
    source: &Instruction,
    w: &mut Words,
) -> Result<(), PtxError> {
    let line = source.line;
    let ty = w.ty()?;
    let space = space(w).unwrap_or(Space::Generic);
    let atomic = manner(d, w);
    let count = count(w);
    let values = elements(source, 1, count, "values")?;
    let parts = values
        .iter()
        .map(|v| d.value(frame, v, ty, line))
        .collect::<Result<_, _>>()?;
    match place(
        d,
        frame,
        operand(source, 0)?,
        space,
        ty.bytes(),
        atomic,
        line,
    )? {
        Ok(place) => d.push(Op::Store { place, parts }, line),
        Err(_) => {
            return Err(PtxError::new(
                line,
                "a kernel's parameters cannot be written",
            ));
        }
    }
    Ok(())
}

fn atomic<'m>(
    d: &mut Decoder<'m>,
    frame: &Frame<'m>,
    source: &Instruction,
    w: &mut Words,
) -> Result<(), PtxError> {
    let line = source.line;
    let ty = w.ty()?;
    let space = space(w).unwrap_or(Space::Generic);
    manner(d, w);
    let operation = w
        .one_of(&[
            "add", "cas", "exch", "min", "max", "and", "or", "xor", "inc", "dec",
        ])
        .ok_or_else(|| w.unknown())?;
    let atom = match operation {
        "cas" => Atom::CompareAndSwap,
        "exch" => Atom::Exchange,
        _ => Atom::Apply(apply(operation, ty).ok_or_else(|| {
            PtxError::new(
                line,
                format!("`{}` is not known to the emulator", source.opcode),
            )
        })?),
    };
    let returns = w.stem == "atom";
    let first = usize::from(returns);
    let target = match operand(source, 0)? {
        Operand::Sink => None,
        other if returns => Some(d.value(frame, other, ty, line)?),
        _ => None,
    };
    let b = d.value(frame, operand(source, first + 1)?, ty, line)?;
    let c = if operation == "cas" {
        d.value(frame, operand(source, first + 2)?, ty, line)?
    } else {
        b
    };
    match place(
        d,
        frame,
        operand(source, first)?,
        space,
        ty.bytes(),
        true,
        line,
    )? {
        Ok(place) => d.push(
            Op::Atomic {
                place,
                atom,
                d: target,
                b,
                c,
            },
            line,
        ),
        Err(_) => {
            return Err(PtxError::new(
                line,
                "a kernel's parameters cannot be written",
            ));
        }
    }
    Ok(())
}

fn float<T: Float>(old: u64, v: u64) -> u64 {
    T::add(T::unpack(old), T::unpack(v), Round::Nearest).pack()
}

fn pair<T: Float>(old: u64, v: u64) -> u64 {
    let (x, y) = (Two::<T>::unpack(old), Two::<T>::unpack(v));
    Two(
        T::add(x.0, y.0, Round::Nearest),
        T::add(x.1, y.1, Round::Nearest),
    )
    .pack()
}

fn apply(name: &str, ty: Type) -> Option<fn(u64, u64) -> u64> {
    use Type::*;
    Some(match (name, ty) {
        ("add", U32 | S32 | B32) => |old, v| u64::from((old as u32).wrapping_add(v as u32)),
        ("add", U64 | S64 | B64) => u64::wrapping_add,
        ("add", F32) => float::<f32>,
        ("add", F64) => float::<f64>,
        ("add", F16) => float::<f16>,
        ("add", Bf16) => float::<bf16>,
        ("add", F16x2) => pair::<f16>,
        ("add", Bf16x2) => pair::<bf16>,
        ("min", U32 | U64) => |old, v| old.min(v),
        ("max", U32 | U64) => |old, v| old.max(v),
        ("min", S32) => |old, v| (old as i32).min(v as i32).pack(),
        ("max", S32) => |old, v| (old as i32).max(v as i32).pack(),
        ("min", S64) => |old, v| (old as i64).min(v as i64).pack(),
        ("max", S64) => |old, v| (old as i64).max(v as i64).pack(),
        ("and", B32 | B64) => |old, v| old & v,
        ("or", B32 | B64) => |old, v| old | v,
        ("xor", B32 | B64) => |old, v| old ^ v,
        ("inc", U32) => |old, v| if old >= v { 0 } else { old + 1 },
        ("dec", U32) => |old, v| if old == 0 || old > v { v } else { old - 1 },
        _ => return None,
    })
}
