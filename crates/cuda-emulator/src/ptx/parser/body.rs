//! Function bodies: scopes, registers, instructions and their operands.

use std::collections::HashMap;

use crate::ptx::PtxError;
use crate::ptx::ast::*;
use crate::ptx::lexer::Token;

use super::Parser;

/// What a name in a function body stands for.
#[derive(Clone)]
enum Meaning {
    Register(Register),
    Variable(String),
}

/// A function body under construction.
struct Body {
    registers: Vec<Type>,
    variables: Vec<Variable>,
    statements: Vec<Statement>,
    scopes: Vec<HashMap<String, Meaning>>,
    taken: usize,
    /// Of the function; part of its variables' names.
    function: String,
}

impl Body {
    fn find(&self, name: &str) -> Option<Meaning> {
        self.scopes.iter().rev().find_map(|s| s.get(name)).cloned()
    }

    fn declare(&mut self, name: String, meaning: Meaning) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name, meaning);
        }
    }
}

impl Parser {
    /// The braces after a function's head and what they hold.
    pub(super) fn body(&mut self, function: &mut Function) -> Result<(), PtxError> {
        let mut names = HashMap::new();
        for variable in function.params.iter().chain(&function.returns) {
            names.insert(
                variable.name.clone(),
                Meaning::Variable(variable.name.clone()),
            );
        }
        let mut body = Body {
            registers: Vec::new(),
            variables: Vec::new(),
            statements: Vec::new(),
            scopes: vec![names],
            taken: 0,
            function: function.name.clone(),
        };
        self.expect('{')?;
        self.block(&mut body)?;
        function.registers = body.registers;
        function.variables = body.variables;
        function.body = Some(body.statements);
        Ok(())
    }

    /// Statements up to the closing brace, which is consumed.
    fn block(&mut self, body: &mut Body) -> Result<(), PtxError> {
        body.scopes.push(HashMap::new());
        loop {
            if self.accept('}') {
                body.scopes.pop();
                return Ok(());
            }
            if self.accept('{') {
                self.block(body)?;
                continue;
            }
            if self.accept(';') {
                continue;
            }
            if self.is_mark('@') {
                self.instruction(body)?;
                continue;
            }
            let word = self.word()?;
            if self.accept(':') {
                body.statements.push(Statement::Label(word));
                continue;
            }
            match word.as_str() {
                ".reg" => self.registers(body)?,
                ".shared" => self.locals(body, Space::Shared)?,
                ".local" => self.locals(body, Space::Local)?,
                ".param" => self.locals(body, Space::Param)?,
                ".loc" => self.skip_line(),
                ".pragma" => self.skip_past(';')?,
                w if w.starts_with('.') => {
                    self.at -= 1;
                    return self.fail(format!("`{w}` is not known in a function body"));
                }
                _ => {
                    self.at -= 1;
                    self.instruction(body)?;
                }
            }
        }
    }

    fn locals(&mut self, body: &mut Body, space: Space) -> Result<(), PtxError> {
        for mut variable in self.variables(space)? {
            body.taken += 1;
            let unique = format!("{}#{}.{}", variable.name, body.function, body.taken);
            let name = std::mem::replace(&mut variable.name, unique.clone());
            body.declare(name, Meaning::Variable(unique));
            body.variables.push(variable);
        }
        Ok(())
    }

    fn registers(&mut self, body: &mut Body) -> Result<(), PtxError> {
        let word = self.word()?;
        let Some(ty) = Type::from_name(word.trim_start_matches('.')) else {
            return self.fail(format!("registers of type `{word}` are not supported"));
        };
        loop {
            let name = self.word()?;
            if self.accept('<') {
                for i in 0..self.integer()? {
                    body.declare(
                        format!("{name}{i}"),
                        Meaning::Register(body.registers.len() as u32),
                    );
                    body.registers.push(ty);
                }
                self.expect('>')?;
            } else {
                body.declare(name, Meaning::Register(body.registers.len() as u32));
                body.registers.push(ty);
            }
            if self.accept(';') {
                return Ok(());
            }
            self.expect(',')?;
        }
    }

    fn instruction(&mut self, body: &mut Body) -> Result<(), PtxError> {
        let mut guard = None;
        if self.accept('@') {
            let negated = self.accept('!');
            let name = self.word()?;
            match body.find(&name) {
                Some(Meaning::Register(r)) => guard = Some((r, negated)),
                _ => return self.fail(format!("`{name}` is not a predicate")),
            }
        }
        let line = self.line();
        let opcode = self.word()?;
        let mut operands = Vec::new();
        while !self.accept(';') {
            operands.push(self.operand(body)?);
            if !self.is_mark(';') {
                self.expect(',')?;
            }
        }
        body.statements.push(Statement::Instruction(Instruction {
            guard,
            opcode,
            operands,
            line,
        }));
        Ok(())
    }

    fn operand(&mut self, body: &Body) -> Result<Operand, PtxError> {
        let first = match self.peek() {
            Some(Token::Mark('[')) => {
                self.at += 1;
                let base = self.operand(body)?;
                let has_offset = self.accept('+') || self.is_mark('-');
                let offset = if has_offset {
                    self.integer()? as i64
                } else {
                    0
                };
                self.expect(']')?;
                return Ok(Operand::Memory(Box::new(base), offset));
            }
            Some(Token::Mark('{')) => {
                self.at += 1;
                return Ok(Operand::Vector(self.operands_until('}', body)?));
            }
            Some(Token::Mark('(')) => {
                self.at += 1;
                return Ok(Operand::List(self.operands_until(')', body)?));
            }
            Some(Token::Mark('!')) => {
                self.at += 1;
                return Ok(Operand::Not(Box::new(self.operand(body)?)));
            }
            Some(Token::Mark('-')) => Operand::Integer(self.integer()?),
            _ => match self.next()? {
                Token::Integer(v) => Operand::Integer(v),
                Token::Single(v) => Operand::Single(v),
                Token::Double(v) => Operand::Double(v),
                Token::Word(w) if w == "_" => Operand::Sink,
                Token::Word(w) => match body.find(&w) {
                    Some(Meaning::Register(r)) => Operand::Register(r),
                    Some(Meaning::Variable(name)) => Operand::Name(name),
                    None if w.starts_with('%') || w == "WARP_SZ" => Operand::Special(w),
                    None => Operand::Name(w),
                },
                other => return self.fail(format!("{other:?} is no operand")),
            },
        };
        if self.accept('|') {
            let second = self.operand(body)?;
            return Ok(Operand::Pair(Box::new(first), Box::new(second)));
        }
        Ok(first)
    }

    fn operands_until(&mut self, end: char, body: &Body) -> Result<Vec<Operand>, PtxError> {
        let mut operands = Vec::new();
        while !self.accept(end) {
            operands.push(self.operand(body)?);
            if !self.is_mark(end) {
                self.expect(',')?;
            }
        }
        Ok(operands)
    }
}
