//! What the end-to-end tests in `tests/tests` share: the built command, a place of its own for each
//! test to run it in, and what they feed it.

mod data;
mod place;
mod running;

pub use data::{cifar, idx_images, idx_labels, picture, shipped};
pub use place::{Done, Place};
pub use running::Running;

/// A network of two towers with everything a training step can choose at random, small enough that
/// a step takes a few milliseconds unoptimised: for 16×16 pictures in ten classes.
pub const TINY: &str = include_str!("tiny.toml");
