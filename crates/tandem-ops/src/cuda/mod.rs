//! The operations on NVIDIA GPUs: the kernels of `kernels/`, and cuBLAS for matrix products.
//!
//! [`compile`] turns a kernel file into PTX for the GPU at hand, [`cache`] keeps it on disk,
//! [`launch`] is the only place with unsafe code, but for three calls of cuDNN in a build with it, and
//! each other file is the host side of one operation: it checks shapes, sizes the grid and launches.

pub(crate) mod augment;
pub(crate) mod avg_pool;
mod bias;
mod cache;
pub(crate) mod channels;
mod compile;
pub(crate) mod conv;
#[cfg(feature = "cudnn")]
#[allow(unsafe_code, reason = "cuDNN is C; see the file's own words")]
mod cudnn;
pub mod device;
pub mod driver;
pub(crate) mod dropout;
mod element;
#[allow(
    unsafe_code,
    reason = "the driver, NVRTC and cuBLAS are C; see the file's own words"
)]
mod launch;
pub(crate) mod linear;
pub(crate) mod lrn;
pub(crate) mod lrn_max_pool;
pub(crate) mod max_pool;
mod pooling;
mod product;
pub(crate) mod readback;
pub(crate) mod sgd;
mod signature;
pub(crate) mod softmax_nll;
mod through_host;
pub mod timing;
pub(crate) mod upload;
mod version;

pub use cache::kernel_cache;
pub use compile::{Kernels, compile_all};
pub(crate) use launch::Buffer;
pub use version::Version;
