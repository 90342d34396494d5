//! Declarations: parameters, and variables with their initial values.

use crate::ptx::PtxError;
use crate::ptx::ast::*;
use crate::ptx::lexer::Token;

use super::Parser;

impl Parser {
    pub(super) fn params(&mut self) -> Result<Vec<Variable>, PtxError> {
        self.expect('(')?;
        let mut params = Vec::new();
        while !self.accept(')') {
            let space = self.word()?;
            if space != ".param" {
                return self.fail(format!(
                    "a parameter in `{space}` is not supported, only `.param`"
                ));
            }
            params.push(self.variable(Space::Param)?);
            if !self.is_mark(')') {
                self.expect(',')?;
            }
        }
        Ok(params)
    }

    pub(super) fn variables(&mut self, space: Space) -> Result<Vec<Variable>, PtxError> {
        let mut variables = vec![self.variable(space)?];
        while self.accept(',') {
            let name = self.word()?;
            variables.push(Variable {
                name,
                ..variables[0].clone()
            });
        }
        self.expect(';')?;
        Ok(variables)
    }

    /// What follows the space: `.align 4 .b8 name[16] = {…}`.
    fn variable(&mut self, space: Space) -> Result<Variable, PtxError> {
        let line = self.line();
        let mut align = None;
        let mut vector = 1;
        let mut ty = None;
        let name = loop {
            let word = self.word()?;
            match word.as_str() {
                ".align" => align = Some(self.integer()? as u32),
                // `.ptr .global .align 16` describes the memory a parameter points to.
                ".ptr" => {
                    while matches!(self.peek(), Some(Token::Word(w)) if w.starts_with('.')) {
                        if self.word()? == ".align" {
                            self.integer()?;
                        }
                    }
                }
                ".v2" => vector = 2,
                ".v4" => vector = 4,
                ".attribute" => self.skip_past(')')?,
                w if w.starts_with('.') => match Type::from_name(&w[1..]) {
                    Some(t) => ty = Some(t),
                    None => return self.fail(format!("`{w}` is not known in a declaration")),
                },
                _ => break word,
            }
        };
        let Some(ty) = ty else {
            return self.fail(format!("`{name}` has no type"));
        };
        let mut size = u64::from(ty.bytes()) * vector;
        while self.accept('[') {
            if self.accept(']') {
                size = 0;
                continue;
            }
            size *= self.integer()?;
            self.expect(']')?;
        }
        let mut initial = Vec::new();
        if self.accept('=') {
            self.initial(&mut initial)?;
        }
        let align = align.unwrap_or(ty.bytes() * vector as u32);
        Ok(Variable {
            name,
            space,
            ty,
            align,
            size,
            initial,
            line,
        })
    }

    fn initial(&mut self, out: &mut Vec<Initial>) -> Result<(), PtxError> {
        if self.accept('{') {
            while !self.accept('}') {
                self.initial(out)?;
                self.accept(',');
            }
            return Ok(());
        }
        if self.is_mark('-') {
            out.push(Initial::Bits(self.integer()?));
            return Ok(());
        }
        match self.next()? {
            Token::Integer(v) => out.push(Initial::Bits(v)),
            Token::Single(v) => out.push(Initial::Bits(u64::from(v))),
            Token::Double(v) => out.push(Initial::Bits(v)),
            Token::Word(mut name) => {
                if name == "generic" {
                    self.expect('(')?;
                    name = self.word()?;
                    self.expect(')')?;
                }
                let offset = if self.accept('+') {
                    self.integer()? as i64
                } else {
                    0
                };
                out.push(Initial::Address(name, offset));
            }
            other => return self.fail(format!("{other:?} is no initial value")),
        }
        Ok(())
    }
}
