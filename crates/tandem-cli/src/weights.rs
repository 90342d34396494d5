//! `--weights FILE|RUN|hf:OWNER/NAME`: which file is meant.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::Value;
use tandem_alexnet::checkpoint::{BEST, CONFIG, LAST};
use tandem_alexnet::config::TrainConfig;
use tandem_alexnet::error::ConfigError;
use tandem_alexnet::placement::Placement;
use tandem_alexnet::trained::Trained;
use tandem_alexnet::weights::{FORMAT, Weights};
use tandem_formats::{Format, Options};

use crate::failure::Failure;
use crate::output::{plain, typed};
use crate::report::progress::write_line;
use crate::{hub, import};

/// Bytes of a file that tell what it is.
const HEAD: u64 = 1024;

/// Weights that are named on the command line, and the file that they are in.
pub struct Found {
    pub file: PathBuf,
    pub weights: Weights,
}

impl Found {
    /// The weights that `named` stands for, whatever program wrote them. What is taken for granted of
    /// another framework's is said on standard error.
    pub fn read(named: &str) -> Result<Self> {
        let file = match named.starts_with("hf:") {
            true => hub::weights_of_any_form(named)?,
            false => on_disk(named)?,
        };
        if is_ours(&file) {
            let weights = Weights::read(&file)?;
            return Ok(Self { file, weights });
        }
        let imported = import::read(named, &file, &Options::default())?;
        for note in &imported.notes {
            write_line(&plain(&format!("note: {note}")));
        }
        Ok(Self {
            file,
            weights: imported.weights,
        })
    }

    /// The network on the devices of `placement`.
    pub fn on(self, placement: &Placement) -> Result<Trained> {
        Ok(Trained::new(self.weights, &self.file, placement)?)
    }
}

/// The file of Tandem's own weights that `named` on the command line stands for.
pub fn file(named: &str) -> Result<PathBuf> {
    let file = match named.starts_with("hf:") {
        true => hub::weights(named)?,
        false => on_disk(named)?,
    };
    check_is_ours(named, &file)?;
    Ok(file)
}

/// Refuses the file that `named` stands for, if another program wrote it.
pub fn check_is_ours(named: &str, file: &Path) -> Result<()> {
    if is_ours(file) {
        return Ok(());
    }
    let what = match Format::of(&head(file)) {
        Some(format) => format!("{named}: these weights are not Tandem's ({format})"),
        None => format!("{named}: this is no weights file of Tandem's"),
    };
    let import = typed(Path::new(named));
    let hint =
        format!("turn another framework's into a folder of Tandem's: tandem import {import}");
    Err(Failure::failed(what, hint).into())
}

/// A file itself, or the best of a run directory, the last where no epoch was measured yet.
fn on_disk(named: &str) -> Result<PathBuf> {
    let path = PathBuf::from(named);
    if path.is_file() {
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

/// Whether Tandem wrote `file`, as far as that shows: of what may be its own and is damaged, whoever
/// reads it says most.
fn is_ours(file: &Path) -> bool {
    match header(file) {
        Some(header) => header["__metadata__"]["format"] == FORMAT,
        // A length, and the brace that opens the header.
        None => head(file).get(8).is_none_or(|first| *first == b'{'),
    }
}

/// What shows what a file is; nothing where it cannot be read.
fn head(file: &Path) -> Vec<u8> {
    let mut head = Vec::new();
    let read = File::open(file).and_then(|file| file.take(HEAD).read_to_end(&mut head));
    read.map_or_else(|_| Vec::new(), |_| head)
}

/// The header of a safetensors file.
fn header(file: &Path) -> Option<Value> {
    let mut file = File::open(file).ok()?;
    let mut length = [0; 8];
    file.read_exact(&mut length).ok()?;
    // What safetensors takes for a header at most.
    let length = Some(u64::from_le_bytes(length)).filter(|length| *length <= 100_000_000)?;
    let mut header = Vec::new();
    file.take(length).read_to_end(&mut header).ok()?;
    serde_json::from_slice(&header).ok()
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
    fn another_s_is_told_from_ours_by_its_header() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        let is_ours_with = |header: &str, length: usize| {
            let bytes = [&length.to_le_bytes()[..], header.as_bytes()].concat();
            fs::write(&path, bytes).unwrap();
            is_ours(&path)
        };
        let ours = r#"{"__metadata__":{"format":"tandem"}}"#;
        assert!(is_ours_with(ours, ours.len()));
        // Damaged, it may be.
        for length in [ours.len() - 1, usize::MAX] {
            assert!(is_ours_with(ours, length));
        }
        let pt = r#"{"__metadata__":{"format":"pt"}}"#;
        assert!(!is_ours_with(pt, pt.len()));
        assert!(!is_ours_with("{}", 2));
        assert!(is_ours_with("", 5));
        assert!(!is_ours_with("no header", 9));
    }
}
