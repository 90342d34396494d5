//! The paper's experiments, measured again.

pub mod page;
