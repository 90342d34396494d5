//! What a run leaves for people to look at, and what they see while it runs.

pub mod activations;
pub mod confusion;
pub mod counting;
pub mod curves;
pub mod figure;
pub mod filters;
pub mod font;
pub mod metrics;
pub mod neighbours;
pub mod panel;
pub mod picture;
pub mod progress;
pub mod run;
pub mod series;
pub mod sheet;
pub mod table;
pub mod tensorboard;
