//! A trained network from a weights file, and how it wants its pictures.

use std::path::Path;
use std::sync::Arc;

use tandem_data::{Normalise, Preprocess};

use crate::error::{NetworkError, WeightsError};
use crate::network::Network;
use crate::placement::Placement;
use crate::spec;
use crate::weights::Weights;

/// What it takes to name what is in a picture.
pub struct Trained {
    pub network: Network,
    pub classes: Vec<String>,
    pub normalise: Normalise,
    pub preprocess: Preprocess,
    /// Updates that it has had.
    pub step: u64,
}

impl Trained {
    /// Reads `file` and puts its network on the devices of `placement`.
    ///
    /// # Errors
    ///
    /// When the file is not a network's, or does not fit on the devices.
    pub fn read(file: &Path, placement: &Placement) -> Result<Self, TrainedError> {
        Self::new(Weights::read(file)?, file, placement)
    }

    /// Puts the network of `weights`, which are those in `file`, on the devices of `placement`.
    ///
    /// # Errors
    ///
    /// When they lack the mean that the network subtracts, or do not fit on the devices.
    pub fn new(weights: Weights, file: &Path, placement: &Placement) -> Result<Self, TrainedError> {
        let spec = &weights.spec;
        let normalise = match spec.input.normalise {
            spec::Normalise::Mean => {
                let mean = weights.mean.as_ref().ok_or_else(|| WeightsError::NoMean {
                    path: file.to_owned(),
                })?;
                let mean = mean.flatten_all().and_then(|mean| mean.to_vec1::<f32>());
                Normalise::Mean(Arc::from(mean.map_err(NetworkError::from)?))
            }
            spec::Normalise::Torchvision => Normalise::Torchvision,
        };
        Ok(Self {
            network: Network::new(spec, placement, &weights.parameters)?,
            preprocess: Preprocess {
                side: spec.input.side,
                channels: spec.input_channels(),
            },
            normalise,
            classes: weights.classes,
            step: weights.step,
        })
    }
}

/// A trained network that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TrainedError {
    #[error("{0}")]
    Weights(#[from] WeightsError),
    #[error("{0}")]
    Network(#[from] NetworkError),
}
