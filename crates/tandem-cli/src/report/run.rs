//! Everything a training run shows and draws, fed step by step and epoch by epoch.
//!
//! `metrics.jsonl` is not among it: the trainer writes that, since a resumed run depends on it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use super::filters::{self, Conv1};
use super::metrics::Metrics;
use super::progress::{Progress, StepDone, clock};
use super::tensorboard::EventWriter;
use super::{curves, progress};

/// One epoch done and measured.
#[derive(Debug, Clone, Copy)]
pub struct EpochDone {
    /// Steps done since the run began.
    pub step: u64,
    /// Epochs done, from 1, and of how many.
    pub epoch: u64,
    pub epochs: u64,
    /// Mean loss over the epoch's training pictures.
    pub training_loss: f64,
    /// On the validation pictures: mean loss, and the shares not in the first one and five.
    pub validation_loss: f64,
    pub top1_error: f64,
    pub top5_error: f64,
    /// Whether no epoch before had a lower top-1 error.
    pub best: bool,
    /// Training pictures of the epoch.
    pub images: u64,
    /// The epoch's training, without the validation, and the part of it spent waiting for data.
    pub took: Duration,
    pub waited: Duration,
}

/// The reports of one run.
#[derive(Debug)]
pub struct Reports {
    run: PathBuf,
    title: String,
    progress: Progress,
    events: EventWriter,
}

impl Reports {
    /// Begins reporting into the run directory `run`. `resumed_at` is the step of the checkpoint a
    /// resumed run goes on from. `title` stands over the curves.
    pub fn begin(run: &Path, title: &str, quiet: bool, resumed_at: Option<u64>) -> Result<Self> {
        Ok(Self {
            run: run.to_owned(),
            title: title.to_owned(),
            progress: Progress::new(quiet),
            events: EventWriter::create(run, resumed_at)?,
        })
    }

    pub fn step(&mut self, done: &StepDone) -> Result<()> {
        self.progress.step(done);
        self.events.scalars(
            done.step,
            &[
                ("train/loss", done.loss),
                ("train/learning_rate", done.learning_rate),
            ],
        )
    }

    /// What is being done between steps.
    pub fn stage(&self, words: &str) {
        self.progress.stage(words);
    }

    /// A line that stays on standard error.
    pub fn line(&self, words: &str) {
        self.progress.line(words);
    }

    /// Tells of an epoch, and draws `curves.png` and `filters.png` anew. `metrics.jsonl` must hold
    /// the epoch already.
    pub fn epoch(&mut self, done: &EpochDone, conv1: Conv1) -> Result<()> {
        self.progress.line(&done.words());
        self.events.scalars(
            done.step,
            &[
                ("validation/loss", done.validation_loss),
                ("validation/top1_error", done.top1_error),
                ("validation/top5_error", done.top5_error),
                ("train/images_per_second", done.images_per_second()),
                ("train/waiting_share", done.waiting_share()),
            ],
        )?;
        self.draw(conv1)
    }

    /// Draws `curves.png` and `filters.png` as things stand.
    pub fn draw(&self, conv1: Conv1) -> Result<()> {
        let metrics = Metrics::read(&self.run.join("metrics.jsonl"))?;
        curves::save(&metrics, &self.title, &self.run.join("curves.png"))?;
        filters::save(conv1, &self.run.join("filters.png"))
    }

    /// Takes the bar away.
    pub fn end(&self) {
        self.progress.finish();
    }
}

impl EpochDone {
    fn images_per_second(&self) -> f64 {
        progress::share(self.images as f64, self.took.as_secs_f64())
    }

    fn waiting_share(&self) -> f64 {
        progress::share(self.waited.as_secs_f64(), self.took.as_secs_f64())
    }

    fn words(&self) -> String {
        format!(
            "epoch {}/{}  loss {:.4}  validation {:.4}  top-1 error {:.2} %  top-5 {:.2} %{}  {} images/s  {:.0} % waiting for data  {}",
            self.epoch,
            self.epochs,
            self.training_loss,
            self.validation_loss,
            100.0 * self.top1_error,
            100.0 * self.top5_error,
            if self.best { "  best" } else { "" },
            progress::three_digits(self.images_per_second()),
            100.0 * self.waiting_share(),
            clock(self.took),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn an_epoch_leaves_events_and_pictures_in_the_run_directory() {
        let run = tempfile::tempdir().unwrap();
        let mut reports = Reports::begin(run.path(), "mini", true, None).unwrap();
        let step = StepDone {
            step: 1,
            steps: 2,
            epoch: 1,
            epochs: 2,
            images: 8,
            loss: 2.0,
            learning_rate: 0.01,
            took: Duration::from_secs(1),
            waited: Duration::ZERO,
        };
        reports.step(&step).unwrap();
        let lines = r#"{"step":1,"epoch":1,"loss":2.0,"learning_rate":0.01}
{"step":1,"epoch":1,"loss":1.9,"learning_rate":0.01,"top1_error":0.5,"top5_error":0.1}
"#;
        fs::write(run.path().join("metrics.jsonl"), lines).unwrap();
        let done = EpochDone {
            step: 1,
            epoch: 1,
            epochs: 2,
            training_loss: 2.0,
            validation_loss: 1.9,
            top1_error: 0.5,
            top5_error: 0.1,
            best: true,
            images: 8,
            took: Duration::from_secs(2),
            waited: Duration::from_millis(100),
        };
        reports
            .epoch(
                &done,
                Conv1 {
                    weights: &[1.0; 18],
                    shape: [2, 1, 3, 3],
                    towers: 2,
                },
            )
            .unwrap();
        reports.end();
        assert_eq!(
            done.words(),
            "epoch 1/2  loss 2.0000  validation 1.9000  top-1 error 50.00 %  top-5 10.00 %  best  4.00 images/s  5 % waiting for data  2 s"
        );
        let mut names: Vec<_> = fs::read_dir(run.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names.len(), 4, "{names:?}");
        assert_eq!([&names[0], &names[2]], ["curves.png", "filters.png"]);
        assert!(names[1].starts_with("events.out.tfevents."));
    }
}
