//! Everything a training run is told, resolved: what `config.toml` of a run directory holds.
//!
//! Values come from the model's recipe, over it a file, over it single settings. What was accepted
//! here is not checked again.

mod merge;
mod pictures;
mod start;

use std::path::{Path, PathBuf};

pub use pictures::{AugmentConfig, Colour, Crop, PixelOrder, Randomise};
use serde::{Deserialize, Serialize};
pub use start::{LastLayer, MeanOf, StartConfig};
use toml::Table;

use crate::class_weights::ClassWeights;
use crate::error::ConfigError;
use crate::placement::Placement;
use crate::precision::Precision;
use crate::presets;
use crate::schedule::RateConfig;
use crate::shapes::Shapes;
use crate::spec::Spec;
use crate::tuning::{Tuning, TuningError};

/// The configuration of a training run.
///
/// ```
/// use tandem_alexnet::{config::TrainConfig, spec::Spec};
///
/// let mut config = TrainConfig::for_model(Spec::preset("alexnet")?)?;
/// assert_eq!((config.batch, config.epochs, config.rate.initial), (128, 90, 0.01));
/// config.set("sgd.momentum=0.8")?;
/// assert_eq!(config.sgd.momentum, 0.8);
/// assert_eq!(TrainConfig::parse(&config.to_toml(), "config.toml")?, config);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Where pictures come from: `builtin`, or a directory or file.
    pub data: String,
    /// Passes over the training pictures, at most.
    pub epochs: u64,
    /// Pictures in a batch.
    pub batch: usize,
    /// Batches whose gradients make one update: an update sees `batch * accumulate` pictures.
    pub accumulate: usize,
    /// Every random choice follows from it.
    pub seed: u64,
    /// Learns so many of the training pictures, evenly apart, instead of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_pictures: Option<usize>,
    /// Weights to start from, where they have a parameter of the same name and shape; else from random
    /// ones. The command also takes another framework's file and `hf:OWNER/NAME@COMMIT:FILE`, which
    /// [`Weights::read`](crate::weights::Weights::read) does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_from: Option<PathBuf>,
    /// The licence of the weights that come of it, as SPDX calls it; fine-tuned ones have that of the
    /// weights they started from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// Layers, or ranges of layers as `conv1..conv5`, that keep their weights.
    #[serde(default)]
    pub freeze: Vec<String>,
    /// What a picture of each class counts in the loss.
    #[serde(default)]
    pub class_weights: ClassWeights,
    /// One device for all towers, or one for each.
    pub devices: Placement,
    /// Of activations and gradients; bf16 is for GPUs.
    pub precision: Precision,
    /// Threads that decode and augment pictures. Results do not depend on it.
    pub loader_threads: usize,
    /// Saves each so many updates, beside the end of every epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_every_steps: Option<u64>,
    /// Measures the error on so many training pictures too, evenly apart, at the end of every epoch:
    /// centre crops, without dropout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measure_training: Option<usize>,
    /// Of the steps only each so many-th is a line of `metrics.jsonl`.
    #[serde(default = "every")]
    pub log_every_steps: u64,
    /// Ends the run after so many epochs without a new lowest validation error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_stop_epochs: Option<u64>,
    pub augment: AugmentConfig,
    pub sgd: SgdConfig,
    pub rate: RateConfig,
    #[serde(default)]
    pub start: StartConfig,
    #[serde(default)]
    pub randomise: Randomise,
    /// The network; in a file also the name of a preset or a spec file.
    pub model: Spec,
}

fn every() -> u64 {
    1
}

/// Stochastic gradient descent with momentum (Section 5).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SgdConfig {
    pub rule: SgdRule,
    pub momentum: f64,
    pub weight_decay: f64,
}

/// Where the learning rate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SgdRule {
    /// Inside the velocity: v = momentum v - weight_decay rate w - rate g; w = w + v.
    Paper,
    /// Outside: v = momentum v + weight_decay w + g; w = w - rate v.
    Pytorch,
}

impl TrainConfig {
    /// The paper's values with `model`, changed by the recipe of the preset of that name where it
    /// has one.
    pub fn for_model(model: Spec) -> Result<Self, ConfigError> {
        let recipe = presets::recipe(&model.name);
        let origin = format!("the recipe of {}", model.name);
        let mut config = Self {
            data: "builtin".to_owned(),
            epochs: 90,
            batch: 128,
            accumulate: 1,
            seed: 0,
            devices: Placement::cpu(),
            precision: Precision::F32,
            loader_threads: 2,
            checkpoint_every_steps: None,
            early_stop_epochs: None,
            train_pictures: None,
            start_from: None,
            licence: None,
            measure_training: None,
            log_every_steps: every(),
            freeze: Vec::new(),
            class_weights: ClassWeights::default(),
            start: StartConfig::default(),
            randomise: Randomise::default(),
            augment: AugmentConfig {
                crop: Crop::Random,
                mirror: true,
                colour: Colour::Convnet,
            },
            sgd: SgdConfig {
                rule: SgdRule::Paper,
                momentum: 0.9,
                weight_decay: 0.0005,
            },
            rate: RateConfig::default(),
            model,
        };
        config.merge_text(recipe, &origin)?;
        Ok(config)
    }

    /// The configuration for `model` (a preset's name or a spec file), else for the model that the
    /// file names, else for `mini`; then the rest of the file over it.
    pub fn resolve(model: Option<&str>, file: Option<&Path>) -> Result<Self, ConfigError> {
        let (text, origin) = match file {
            Some(path) => (read(path)?, path.display().to_string()),
            None => (String::new(), String::new()),
        };
        Self::build(model, &text, &origin)
    }

    /// A whole or partial configuration; what it leaves out comes from its model's recipe. `origin`
    /// is what errors call it.
    pub fn parse(text: &str, origin: &str) -> Result<Self, ConfigError> {
        Self::build(None, text, origin)
    }

    fn build(model: Option<&str>, text: &str, origin: &str) -> Result<Self, ConfigError> {
        let mut table = merge::table(text, origin)?;
        if table.contains_key("imported") {
            return Err(ConfigError::Imported {
                origin: origin.to_owned(),
            });
        }
        let from_file = table.remove("model");
        let spec = match (model, from_file) {
            (Some(name), _) => Spec::named(name)?,
            (None, Some(value)) => merge::model(value, origin)?,
            (None, None) => Spec::preset("mini")?,
        };
        let mut config = Self::for_model(spec)?;
        config.merge(table, origin)?;
        Ok(config)
    }

    /// Changes one value by its dotted path: `sgd.momentum=0.8`, `rate.schedule=cosine`,
    /// `model=caffenet`.
    pub fn set(&mut self, setting: &str) -> Result<(), ConfigError> {
        let table = merge::setting(setting)?;
        self.merge(table, &format!("--set {setting}"))
    }

    /// Puts what the file at `path` says over the present values, all but its model.
    pub fn put_file_over(&mut self, path: &Path) -> Result<(), ConfigError> {
        let origin = path.display().to_string();
        let mut table = merge::table(&read(path)?, &origin)?;
        table.remove("model");
        self.merge(table, &origin)
    }

    fn merge_text(&mut self, text: &str, origin: &str) -> Result<(), ConfigError> {
        self.merge(merge::table(text, origin)?, origin)
    }

    /// Puts `over` over the present values; nothing changes if that is refused.
    fn merge(&mut self, over: Table, origin: &str) -> Result<(), ConfigError> {
        let merged = merge::merged(self, over, origin)?;
        merged.check(origin)?;
        *self = merged;
        Ok(())
    }

    /// How the layers of `spec` learn.
    ///
    /// # Errors
    /// When a layer of `freeze` or `rate.layers` is not there, or not to be frozen or rated so.
    pub fn tuning(&self, spec: &Spec) -> Result<Tuning, TuningError> {
        Tuning::of(spec, &self.freeze, &self.rate.layers)
    }

    /// All values as TOML. Reading it back gives an equal configuration.
    pub fn to_toml(&self) -> String {
        toml::to_string(self)
            .expect("a checked configuration holds only what TOML can: its integers fit i64")
    }

    /// What `other` has otherwise, where first, in the words of their TOML. Where a run is computed and
    /// by how many threads does not count: its results do not depend on it.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let other = Self {
            devices: self.devices.clone(),
            loader_threads: self.loader_threads,
            ..other.clone()
        };
        if *self == other {
            return None;
        }
        let (mine, theirs) = (self.to_toml(), other.to_toml());
        let differing = mine.lines().zip(theirs.lines()).find(|(a, b)| a != b);
        Some(differing.map_or_else(
            || "it has more or fewer settings".to_owned(),
            |(mine, theirs)| format!("there `{mine}`, now `{theirs}`"),
        ))
    }

    /// Whether every value is within its bounds, for values changed by hand.
    pub fn check(&self, origin: &str) -> Result<(), ConfigError> {
        let bound = |key: &'static str, value: f64, fits: bool, wanted: &'static str| {
            if fits && value.is_finite() {
                return Ok(());
            }
            Err(ConfigError::Value {
                origin: origin.to_owned(),
                key,
                value,
                wanted,
            })
        };
        let whole = |key, value: u64, least: u64| {
            // TOML's integers end at i64::MAX.
            let fits = (least..=i64::MAX as u64).contains(&value);
            let wanted = if least == 0 {
                "at most 2^63 - 1"
            } else {
                "1 or more"
            };
            bound(key, value as f64, fits, wanted)
        };
        let from_zero =
            |key, value: f64| bound(key, value, value >= 0.0, "zero or a positive number");
        let divisor = |key, value: f64| bound(key, value, value >= 1.0, "1 or more");

        whole("epochs", self.epochs, 1)?;
        whole("batch", self.batch as u64, 1)?;
        whole("accumulate", self.accumulate as u64, 1)?;
        whole("seed", self.seed, 0)?;
        whole("loader_threads", self.loader_threads as u64, 1)?;
        whole(
            "checkpoint_every_steps",
            self.checkpoint_every_steps.unwrap_or(1),
            1,
        )?;
        whole("early_stop_epochs", self.early_stop_epochs.unwrap_or(1), 1)?;
        whole("log_every_steps", self.log_every_steps, 1)?;
        for (key, pictures) in [
            ("train_pictures", self.train_pictures),
            ("measure_training", self.measure_training),
        ] {
            whole(key, pictures.unwrap_or(1) as u64, 1)?;
        }
        bound(
            "randomise.labels",
            self.randomise.labels,
            (0.0..=1.0).contains(&self.randomise.labels),
            "from 0 to 1",
        )?;
        let momentum = self.sgd.momentum;
        bound(
            "sgd.momentum",
            momentum,
            (0.0..1.0).contains(&momentum),
            "at least 0 and below 1",
        )?;
        from_zero("sgd.weight_decay", self.sgd.weight_decay)?;
        let rate = &self.rate;
        bound(
            "rate.initial",
            rate.initial,
            rate.initial > 0.0,
            "a positive number",
        )?;
        whole("rate.plateau.patience", rate.plateau.patience, 1)?;
        from_zero("rate.plateau.min_delta", rate.plateau.min_delta)?;
        divisor("rate.plateau.divide_by", rate.plateau.divide_by)?;
        whole("rate.plateau.reductions", rate.plateau.reductions, 0)?;
        whole("rate.step.epochs", rate.step.epochs, 1)?;
        divisor("rate.step.divide_by", rate.step.divide_by)?;
        from_zero("rate.cosine.last", rate.cosine.last)?;
        whole("rate.warm_up_steps", rate.warm_up_steps, 0)?;
        self.model.check()?;
        self.tuning(&self.model)
            .map_err(|source| ConfigError::Tuning {
                origin: origin.to_owned(),
                source,
            })?;
        self.precision.check(&self.devices)?;
        Ok(self.devices.check(Shapes::of(&self.model)?.towers())?)
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })
}
