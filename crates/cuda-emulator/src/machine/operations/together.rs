//! Barriers and what threads of a warp do together.

use crate::machine::decode::{Decoder, Frame};
use crate::machine::instruction::{BarrierResult, Op, Shuffle, Slot, Together, Vote};
use crate::machine::scalar::Scalar;
use crate::ptx::{Instruction, Operand, PtxError, Type};

use super::{Words, operand, result};

/// Barriers, shuffles, votes, traps.
pub(super) fn decode<'m>(
    d: &mut Decoder<'m>,
    frame: &mut Frame<'m>,
    source: &Instruction,
    w: &mut Words,
) -> Result<(), PtxError> {
    let line = source.line;
    let members = |d: &mut Decoder<'m>, frame: &Frame<'m>, at: usize| -> Result<Slot, PtxError> {
        d.value(frame, operand(source, at)?, Type::B32, line)
    };
    let of_warp = w.stem == "bar" && w.flag("warp");
    match w.stem {
        "bar" if of_warp => {
            w.flag("sync");
            let members = members(d, frame, 0)?;
            d.push(
                Op::Together {
                    what: Together::Barrier,
                    members,
                },
                line,
            );
        }
        "bar" | "barrier" => barrier(d, frame, source, w)?,
        "shfl" => shuffle(d, frame, source, w)?,
        "vote" => {
            w.flag("sync");
            let mode = match w.one_of(&["all", "any", "uni", "ballot"]) {
                Some("all") => Vote::All,
                Some("any") => Vote::Any,
                Some("uni") => Vote::Uniform,
                Some(_) => Vote::Ballot,
                None => return Err(w.unknown()),
            };
            w.rest.pop();
            let source_predicate = d.truth_of(frame, operand(source, 1)?, line)?;
            let members = members(d, frame, 2)?;
            let (slot, p) = match mode {
                Vote::Ballot => (result(d, frame, operand(source, 0)?, line)?, d.predicate()),
                _ => (
                    d.slot(),
                    d.predicate_of(frame, operand(source, 0)?, line)?.0,
                ),
            };
            d.push(
                Op::Together {
                    what: Together::Vote {
                        mode,
                        d: slot,
                        p,
                        source: source_predicate,
                    },
                    members,
                },
                line,
            );
        }
        "redux" => {
            w.flag("sync");
            let name = w
                .one_of(&["add", "min", "max", "and", "or", "xor"])
                .ok_or_else(|| w.unknown())?;
            let ty = w.ty()?;
            let f: fn(u64, u64) -> u64 = match (name, ty) {
                ("add", _) => |a, b| u64::from((a as u32).wrapping_add(b as u32)),
                ("min", Type::S32) => |a, b| (a as i32).min(b as i32).pack(),
                ("max", Type::S32) => |a, b| (a as i32).max(b as i32).pack(),
                ("min", _) => |a, b| a.min(b),
                ("max", _) => |a, b| a.max(b),
                ("and", _) => |a, b| a & b,
                ("or", _) => |a, b| a | b,
                _ => |a, b| a ^ b,
            };
            let slot = result(d, frame, operand(source, 0)?, line)?;
            let a = d.value(frame, operand(source, 1)?, ty, line)?;
            let members = members(d, frame, 2)?;
            d.push(
                Op::Together {
                    what: Together::Reduce { d: slot, a, f },
                    members,
                },
                line,
            );
        }
        "match" => {
            let all = w.one_of(&["all", "any"]) == Some("all");
            w.flag("sync");
            let ty = w.ty()?;
            let (target, p) = match operand(source, 0)? {
                Operand::Pair(t, p) => (&**t, Some(d.predicate_of(frame, p, line)?.0)),
                single => (single, None),
            };
            let slot = result(d, frame, target, line)?;
            let a = d.value(frame, operand(source, 1)?, ty, line)?;
            let members = members(d, frame, 2)?;
            d.push(
                Op::Together {
                    what: Together::Match { d: slot, p, a, all },
                    members,
                },
                line,
            );
        }
        "activemask" => {
            w.ty()?;
            let slot = result(d, frame, operand(source, 0)?, line)?;
            d.push(Op::ActiveMask { d: slot }, line);
        }
        "trap" => d.push(Op::Trap { message: None }, line),
        "nanosleep" | "discard" | "applypriority" => w.rest.clear(),
        _ => return Err(w.unknown()),
    }
    Ok(())
}

fn barrier<'m>(
    d: &mut Decoder<'m>,
    frame: &Frame<'m>,
    source: &Instruction,
    w: &mut Words,
) -> Result<(), PtxError> {
    let line = source.line;
    w.flag("cta");
    w.flag("aligned");
    let mode = w
        .one_of(&["sync", "arrive", "red"])
        .ok_or_else(|| w.unknown())?;
    let mut first = 0;
    let mut outcome = None;
    if mode == "red" {
        let name = w
            .one_of(&["popc", "and", "or"])
            .ok_or_else(|| w.unknown())?;
        w.rest.pop();
        let target = operand(source, 0)?;
        let last = source.operands.last().unwrap_or(target);
        let (p, negated) = d.truth_of(frame, last, line)?;
        let result = match name {
            "popc" => BarrierResult::Count(result(d, frame, target, line)?),
            "and" => BarrierResult::And(d.predicate_of(frame, target, line)?.0),
            _ => BarrierResult::Or(d.predicate_of(frame, target, line)?.0),
        };
        outcome = Some((result, p, negated));
        first = 1;
    }
    let ends = source.operands.len() - usize::from(outcome.is_some());
    let id = d.value(frame, operand(source, first)?, Type::U32, line)?;
    let threads = match source.operands.get(first + 1) {
        Some(threads) if first + 1 < ends => Some(d.value(frame, threads, Type::U32, line)?),
        _ => None,
    };
    d.push(
        Op::Barrier {
            id,
            threads,
            waits: mode != "arrive",
            result: outcome,
        },
        line,
    );
    Ok(())
}

fn shuffle<'m>(
    d: &mut Decoder<'m>,
    frame: &Frame<'m>,
    source: &Instruction,
    w: &mut Words,
) -> Result<(), PtxError> {
    let line = source.line;
    if !w.flag("sync") {
        return Err(PtxError::new(
            line,
            "`shfl` without `.sync` is not known to the emulator",
        ));
    }
    let mode = match w.one_of(&["up", "down", "bfly", "idx"]) {
        Some("up") => Shuffle::Up,
        Some("down") => Shuffle::Down,
        Some("bfly") => Shuffle::Butterfly,
        Some(_) => Shuffle::Index,
        None => return Err(w.unknown()),
    };
    w.ty()?;
    let (target, p) = match operand(source, 0)? {
        Operand::Pair(t, p) if **p == Operand::Sink => (&**t, None),
        Operand::Pair(t, p) => (&**t, Some(d.predicate_of(frame, p, line)?.0)),
        single => (single, None),
    };
    let slot = result(d, frame, target, line)?;
    let a = d.value(frame, operand(source, 1)?, Type::B32, line)?;
    let b = d.value(frame, operand(source, 2)?, Type::U32, line)?;
    let c = d.value(frame, operand(source, 3)?, Type::U32, line)?;
    let members = d.value(frame, operand(source, 4)?, Type::B32, line)?;
    d.push(
        Op::Together {
            what: Together::Shuffle {
                mode,
                d: slot,
                p,
                a,
                b,
                c,
            },
            members,
        },
        line,
    );
    Ok(())
}
