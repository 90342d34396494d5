//! Every operation against PyTorch in float64 (`fixtures/`), against its plain reference on random
//! shapes, and against finite differences of itself.
//!
//! `fixtures/` was made by PyTorch: each file holds inputs, outputs and gradients, and in its
//! metadata the parameters.

mod augment;
mod avg_pool;
#[cfg(feature = "cuda")]
mod channels;
mod common;
mod conv;
mod dropout;
mod linear;
mod lrn;
mod lrn_max_pool;
mod max_pool;
#[cfg(feature = "cuda")]
mod naive;
#[cfg(feature = "cuda")]
mod on_cuda;
#[cfg(feature = "cuda")]
mod recorded;
mod sgd;
mod softmax_nll;
#[cfg(feature = "cuda")]
mod upload;
