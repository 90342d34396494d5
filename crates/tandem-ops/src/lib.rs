//! The operations of AlexNet that candle lacks, as candle custom ops with their own backward.
//!
//! Each file holds one operation, top to bottom: formula and source, parameters checked once, a
//! plain reference, the CPU path, the backward pass. All tensors are `(N, C, H, W)`, f32 or f64.
//! Results do not depend on the number of threads.

#![deny(unsafe_code)]

pub mod activation;
pub mod augment;
pub mod avg_pool;
pub mod channels;
pub mod conv;
#[cfg(feature = "cuda")]
pub mod cuda;
pub mod dropout;
pub mod error;
pub mod fault;
pub mod linear;
pub mod lrn;
pub mod lrn_max_pool;
pub mod max_pool;
mod planes;
mod product;
pub mod random;
pub mod readback;
mod real;
pub mod sgd;
pub mod softmax_nll;
mod storage;
pub mod upload;
pub mod window;

pub use activation::Activation;
pub use error::OpError;
