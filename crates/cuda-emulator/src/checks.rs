//! What the emulator reports: one [`Fault`] names the kernel, the block, the thread and the PTX line.

use std::fmt;

use crate::ptx::Space;

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultKind {
    /// Outside every allocation or variable.
    OutOfBounds {
        /// Where the access went.
        space: Space,
        /// "read" or "write" or "atomic".
        action: &'static str,
        /// In bytes.
        size: u32,
        /// As the instruction saw it.
        address: u64,
        /// The nearest allocation, in words; may be empty.
        nearest: String,
    },
    /// The address is not a multiple of the access size.
    Misaligned {
        /// Where the access went.
        space: Space,
        /// "read" or "write" or "atomic".
        action: &'static str,
        /// In bytes.
        size: u32,
        /// As the instruction saw it.
        address: u64,
    },
    /// A read of bytes that nothing wrote.
    Uninitialised {
        /// Where the access went.
        space: Space,
        /// In bytes.
        size: u32,
        /// As the instruction saw it.
        address: u64,
    },
    /// An access to memory that was freed.
    UseAfterFree {
        /// "read" or "write" or "atomic".
        action: &'static str,
        /// In bytes.
        size: u32,
        /// As the instruction saw it.
        address: u64,
    },
    /// An access to the memory of another device.
    OtherDevice {
        /// "read" or "write" or "atomic".
        action: &'static str,
        /// As the instruction saw it.
        address: u64,
        /// Whose memory it is.
        owner: usize,
        /// Where the kernel runs.
        here: usize,
    },
    /// A write to memory that kernels only read.
    ReadOnly {
        /// Where the access went.
        space: Space,
    },
    /// Two accesses without a barrier between them, at least one a write.
    Race {
        /// Where the access went.
        space: Space,
        /// "read" or "write" or "atomic".
        action: &'static str,
        /// "read" or "write" or "atomic".
        earlier: &'static str,
        /// As the instruction saw it.
        address: u64,
        /// Who made the earlier access.
        other: String,
    },
    /// Threads wait at a barrier that the others cannot reach.
    DivergentBarrier {
        /// Who waits where.
        detail: String,
    },
    /// A barrier that a GPU does not have.
    InvalidBarrier {
        /// What is wrong with it.
        detail: String,
    },
    /// A block that does not end.
    Endless {
        /// Instructions of its warps so far.
        instructions: u64,
    },
    /// `trap` or a failed `assert`.
    Trap {
        /// The assertion's text, if there was one.
        message: String,
    },
    /// Something valid that the emulator does not do.
    Unsupported {
        /// What.
        what: String,
    },
}

/// A fault in a running kernel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Fault {
    /// What went wrong.
    pub kind: FaultKind,
    /// Name of the kernel.
    pub kernel: String,
    /// Block index (x, y, z).
    pub block: [u32; 3],
    /// Thread index (x, y, z).
    pub thread: [u32; 3],
    /// Line in the PTX text.
    pub line: u32,
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FaultKind::OutOfBounds {
                space,
                action,
                size,
                address,
                nearest,
            } => {
                write!(
                    f,
                    "out-of-bounds {space} {action} of {size} bytes at {address:#x}"
                )?;
                if nearest.is_empty() {
                    Ok(())
                } else {
                    write!(f, " ({nearest})")
                }
            }
            FaultKind::Misaligned {
                space,
                action,
                size,
                address,
            } => {
                write!(
                    f,
                    "misaligned {space} {action} of {size} bytes at {address:#x}"
                )
            }
            FaultKind::Uninitialised {
                space,
                size,
                address,
            } => {
                write!(
                    f,
                    "read of {space} memory never written, {size} bytes at {address:#x}"
                )
            }
            FaultKind::UseAfterFree {
                action,
                size,
                address,
            } => {
                write!(
                    f,
                    "use after free: global {action} of {size} bytes at {address:#x}"
                )
            }
            FaultKind::OtherDevice {
                action,
                address,
                owner,
                here,
            } => {
                write!(
                    f,
                    "{action} at {address:#x}, which is memory of device {owner}, by a kernel on device {here}"
                )
            }
            FaultKind::ReadOnly { space } => write!(f, "write to {space} memory"),
            FaultKind::Race {
                space,
                action,
                earlier,
                address,
                other,
            } => {
                write!(
                    f,
                    "data race in {space} memory at {address:#x}: {action} after {earlier} by {other} with no barrier between"
                )
            }
            FaultKind::DivergentBarrier { detail } => write!(f, "divergent barrier: {detail}"),
            FaultKind::InvalidBarrier { detail } => write!(f, "invalid barrier: {detail}"),
            FaultKind::Endless { instructions } => write!(
                f,
                "endless loop: the block has not ended after {instructions} instructions of its warps (CUDA_EMULATOR_BUDGET)"
            ),
            FaultKind::Trap { message } => write!(f, "trap: {message}"),
            FaultKind::Unsupported { what } => write!(f, "not supported by the emulator: {what}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [bx, by, bz] = self.block;
        let [tx, ty, tz] = self.thread;
        let Fault {
            kind, kernel, line, ..
        } = self;
        write!(
            f,
            "{kind}; kernel {kernel}, block ({bx}, {by}, {bz}), thread ({tx}, {ty}, {tz}), PTX line {line}"
        )
    }
}
