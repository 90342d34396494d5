//! The pictures of a run: both parts, prepared for the network's input.

use std::sync::Arc;

use tandem_data::{DataError, Dataset, Part, Pictures, Preprocess, Randomised, Subset};

use crate::checkpoint::DataIdentity;
use crate::config::{Randomise, TrainConfig};
use crate::error::SpecError;
use crate::spec::Spec;

/// The share of pictures that may fail to decode before that is an error: a few damaged files are left
/// out and listed, a folder of another format is refused.
pub const BAD_SHARE: f64 = 0.01;

/// The two parts of the pictures, prepared for the network's input. To clone it shares them.
#[derive(Clone)]
pub struct TrainingData {
    pub train: Arc<Pictures>,
    pub validation: Arc<Pictures>,
    /// The training pictures whose error is measured too, see [`TrainConfig::measure_training`].
    pub measured: Option<Arc<Pictures>>,
    /// As given to `--data`.
    pub name: String,
}

impl TrainingData {
    /// Opens the data at `place`, which `config` calls `config.data`, and makes of it what `config` asks
    /// for.
    ///
    /// # Errors
    ///
    /// When there is no data there, too much of it does not decode, or it cannot be randomised as asked.
    pub fn read(config: &TrainConfig, place: &str) -> Result<Self, DataError> {
        let [train, validation] = tandem_data::open_for_training(place)?;
        let train = match config.train_pictures {
            Some(count) => Subset::spread(train, count, 0),
            None => train,
        };
        let train = randomised(train, Part::Train, config)?;
        let prepared = prepare(train.clone(), &config.model)?;
        let measured = match config.measure_training {
            // All of them: those that are there.
            Some(count) if count >= train.len() => Some(prepared.clone()),
            Some(count) => Some(prepare(Subset::spread(train, count, 0), &config.model)?),
            None => None,
        };
        Ok(Self {
            train: prepared,
            validation: prepare(
                randomised(validation, Part::Validation, config)?,
                &config.model,
            )?,
            measured,
            name: config.data.clone(),
        })
    }

    /// `model` with the classes and channels of these pictures.
    pub fn fit(&self, model: &Spec) -> Result<Spec, SpecError> {
        model.for_data(self.train.classes().len(), self.train.preprocess().channels)
    }

    pub(crate) fn identity(&self) -> DataIdentity {
        let (train, validation) = (self.train.fingerprint(), self.validation.fingerprint());
        DataIdentity {
            name: self.name.clone(),
            fingerprint: train ^ validation.rotate_left(1),
        }
    }
}

/// The pictures at `place` that a run told `config` is measured on, before they are prepared.
///
/// # Errors
///
/// When there are none, or they cannot be randomised as asked.
pub fn validation(config: &TrainConfig, place: &str) -> Result<Arc<dyn Dataset>, DataError> {
    let set = tandem_data::open(place, Part::Validation)?;
    randomised(set, Part::Validation, config)
}

/// `set`, which is `part`, as `config` wants it randomised.
fn randomised(
    set: Arc<dyn Dataset>,
    part: Part,
    config: &TrainConfig,
) -> Result<Arc<dyn Dataset>, DataError> {
    if config.randomise == Randomise::default() {
        return Ok(set);
    }
    let how = config.randomise.of(part, config.seed);
    Ok(Arc::new(Randomised::new(set, part, how)?))
}

/// Brings the pictures of `dataset` to what `spec` takes.
///
/// # Errors
///
/// When more than [`BAD_SHARE`] of them do not decode.
pub fn prepare(dataset: Arc<dyn Dataset>, spec: &Spec) -> Result<Arc<Pictures>, DataError> {
    // A network that takes either learns the pictures as they are.
    let channels = spec.input.channels.unwrap_or_else(|| dataset.channels());
    let preprocess = Preprocess {
        side: spec.input.side,
        channels,
    };
    Ok(Arc::new(Pictures::prepare(dataset, preprocess, BAD_SHARE)?))
}
