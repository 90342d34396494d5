//! The operations of AlexNet that candle lacks, as candle custom ops with their own backward.
//!
//! Each file holds one operation, top to bottom: formula and source, parameters checked once, a
//! plain reference, the CPU path, the backward pass. All tensors are `(N, C, H, W)`, f32 or f64.
//! Results do not depend on the number of threads.

pub mod activation;
pub mod conv;
pub mod error;
pub mod linear;
mod planes;
mod product;
mod real;
mod storage;

pub use activation::Activation;
pub use error::OpError;
