//! Specification to towers on devices to trainer, evaluation and checkpoints.
