//! A trained network from a weights file, and how it wants its pictures.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use tandem_alexnet::network::Network;
use tandem_alexnet::placement::Placement;
use tandem_alexnet::spec;
use tandem_alexnet::weights::Weights;
use tandem_data::{Normalise, Preprocess};

/// What `eval` and `predict` need of a weights file.
pub struct Trained {
    pub network: Network,
    pub classes: Vec<String>,
    pub normalise: Normalise,
    pub preprocess: Preprocess,
}

impl Trained {
    /// Reads `file` and puts its network on the devices of `placement`.
    pub fn read(file: &Path, placement: &Placement) -> Result<Self> {
        let weights = Weights::read(file)?;
        let spec = &weights.spec;
        let normalise = match spec.input.normalise {
            spec::Normalise::Mean => {
                let mean = weights
                    .mean
                    .as_ref()
                    .with_context(|| format!("{} lacks its training mean", file.display()))?;
                Normalise::Mean(Arc::from(mean.flatten_all()?.to_vec1::<f32>()?))
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
        })
    }
}
