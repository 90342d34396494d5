//! From settings, pictures and a checkpoint to a trainer: what a run begins with, or goes on with.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use tandem_data::{Augment, CropPlace, Mirror, Normalise};

use super::Trainer;
use crate::checkpoint::{Checkpoint, Position, RunDirectory};
use crate::class_weights::EmptyClass;
use crate::config::{Colour, Crop, MeanOf, TrainConfig};
use crate::error::{StartError, TrainError};
use crate::input::Feed;
use crate::metrics::Metrics;
use crate::network::Network;
use crate::schedule::Schedule;
use crate::spec::{self, Spec};
use crate::start::{Start, start};
use crate::training_data::TrainingData;
use crate::weights::Weights;

/// Pictures that are looked at to see whether a set is in colour.
const LOOKED_AT: usize = 32;

/// What a run begins with, or goes on from.
pub enum Beginning {
    /// Random values, or the weights that the settings name with `start_from`; by whom those are read is
    /// the caller's choice, as by [`Weights::read`].
    New(Option<Weights>),
    Checkpoint(Checkpoint),
}

impl Trainer {
    /// Finds what would keep a run from beginning, before there is a run directory: what does not suit
    /// these settings in the pictures, or in `source`, the weights that it is to start from. Gives the
    /// names of the layers that these have nothing for.
    pub fn check(
        config: &TrainConfig,
        data: &TrainingData,
        source: Option<&Weights>,
    ) -> Result<Vec<String>, TrainError> {
        let spec = data.fit(&config.model)?;
        config.tuning(&spec)?;
        class_weights(config, data)?;
        if let Some(path) = &config.start_from
            && spec.input_channels() == 1
            && let Some(picture) = data.train.first_coloured(LOOKED_AT)?
        {
            let path = path.clone();
            return Err(StartError::Coloured { path, picture }.into());
        }
        let Start { anew, .. } = start(&spec, data.train.classes(), config, source)?;
        Ok(anew.iter().map(|&layer| spec.layer_name(layer)).collect())
    }

    /// Begins a run in `run`, or goes on with it.
    pub fn new(
        config: TrainConfig,
        data: TrainingData,
        run: RunDirectory,
        beginning: Beginning,
    ) -> Result<Self, TrainError> {
        let spec = data.fit(&config.model)?;
        let tuning = config.tuning(&spec)?;
        let class_weights = class_weights(&config, &data)?;
        let update = (config.batch * config.accumulate) as u64;
        let steps_per_epoch = (data.train.len() as u64).div_ceil(update);
        let schedule = Schedule::new(
            config.rate.clone(),
            steps_per_epoch,
            config.epochs,
            config.early_stop_epochs,
        );
        let (network, given_mean, schedule, position, metrics) = match beginning {
            Beginning::Checkpoint(checkpoint) => {
                checkpoint.check(&spec, &data.identity())?;
                let Checkpoint { weights, state } = checkpoint;
                let mut network = Network::new(&spec, &config.devices, &weights.parameters)?
                    .in_precision(config.precision)?;
                network.set(&weights.parameters, Some(&state.velocities))?;
                let metrics = Metrics::resume(run.path(), state.position.step)?;
                // The weights begun with may be gone; their mean is in the checkpoint too.
                let mean = weights
                    .mean
                    .filter(|_| config.start.mean == MeanOf::Weights);
                (
                    network,
                    mean,
                    schedule.restored(state.schedule),
                    state.position,
                    metrics,
                )
            }
            Beginning::New(source) => {
                let Start { values, mean, .. } =
                    start(&spec, data.train.classes(), &config, source.as_ref())?;
                let network = Network::new(&spec, &config.devices, &values)?
                    .in_precision(config.precision)?;
                let metrics = Metrics::create(run.path())?;
                (network, mean, schedule, Position::default(), metrics)
            }
        };
        let network = network.tuned(tuning);
        let (normalise, mean) = normalise(&spec, given_mean, &data)?;
        let augment = augment(&config, &spec, &normalise);
        let feed = Feed::new(&network, data.train.preprocess(), &normalise)?;
        Ok(Self {
            config,
            data,
            network,
            schedule,
            position,
            run,
            metrics,
            augment,
            normalise,
            feed,
            mean,
            class_weights,
            cached: None,
            gradients: None,
        })
    }
}

/// What a picture of each class counts, if not one.
fn class_weights(
    config: &TrainConfig,
    data: &TrainingData,
) -> Result<Option<Vec<f32>>, EmptyClass> {
    let train = &data.train;
    let labels = (0..train.len()).filter_map(|i| train.label(i));
    config.class_weights.of(train.classes(), labels)
}

/// How pictures are normalised, and the mean that is subtracted where one is: the `given`, else that
/// of the training pictures.
fn normalise(
    spec: &Spec,
    given: Option<Tensor>,
    data: &TrainingData,
) -> candle_core::Result<(Normalise, Option<Tensor>)> {
    let (side, channels) = (spec.input.side, spec.input_channels());
    Ok(match (spec.input.normalise, given) {
        (spec::Normalise::Mean, Some(tensor)) => {
            let mean: Arc<[f32]> = tensor.flatten_all()?.to_vec1::<f32>()?.into();
            (Normalise::Mean(mean), Some(tensor))
        }
        (spec::Normalise::Mean, None) => {
            let mean: Arc<[f32]> = data.train.mean().into();
            let tensor = Tensor::from_slice(&mean, (channels, side, side), &Device::Cpu)?;
            (Normalise::Mean(mean), Some(tensor))
        }
        (spec::Normalise::Torchvision, _) => (Normalise::Torchvision, None),
    })
}

fn augment(config: &TrainConfig, spec: &Spec, normalise: &Normalise) -> Augment {
    Augment {
        crop: spec.input.crop,
        place: match config.augment.crop {
            Crop::Random => CropPlace::Random,
            Crop::Centre => CropPlace::Centre,
            Crop::Corners => CropPlace::Corners,
        },
        mirror: if config.augment.mirror {
            Mirror::On
        } else {
            Mirror::Off
        },
        colour: match config.augment.colour {
            Colour::Off => tandem_data::Colour::Off,
            Colour::Convnet => tandem_data::Colour::Convnet,
            Colour::Paper01 => tandem_data::Colour::Torch,
        },
        normalise: normalise.clone(),
    }
}
