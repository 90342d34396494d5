//! What the parser makes: modules, functions, declarations, instructions with resolved registers.

use std::fmt;

/// Scalar types of PTX.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Type {
    B8,
    B16,
    B32,
    B64,
    B128,
    U8,
    U16,
    U32,
    U64,
    S8,
    S16,
    S32,
    S64,
    F16,
    F16x2,
    Bf16,
    Bf16x2,
    F32,
    F64,
    Pred,
}

impl Type {
    /// `u32` → `U32`; `None` for a word that names no type.
    pub fn from_name(name: &str) -> Option<Type> {
        use Type::*;
        Some(match name {
            "b8" => B8,
            "b16" => B16,
            "b32" => B32,
            "b64" => B64,
            "b128" => B128,
            "u8" => U8,
            "u16" => U16,
            "u32" => U32,
            "u64" => U64,
            "s8" => S8,
            "s16" => S16,
            "s32" => S32,
            "s64" => S64,
            "f16" => F16,
            "f16x2" => F16x2,
            "bf16" => Bf16,
            "bf16x2" => Bf16x2,
            "f32" => F32,
            "f64" => F64,
            "pred" => Pred,
            _ => return None,
        })
    }

    /// Bytes in memory (a predicate has none of its own; 1 is returned).
    pub fn bytes(self) -> u32 {
        use Type::*;
        match self {
            B8 | U8 | S8 | Pred => 1,
            B16 | U16 | S16 | F16 | Bf16 => 2,
            B32 | U32 | S32 | F32 | F16x2 | Bf16x2 => 4,
            B64 | U64 | S64 | F64 => 8,
            B128 => 16,
        }
    }

    /// Whether loads of this type extend the sign.
    pub fn is_signed(self) -> bool {
        matches!(self, Type::S8 | Type::S16 | Type::S32 | Type::S64)
    }

    /// Whether values of this type are floating point.
    pub fn is_float(self) -> bool {
        use Type::*;
        matches!(self, F16 | F16x2 | Bf16 | Bf16x2 | F32 | F64)
    }
}

/// State spaces in which variables live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Space {
    /// No space named: the address says which.
    Generic,
    /// Device memory.
    Global,
    /// Device memory that kernels only read.
    Const,
    /// A block's shared memory.
    Shared,
    /// A thread's own memory.
    Local,
    /// Parameters of kernels and of calls.
    Param,
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Space::Generic => "generic",
            Space::Global => "global",
            Space::Const => "constant",
            Space::Shared => "shared",
            Space::Local => "local",
            Space::Param => "parameter",
        })
    }
}

/// A value in an initialiser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Initial {
    /// Bits of an element.
    Bits(u64),
    /// The address of another variable plus an offset; the flag says `generic(...)`.
    Address(String, i64),
}

/// A variable with an address: `.global .align 4 .b8 table[16] = {…};`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Unique in its function or module.
    pub name: String,
    /// Where it lives.
    pub space: Space,
    /// Of one element.
    pub ty: Type,
    /// In bytes.
    pub align: u32,
    /// In bytes; 0 for `[]`, whose size the launch gives.
    pub size: u64,
    /// Empty when not initialised.
    pub initial: Vec<Initial>,
    /// Line of the declaration.
    pub line: u32,
}

/// Index into [`Function::registers`].
pub type Register = u32;

/// What an instruction works on.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// A register.
    Register(Register),
    /// A special register such as `%tid.x`.
    Special(String),
    /// Integer literal.
    Integer(u64),
    /// `0f…` literal.
    Single(u32),
    /// `0d…` literal.
    Double(u64),
    /// Variable, function or label.
    Name(String),
    /// `[base + offset]`.
    Memory(Box<Operand>, i64),
    /// `{a, b}`.
    Vector(Vec<Operand>),
    /// `p|q` of setp and `d|p` of shfl.
    Pair(Box<Operand>, Box<Operand>),
    /// `!p`.
    Not(Box<Operand>),
    /// `_`, a result thrown away.
    Sink,
    /// `(a, b)` of a call.
    List(Vec<Operand>),
}

/// One instruction.
#[derive(Debug, Clone, PartialEq)]
pub struct Instruction {
    /// Predicate register and whether it is negated.
    pub guard: Option<(Register, bool)>,
    /// With modifiers: `add.s32`.
    pub opcode: String,
    /// Result first.
    pub operands: Vec<Operand>,
    /// Line in the PTX text.
    pub line: u32,
}

/// What a body is made of.
#[derive(Debug, Clone, PartialEq)]
pub enum Statement {
    /// A place to jump to.
    Label(String),
    /// Something to do.
    Instruction(Instruction),
}

/// A kernel (`.entry`) or device function (`.func`).
#[derive(Debug, Clone, PartialEq)]
pub struct Function {
    /// As in the text (mangled for C++).
    pub name: String,
    /// A kernel rather than a device function.
    pub entry: bool,
    /// In order; `.reg` parameters are not supported.
    pub params: Vec<Variable>,
    /// What a call returns.
    pub returns: Vec<Variable>,
    /// Types of the registers, nested scopes resolved.
    pub registers: Vec<Type>,
    /// `.shared`, `.local` and call `.param` variables declared in the body, under unique names.
    pub variables: Vec<Variable>,
    /// `None` for a declaration.
    pub body: Option<Vec<Statement>>,
    /// From `.maxntid`, if given.
    pub max_threads: Option<u32>,
    /// Line of the declaration.
    pub line: u32,
}

/// A PTX file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Module {
    /// From `.version`, major and minor.
    pub version: (u32, u32),
    /// From `.target`, such as `sm_80`.
    pub target: String,
    /// Variables outside functions.
    pub variables: Vec<Variable>,
    /// Kernels and device functions.
    pub functions: Vec<Function>,
}
