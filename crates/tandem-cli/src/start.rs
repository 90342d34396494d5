//! What a run starts from: read, noted in the run's settings, and found again where it has to begin once
//! more.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf, absolute};

use anyhow::Result;
use sha2::{Digest, Sha256};
use tandem_alexnet::checkpoint::{BEST, CONFIG, LAST};
use tandem_alexnet::config::TrainConfig;
use tandem_alexnet::weights::Weights;

use crate::failure::Failure;
use crate::weights::Found;

/// Reads the weights that `config` names to start from, and notes in it what they are.
pub fn read(config: &mut TrainConfig) -> Result<Option<Weights>> {
    let Some(named) = named(config) else {
        forget(config);
        return Ok(None);
    };
    let found = Found::read(&named)?;
    note(config, &found)?;
    Ok(Some(found.weights))
}

/// Takes out of `config` what it starts from, as settings of another run have it.
pub fn forget(config: &mut TrainConfig) {
    config.start_from = None;
    (config.start.origin, config.start.sha256) = (None, None);
}

/// Notes in `config` that it starts from `found`: where that is, what it is, its checksum and its licence.
/// The settings of another run may have noted what that is, and it must be so.
pub fn note(config: &mut TrainConfig, found: &Found) -> Result<()> {
    let sha256 = sha256(&found.weights)?;
    match &config.start.sha256 {
        Some(noted) if *noted == sha256 => {}
        Some(_) => {
            let name = found.lasting_name();
            let what = format!(
                "{} holds other weights than those that the settings began with (start.sha256)",
                name.display()
            );
            let hint = "put those there, or say that others are meant: --set start_from=FILE";
            return Err(Failure::failed(what, hint).into());
        }
        None => {
            config.start.origin = Some(found.origin());
            config.start.sha256 = Some(sha256);
        }
    }
    config.start_from = Some(found.lasting_name());
    if config.licence.is_none() {
        config.licence.clone_from(&found.weights.licence);
    }
    Ok(())
}

/// Lets `config` have what an ensemble's `members` start from: what the first of them that is there noted,
/// or what is there now.
pub fn read_for(config: &mut TrainConfig, members: &[PathBuf]) -> Result<()> {
    for member in members {
        let path = member.join(CONFIG);
        if let Ok(text) = fs::read_to_string(&path) {
            let there = TrainConfig::parse(&text, &path.display().to_string())?;
            as_noted(config, &there);
            return Ok(());
        }
    }
    read(config).map(drop)
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
        if config.licence.is_none() {
            config.licence.clone_from(&there.licence);
        }
    }
}

/// Whether the name that was `typed` stands for what was `noted`: of a run directory a file in it, of the
/// hub a commit and a file, which need not be typed.
fn is_noted_as(typed: &str, noted: &str) -> bool {
    let (Some(typed_model), Some(noted_model)) = (of_the_hub(typed), of_the_hub(noted)) else {
        let noted = Path::new(noted);
        let of_run = |typed: &Path| [BEST, LAST].iter().any(|name| typed.join(name) == noted);
        let is = |typed: PathBuf| typed == noted || of_run(&typed);
        return is(typed.into())
            || absolute(typed).is_ok_and(is)
            || Path::new(typed).canonicalize().is_ok_and(is);
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
    let found = Found::read_quietly(&named).map_err(|error| {
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
    let named = path.to_string_lossy().into_owned();
    // `--set start_from=` takes back what a file says.
    (!named.is_empty()).then_some(named)
}

/// Of the file that Tandem would write of `weights`, without what it says of where they came from, in hex.
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
    let nameless = Weights {
        origin: None,
        licence: None,
        ..weights.clone()
    };
    nameless.write(&mut hashed)?;
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
        for typed in ["runs/on", "runs/two", "runs", "hf:runs/one"] {
            assert!(!is_noted_as(typed, noted), "{typed}");
        }
    }
}
