//! What a run starts from: read, noted in the run's settings, and found again where it has to begin once
//! more.

use std::io::{self, Write};
use std::path::Path;

use anyhow::Result;
use sha2::{Digest, Sha256};
use tandem_alexnet::config::TrainConfig;
use tandem_alexnet::weights::Weights;

use crate::failure::Failure;
use crate::weights::Found;

/// Reads the weights that `config` names to start from, and notes in it what they are.
pub fn read(config: &mut TrainConfig) -> Result<Option<Weights>> {
    let Some(named) = named(config) else {
        (config.start.origin, config.start.sha256) = (None, None);
        return Ok(None);
    };
    let found = Found::read(&named)?;
    note(config, &found)?;
    Ok(Some(found.weights))
}

/// Notes in `config` that it starts from `found`: where that is, what it is, and its checksum.
pub fn note(config: &mut TrainConfig, found: &Found) -> Result<()> {
    config.start_from = Some(found.lasting_name()?.into());
    config.start.origin = Some(found.origin());
    config.start.sha256 = Some(sha256(&found.weights)?);
    Ok(())
}

/// The weights that the run in `path` starts from, which has no checkpoint yet: those that it began with.
pub fn read_again(config: &TrainConfig, path: &Path) -> Result<Option<Weights>> {
    let Some(named) = named(config) else {
        return Ok(None);
    };
    let put_back =
        "put back what was there; the run has saved nothing yet, and a new one loses nothing";
    let run = path.display();
    let found = Found::read(&named).map_err(|error| {
        error.context(Failure::failed(
            format!("the weights that {run} starts from"),
            put_back,
        ))
    })?;
    let is_another = |sha: &String| Ok::<_, io::Error>(*sha != sha256(&found.weights)?);
    if config.start.sha256.as_ref().map_or(Ok(false), is_another)? {
        let what = format!("{named} holds other weights than when {run} began with it");
        return Err(Failure::failed(what, put_back).into());
    }
    Ok(Some(found.weights))
}

fn named(config: &TrainConfig) -> Option<String> {
    let path = config.start_from.as_ref()?;
    Some(path.to_string_lossy().into_owned())
}

/// Of the file that Tandem would write of `weights`, in hex.
fn sha256(weights: &Weights) -> io::Result<String> {
    struct Hashed(Sha256);
    impl Write for Hashed {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut hashed = Hashed(Sha256::new());
    weights.write(&mut hashed)?;
    let digest = hashed.0.finalize();
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}
