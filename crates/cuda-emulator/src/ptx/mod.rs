//! PTX text to a typed module: [`lexer`] makes tokens, [`parser`] makes the [`ast`].
//!
//! Nothing here knows what an instruction does; [`crate::machine::decode`] gives it meaning and is
//! where an unknown opcode stops.

pub mod ast;
pub mod lexer;
pub mod parser;

pub use ast::*;
pub use parser::parse;

/// Text that is not PTX we understand, with the line it stands on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("PTX line {line}: {message}")]
pub struct PtxError {
    /// 1-based line in the PTX text.
    pub line: u32,
    /// What was found and what was expected.
    pub message: String,
}

impl PtxError {
    /// An error at `line`.
    pub fn new(line: u32, message: impl Into<String>) -> Self {
        PtxError {
            line,
            message: message.into(),
        }
    }
}
