//! `metrics.jsonl` of runs and measurements, read back: all that the report's numbers come from.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use tandem_alexnet::metrics::METRICS;

use crate::error::ReproduceError;
use crate::study::failed;

/// What a run or a measurement said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Log {
    /// Ends of epochs, or the one line of a measurement.
    pub measured: Vec<Line>,
    pub end: Option<End>,
}

/// An end of an epoch, or a measurement. Errors are shares, 0 to 1.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Line {
    #[serde(default)]
    pub epoch: f64,
    pub top1_error: f64,
    pub top5_error: Option<f64>,
    pub training_top1_error: Option<f64>,
    #[serde(default)]
    pub parameters: BTreeMap<String, Magnitude>,
    /// Of an ensemble: the errors of its members, and how often they differ.
    #[serde(default)]
    pub member_top1_errors: Vec<f64>,
    #[serde(default)]
    pub member_top5_errors: Vec<f64>,
    pub disagreement: Option<f64>,
    /// Of a baseline, which has no end: what it took.
    pub seconds: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Magnitude {
    pub mean_abs_gradient: Option<f64>,
}

/// The last line of a run that is done.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// Updates made.
    pub step: u64,
    pub ended: Ended,
    /// On the clock, since it was begun or last gone on with.
    pub seconds: f64,
    /// Updates that it had had by then.
    #[serde(default)]
    pub since: u64,
}

impl End {
    /// Seconds of the whole run: those of its last part, and as many an update before it.
    pub fn whole_seconds(&self) -> f64 {
        match self.step.saturating_sub(self.since) {
            0 => self.seconds,
            made => self.seconds * self.step as f64 / made as f64,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// All its epochs.
    Done,
    /// Its loss or weights were no longer finite.
    Diverged,
}

impl Log {
    /// The log in the folder of a run or measurement; empty where there is none yet.
    pub fn read(folder: &Path) -> Result<Self, ReproduceError> {
        let path = folder.join(METRICS);
        match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(failed("read", &path)(error)),
            Ok(text) => Self::parse(&text, &path),
        }
    }

    /// A last line without its end was cut off by a kill and is left out.
    fn parse(text: &str, path: &Path) -> Result<Self, ReproduceError> {
        let mut log = Self::default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        for (index, line) in whole.lines().enumerate() {
            let broken = |error: serde_json::Error| ReproduceError::Line {
                path: path.to_owned(),
                line: index + 1,
                message: error.to_string(),
            };
            let value: serde_json::Value = serde_json::from_str(line).map_err(broken)?;
            if value.get("ended").is_some() {
                log.end = Some(serde_json::from_value(value).map_err(broken)?);
            } else if value.get("top1_error").is_some() {
                log.measured
                    .push(serde_json::from_value(value).map_err(broken)?);
            }
        }
        Ok(log)
    }

    /// What was measured last: a run's result.
    pub fn last(&self) -> Option<&Line> {
        match self.end {
            Some(End {
                ended: Ended::Diverged,
                ..
            }) => None,
            _ => self.measured.last(),
        }
    }
}

/// Adds the last line to the log in `folder`.
pub fn conclude(folder: &Path, end: End) -> Result<(), ReproduceError> {
    let path = folder.join(METRICS);
    let line = serde_json::to_string(&end).expect("a flat structure is JSON") + "\n";
    let file = OpenOptions::new().append(true).open(&path);
    file.and_then(|mut file| {
        file.write_all(line.as_bytes())?;
        file.sync_all()
    })
    .map_err(failed("write", &path))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = r#"{"step":1,"epoch":0.5,"loss":2.3,"learning_rate":0.01}
{"step":2,"epoch":1,"loss":2.0,"learning_rate":0.01,"top1_error":0.5,"top5_error":0.1,"training_top1_error":0.4,"parameters":{"conv1.weight":{"mean_abs_weight":0.1,"mean_abs_gradient":0.02}}}
"#;

    #[test]
    fn ends_of_epochs_and_the_end_of_the_run_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Log::read(folder.path()).unwrap(), Log::default());
        fs::write(folder.path().join(METRICS), RUN).unwrap();
        let log = Log::read(folder.path()).unwrap();
        assert_eq!((log.measured.len(), log.end), (1, None));
        assert_eq!(log.last().unwrap().training_top1_error, Some(0.4));
        let end = End {
            step: 2,
            ended: Ended::Done,
            seconds: 1.5,
            since: 1,
        };
        assert_eq!(end.whole_seconds(), 3.0);
        conclude(folder.path(), end).unwrap();
        let log = Log::read(folder.path()).unwrap();
        assert_eq!((log.measured.len(), log.end), (1, Some(end)));
    }

    #[test]
    fn an_end_that_a_kill_cut_off_is_none() {
        let cut = format!("{RUN}{{\"step\":2,\"ended\":\"done\",\"sec");
        assert_eq!(Log::parse(&cut, Path::new("m")).unwrap().end, None);
    }

    #[test]
    fn a_run_that_diverged_has_no_result() {
        let text = format!("{RUN}{{\"step\":2,\"ended\":\"diverged\",\"seconds\":1}}\n");
        assert_eq!(Log::parse(&text, Path::new("m")).unwrap().last(), None);
    }

    #[test]
    fn a_broken_line_is_named() {
        let error =
            Log::parse("{\"step\":1}\nnonsense\n", Path::new("a/metrics.jsonl")).unwrap_err();
        assert!(
            error.to_string().starts_with("a/metrics.jsonl: line 2"),
            "{error}"
        );
    }
}
