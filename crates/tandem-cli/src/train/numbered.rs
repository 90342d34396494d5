//! The folder of a run that was given none.

use std::path::Path;

use tandem_alexnet::checkpoint::RunDirectory;
use tandem_alexnet::config::TrainConfig;
use tandem_alexnet::error::RunError;

/// `runs/MODEL-N` with the smallest N from 1 that is not there.
pub fn next_free(runs: &Path, model: &str, config: &TrainConfig) -> Result<RunDirectory, RunError> {
    let mut number = 1u64;
    loop {
        let folder = runs.join(format!("{model}-{number}"));
        // A link that leads nowhere is there too.
        if folder.symlink_metadata().is_err() {
            match RunDirectory::create(&folder, config) {
                // Another process took it just now.
                Err(RunError::HoldsAnotherRun { .. } | RunError::InUse { .. }) => {}
                made => return made,
            }
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
        let config = TrainConfig::resolve(None, None).unwrap();
        let next = || {
            let run = next_free(runs.path(), "mini", &config).unwrap();
            run.path().strip_prefix(runs.path()).unwrap().to_owned()
        };
        assert_eq!(next(), Path::new("mini-1"));
        for taken in ["mini-2", "alexnet-3"] {
            fs::create_dir(runs.path().join(taken)).unwrap();
        }
        assert_eq!(next(), Path::new("mini-3"));
        // Another process begins it.
        let other = RunDirectory::create(&runs.path().join("mini-4"), &config).unwrap();
        fs::rename(other.path(), runs.path().join("mini-4.tandem-unfinished")).unwrap();
        assert_eq!(next(), Path::new("mini-5"));
    }
}
