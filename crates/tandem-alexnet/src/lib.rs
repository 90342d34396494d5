//! AlexNet as a specification, towers on devices, a trainer and checkpoints.
//!
//! [`spec`] says what a network is, [`shapes`] what that comes to, [`placement`] where its towers
//! live, [`parameters`] what it holds and starts from.

mod cached;
pub mod checkpoint;
pub mod class_weights;
pub mod config;
pub mod confusion;
pub mod ensemble;
pub mod error;
pub mod evaluation;
pub mod features;
pub mod input;
pub mod metrics;
pub mod nearest;
pub mod neighbours;
pub mod network;
pub mod parameters;
pub mod placement;
pub mod precision;
pub mod presets;
pub mod replacement;
pub mod schedule;
pub mod shapes;
pub mod spec;
pub mod start;
mod step;
pub mod trained;
pub mod trainer;
pub mod training_data;
pub mod transfer;
pub mod tuning;
pub mod weights;
