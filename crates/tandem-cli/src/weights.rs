//! `--weights FILE|RUN|hf:OWNER/NAME`: which file is meant.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Result;
use tandem_alexnet::checkpoint::{BEST, CONFIG, LAST};
use tandem_alexnet::config::TrainConfig;
use tandem_alexnet::error::ConfigError;
use tandem_formats::Format;

use crate::failure::Failure;
use crate::output::typed;

/// Bytes of a file that tell what it is.
const HEAD: u64 = 1024;

/// The weights file `named` on the command line: a file itself, or the best of a run directory, the
/// last where no epoch was measured yet.
pub fn file(named: &str) -> Result<PathBuf> {
    let path = local(named)?;
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

/// The path on this machine of what is `named` on the command line, whether it is there or not.
pub fn local(named: &str) -> Result<PathBuf> {
    if let Some(repository) = named.strip_prefix("hf:") {
        let what = format!("hf:{repository}: downloading from the hub is not there yet");
        return Err(Failure::failed(what, "download the safetensors file and name it").into());
    }
    Ok(PathBuf::from(named))
}

/// The data that the run `named` learned from; a weights file does not say.
pub fn data(named: &str) -> Result<String> {
    let config = Path::new(named).join(CONFIG);
    let text = fs::read_to_string(&config).map_err(|_| {
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
        assert!(
            file("hf:someone/alexnet")
                .unwrap_err()
                .to_string()
                .contains("hf:someone/alexnet")
        );
    }
}
