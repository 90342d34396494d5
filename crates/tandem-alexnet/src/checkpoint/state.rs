//! What a checkpoint holds beside the weights.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::error::WeightsError;
use crate::parameters;
use crate::schedule::ScheduleState;
use crate::spec::Spec;
use crate::weights::{Archive, write_safetensors};

const FORMAT: &str = "tandem-state";

/// All that training goes on with, except the weights.
#[derive(Clone, Debug)]
pub struct State {
    pub position: Position,
    pub schedule: ScheduleState,
    pub data: DataIdentity,
    /// The momentum of every parameter, by its canonical name and shape, f32.
    pub velocities: BTreeMap<String, Tensor>,
}

/// How far a run has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Updates made.
    pub step: u64,
    /// Whole epochs done, so the number, from 0, of the one under way.
    pub epoch: u64,
    /// Batches done of the epoch under way.
    pub batch: u64,
    /// Sum of the training loss over the pictures of the epoch under way.
    pub loss_sum: f64,
    /// Pictures behind `loss_sum`.
    pub pictures: u64,
}

/// Which pictures a run learns from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataIdentity {
    /// As given to `--data`. Data may move: only the fingerprint counts.
    pub name: String,
    /// Of contents, labels and order.
    pub fingerprint: u64,
}

impl fmt::Display for DataIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` (fingerprint {:016x})", self.name, self.fingerprint)
    }
}

impl State {
    pub(super) fn write(&self, out: &mut impl io::Write) -> io::Result<()> {
        // TOML, since its floats come back bit for bit; serde_json's need a feature for that.
        let position = toml::to_string(&self.position).map_err(io::Error::other)?;
        let schedule = toml::to_string(&self.schedule).map_err(io::Error::other)?;
        let metadata = BTreeMap::from([
            ("format", FORMAT.to_owned()),
            ("position", position),
            ("schedule", schedule),
            ("data", self.data.name.clone()),
            ("fingerprint", format!("{:016x}", self.data.fingerprint)),
        ]);
        let velocities = self
            .velocities
            .iter()
            .map(|(name, tensor)| (name.as_str(), tensor));
        write_safetensors(out, &metadata, &velocities.collect())
    }

    pub(super) fn read(path: &Path, spec: &Spec) -> Result<Self, WeightsError> {
        let archive = Archive::read(path)?;
        archive.expect("format", |format| (format == FORMAT).then_some(()))?;
        let wanted = parameters::of(spec).map_err(|source| WeightsError::Spec {
            path: path.to_owned(),
            source,
        })?;
        let wanted = wanted
            .into_iter()
            .map(|parameter| (parameter.name, parameter.shape))
            .collect();
        Ok(Self {
            position: archive.expect("position", |text| toml::from_str(text).ok())?,
            schedule: archive.expect("schedule", |text| toml::from_str(text).ok())?,
            data: DataIdentity {
                name: archive.metadata("data")?.to_owned(),
                fingerprint: archive
                    .expect("fingerprint", |hex| u64::from_str_radix(hex, 16).ok())?,
            },
            velocities: archive.tensors(&spec.name, &wanted, &BTreeMap::new())?,
        })
    }
}
