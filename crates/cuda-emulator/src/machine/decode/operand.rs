//! What operands stand for.

use crate::machine::instruction::{Pred, Slot};
use crate::ptx::{Operand, PtxError, Type};

use super::{Decoder, Frame, Location, Special};

impl<'m> Decoder<'m> {
    /// Where a named variable lies: `Ok(Err(address))` is a global variable's address.
    pub(in crate::machine) fn locate(
        &self,
        frame: &Frame<'m>,
        name: &str,
        line: u32,
    ) -> Result<Result<Location, u64>, PtxError> {
        if let Some(&location) = frame.variables.get(name) {
            return Ok(Ok(location));
        }
        if let Some(&offset) = self.shared_names.get(name) {
            return Ok(Ok(Location::Shared(offset)));
        }
        match self.globals.get(name) {
            Some(&address) => Ok(Err(address)),
            None => Err(PtxError::new(line, format!("`{name}` is not declared"))),
        }
    }

    /// The slot that holds an operand read as `ty`.
    pub(in crate::machine) fn value(
        &mut self,
        frame: &Frame<'m>,
        operand: &Operand,
        ty: Type,
        line: u32,
    ) -> Result<Slot, PtxError> {
        let mask = if ty.bytes() >= 8 {
            u64::MAX
        } else {
            (1 << (8 * ty.bytes())) - 1
        };
        Ok(match operand {
            Operand::Register(r) => {
                if frame.function.registers[*r as usize] == Type::Pred {
                    return Err(PtxError::new(
                        line,
                        "a predicate stands where a value should",
                    ));
                }
                frame.registers[*r as usize]
            }
            Operand::Integer(v) if ty == Type::F32 => {
                self.constant(u64::from((*v as i64 as f32).to_bits()))
            }
            Operand::Integer(v) if ty == Type::F64 => self.constant((*v as i64 as f64).to_bits()),
            Operand::Integer(v) => self.constant(v & mask),
            Operand::Single(v) => self.constant(u64::from(*v)),
            Operand::Double(v) if ty == Type::F32 => {
                self.constant(u64::from((f64::from_bits(*v) as f32).to_bits()))
            }
            Operand::Double(v) => self.constant(*v),
            Operand::Special(name) => match Special::from_name(name) {
                Some(special) => self.special(special),
                None => {
                    return Err(PtxError::new(
                        line,
                        format!("special register `{name}` is not known"),
                    ));
                }
            },
            Operand::Name(name) => match self.locate(frame, name, line)? {
                Ok(Location::Shared(v) | Location::Local(v)) => self.constant(v),
                Ok(Location::KernelParam(v)) => self.constant(u64::from(v)),
                Err(address) => self.constant(address),
            },
            other => return Err(PtxError::new(line, format!("{other:?} is not a value"))),
        })
    }

    /// The predicate an operand names, and whether it is negated.
    pub(in crate::machine) fn predicate_of(
        &self,
        frame: &Frame<'m>,
        operand: &Operand,
        line: u32,
    ) -> Result<(Pred, bool), PtxError> {
        match operand {
            Operand::Register(r) if frame.function.registers[*r as usize] == Type::Pred => {
                Ok((frame.registers[*r as usize], false))
            }
            Operand::Not(inner) => self
                .predicate_of(frame, inner, line)
                .map(|(p, negated)| (p, !negated)),
            other => Err(PtxError::new(line, format!("{other:?} is not a predicate"))),
        }
    }

    /// A predicate that is read: also a constant, as in `xor.pred %p, %q, -1`. Predicate 0 is always false.
    pub(in crate::machine) fn truth_of(
        &self,
        frame: &Frame<'m>,
        operand: &Operand,
        line: u32,
    ) -> Result<(Pred, bool), PtxError> {
        match operand {
            Operand::Integer(v) => Ok((0, *v & 1 == 1)),
            other => self.predicate_of(frame, other, line),
        }
    }

    /// Declared type of a register operand.
    pub(in crate::machine) fn declared(
        &self,
        frame: &Frame<'m>,
        operand: &Operand,
    ) -> Option<Type> {
        match operand {
            Operand::Register(r) => frame.function.registers.get(*r as usize).copied(),
            _ => None,
        }
    }
}
