//! `metrics.jsonl` read back: what a run said about itself, a line at a time.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

/// One training step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trained {
    /// Steps done, from 1.
    pub step: u64,
    /// Mean loss over the batch; none where it was not a number.
    pub loss: Option<f64>,
    pub learning_rate: f64,
}

/// One measurement on the validation pictures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Validated {
    pub step: u64,
    /// Epochs done, from 1.
    pub epoch: f64,
    /// Share of pictures whose class is not the likeliest, 0 to 1.
    pub top1_error: f64,
    /// Share of pictures whose class is not among the five likeliest, 0 to 1.
    pub top5_error: Option<f64>,
}

/// Everything a run has said so far, in the order of its steps.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    pub trained: Vec<Trained>,
    pub validated: Vec<Validated>,
}

/// A line as it stands in the file; fields this reader has no use for are passed over.
#[derive(Deserialize)]
struct Line {
    step: u64,
    epoch: Option<f64>,
    loss: Option<f64>,
    learning_rate: Option<f64>,
    top1_error: Option<f64>,
    top5_error: Option<f64>,
}

impl Metrics {
    /// Reads a run's `metrics.jsonl`.
    pub fn read(path: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("reading {}", path.display()))
    }

    /// A last line without its end was cut off by a kill and is left out; any other line that does
    /// not parse is an error that says which.
    fn parse(text: &str) -> Result<Self> {
        let mut metrics = Self::default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        for (index, line) in whole.lines().enumerate() {
            let line: Line =
                serde_json::from_str(line).with_context(|| format!("line {}", index + 1))?;
            metrics.add(&line);
        }
        Ok(metrics)
    }

    /// A resumed run says some steps again: the later word counts.
    fn add(&mut self, line: &Line) {
        while self
            .validated
            .last()
            .is_some_and(|last| last.step >= line.step)
        {
            self.validated.pop();
        }
        if let (Some(epoch), Some(top1_error)) = (line.epoch, line.top1_error) {
            let (step, top5_error) = (line.step, line.top5_error);
            self.validated.push(Validated {
                step,
                epoch,
                top1_error,
                top5_error,
            });
        } else if let Some(learning_rate) = line.learning_rate {
            while self
                .trained
                .last()
                .is_some_and(|last| last.step >= line.step)
            {
                self.trained.pop();
            }
            self.trained.push(Trained {
                step: line.step,
                loss: line.loss,
                learning_rate,
            });
        }
    }

    /// Steps after which the rate fell, with the rates before and after: a plateau's or a step
    /// schedule's drops, each from one level to another, and not a cosine's slow way down.
    pub fn rate_drops(&self) -> Vec<(u64, f64, f64)> {
        let rate = |index: usize| self.trained.get(index).map(|trained| trained.learning_rate);
        (1..self.trained.len().saturating_sub(1))
            .filter_map(|index| {
                let (before, after) = (rate(index)?, rate(index + 1)?);
                let level =
                    rate(index - 1)? == before && rate(index + 2).is_none_or(|r| r == after);
                (level && after < before).then_some((self.trained[index].step, before, after))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = r#"{"step":1,"epoch":1,"loss":2.3,"learning_rate":0.01,"images_per_second":9}
{"step":2,"epoch":1,"loss":null,"learning_rate":0.01}
{"step":2,"epoch":1,"loss":2.0,"learning_rate":0.01,"top1_error":0.5,"top5_error":0.1}
{"step":3,"epoch":2,"loss":1.5,"learning_rate":0.001}
"#;

    #[test]
    fn training_and_validation_lines_are_told_apart() {
        let metrics = Metrics::parse(RUN).unwrap();
        let losses: Vec<_> = metrics.trained.iter().map(|t| (t.step, t.loss)).collect();
        assert_eq!(losses, [(1, Some(2.3)), (2, None), (3, Some(1.5))]);
        let expected = Validated {
            step: 2,
            epoch: 1.0,
            top1_error: 0.5,
            top5_error: Some(0.1),
        };
        assert_eq!(metrics.validated, [expected]);
        assert_eq!(metrics.rate_drops(), [(2, 0.01, 0.001)]);
        let cosine = (1..=100u64).map(|step| Trained {
            step,
            loss: None,
            learning_rate: 1.0 + (step as f64 / 32.0).cos(),
        });
        let metrics = Metrics {
            trained: cosine.collect(),
            validated: Vec::new(),
        };
        assert_eq!(metrics.rate_drops(), []);
    }

    #[test]
    fn a_line_cut_off_by_a_kill_is_left_out() {
        let cut = &RUN[..RUN.len() - 20];
        assert_eq!(Metrics::parse(cut).unwrap().trained.len(), 2);
        assert_eq!(Metrics::parse("").unwrap(), Metrics::default());
    }

    #[test]
    fn a_broken_line_is_named_with_its_number() {
        let error = Metrics::parse("{\"step\":1,\"epoch\":1}\nnonsense\n").unwrap_err();
        assert!(format!("{error:#}").starts_with("line 2: "), "{error:#}");
    }

    #[test]
    fn what_a_resumed_run_says_again_replaces_what_was_said() {
        let again = r#"{"step":2,"epoch":1,"loss":1.9,"learning_rate":0.01}
"#;
        let metrics = Metrics::parse(&format!("{RUN}{again}")).unwrap();
        assert_eq!(
            metrics.trained.iter().map(|t| t.step).collect::<Vec<_>>(),
            [1, 2]
        );
        assert_eq!(metrics.trained[1].loss, Some(1.9));
        assert!(metrics.validated.is_empty());
    }
}
