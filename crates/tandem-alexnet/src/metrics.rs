//! `metrics.jsonl`: one JSON object a line, at least `step`, the number of updates made when it was
//! measured.
//!
//! A line must be appended before the checkpoint of its step is saved, and [`Metrics::sync`] called
//! in between: a resumed run keeps the lines up to its checkpoint, and makes the later ones again.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Doing, RunError};
use crate::replacement::Replacement;

/// The file in a run directory.
pub const METRICS: &str = "metrics.jsonl";

/// The metrics of a run, open at their end.
#[derive(Debug)]
pub struct Metrics {
    path: PathBuf,
    file: File,
}

#[derive(Deserialize)]
struct Stamp {
    step: u64,
}

impl Metrics {
    /// Empty metrics in `run`, for a run from its beginning.
    pub fn create(run: &Path) -> Result<Self, RunError> {
        let path = run.join(METRICS);
        let file = File::create(&path).map_err(Doing::Create.failed(&path))?;
        Ok(Self { path, file })
    }

    /// The metrics in `run` up to and with `step`, without a line that was cut off.
    pub fn resume(run: &Path, step: u64) -> Result<Self, RunError> {
        let path = run.join(METRICS);
        if !path.exists() {
            return Self::create(run);
        }
        let old = File::open(&path).map_err(Doing::Read.failed(&path))?;
        let kept = Replacement::write(&path, |out| {
            let mut lines = BufReader::new(old);
            let mut line = Vec::new();
            while lines.read_until(b'\n', &mut line)? > 0 {
                let whole = line.ends_with(b"\n");
                let early =
                    serde_json::from_slice(&line).is_ok_and(|stamp: Stamp| stamp.step <= step);
                if whole && early {
                    out.write_all(&line)?;
                }
                line.clear();
            }
            Ok(())
        })?;
        kept.commit()?;
        let file = OpenOptions::new().append(true).open(&path);
        let file = file.map_err(Doing::Write.failed(&path))?;
        Ok(Self { path, file })
    }

    /// Adds a line. `line` serialises to an object with `step`; floats that JSON lacks become null.
    pub fn append(&mut self, line: &impl Serialize) -> Result<(), RunError> {
        let written = serde_json::to_vec(line)
            .map_err(std::io::Error::other)
            .and_then(|mut bytes| {
                bytes.push(b'\n');
                // In one piece: a reader never sees part of a line.
                self.file.write_all(&bytes)
            });
        written.map_err(Doing::Write.failed(&self.path))
    }

    /// Makes the lines so far last.
    pub fn sync(&self) -> Result<(), RunError> {
        self.file
            .sync_data()
            .map_err(Doing::Write.failed(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_resumed_run_keeps_the_lines_up_to_its_checkpoint() {
        let run = tempfile::tempdir().unwrap();
        let path = run.path().join(METRICS);
        let mut metrics = Metrics::create(run.path()).unwrap();
        for step in 1..=5 {
            metrics
                .append(&json!({ "step": step, "loss": 2.5 }))
                .unwrap();
        }
        metrics
            .append(&json!({ "step": 3, "top1_error": 0.5 }))
            .unwrap();
        metrics.sync().unwrap();
        // Killed within a write.
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("{\"step\":2,\"lo");
        std::fs::write(&path, text).unwrap();

        let mut metrics = Metrics::resume(run.path(), 3).unwrap();
        metrics
            .append(&json!({ "step": 4, "loss": f64::NAN }))
            .unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "{\"loss\":2.5,\"step\":1}\n{\"loss\":2.5,\"step\":2}\n{\"loss\":2.5,\"step\":3}\n\
             {\"step\":3,\"top1_error\":0.5}\n{\"loss\":null,\"step\":4}\n"
        );
    }

    #[test]
    fn a_last_line_without_its_end_is_dropped_even_if_it_parses() {
        let run = tempfile::tempdir().unwrap();
        std::fs::write(run.path().join(METRICS), "{\"step\":1}\n{\"step\":2}").unwrap();
        Metrics::resume(run.path(), 9).unwrap();
        assert_eq!(
            std::fs::read_to_string(run.path().join(METRICS)).unwrap(),
            "{\"step\":1}\n"
        );
    }

    #[test]
    fn metrics_that_are_gone_start_anew() {
        let run = tempfile::tempdir().unwrap();
        Metrics::resume(run.path(), 9).unwrap();
        assert!(run.path().join(METRICS).exists());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_named_with_its_file() {
        let run = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/full", run.path().join(METRICS)).unwrap();
        let error = Metrics::create(run.path())
            .unwrap()
            .append(&json!({ "step": 1 }))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(METRICS) && error.contains("free space"),
            "{error}"
        );
    }
}
