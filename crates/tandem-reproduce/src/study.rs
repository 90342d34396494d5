//! The folder of a study: what was asked, its runs, what was measured, and the report.
//!
//! ```text
//! study.toml             what was asked, on which machine
//! runs/ARM/SEED/         as `tandem train` makes them
//! measured/NAME[/SEED]/  metrics.jsonl
//! baselines/METHOD/SEED/ metrics.jsonl, by scripts/baselines
//! index.html, README.md, charts/
//! ```
//!
//! Any number of processes may work on one study: a run is trained by the one that holds its lock, and
//! what is written for all is written under the study's.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tandem_alexnet::replacement::replace;

use crate::error::ReproduceError;
use crate::plan::Asked;

const STUDY: &str = "study.toml";
const LOCK: &str = ".tandem-lock";

/// A folder that holds a study.
#[derive(Clone, Debug)]
pub struct Study {
    path: PathBuf,
}

/// `study.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// Those asked for so far.
    pub experiments: Vec<String>,
    pub data: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second: Option<String>,
    pub quick: bool,
    pub seeds: u64,
    /// Of every run, over those of the experiments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<String>,
    pub made: Made,
}

/// With what, and when it began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Made {
    pub command: String,
    pub version: String,
    pub commit: String,
    /// UTC, to the day.
    pub date: String,
    pub hardware: String,
}

impl Study {
    /// The study in `path`, begun or gone on with as `asked`.
    ///
    /// # Errors
    ///
    /// When the folder holds a study of other data, size or seeds.
    pub fn open(
        path: &Path,
        asked: &Asked,
        seeds: u64,
        made: Made,
    ) -> Result<Self, ReproduceError> {
        fs::create_dir_all(path).map_err(failed("create", path))?;
        let this = Self {
            path: path.to_owned(),
        };
        let _lock = this.lock()?;
        let mut about = match this.about() {
            Err(ReproduceError::NoStudy { .. }) => About {
                experiments: Vec::new(),
                data: asked.data.clone(),
                second: asked.second.clone(),
                quick: asked.quick,
                seeds,
                settings: asked.settings.clone(),
                made,
            },
            about => about?,
        };
        let name = |second: &Option<String>| second.clone().unwrap_or_else(|| "none".to_owned());
        let size = |quick: bool| if quick { "quick" } else { "full" }.to_owned();
        for (what, there, wanted) in [
            ("data", about.data.clone(), asked.data.clone()),
            ("second set", name(&about.second), name(&asked.second)),
            ("size", size(about.quick), size(asked.quick)),
            (
                "settings",
                about.settings.join(", "),
                asked.settings.join(", "),
            ),
            (
                "number of seeds",
                about.seeds.to_string(),
                seeds.to_string(),
            ),
        ] {
            if there != wanted {
                return Err(ReproduceError::AnotherStudy {
                    path: path.to_owned(),
                    what,
                    there,
                    asked: wanted,
                });
            }
        }
        if !about.experiments.contains(&asked.experiment) {
            about.experiments.push(asked.experiment.clone());
        }
        let text = toml::to_string(&about).expect("words and numbers are TOML");
        replace(&path.join(STUDY), text.as_bytes())?;
        Ok(this)
    }

    /// The study that lies in `path` already.
    ///
    /// # Errors
    ///
    /// When none does.
    pub fn there(path: &Path) -> Result<Self, ReproduceError> {
        let this = Self {
            path: path.to_owned(),
        };
        this.about()?;
        Ok(this)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it is about.
    pub fn about(&self) -> Result<About, ReproduceError> {
        let path = self.path.join(STUDY);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ReproduceError::NoStudy {
                    path: self.path.clone(),
                });
            }
            text => text.map_err(failed("read", &path))?,
        };
        toml::from_str(&text).map_err(|error| ReproduceError::Syntax {
            path,
            message: error.to_string(),
        })
    }

    /// Writes a file of the study, whole, and the folders it is in.
    pub fn write(&self, file: &Path, bytes: &[u8]) -> Result<(), ReproduceError> {
        let path = self.path.join(file);
        let folder = path.parent().unwrap_or(&self.path);
        fs::create_dir_all(folder).map_err(failed("create", folder))?;
        let _lock = self.lock()?;
        Ok(replace(&path, bytes)?)
    }

    /// Waits for its turn to write what is everybody's.
    fn lock(&self) -> Result<File, ReproduceError> {
        let path = self.path.join(LOCK);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(failed("create", &path))?;
        // Where a file system has no locks, two processes would be the user's own doing.
        let _ = file.lock();
        Ok(file)
    }
}

pub(crate) fn failed<'a>(
    doing: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> ReproduceError + 'a {
    move |source| ReproduceError::File {
        doing,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> Made {
        let word = |word: &str| word.to_owned();
        Made {
            command: word("tandem reproduce all"),
            version: word("1"),
            commit: word("abc"),
            date: word("2026-01-01"),
            hardware: word("a machine"),
        }
    }

    fn asked(experiment: &str, data: &str) -> Asked {
        Asked {
            experiment: experiment.to_owned(),
            data: data.to_owned(),
            second: None,
            quick: true,
            seeds: None,
            settings: Vec::new(),
        }
    }

    #[test]
    fn a_study_gathers_experiments_and_refuses_other_data() {
        let folder = tempfile::tempdir().unwrap();
        let open = |experiment, data, seeds| {
            Study::open(folder.path(), &asked(experiment, data), seeds, made())
        };
        open("lrn", "builtin", 2).unwrap();
        open("lrn", "builtin", 2).unwrap();
        let about = open("overlap", "builtin", 2).unwrap().about().unwrap();
        assert_eq!(about.experiments, ["lrn", "overlap"]);
        for (data, seeds, what) in [("digits", 2, "data"), ("builtin", 3, "seeds")] {
            let error = open("lrn", data, seeds).unwrap_err().to_string();
            assert!(error.contains(what) && error.contains("--out"), "{error}");
        }
    }

    #[test]
    fn where_nothing_was_measured_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let error = Study::there(folder.path()).unwrap_err();
        assert!(matches!(error, ReproduceError::NoStudy { .. }), "{error}");
    }
}
