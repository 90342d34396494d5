//! The decoded form of instructions: every operand a slot, every variant what the executor does.

use crate::ptx::Space;

use super::convert::Conversion;
use super::integer::{Compare, F1, F2, F3, F4};

/// Index of a register of the kernel; constants and special registers are registers too.
pub type Slot = u32;
/// Index of a predicate.
pub type Pred = u32;

/// A decoded instruction.
#[derive(Debug, Clone)]
pub struct Instruction {
    /// What it does.
    pub op: Op,
    /// Predicate, and whether it is negated.
    pub guard: Option<(Pred, bool)>,
    /// Flush subnormal f32 operands and results to zero.
    pub flush: bool,
    /// Line in the PTX text.
    pub line: u32,
}

/// How predicates combine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Logic {
    And,
    Or,
    Xor,
    Move,
    Not,
}

/// Where and how memory is touched.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Named by the instruction.
    pub space: Space,
    /// Register with the address.
    pub base: Slot,
    /// Added to it.
    pub offset: i64,
    /// Bytes of one element.
    pub size: u32,
    /// Volatile or relaxed: ordered like an atomic.
    pub atomic: bool,
    /// Bits of an address: those of the register it stands in.
    pub wrap: u64,
}

/// What a read-modify-write does.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub enum Atom {
    Exchange,
    CompareAndSwap,
    /// Any function of the old value and one operand.
    Apply(fn(u64, u64) -> u64),
}

/// Modes of `shfl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Shuffle {
    Up,
    Down,
    Butterfly,
    Index,
}

/// Modes of `vote`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Vote {
    All,
    Any,
    Uniform,
    Ballot,
}

/// Operations of `redux.sync`, and reductions of `bar.red`.
#[derive(Debug, Clone, Copy)]
pub enum Together {
    /// `bar.warp.sync`.
    Barrier,
    /// `shfl.sync`: value, lane operand, clamp operand; optional predicate.
    Shuffle {
        /// Which lane to read.
        mode: Shuffle,
        /// Result.
        d: Slot,
        /// Set where the lane read lies in range.
        p: Option<Pred>,
        /// Value offered.
        a: Slot,
        /// Offset or lane.
        b: Slot,
        /// Segment mask and clamp.
        c: Slot,
    },
    /// `vote.sync`.
    Vote {
        /// Which question.
        mode: Vote,
        /// Result of a ballot.
        d: Slot,
        /// Result of the others.
        p: Pred,
        /// Predicate asked about, and whether it is negated.
        source: (Pred, bool),
    },
    /// `redux.sync`.
    Reduce {
        /// Result.
        d: Slot,
        /// Value offered.
        a: Slot,
        /// Combines two.
        f: fn(u64, u64) -> u64,
    },
    /// `match.any.sync` (`all` false) and `match.all.sync`.
    Match {
        /// Result mask.
        d: Slot,
        /// Set when all are equal.
        p: Option<Pred>,
        /// Value compared.
        a: Slot,
        /// All lanes must agree.
        all: bool,
    },
}

/// What a barrier reduces.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub enum BarrierResult {
    And(Pred),
    Or(Pred),
    Count(Slot),
}

/// What an instruction does. `d` is the result, `a`, `b`, `c`, `e` the operands.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum Op {
    Nop,
    Move {
        d: Slot,
        a: Slot,
    },
    One {
        f: F1,
        d: Slot,
        a: Slot,
    },
    Two {
        f: F2,
        d: Slot,
        a: Slot,
        b: Slot,
    },
    Three {
        f: F3,
        d: Slot,
        a: Slot,
        b: Slot,
        c: Slot,
    },
    Four {
        f: F4,
        d: Slot,
        a: Slot,
        b: Slot,
        c: Slot,
        e: Slot,
    },
    Convert {
        how: Conversion,
        d: Slot,
        a: Slot,
        b: Option<Slot>,
    },
    /// `setp`: `d` gets the comparison, `q` its opposite, both combined with a predicate if one is given.
    SetPredicate {
        f: Compare,
        d: Option<Pred>,
        q: Option<Pred>,
        a: Slot,
        b: Slot,
        with: Option<(Logic, Pred, bool)>,
    },
    /// `set`: `yes` where the comparison holds, else 0.
    Set {
        f: Compare,
        d: Slot,
        a: Slot,
        b: Slot,
        yes: u64,
        with: Option<(Logic, Pred, bool)>,
    },
    Predicate {
        logic: Logic,
        d: Pred,
        a: (Pred, bool),
        b: (Pred, bool),
    },
    Select {
        d: Slot,
        a: Slot,
        b: Slot,
        p: (Pred, bool),
    },
    /// Parts of `bits` bits, the lowest first.
    Pack {
        d: Slot,
        parts: Box<[Slot]>,
        bits: u32,
    },
    Unpack {
        parts: Box<[Option<Slot>]>,
        a: Slot,
        bits: u32,
    },
    /// Extended-precision arithmetic: 32 or 64 bits with the carry flag.
    Carry {
        kind: Carry,
        d: Slot,
        a: Slot,
        b: Slot,
        c: Slot,
        bits: u32,
        reads: bool,
        writes: bool,
    },
    Load {
        place: Place,
        signed: bool,
        mask: u64,
        parts: Box<[Option<Slot>]>,
    },
    Store {
        place: Place,
        parts: Box<[Slot]>,
    },
    /// A kernel parameter: the same in every lane.
    LoadParam {
        offset: u32,
        size: u32,
        signed: bool,
        mask: u64,
        parts: Box<[Option<Slot>]>,
    },
    Atomic {
        place: Place,
        atom: Atom,
        d: Option<Slot>,
        b: Slot,
        c: Slot,
    },
    IsSpace {
        d: Pred,
        a: Slot,
        space: Space,
    },
    Branch {
        target: u32,
    },
    Exit,
    Barrier {
        id: Slot,
        threads: Option<Slot>,
        waits: bool,
        result: Option<(BarrierResult, Pred, bool)>,
    },
    Together {
        what: Together,
        members: Slot,
    },
    ActiveMask {
        d: Slot,
    },
    Trap {
        message: Option<Slot>,
    },
}

/// Which extended-precision operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Carry {
    Add,
    Sub,
    MadLow,
    MadHigh,
}
