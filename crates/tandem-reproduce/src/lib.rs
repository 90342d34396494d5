//! The paper's experiments, measured again.
//!
//! Straight through: [`experiment`]s (files: a base and one change) → [`plan`] (which networks are
//! trained, which are measured) → [`study`] (the folder they lie in) → [`execute`] (what is missing is
//! trained) → [`log`] (what the runs said) → [`report`] → [`page`] (HTML, Markdown, SVG).

pub mod change;
pub mod error;
pub mod execute;
pub mod experiment;
mod interval;
pub mod log;
mod measure;
pub mod page;
pub mod plan;
pub mod report;
pub mod study;
