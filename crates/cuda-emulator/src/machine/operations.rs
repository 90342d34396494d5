//! Opcodes to operations. What is not here stops with its name and line when a module is loaded.

mod arithmetic;
mod comparison;
mod irregular;
mod memory;
mod together;

use crate::ptx::{Instruction, Operand, PtxError, Type};

use super::convert::{self, Conversion};
use super::decode::{Decoder, Frame};
use super::instruction::{Logic, Op, Slot};
use super::rounding::Round;

/// Calls a generic function for the integer type that `ty` names.
macro_rules! by_integer {
    ($ty:expr, $f:ident, $name:expr) => {
        match $ty {
            Type::U16 | Type::B16 => crate::machine::integer::$f::<u16>($name),
            Type::U32 | Type::B32 => crate::machine::integer::$f::<u32>($name),
            Type::U64 | Type::B64 => crate::machine::integer::$f::<u64>($name),
            Type::S16 => crate::machine::integer::$f::<i16>($name),
            Type::S32 => crate::machine::integer::$f::<i32>($name),
            Type::S64 => crate::machine::integer::$f::<i64>($name),
            _ => None,
        }
    };
}
use by_integer;

/// The words of an opcode; each must be used, or the modifier is unknown.
pub(super) struct Words<'a> {
    stem: &'a str,
    rest: Vec<&'a str>,
    line: u32,
}

impl<'a> Words<'a> {
    fn new(source: &'a Instruction) -> Words<'a> {
        let mut words = source.opcode.split('.');
        Words {
            stem: words.next().unwrap_or_default(),
            rest: words.collect(),
            line: source.line,
        }
    }

    /// Takes a modifier, if it is there.
    fn flag(&mut self, name: &str) -> bool {
        match self.rest.iter().position(|w| *w == name) {
            Some(at) => {
                self.rest.remove(at);
                true
            }
            None => false,
        }
    }

    /// Takes the first of several modifiers that is there.
    fn one_of(&mut self, names: &[&'static str]) -> Option<&'static str> {
        names.iter().copied().find(|name| self.flag(name))
    }

    /// Takes the last word, which must be a type.
    fn ty(&mut self) -> Result<Type, PtxError> {
        match self.rest.last().and_then(|w| Type::from_name(w)) {
            Some(ty) => {
                self.rest.pop();
                Ok(ty)
            }
            None => Err(self.unknown()),
        }
    }

    fn round(&mut self) -> Round {
        match self.one_of(&["rn", "rz", "rm", "rp"]) {
            Some("rz") => Round::Zero,
            Some("rm") => Round::Down,
            Some("rp") => Round::Up,
            _ => Round::Nearest,
        }
    }

    fn unknown(&self) -> PtxError {
        let rest = self
            .rest
            .iter()
            .map(|w| format!(".{w}"))
            .collect::<String>();
        PtxError::new(
            self.line,
            format!("opcode `{}{rest}` is not known to the emulator", self.stem),
        )
    }

    /// All words must have been used.
    fn finish(&self) -> Result<(), PtxError> {
        if self.rest.is_empty() {
            return Ok(());
        }
        let rest = self
            .rest
            .iter()
            .map(|w| format!(".{w}"))
            .collect::<String>();
        Err(PtxError::new(
            self.line,
            format!(
                "modifier `{rest}` of `{}` is not known to the emulator",
                self.stem
            ),
        ))
    }
}

fn operand(source: &Instruction, at: usize) -> Result<&Operand, PtxError> {
    source.operands.get(at).ok_or_else(|| {
        PtxError::new(
            source.line,
            format!(
                "`{}` needs more than {} operands",
                source.opcode,
                source.operands.len()
            ),
        )
    })
}

/// A result: a register's slot, or a slot nobody reads for `_`.
fn result<'m>(
    d: &mut Decoder<'m>,
    frame: &Frame<'m>,
    operand: &Operand,
    line: u32,
) -> Result<Slot, PtxError> {
    match operand {
        Operand::Sink => Ok(d.slot()),
        other => d.value(frame, other, Type::B64, line),
    }
}

/// Bits of a register of a type.
fn mask_of(ty: Type) -> u64 {
    if ty.bytes() >= 8 {
        u64::MAX
    } else {
        (1 << (8 * ty.bytes())) - 1
    }
}

/// Appends what one instruction does.
pub(super) fn decode<'m>(
    d: &mut Decoder<'m>,
    frame: &mut Frame<'m>,
    source: &Instruction,
) -> Result<(), PtxError> {
    let mut words = Words::new(source);
    let w = &mut words;
    match w.stem {
        "mov" => r#move(d, frame, source, w)?,
        "cvt" => cvt(d, frame, source, w)?,
        "cvta" => cvta(d, frame, source, w)?,
        "setp" | "set" => comparison::comparison(d, frame, source, w)?,
        "selp" | "slct" => comparison::selection(d, frame, source, w)?,
        "and" | "or" | "xor" | "not" if w.rest == ["pred"] => predicate(d, frame, source, w)?,
        "ld" | "ldu" | "st" | "atom" | "red" | "isspacep" | "prefetch" | "prefetchu" | "membar"
        | "fence" => {
            memory::decode(d, frame, source, w)?;
        }
        "bar" | "barrier" | "shfl" | "vote" | "activemask" | "redux" | "match" | "trap"
        | "brkpt" | "nanosleep" | "discard" | "applypriority" | "griddepcontrol" => {
            together::decode(d, frame, source, w)?
        }
        _ => arithmetic::decode(d, frame, source, w)?,
    }
    words.finish()
}

fn r#move<'m>(
    d: &mut Decoder<'m>,
    frame: &Frame<'m>,
    source: &Instruction,
    w: &mut Words,
) -> Result<(), PtxError> {
    let line = source.line;
    let ty = w.ty()?;
    let (to, from) = (operand(source, 0)?, operand(source, 1)?);
    if ty == Type::Pred {
        let target = d.predicate_of(frame, to, line)?.0;
        let a = match from {
            Operand::Integer(v) => {
                // `p or not p` and `p and not p` are the constants.
                let logic = if *v & 1 == 1 { Logic::Or } else { Logic::And };
                let op = Op::Predicate {
                    logic,
                    d: target,
                    a: (target, false),
                    b: (target, true),
                };
                d.push(op, line);
                return Ok(());
            }
            other => d.predicate_of(frame, other, line)?,
        };
        d.push(
            Op::Predicate {
                logic: Logic::Move,
                d: target,
                a,
                b: a,
            },
            line,
        );
        return Ok(());
    }
    let bits = 8 * ty.bytes();
    match (to, from) {
        (Operand::Vector(parts), from) => {
            let a = d.value(frame, from, ty, line)?;
            let bits = bits / parts.len() as u32;
            let parts = parts
                .iter()
                .map(|p| match p {
                    Operand::Sink => Ok(None),
                    other => d.value(frame, other, ty, line).map(Some),
                })
                .collect::<Result<_, _>>()?;
            d.push(Op::Unpack { parts, a, bits }, line);
        }
        (to, Operand::Vector(parts)) => {
            let target = result(d, frame, to, line)?;
            let bits = bits / parts.len() as u32;
            let parts = parts
                .iter()
                .map(|p| d.value(frame, p, ty, line))
                .collect::<Result<_, _>>()?;
            d.push(
                Op::Pack {
                    d: target,
                    parts,
                    bits,
                },
                line,
            );
        }
        (to, from) => {
            let (target, a) = (result(d, frame, to, line)?, d.value(frame, from, ty, line)?);
            d.push(Op::Move { d: target, a }, line);
        }
    }
    Ok(())
}

fn predicate<'m>(
    d: &mut Decoder<'m>,
    frame: &Frame<'m>,
    source: &Instruction,
    w: &mut Words,
) -> Result<(), PtxError> {
    let line = source.line;
    w.rest.clear();
    let target = d.predicate_of(frame, operand(source, 0)?, line)?.0;
    let a = d.truth_of(frame, operand(source, 1)?, line)?;
    let (logic, b) = match w.stem {
        "not" => (Logic::Not, a),
        stem => {
            let logic = match stem {
                "and" => Logic::And,
                "or" => Logic::Or,
                _ => Logic::Xor,
            };
            (logic, d.truth_of(frame, operand(source, 2)?, line)?)
        }
    };
    d.push(
        Op::Predicate {
            logic,
            d: target,
            a,
            b,
        },
        line,
    );
    Ok(())
}

fn cvt<'m>(
    d: &mut Decoder<'m>,
    frame: &Frame<'m>,
    source: &Instruction,
    w: &mut Words,
) -> Result<(), PtxError> {
    let line = source.line;
    let integral = match w.one_of(&["rni", "rzi", "rmi", "rpi"]) {
        Some("rni") => Some(Round::Nearest),
        Some("rzi") => Some(Round::Zero),
        Some("rmi") => Some(Round::Down),
        Some("rpi") => Some(Round::Up),
        _ => None,
    };
    let round = w.round();
    let flush = w.flag("ftz");
    let saturate = w.flag("sat");
    let relu = w.flag("relu");
    let (from, to) = (w.ty()?, w.ty()?);
    let target = result(d, frame, operand(source, 0)?, line)?;
    let mask = mask_of(d.declared(frame, operand(source, 0)?).unwrap_or(to));
    let a = d.value(frame, operand(source, 1)?, from, line)?;
    let how = Conversion {
        from,
        to,
        round,
        integral,
        saturate,
        relu,
        flush,
        mask,
    };
    let op = match (convert::direct(&how), source.operands.get(2)) {
        (_, Some(low)) if matches!(to, Type::F16x2 | Type::Bf16x2) => {
            let half = if to == Type::F16x2 {
                Type::F16
            } else {
                Type::Bf16
            };
            let b = Some(d.value(frame, low, from, line)?);
            Op::Convert {
                how: Conversion { to: half, ..how },
                d: target,
                a,
                b,
            }
        }
        (Some(f), None) => Op::One { f, d: target, a },
        (None, None) if !matches!(to, Type::F16x2 | Type::Bf16x2 | Type::Pred) => Op::Convert {
            how,
            d: target,
            a,
            b: None,
        },
        _ => return Err(w.unknown()),
    };
    d.push(op, line);
    Ok(())
}

/// Marks the last instruction as flushing subnormal numbers.
fn set_flush(d: &mut Decoder, flush: bool) {
    if let Some(last) = d.code.last_mut() {
        last.flush = flush;
    }
}

fn cvta<'m>(
    d: &mut Decoder<'m>,
    frame: &Frame<'m>,
    source: &Instruction,
    w: &mut Words,
) -> Result<(), PtxError> {
    use super::memory::{LOCAL_WINDOW, PARAM_WINDOW, SHARED_WINDOW};
    let line = source.line;
    let to = w.flag("to");
    let space = w
        .one_of(&["global", "shared", "shared::cta", "local", "const", "param"])
        .ok_or_else(|| w.unknown())?;
    let ty = w.ty()?;
    let target = result(d, frame, operand(source, 0)?, line)?;
    let a = d.value(frame, operand(source, 1)?, ty, line)?;
    let window = match space {
        "shared" | "shared::cta" => SHARED_WINDOW,
        "local" => LOCAL_WINDOW,
        "param" => PARAM_WINDOW,
        _ => 0,
    };
    let op = if window == 0 {
        Op::Move { d: target, a }
    } else {
        let b = d.constant(if to { window.wrapping_neg() } else { window });
        Op::Two {
            f: |x, y| super::integer::map2(x, y, u64::wrapping_add),
            d: target,
            a,
            b,
        }
    };
    d.push(op, line);
    Ok(())
}
