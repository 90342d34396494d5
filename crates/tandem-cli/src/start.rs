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
    if is_noted_as(&typed, &noted) {
        config.start_from.clone_from(&there.start_from);
        config.start.origin.clone_from(&there.start.origin);
        config.start.sha256.clone_from(&there.start.sha256);
    }
}

/// Whether the name that was `typed` stands for what was `noted`: of a run directory a file in it, of the
/// hub a commit and a file, which need not be typed.
fn is_noted_as(typed: &str, noted: &str) -> bool {
    let (Some(typed_model), Some(noted_model)) = (of_the_hub(typed), of_the_hub(noted)) else {
        let inside = |typed| Path::new(noted).starts_with(typed);
        return typed == noted || absolute(typed).is_ok_and(inside);
    };
    let [repository, revision, file] = typed_model;
    let same = |part: &str, noted: &str| part.is_empty() || part == noted;
    let [noted_repository, commit, noted_file] = noted_model;
    // What a branch or tag is now need not be what it was.
    let is_commit = revision.len() == commit.len();
    repository == noted_repository
        && same(file, noted_file)
        && (!is_commit || same(revision, commit))
}

/// Repository, revision and file of a name of the hub, each empty where it is not said.
fn of_the_hub(name: &str) -> Option<[&str; 3]> {
    let model = name.strip_prefix("hf:")?;
    let (model, file) = model.split_once(':').unwrap_or((model, ""));
    let (repository, revision) = model.split_once('@').unwrap_or((model, ""));
    Some([repository, revision, file])
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_what_was_noted_of_it_and_for_no_other() {
        let commit = "0123456789012345678901234567890123456789";
        let noted = format!("hf:me/net@{commit}:a.pth");
        for typed in ["hf:me/net", "hf:me/net@main", "hf:me/net:a.pth", &noted] {
            assert!(is_noted_as(typed, &noted), "{typed}");
        }
        let another = commit.replace('0', "f");
        let another = format!("hf:me/net@{another}");
        for typed in [
            "hf:me/ne",
            "hf:me/network",
            "hf:me/net:b.pth",
            &another,
            "me/net",
        ] {
            assert!(!is_noted_as(typed, &noted), "{typed}");
        }
        let run = absolute("runs/one/best.safetensors").unwrap();
        let noted = run.to_str().unwrap();
        for typed in ["runs/one", "runs/one/best.safetensors", noted] {
            assert!(is_noted_as(typed, noted), "{typed}");
        }
        for typed in ["runs/on", "runs/two", "hf:runs/one"] {
            assert!(!is_noted_as(typed, noted), "{typed}");
        }
    }
}
