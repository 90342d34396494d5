//! `tandem train`: settings, run directory, signals and reports around the trainer.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;

use crate::args::{Global, Train};
use crate::failure::Failure;
use crate::settings;

pub fn run(args: &Train, _global: &Global) -> Result<ExitCode> {
    if let Some(run) = &args.resume {
        let what = format!("resuming {} is not there yet", run.display());
        return Err(Failure::failed(what, "the run was left as it is").into());
    }
    let config = settings::resolve(args)?;
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| next_free(Path::new("runs"), &config.model.name));
    let what = format!(
        "training {} on {} into {} is not there yet",
        config.model.name,
        config.data,
        out.display()
    );
    Err(Failure::failed(what, "the settings were read and fit together").into())
}

/// `runs/MODEL-N` with the smallest N from 1 that is not there.
fn next_free(runs: &Path, model: &str) -> PathBuf {
    let mut number = 1u64;
    loop {
        let folder = runs.join(format!("{model}-{number}"));
        // A link that leads nowhere is there too.
        if folder.symlink_metadata().is_err() {
            return folder;
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_run_without_a_name_takes_the_next_number() {
        let runs = tempfile::tempdir().unwrap();
        assert_eq!(next_free(runs.path(), "mini"), runs.path().join("mini-1"));
        for taken in ["mini-1", "mini-2", "alexnet-3"] {
            fs::create_dir(runs.path().join(taken)).unwrap();
        }
        assert_eq!(next_free(runs.path(), "mini"), runs.path().join("mini-3"));
    }
}
