//! `--weights FILE|RUN|hf:OWNER/NAME`: which file is meant.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Result;
use tandem_alexnet::checkpoint::{BEST, CONFIG, LAST};
use tandem_alexnet::config::TrainConfig;
use tandem_alexnet::error::ConfigError;
use tandem_alexnet::weights::FORMAT;
use tandem_formats::Format;

use crate::failure::Failure;
use crate::hub;
use crate::output::typed;

/// Bytes of a file that tell what it is.
const HEAD: u64 = 1024;

/// The weights file `named` on the command line: a file itself, or the best of a run directory, the
/// last where no epoch was measured yet; of a model of the hub the file in the cache.
pub fn file(named: &str) -> Result<PathBuf> {
    if named.starts_with("hf:") {
        let file = hub::weights(named)?;
        check_is_ours(named, &file)?;
        return Ok(file);
    }
    let path = PathBuf::from(named);
    if path.is_file() {
        refuse_foreign(&path)?;
        return Ok(path);
    }
    if !path.is_dir() {
        let what = format!("{named}: there is no such file or run directory");
        return Err(Failure::failed(
            what,
            "`tandem train` makes one; it says where when it begins",
        )
        .into());
    }
    let found = [BEST, LAST]
        .map(|name| path.join(name))
        .into_iter()
        .find(|file| file.is_file());
    found.ok_or_else(|| {
        let what = format!("{named}: neither {BEST} nor {LAST} is in it");
        let hint = format!("if the run was stopped before its first checkpoint, go on with: tandem train --resume {named}");
        Failure::failed(what, hint).into()
    })
}

/// Says how weights of another framework are read, where `path` holds such.
fn refuse_foreign(path: &Path) -> Result<()> {
    // What a file cannot be read for is said by whoever reads all of it.
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(HEAD).read_to_end(&mut head));
    match Format::of(&head).filter(|_| read.is_ok()) {
        None | Some(Format::Safetensors) => Ok(()),
        Some(format) => {
            let what = format!(
                "{}: these weights are not Tandem's ({format})",
                path.display()
            );
            let hint = format!(
                "make a folder of Tandem's of them first: tandem import {}",
                typed(path)
            );
            Err(Failure::failed(what, hint).into())
        }
    }
}

/// The file that `named` on the command line stands for, whatever framework wrote it and whether it is
/// there or not; of a model of the hub the file in the cache.
pub fn of_any_form(named: &str) -> Result<PathBuf> {
    match named.starts_with("hf:") {
        true => hub::weights_of_any_form(named),
        false => Ok(PathBuf::from(named)),
    }
}

/// Refuses the file of the model `named`, if another program wrote it.
pub fn check_is_ours(named: &str, file: &Path) -> Result<()> {
    if is_ours(file) {
        return Ok(());
    }
    let what = format!(
        "{named} holds weights of another program ({})",
        file.display()
    );
    let hint = format!("turn them into Tandem's with: tandem import {named}");
    Err(Failure::failed(what, hint).into())
}

/// Whether the header of a safetensors file says that Tandem wrote it.
fn is_ours(file: &Path) -> bool {
    let header = || -> Option<serde_json::Value> {
        let mut file = File::open(file).ok()?;
        let mut length = [0; 8];
        file.read_exact(&mut length).ok()?;
        // What safetensors takes for a header at most.
        let length = Some(u64::from_le_bytes(length)).filter(|length| *length <= 100_000_000)?;
        let mut header = Vec::new();
        file.take(length).read_to_end(&mut header).ok()?;
        serde_json::from_slice(&header).ok()
    };
    header().is_some_and(|header| header["__metadata__"]["format"] == FORMAT)
}

/// The data that the run `named` learned from; a weights file does not say.
pub fn data(named: &str) -> Result<String> {
    let config = match named.starts_with("hf:") {
        true => hub::companion(named, CONFIG)?,
        false => Some(Path::new(named).join(CONFIG)),
    };
    let read = config.and_then(|file| Some((fs::read_to_string(&file).ok()?, file)));
    let (text, config) = read.ok_or_else(|| {
        let what = format!("{named} does not say what it learned from: there is no {CONFIG} in it");
        Failure::usage(
            what,
            "say which pictures to take: --data SPEC, as --data builtin",
        )
    })?;
    match TrainConfig::parse(&text, &config.display().to_string()) {
        Ok(config) => Ok(config.data),
        Err(error @ ConfigError::Imported { .. }) => {
            let hint = "say which pictures to take: --data SPEC, as --data builtin";
            Err(Failure::usage(error.to_string(), hint).into())
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_directory_stands_for_its_best_weights_then_its_last() {
        let run = tempfile::tempdir().unwrap();
        let named = run.path().to_str().unwrap();
        assert!(file(named).unwrap_err().to_string().contains(BEST));
        fs::write(run.path().join(LAST), "").unwrap();
        assert_eq!(file(named).unwrap(), run.path().join(LAST));
        fs::write(run.path().join(BEST), "").unwrap();
        assert_eq!(file(named).unwrap(), run.path().join(BEST));
        assert_eq!(
            file(run.path().join(LAST).to_str().unwrap()).unwrap(),
            run.path().join(LAST)
        );
    }

    #[test]
    fn what_is_not_there_is_named() {
        let error = file("no/such/run").unwrap_err();
        assert!(error.to_string().contains("no/such/run"));
    }

    #[test]
    fn only_what_says_so_in_its_header_is_ours() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        let is_ours_with = |header: &str, length: usize| {
            let bytes = [&length.to_le_bytes()[..], header.as_bytes()].concat();
            fs::write(&path, bytes).unwrap();
            is_ours(&path)
        };
        let ours = r#"{"__metadata__":{"format":"tandem"}}"#;
        assert!(is_ours_with(ours, ours.len()));
        let pt = r#"{"__metadata__":{"format":"pt"}}"#;
        assert!(!is_ours_with(pt, pt.len()));
        assert!(!is_ours_with("{}", 2));
        assert!(!is_ours_with(ours, usize::MAX));
        assert!(!is_ours_with(ours, ours.len() - 1));
        assert!(!is_ours(folder.path()));
    }
}
