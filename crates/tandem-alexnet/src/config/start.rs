//! What is taken of the weights that a run starts from.

use serde::{Deserialize, Serialize};

/// What is taken of the weights that a run starts from, beside the layers; see
/// [`start_from`](super::TrainConfig::start_from).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StartConfig {
    pub last_layer: LastLayer,
    pub mean: MeanOf,
    /// What the weights are, for whoever finds those that come of them: noted when the run begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Of the weights as Tandem writes them: noted likewise, so that a run that has to begin again begins
    /// with the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// Where the last layer of a run that starts from weights comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LastLayer {
    /// From the weights if they tell exactly the data's classes apart; else drawn at random.
    #[default]
    IfSameClasses,
    /// Row by row from the weights' class of the same name; each class of the data has to have one.
    RowsByName,
}

/// Whose mean picture is subtracted, where the network subtracts one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MeanOf {
    /// Of the training pictures.
    #[default]
    Data,
    /// That of the weights started from.
    Weights,
}
