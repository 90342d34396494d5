//! What the training loop tells whoever watches, and what it hears back.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::network::Network;
use crate::schedule::End;

/// What the loop tells whoever watches.
pub enum Event<'a> {
    /// Of `of` pictures so many have been taken through the frozen trunk.
    Features {
        done: usize,
        of: usize,
    },
    /// What the frozen trunk makes of the pictures is more than is kept: it is computed each epoch anew.
    TooManyFeatures {
        /// That all would take.
        bytes: u64,
        /// That are kept at most.
        most: u64,
    },
    Step(&'a StepReport),
    Epoch(&'a EpochReport, &'a Network),
    Saved {
        step: u64,
    },
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Continue,
    /// Finish the step, save, and return.
    Stop,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All epochs are done.
    Done,
    /// The schedule ended it: a plateau after the last reduction, or early stopping.
    Schedule(End),
    /// It was asked to stop, and its state is saved.
    Stopped,
}

/// One update; a line of `metrics.jsonl`.
#[derive(Clone, Debug, Serialize)]
pub struct StepReport {
    /// Updates done, this one included.
    pub step: u64,
    /// Epochs done, in part: 1.5 is half way through the second.
    pub epoch: f64,
    pub loss: f64,
    pub learning_rate: f64,
    #[serde(skip)]
    pub images: usize,
    #[serde(skip)]
    pub steps: u64,
    #[serde(skip)]
    pub took: Duration,
    /// Of `took`, spent waiting for the loader.
    #[serde(skip)]
    pub waited: Duration,
}

/// The end of an epoch; a line of `metrics.jsonl`.
#[derive(Clone, Debug, Serialize)]
pub struct EpochReport {
    pub step: u64,
    /// Whole epochs done.
    pub epoch: u64,
    /// Mean validation loss.
    pub loss: f64,
    pub learning_rate: f64,
    pub top1_error: f64,
    pub top5_error: f64,
    /// On the training pictures that are measured too, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training_top1_error: Option<f64>,
    /// Mean training loss over the epoch.
    pub training_loss: f64,
    pub parameters: BTreeMap<String, Magnitude>,
}

/// What cuda-convnet printed of each layer: is the rate right for it?
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Magnitude {
    pub mean_abs_weight: f64,
    /// Of the epoch's last update, without weight decay.
    pub mean_abs_gradient: f64,
    /// Of the last update.
    pub mean_abs_update: f64,
    pub ratio: f64,
}
