//! `--weights FILE|RUN|hf:OWNER/NAME`: which weights are meant.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;
use tandem_alexnet::checkpoint::{BEST, CONFIG, LAST};
use tandem_alexnet::config::TrainConfig;
use tandem_alexnet::error::ConfigError;
use tandem_alexnet::weights::{FORMAT, Weights};
use tandem_formats::{Format, FormatError, Options, Problem};

use crate::failure::Failure;
use crate::output::{plain, typed};
use crate::{hub, import};

/// Bytes of a file that tell what it is.
const HEAD: u64 = 1024;

/// What the names of weights files end in.
const ENDINGS: [&str; 7] = [
    "safetensors",
    "pth",
    "pt",
    "bin",
    "caffemodel",
    "onnx",
    "npy",
];

/// Weights that are named on the command line, and the file that they are in.
pub struct Found {
    pub file: PathBuf,
    pub weights: Weights,
    /// `hf:OWNER/NAME@COMMIT:FILE` of those that are the hub's.
    pinned: Option<String>,
}

impl Found {
    /// The weights that `named` stands for, whatever program wrote them. What is taken for granted of
    /// another framework's is said on standard error.
    pub fn read(named: &str) -> Result<Self> {
        let (found, notes) = Self::with_notes(named)?;
        for note in notes {
            let flags = match note.contains("--") {
                true => " (`tandem import`)",
                false => "",
            };
            tracing::warn!("{named}: {}{flags}", plain(&note));
        }
        Ok(found)
    }

    /// The same without a word, where it has been said.
    pub fn read_quietly(named: &str) -> Result<Self> {
        Ok(Self::with_notes(named)?.0)
    }

    fn with_notes(named: &str) -> Result<(Self, Vec<String>)> {
        let (file, pinned) = located(named, on_disk)?;
        let (weights, notes) = match is_ours(&file) {
            true => (Weights::read(&file)?, Vec::new()),
            false => {
                let imported = import::read(named, &file, pinned.as_deref(), &Options::default());
                let imported = imported.map_err(|error| untold(error, named))?;
                (imported.weights, imported.notes)
            }
        };
        let found = Self {
            file,
            weights,
            pinned,
        };
        Ok((found, notes))
    }

    /// A name that stands for the same file from another folder, and tomorrow.
    pub fn lasting_name(&self) -> PathBuf {
        match &self.pinned {
            Some(pinned) => pinned.into(),
            None => std::path::absolute(&self.file)
                .ok()
                // What is no text cannot be written down.
                .filter(|path| path.to_str().is_some())
                .unwrap_or_else(|| self.file.clone()),
        }
    }

    /// What the weights are, for those that come of them: the model of the hub with its commit, or the
    /// file's name, and what the file says of itself.
    pub fn origin(&self) -> String {
        let name = match &self.pinned {
            Some(pinned) => at_commit(pinned).to_owned(),
            None => {
                let name = self.file.file_name().unwrap_or_default();
                name.to_string_lossy().into_owned()
            }
        };
        match &self.weights.origin {
            // The name that it had where it came from says more.
            Some(origin) if origin.starts_with("imported from ") => {
                match self.pinned.is_some() && is_ours(&self.file) {
                    true => format!("{name} ({origin})"),
                    false => origin.clone(),
                }
            }
            Some(origin) => format!("{name} ({origin})"),
            None => name,
        }
    }
}

/// The file that `named` stands for, of the hub with its pinned name; of others `local` says it.
pub fn located(
    named: &str,
    local: impl FnOnce(&str) -> Result<PathBuf>,
) -> Result<(PathBuf, Option<String>)> {
    match named.starts_with("hf:") {
        true => hub::weights(named).map(|(file, pinned)| (file, Some(pinned))),
        false => Ok((local(named)?, None)),
    }
}

/// `hf:OWNER/NAME@COMMIT` of `hf:OWNER/NAME@COMMIT:FILE`.
pub fn at_commit(pinned: &str) -> &str {
    match pinned.match_indices(':').nth(1) {
        Some((end, _)) => &pinned[..end],
        None => pinned,
    }
}

/// An error of what a file does not say, with the command that may be told.
fn untold(error: anyhow::Error, named: &str) -> anyhow::Error {
    let problem = error.downcast_ref::<FormatError>();
    match problem.map(|error| &*error.problem) {
        Some(Problem::Unsaid { hint, .. }) if hint.contains("--") => {
            let import = typed(Path::new(named));
            let hint = format!("those are flags of: tandem import {import}");
            Failure::failed(error.to_string(), hint).into()
        }
        _ => error,
    }
}

/// A file itself, or the best of a run directory, the last where no epoch was measured yet.
fn on_disk(named: &str) -> Result<PathBuf> {
    let path = PathBuf::from(named);
    if path.is_file() {
        return Ok(path);
    }
    let found = [BEST, LAST].map(|name| path.join(name));
    if let Some(found) = found.into_iter().find(|file| file.is_file()) {
        return Ok(found);
    }
    let (what, hint) = match fs::metadata(&path) {
        Ok(about) if about.is_dir() => {
            let what = format!("{named}: neither {BEST} nor {LAST} is in it");
            (what, instead(&path))
        }
        Ok(_) => {
            let what = format!("{named} is no plain file, and weights are read from one");
            (what, "write it into a file first".to_owned())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let what = format!("{named}: there is no such file or run directory");
            let hint = "name a weights file, a run directory as `tandem train` makes it, or a model of the \
                        hub as hf:OWNER/NAME";
            (what, hint.to_owned())
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read {named}")),
    };
    Err(Failure::failed(what, hint).into())
}

/// What to name in place of a folder without weights of Tandem's.
fn instead(folder: &Path) -> String {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort_unstable();
    let is_weights = |path: &&PathBuf| {
        let ending = path.extension().and_then(|ending| ending.to_str());
        ending.is_some_and(|ending| ENDINGS.contains(&ending)) && path.is_file()
    };
    let is_run = |path: &&PathBuf| path.join(BEST).is_file() || path.join(LAST).is_file();
    if let Some(file) = paths.iter().find(is_weights) {
        return format!("name the file: {}", typed(file));
    }
    if folder.join(CONFIG).is_file() {
        return format!(
            "if the run was stopped before its first checkpoint, go on with: tandem train --resume {}",
            typed(folder)
        );
    }
    match paths.iter().find(is_run) {
        Some(run) => format!("name a run in it: {}", typed(run)),
        None => "name a weights file, or the folder of a run".to_owned(),
    }
}

/// Whether Tandem wrote `file`, as far as that shows: of what may be its own and is damaged, whoever
/// reads it says most.
pub fn is_ours(file: &Path) -> bool {
    if let Some(header) = header(file) {
        let format = header.metadata.get("format");
        // Of a run's state, too.
        return format.is_some_and(|format| format.starts_with(FORMAT));
    }
    let head = head(file);
    match Format::of(&head) {
        Some(format) => format == Format::Safetensors,
        // A length that cannot be, and the brace that opens the header.
        None => head.get(8) == Some(&b'{'),
    }
}

/// What the header of a safetensors file says beside its tensors, which are passed over.
#[derive(Deserialize)]
struct Header {
    #[serde(rename = "__metadata__", default)]
    metadata: BTreeMap<String, String>,
}

/// What shows what a file is; nothing where it cannot be read.
fn head(file: &Path) -> Vec<u8> {
    let mut head = Vec::new();
    let read = File::open(file).and_then(|file| file.take(HEAD).read_to_end(&mut head));
    read.map_or_else(|_| Vec::new(), |_| head)
}

/// The header of a safetensors file.
fn header(file: &Path) -> Option<Header> {
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
        let what = match Path::new(named).is_dir() {
            true => {
                format!("{named} does not say what it learned from: there is no {CONFIG} in it")
            }
            false => format!("{named} does not say what it learned from"),
        };
        Failure::usage(
            what,
            "say which pictures to take: --data SPEC, as --data builtin",
        )
    })?;
    match TrainConfig::parse(&text, &config.display().to_string()) {
        Ok(config) => Ok(config.data),
        Err(ConfigError::Imported { .. }) => {
            let what = format!(
                "{named} is of weights that were imported, and does not say what they learned from"
            );
            let hint = "say which pictures to take: --data SPEC, as --data builtin";
            Err(Failure::usage(what, hint).into())
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
        assert!(on_disk(named).unwrap_err().to_string().contains(BEST));
        fs::write(run.path().join(LAST), "").unwrap();
        assert_eq!(on_disk(named).unwrap(), run.path().join(LAST));
        fs::write(run.path().join(BEST), "").unwrap();
        assert_eq!(on_disk(named).unwrap(), run.path().join(BEST));
        assert_eq!(
            on_disk(run.path().join(LAST).to_str().unwrap()).unwrap(),
            run.path().join(LAST)
        );
    }

    #[test]
    fn what_is_not_there_is_named() {
        let error = on_disk("no/such/run").unwrap_err();
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
        assert!(!is_ours_with("", 5));
        assert!(!is_ours_with("no header", 9));
        // A Caffe network called `tiny`, whose first layer takes 123 bytes.
        fs::write(
            &path,
            [b"\n\x04tiny\xa2\x06\x7b".as_slice(), &[0; 123]].concat(),
        )
        .unwrap();
        assert!(!is_ours(&path));
    }
}
