//! The stack machine. Each instruction takes values from a stack and puts one there.

use std::collections::HashMap;

use super::globals::{Dialect, Global};
use super::reader::Reader;
use super::{Heap, Id, MAX_INSTRUCTIONS, Pickled, Value, broken, call};
use crate::error::Problem;

/// Follows the pickle that begins at `start`.
///
/// # Errors
///
/// [`Problem::Refused`] where it names what is not on the list, [`Problem::Pickle`] where it makes no
/// sense or is too long; both say at which of `bytes`.
pub(crate) fn run(bytes: &[u8], start: usize, dialect: Dialect) -> Result<Pickled<'_>, Problem> {
    let mut machine = Machine {
        reader: Reader::new(bytes, start),
        at: start,
        dialect,
        heap: Heap::default(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        left: MAX_INSTRUCTIONS,
    };
    loop {
        machine.at = machine.reader.at();
        let code = machine.reader.byte()?;
        machine.spend(1)?;
        if code == b'.' {
            let root = machine.pop()?;
            return Ok(Pickled {
                heap: machine.heap,
                root,
                end: machine.reader.at(),
            });
        }
        machine.follow(code)?;
    }
}

pub(super) struct Machine<'a> {
    reader: Reader<'a>,
    /// Where the instruction under way begins.
    pub at: usize,
    dialect: Dialect,
    pub heap: Heap<'a>,
    stack: Vec<Id>,
    /// Heights of the stack that later instructions go back to.
    marks: Vec<usize>,
    memo: HashMap<usize, Id>,
    /// Instructions that may still be followed; one that copies values costs as many.
    left: usize,
}

impl<'a> Machine<'a> {
    fn follow(&mut self, code: u8) -> Result<(), Problem> {
        match code {
            // PROTO, FRAME: what is supported shows in the instructions.
            0x80 => drop(self.reader.byte()?),
            0x95 => drop(self.reader.take(8)?),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_to_mark()?),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            b'N' => self.push(Value::None),
            0x88 => self.push(Value::Bool(true)),
            0x89 => self.push(Value::Bool(false)),
            b'I' | b'L' | b'J' | b'K' | b'M' | 0x8a | 0x8b | b'F' | b'G' => {
                let number = self.number(code)?;
                self.push(number);
            }
            b'U' | b'T' | b'C' | b'B' | 0x8e | b'X' | 0x8c | 0x8d => {
                let text = self.text(code)?;
                self.push(text);
            }
            b')' => self.push(Value::Tuple(Vec::new())),
            b']' => self.push(Value::List(Vec::new())),
            b'}' => self.push(Value::Dict(Vec::new())),
            0x85..=0x87 => {
                let items = self.pop_many(usize::from(code - 0x84))?;
                self.push(Value::Tuple(items));
            }
            b't' => {
                let items = self.pop_to_mark()?;
                self.push(Value::Tuple(items));
            }
            b'l' => {
                let items = self.pop_to_mark()?;
                self.push(Value::List(items));
            }
            b'd' => {
                let items = self.pop_to_mark()?;
                let pairs = self.pairs(&items)?;
                self.push(Value::Dict(pairs));
            }
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.append(items)?;
            }
            b's' => {
                let items = self.pop_many(2)?;
                self.set(&items)?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.set(&items)?;
            }
            b'p' | b'q' | b'r' | 0x94 => {
                let key = self.memo_key(code)?;
                let top = self.top()?;
                self.memo.insert(key, top);
            }
            b'g' | b'h' | b'j' => {
                let key = self.memo_key(code)?;
                let found = self.memo.get(&key).copied();
                let found = found.ok_or_else(|| self.broken(format!("there is no memo {key}")))?;
                self.stack.push(found);
            }
            b'c' => {
                let (module, name) = (self.reader.line()?, self.reader.line()?);
                self.global(module, name)?;
            }
            0x93 => {
                let names = self.pop_many(2)?;
                let text = |id| self.heap.text(id);
                let (Some(module), Some(name)) = (text(names[0]), text(names[1])) else {
                    return Err(self.broken("the name of a global is no text"));
                };
                self.global(module, name)?;
            }
            b'R' => {
                let arguments = self.pop()?;
                let callee = self.pop()?;
                let result = call::reduce(self, callee, arguments)?;
                self.stack.push(result);
            }
            b'b' => {
                let state = self.pop()?;
                let object = self.top()?;
                call::build(self, object, state)?;
            }
            b'P' => {
                let id = self.reader.line()?;
                self.push(Value::Reference(id));
            }
            b'Q' => {
                let id = self.pop()?;
                let value = call::persistent(self, id)?;
                self.push(value);
            }
            // INST names a class and calls it at once.
            b'i' => {
                let (module, name) = (self.reader.line()?, self.reader.line()?);
                return Err(self.refused(module, name));
            }
            _ => return Err(self.broken(unknown(code))),
        }
        Ok(())
    }

    fn number(&mut self, code: u8) -> Result<Value<'a>, Problem> {
        Ok(match code {
            b'J' => Value::Int(i32::from_le_bytes(self.reader.array()?).into()),
            b'K' => Value::Int(self.reader.byte()?.into()),
            b'M' => Value::Int(u16::from_le_bytes(self.reader.array()?).into()),
            b'G' => {
                self.reader.take(8)?;
                Value::Float
            }
            0x8a | 0x8b => {
                let length = match code {
                    0x8a => self.reader.length::<1>()?,
                    _ => self.reader.length::<4>()?,
                };
                long(self.reader.take(length)?)
            }
            b'F' => {
                self.reader.line()?;
                Value::Float
            }
            _ => match self.reader.line()? {
                "00" => Value::Bool(false),
                "01" => Value::Bool(true),
                line => {
                    let digits = line.strip_suffix('L').unwrap_or(line);
                    let value = digits.parse();
                    Value::Int(value.map_err(|_| self.broken("a number is none"))?)
                }
            },
        })
    }

    fn text(&mut self, code: u8) -> Result<Value<'a>, Problem> {
        let length = match code {
            b'U' | b'C' | 0x8c => self.reader.length::<1>()?,
            b'T' | b'B' | b'X' => self.reader.length::<4>()?,
            _ => self.reader.length::<8>()?,
        };
        Ok(match code {
            b'X' | 0x8c | 0x8d => Value::Text(self.reader.text(length)?),
            _ => Value::Bytes(self.reader.take(length)?),
        })
    }

    fn memo_key(&mut self, code: u8) -> Result<usize, Problem> {
        match code {
            0x94 => Ok(self.memo.len()),
            b'q' | b'h' => self.reader.length::<1>(),
            b'r' | b'j' => self.reader.length::<4>(),
            _ => {
                let line = self.reader.line()?;
                line.parse()
                    .map_err(|_| self.broken("a memo has no number"))
            }
        }
    }

    fn global(&mut self, module: &'a str, name: &'a str) -> Result<(), Problem> {
        match Global::find(self.dialect, module, name) {
            Some(global) => self.push(Value::Global(global)),
            None => return Err(self.refused(module, name)),
        }
        Ok(())
    }

    fn append(&mut self, items: Vec<Id>) -> Result<(), Problem> {
        let list = self.top()?;
        match self.heap.get_mut(list) {
            Value::List(list) => list.extend(items),
            _ => return Err(self.not(list, "a list")),
        }
        Ok(())
    }

    fn set(&mut self, items: &[Id]) -> Result<(), Problem> {
        let pairs = self.pairs(items)?;
        let dict = self.top()?;
        match self.heap.get_mut(dict) {
            Value::Dict(dict) => dict.extend(pairs),
            _ => return Err(self.not(dict, "a dictionary")),
        }
        Ok(())
    }

    fn pairs(&self, items: &[Id]) -> Result<Vec<(Id, Id)>, Problem> {
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(self.broken("a key has no value"));
        }
        Ok(pairs.iter().map(|&[key, value]| (key, value)).collect())
    }

    fn push(&mut self, value: Value<'a>) {
        let id = self.heap.add(value);
        self.stack.push(id);
    }

    fn top(&self) -> Result<Id, Problem> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let above = self.stack.get(floor..).and_then(|above| above.last());
        above
            .copied()
            .ok_or_else(|| self.broken("the stack is empty"))
    }

    fn pop(&mut self) -> Result<Id, Problem> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_many(&mut self, number: usize) -> Result<Vec<Id>, Problem> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.len().checked_sub(number) {
            Some(start) if start >= floor => Ok(self.stack.split_off(start)),
            _ => Err(self.broken("the stack is empty")),
        }
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, Problem> {
        let mark = self.marks.pop();
        let mark = mark.ok_or_else(|| self.broken("there is no mark on the stack"))?;
        Ok(self.stack.split_off(mark))
    }

    pub fn spend(&mut self, number: usize) -> Result<(), Problem> {
        self.left = self.left.checked_sub(number).ok_or_else(|| {
            self.broken(format!("it is longer than {MAX_INSTRUCTIONS} instructions"))
        })?;
        Ok(())
    }

    pub fn broken(&self, what: impl Into<String>) -> Problem {
        broken(self.at, what)
    }

    pub fn not(&self, id: Id, wanted: &str) -> Problem {
        self.broken(format!(
            "{} stands where {wanted} should",
            self.heap.kind(id)
        ))
    }

    fn refused(&self, module: &str, name: &str) -> Problem {
        Problem::Refused {
            module: module.chars().take(100).collect(),
            name: name.chars().take(100).collect(),
            at: self.at,
        }
    }
}

/// Two's complement, little endian.
fn long(bytes: &[u8]) -> Value<'_> {
    let Some(last) = bytes.last() else {
        return Value::Int(0);
    };
    if bytes.len() > 8 {
        return Value::Long(bytes);
    }
    let sign = if last & 0x80 == 0 { 0 } else { 0xff };
    let mut wide = [sign; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(wide))
}

/// What an instruction that is not followed would do, where that is worth knowing.
fn unknown(code: u8) -> String {
    let meaning = match code {
        b'o' | 0x81 | 0x92 => "would make an object of a class, and is refused",
        0x82..=0x84 => "would take an object from Python's own registry, and is refused",
        b'S' | b'V' => "is of pickle's oldest protocol, which torch.save does not write",
        _ => "is none that a weights file needs",
    };
    format!("the instruction {code:#04x} {meaning}")
}
