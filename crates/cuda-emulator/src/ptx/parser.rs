//! Tokens to a [`Module`]. Scopes are resolved here: every register of a function gets a number and
//! every variable a name of its own.

use std::collections::HashMap;

use super::PtxError;
use super::ast::*;
use super::lexer::{Spanned, Token, tokens};

/// Parses PTX text.
pub fn parse(text: &str) -> Result<Module, PtxError> {
    let tokens = tokens(text)?;
    Parser { tokens, at: 0 }.module()
}

struct Parser {
    tokens: Vec<Spanned>,
    at: usize,
}

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
    fn line(&self) -> u32 {
        self.tokens
            .get(self.at)
            .or(self.tokens.last())
            .map_or(0, |t| t.line)
    }

    fn fail<T>(&self, message: impl Into<String>) -> Result<T, PtxError> {
        Err(PtxError::new(self.line(), message))
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|t| &t.token)
    }

    fn next(&mut self) -> Result<Token, PtxError> {
        let token = self.peek().cloned();
        self.at += 1;
        token.ok_or_else(|| PtxError::new(self.line(), "the text ends in the middle"))
    }

    fn is_mark(&self, mark: char) -> bool {
        self.peek() == Some(&Token::Mark(mark))
    }

    fn accept(&mut self, mark: char) -> bool {
        let found = self.is_mark(mark);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, mark: char) -> Result<(), PtxError> {
        if self.accept(mark) {
            return Ok(());
        }
        self.fail(format!("expected `{mark}`, found {:?}", self.peek()))
    }

    fn word(&mut self) -> Result<String, PtxError> {
        match self.peek() {
            Some(Token::Word(w)) => {
                let w = w.clone();
                self.at += 1;
                Ok(w)
            }
            other => self.fail(format!("expected a name, found {other:?}")),
        }
    }

    fn integer(&mut self) -> Result<u64, PtxError> {
        let negative = self.accept('-');
        match self.next()? {
            Token::Integer(v) => Ok(if negative { v.wrapping_neg() } else { v }),
            other => self.fail(format!("expected an integer, found {other:?}")),
        }
    }

    /// Skips to the end of the line on which the last token stood: `.loc`, `.file`.
    fn skip_line(&mut self) {
        let line = self.tokens[self.at - 1].line;
        while self.tokens.get(self.at).is_some_and(|t| t.line == line) {
            self.at += 1;
        }
    }

    fn skip_past(&mut self, mark: char) -> Result<(), PtxError> {
        while self.next()? != Token::Mark(mark) {}
        Ok(())
    }

    fn module(mut self) -> Result<Module, PtxError> {
        let mut module = Module::default();
        while self.peek().is_some() {
            let word = self.word()?;
            match word.as_str() {
                ".version" => {
                    let major = self.integer()? as u32;
                    let minor = self.word()?;
                    let Ok(minor) = minor.trim_start_matches('.').parse() else {
                        return self.fail("`.version` needs a number such as 8.0");
                    };
                    module.version = (major, minor);
                }
                ".target" => {
                    module.target = self.word()?;
                    self.skip_line();
                }
                ".address_size" => {
                    if self.integer()? != 64 {
                        return self.fail("only 64-bit addresses are supported");
                    }
                }
                ".file" | ".loc" => self.skip_line(),
                ".section" => self.skip_past('}')?,
                ".visible" | ".extern" | ".weak" | ".common" => {}
                ".entry" | ".func" => module.functions.push(self.function(word == ".entry")?),
                ".global" => module.variables.extend(self.variables(Space::Global)?),
                ".const" => module.variables.extend(self.variables(Space::Const)?),
                ".shared" => module.variables.extend(self.variables(Space::Shared)?),
                ".pragma" | ".alias" => self.skip_past(';')?,
                other => {
                    self.at -= 1;
                    return self.fail(format!("`{other}` is not known outside functions"));
                }
            }
        }
        Ok(module)
    }

    fn function(&mut self, entry: bool) -> Result<Function, PtxError> {
        let line = self.line();
        let returns = if self.is_mark('(') {
            self.params()?
        } else {
            Vec::new()
        };
        let name = self.word()?;
        let params = if self.is_mark('(') {
            self.params()?
        } else {
            Vec::new()
        };
        let mut function = Function {
            name,
            entry,
            params,
            returns,
            registers: Vec::new(),
            variables: Vec::new(),
            body: None,
            max_threads: None,
            line,
        };
        loop {
            if self.accept(';') {
                return Ok(function);
            }
            if self.is_mark('{') {
                break;
            }
            let directive = self.word()?;
            match directive.as_str() {
                ".noreturn" => {}
                ".maxntid" | ".reqntid" => {
                    let mut threads = self.integer()?;
                    while self.accept(',') {
                        threads *= self.integer()?;
                    }
                    function.max_threads = Some(threads as u32);
                }
                ".minnctapersm" | ".maxnreg" | ".maxnctapersm" | ".abi_preserve" => {
                    self.integer()?;
                }
                ".pragma" => self.skip_past(';')?,
                other => {
                    return self.fail(format!("`{other}` is not known before a function body"));
                }
            }
        }
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
        Ok(function)
    }

    fn params(&mut self) -> Result<Vec<Variable>, PtxError> {
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

    fn variables(&mut self, space: Space) -> Result<Vec<Variable>, PtxError> {
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
