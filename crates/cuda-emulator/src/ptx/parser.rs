//! Tokens to a [`Module`]. Scopes are resolved here: every register of a function gets a number and
//! every variable a name of its own.

mod body;
mod variables;

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
        self.body(&mut function)?;
        Ok(function)
    }
}
