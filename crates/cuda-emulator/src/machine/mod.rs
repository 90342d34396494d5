//! The machine that runs kernels: memory, the decoded program, warps and blocks.

mod access;
mod block;
pub mod convert;
pub mod decode;
pub mod float;
pub mod instruction;
pub mod integer;
pub mod launch;
pub mod memory;
pub mod operations;
pub mod region;
pub mod rounding;
pub mod scalar;
pub mod shadow;
pub mod special;
pub mod touched;
mod warp;

pub use decode::{Kernel, Program};
pub use launch::{Geometry, launch};
pub use memory::Memory;
