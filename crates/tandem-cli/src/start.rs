//! What a run starts from: read, noted in the run's settings, and found again where it has to begin once
//! more.

use std::io::{self, Write};
use std::path::{Path, absolute};

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

/// Notes in `config` that it starts from `found`: where that is, what it is, and its checksum. Settings of
/// another run may have noted it before.
pub fn note(config: &mut TrainConfig, found: &Found) -> Result<()> {
    let sha256 = sha256(&found.weights)?;
    let noted = config.start.sha256.replace(sha256.clone());
    if noted.as_ref() != Some(&sha256) {
        if noted.is_some() {
            tracing::warn!(
                "{} holds other weights than those that the settings were noted with",
                found.file.display()
            );
        }
        config.start.origin = Some(found.origin());
    }
    config.start_from = Some(found.lasting_name());
    Ok(())
}

/// Lets `config`, settings as they were typed, have what the run that has the settings `there` noted of its
/// start, if both name the same.
pub fn as_noted(config: &mut TrainConfig, there: &TrainConfig) {
    let (Some(typed), Some(noted)) = (named(config), named(there)) else {
        return;
    };
    let same = match typed.starts_with("hf:") {
        // A commit and a file are noted that need not be typed.
        true => noted.starts_with(&typed),
        // And of a run directory the file.
        false => {
            typed == noted
                || absolute(&typed).is_ok_and(|typed| Path::new(&noted).starts_with(typed))
        }
    };
    if same {
        config.start_from.clone_from(&there.start_from);
        config.start.origin.clone_from(&there.start.origin);
        config.start.sha256.clone_from(&there.start.sha256);
    }
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
        let what = format!("the weights that {run} starts from");
        match named.starts_with("hf:") || Path::new(&named).exists() {
            true => error.context(what),
            false => error.context(Failure::failed(what, put_back)),
        }
    })?;
    let noted = config.start.sha256.as_ref();
    if noted.is_some() && noted != Some(&sha256(&found.weights)?) {
        let what = format!(
            "{named} holds other weights than when {run} began, or is read otherwise by this Tandem"
        );
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
