//! Calls of device functions, which are inlined.

use std::collections::HashMap;

use crate::machine::instruction::{Op, Place};
use crate::ptx::{self, Operand, PtxError, Space};

use super::{Decoder, Frame, Location};

impl<'m> Decoder<'m> {
    /// `call (results), function, (arguments);` becomes the function's code, its parameters aliased to the
    /// caller's.
    pub(super) fn call(
        &mut self,
        frame: &mut Frame<'m>,
        source: &ptx::Instruction,
    ) -> Result<(), PtxError> {
        let fail = |message: String| Err(PtxError::new(source.line, message));
        let mut lists: Vec<&[Operand]> = Vec::new();
        let mut name = None;
        for operand in &source.operands {
            match operand {
                Operand::List(list) if name.is_none() => lists.push(list),
                Operand::Name(n) if name.is_none() => {
                    name = Some(n);
                    if lists.is_empty() {
                        lists.push(&[]);
                    }
                }
                Operand::List(list) => lists.push(list),
                other => {
                    return fail(format!(
                        "{other:?} has no place in a call; indirect calls are not supported"
                    ));
                }
            }
        }
        let Some(name) = name else {
            return fail("a call needs the name of a function".into());
        };
        let results = lists.first().copied().unwrap_or_default();
        let arguments = lists.get(1).copied().unwrap_or_default();
        let skip = source.guard.map(|(register, negated)| {
            let at = self.code.len();
            self.push(Op::Nop, source.line);
            self.code[at].guard = Some((frame.registers[register as usize], !negated));
            at
        });
        let module = self.module;
        let function = module
            .functions
            .iter()
            .find(|f| f.name == *name && f.body.is_some());
        match function {
            Some(_) if self.calls.contains(name) => {
                return fail(format!("`{name}` calls itself, which is not supported"));
            }
            Some(function) => {
                let mut variables = HashMap::new();
                for (formal, actual) in function
                    .params
                    .iter()
                    .zip(arguments)
                    .chain(function.returns.iter().zip(results))
                {
                    variables.insert(
                        formal.name.clone(),
                        self.argument(frame, actual, source.line)?,
                    );
                }
                self.calls.push(name.clone());
                self.inline(function, variables)?;
                self.calls.pop();
            }
            None => self.outside_call(frame, name, results, arguments, source.line)?,
        }
        if let Some(at) = skip {
            self.code[at].op = Op::Branch {
                target: self.code.len() as u32,
            };
        }
        Ok(())
    }

    fn argument(
        &mut self,
        frame: &Frame<'m>,
        operand: &Operand,
        line: u32,
    ) -> Result<Location, PtxError> {
        match operand {
            Operand::Name(name) => frame
                .variables
                .get(name)
                .copied()
                .ok_or_else(|| PtxError::new(line, format!("`{name}` is not declared"))),
            other => Err(PtxError::new(
                line,
                format!("{other:?} as an argument is not supported"),
            )),
        }
    }

    /// Functions the driver provides: a failed assertion stops, printing does nothing.
    fn outside_call(
        &mut self,
        frame: &Frame<'m>,
        name: &str,
        results: &[Operand],
        arguments: &[Operand],
        line: u32,
    ) -> Result<(), PtxError> {
        let place = |decoder: &mut Self, offset, size| {
            let base = decoder.constant(offset);
            Place {
                space: Space::Local,
                base,
                offset: 0,
                size,
                atomic: false,
                wrap: u64::MAX,
            }
        };
        match (name, arguments.first(), results.first()) {
            ("__assertfail", Some(message), _) => {
                let Location::Local(offset) = self.argument(frame, message, line)? else {
                    return Err(PtxError::new(
                        line,
                        "an assertion's message is not where it should be",
                    ));
                };
                let (d, place) = (self.slot(), place(self, offset, 8));
                self.push(
                    Op::Load {
                        place,
                        signed: false,
                        mask: !0,
                        parts: [Some(d)].into(),
                    },
                    line,
                );
                self.push(Op::Trap { message: Some(d) }, line);
                Ok(())
            }
            ("vprintf", _, Some(result)) => {
                if let Location::Local(offset) = self.argument(frame, result, line)? {
                    let (zero, place) = (self.constant(0), place(self, offset, 4));
                    self.push(
                        Op::Store {
                            place,
                            parts: [zero].into(),
                        },
                        line,
                    );
                }
                Ok(())
            }
            _ => Err(PtxError::new(
                line,
                format!("call of `{name}`, which is not in the module"),
            )),
        }
    }
}
