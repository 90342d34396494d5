//! The folder that an import leaves: weights where every command looks for a run's, and a
//! `config.toml` for people.

use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tandem_alexnet::checkpoint::{BEST, CONFIG};
use tandem_alexnet::error::RunError;
use tandem_alexnet::replacement::{UNFINISHED, replace};
use tandem_alexnet::spec::Spec;

use crate::Imported;

/// The first line of what an import writes for people.
const HEAD: &str = "# Weights from elsewhere; `tandem import` wrote this for people to read.";

/// Whether an import that was stopped left it: the next one puts its own in its place.
fn is_left_over(entry: &DirEntry) -> bool {
    let name = entry.file_name();
    let unfinished = [BEST, CONFIG].map(|name| format!("{name}{UNFINISHED}"));
    unfinished
        .iter()
        .any(|unfinished| name == unfinished.as_str())
        || name == CONFIG
            && fs::read_to_string(entry.path()).is_ok_and(|text| text.starts_with(HEAD))
}

/// A folder that an import cannot be written to.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    #[error("{} is there and not empty (it holds {holds}): nothing in it is changed", path.display())]
    NotEmpty { path: PathBuf, holds: String },
    #[error("cannot create {}: {source}", path.display())]
    Create { path: PathBuf, source: io::Error },
    #[error("{0}")]
    Write(#[from] RunError),
}

/// What `config.toml` says. Nothing reads it back but people: what counts is in the weights file.
#[derive(Serialize)]
struct Config<'a> {
    imported: About<'a>,
    labels: &'a [String],
    model: &'a Spec,
}

#[derive(Serialize)]
struct About<'a> {
    format: String,
    origin: Option<&'a str>,
    licence: Option<&'a str>,
    notes: &'a [String],
}

impl Imported {
    /// Makes `path` a folder with the weights as `best.safetensors` and what they are in
    /// `config.toml`, usable wherever a run directory is. Gives the path of the weights.
    ///
    /// # Errors
    ///
    /// When `path` is there and holds anything, or cannot be written.
    pub fn write(&self, path: &Path) -> Result<PathBuf, DirectoryError> {
        let create = |source| DirectoryError::Create {
            path: path.to_owned(),
            source,
        };
        fs::create_dir_all(path).map_err(create)?;
        for entry in fs::read_dir(path).map_err(create)? {
            let entry = entry.map_err(create)?;
            if !is_left_over(&entry) {
                return Err(DirectoryError::NotEmpty {
                    path: path.to_owned(),
                    holds: entry.file_name().to_string_lossy().into_owned(),
                });
            }
        }
        // The weights last: with them the folder is whole.
        replace(&path.join(CONFIG), self.config().as_bytes())?;
        let weights = path.join(BEST);
        self.weights.replace(&weights)?;
        Ok(weights)
    }

    fn config(&self) -> String {
        let config = Config {
            imported: About {
                format: self.format.to_string(),
                origin: self.weights.origin.as_deref(),
                licence: self.weights.licence.as_deref(),
                notes: &self.notes,
            },
            labels: &self.weights.classes,
            model: &self.weights.spec,
        };
        let text = toml::to_string_pretty(&config)
            .expect("strings, numbers and tables with fixed keys are always TOML");
        format!(
            "{HEAD}\n\
             # What predicting goes by is in the metadata of {BEST}.\n\n{text}"
        )
    }
}
