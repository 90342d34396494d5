//! A run directory and the checkpoints in it.
//!
//! A checkpoint is two files: `last.safetensors` with the weights, which says its step, and
//! `state/step-N.safetensors` with the rest. They are written so that the weights lead to their own
//! state at every moment:
//!
//! 1. `state/step-N.safetensors`, beside the state of the last checkpoint.
//! 2. `last.safetensors` taking its name is the commit point; just before, `best.safetensors` takes
//!    the same content if it is the best so far.
//! 3. The states of other steps are removed.
//!
//! Killed before 2, the run goes on from the last checkpoint, whose state is still there; after 2,
//! from the new one. A `best` that came a step ahead of its checkpoint is written again, the same,
//! when the resumed run gets there.

mod begin;
mod state;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

pub use state::{DataIdentity, Position, State};

use crate::config::TrainConfig;
use crate::error::{Doing, RunError};
use crate::replacement::{Replacement, remove_unfinished, sync_folder};
use crate::spec::Spec;
use crate::weights::{Weights, is_finite};

/// Everything a run was told.
pub const CONFIG: &str = "config.toml";
/// The weights of the newest checkpoint.
pub const LAST: &str = "last.safetensors";
/// The weights with the lowest validation error.
pub const BEST: &str = "best.safetensors";
const STATE: &str = "state";

/// The folder of one training run. While this is held no other process can begin or resume a run in
/// it.
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
    /// Step of the checkpoint in place.
    committed: Option<u64>,
    _lock: File,
}

/// Where a run stopped.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    pub weights: Weights,
    pub state: State,
}

/// Whether weights become `best.safetensors` too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    Best,
    Ordinary,
}

impl RunDirectory {
    /// A folder for a new run, made if it is not there, with its `config.toml`. One that holds a
    /// run is refused.
    pub fn create(path: &Path, config: &TrainConfig) -> Result<Self, RunError> {
        Ok(Self {
            _lock: begin::begin(path, config)?,
            path: path.to_owned(),
            committed: None,
        })
    }

    /// The folder of a run that stopped, and its newest checkpoint: none if the run was killed
    /// before the first, and is to start from the beginning. Removes what a killed run left
    /// unfinished.
    pub fn resume(path: &Path) -> Result<(Self, Option<Checkpoint>), RunError> {
        let holds = |name| path.join(name).exists();
        if !holds(CONFIG) && !holds(LAST) {
            return Err(RunError::NoRun {
                path: path.to_owned(),
            });
        }
        let mut this = Self {
            _lock: begin::lock(path, path)?,
            path: path.to_owned(),
            committed: None,
        };
        remove_unfinished(path)?;
        let checkpoint = match holds(LAST) {
            true => Some(this.read_checkpoint()?),
            false => None,
        };
        this.committed = checkpoint
            .as_ref()
            .map(|checkpoint| checkpoint.weights.step);
        if this.path.join(STATE).is_dir() {
            remove_unfinished(&this.path.join(STATE))?;
            this.remove_states_but(this.committed)?;
        }
        Ok((this, checkpoint))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The step of the checkpoint in place.
    pub fn saved(&self) -> Option<u64> {
        self.committed
    }

    /// What the run was told.
    pub fn config(&self) -> Result<TrainConfig, RunError> {
        let path = self.path.join(CONFIG);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(TrainConfig::parse(&text, &path.display().to_string())?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(RunError::ConfigMissing { path })
            }
            Err(error) => Err(Doing::Read.failed(&path)(error)),
        }
    }

    /// Makes `weights` and `state`, of the same step, the newest checkpoint. On an error the one
    /// before is still in place. What is not finite is refused: no run goes on from that.
    pub fn save(&mut self, weights: &Weights, state: &State, rank: Rank) -> Result<(), RunError> {
        let step = state.position.step;
        assert_eq!(
            weights.step, step,
            "weights and state of one checkpoint are of one step"
        );
        refuse_not_finite(weights, state)?;
        let saved = self.save_in_order(weights, state, rank);
        if saved.is_err() && self.committed != Some(step) {
            // Nothing leads to this state. Should it stay, the next save or resume removes it.
            let _ = fs::remove_file(self.state_path(step));
        }
        saved
    }

    fn save_in_order(
        &mut self,
        weights: &Weights,
        state: &State,
        rank: Rank,
    ) -> Result<(), RunError> {
        self.write_state(state)?.commit()?;
        let last = self.write_last(weights)?;
        if rank == Rank::Best {
            last.linked_as(&self.path.join(BEST))?.commit()?;
        }
        last.rename()?;
        self.committed = Some(weights.step);
        sync_folder(&self.path)?;
        self.remove_states_but(self.committed)
    }

    fn write_state(&self, state: &State) -> Result<Replacement, RunError> {
        let folder = self.path.join(STATE);
        if !folder.is_dir() {
            fs::create_dir(&folder).map_err(Doing::Create.failed(&folder))?;
            sync_folder(&self.path)?;
        }
        Replacement::write(&self.state_path(state.position.step), |out| {
            state.write(out)
        })
    }

    fn write_last(&self, weights: &Weights) -> Result<Replacement, RunError> {
        Replacement::write(&self.path.join(LAST), |out| weights.write(out))
    }

    fn read_checkpoint(&self) -> Result<Checkpoint, RunError> {
        let weights = Weights::read(&self.path.join(LAST))?;
        let path = self.state_path(weights.step);
        if !path.exists() {
            return Err(RunError::StateMissing {
                weights: self.path.join(LAST),
                step: weights.step,
                state: path,
            });
        }
        let state = State::read(&path, &weights.spec)?;
        if state.position.step != weights.step {
            return Err(RunError::StateOfAnotherStep {
                path,
                step: state.position.step,
            });
        }
        Ok(Checkpoint { weights, state })
    }

    fn remove_states_but(&self, kept: Option<u64>) -> Result<(), RunError> {
        let folder = self.path.join(STATE);
        for entry in fs::read_dir(&folder).map_err(Doing::Read.failed(&folder))? {
            let path = entry.map_err(Doing::Read.failed(&folder))?.path();
            let name = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            let step = name
                .strip_prefix("step-")
                .and_then(|name| name.strip_suffix(".safetensors"));
            let step = step.and_then(|digits| digits.parse::<u64>().ok());
            if step.is_some() && step != kept {
                fs::remove_file(&path).map_err(Doing::Remove.failed(&path))?;
            }
        }
        Ok(())
    }

    fn state_path(&self, step: u64) -> PathBuf {
        self.path
            .join(STATE)
            .join(format!("step-{step:08}.safetensors"))
    }
}

impl Checkpoint {
    /// Whether the run that was told `config` has ended here: nothing is left to train.
    pub fn is_last(&self, config: &TrainConfig) -> bool {
        self.state.schedule.ended.is_some() || self.state.position.epoch >= config.epochs
    }

    /// Whether this network and this data may go on from here.
    pub fn check(&self, spec: &Spec, data: &DataIdentity) -> Result<(), RunError> {
        if let Some(difference) = self.weights.spec.difference(spec) {
            return Err(RunError::AnotherSpec {
                saved: self.weights.spec.name.clone(),
                given: spec.name.clone(),
                difference,
            });
        }
        if self.state.data.fingerprint != data.fingerprint {
            return Err(RunError::AnotherData {
                saved: self.state.data.clone(),
                given: data.clone(),
            });
        }
        Ok(())
    }
}

fn refuse_not_finite(weights: &Weights, state: &State) -> Result<(), RunError> {
    let weights = weights.parameters.iter().map(|found| ("", found));
    let velocities = state
        .velocities
        .iter()
        .map(|found| ("the momentum of ", found));
    for (what, (name, tensor)) in weights.chain(velocities) {
        if !is_finite(tensor) {
            return Err(RunError::NotFinite {
                name: format!("{what}{name}"),
                step: state.position.step,
            });
        }
    }
    Ok(())
}
