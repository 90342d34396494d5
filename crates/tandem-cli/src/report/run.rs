//! Everything a training run shows and draws, fed step by step and epoch by epoch.
//!
//! `metrics.jsonl` is not among it: the trainer writes that, since a resumed run depends on it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use tandem_alexnet::metrics::METRICS;
use tandem_alexnet::network::Network;
use tandem_alexnet::trainer::{EpochReport, StepReport};

use super::curves;
use super::filters::{self, Conv1};
use super::metrics::{Metrics, Validated};
use super::picture;

use super::progress::{Progress, clock, share, three_digits};
use super::table::{self, grouped};
use super::tensorboard::EventWriter;

/// What conv1 has learned so far.
const FILTERS: &str = "filters.png";

/// The reports of one run.
#[derive(Debug)]
pub struct Reports {
    run: PathBuf,
    title: String,
    epochs: u64,
    progress: Progress,
    events: EventWriter,
    pace: Pace,
}

/// How the epoch under way has gone so far, as far as this process has seen it.
#[derive(Debug, Default)]
struct Pace {
    images: usize,
    took: Duration,
    waited: Duration,
}

impl Reports {
    /// Begins reporting into the run directory `run`. `resumed_at` is the step of the checkpoint a
    /// resumed run goes on from. `title` stands over the curves.
    pub fn begin(
        run: &Path,
        title: &str,
        epochs: u64,
        quiet: bool,
        resumed_at: Option<u64>,
    ) -> Result<Self> {
        Ok(Self {
            run: run.to_owned(),
            title: title.to_owned(),
            epochs,
            progress: Progress::new(quiet),
            events: EventWriter::create(run, resumed_at)?,
            pace: Pace::default(),
        })
    }

    /// Tells of an update.
    pub fn step(&mut self, done: &StepReport) -> Result<()> {
        self.pace.images += done.images;
        self.pace.took += done.took;
        self.pace.waited += done.waited;
        self.progress.step(done, self.epochs);
        self.events.scalars(
            done.step,
            &[
                ("train/loss", done.loss),
                ("train/learning_rate", done.learning_rate),
            ],
        )
    }

    /// Tells of pictures taken through the frozen layers, before the first update.
    pub fn features(&mut self, done: usize, of: usize) {
        self.progress.features(done, of);
        if done == of {
            self.progress.line(&format!(
                "the frozen layers have seen all {} pictures, and are not computed again",
                grouped(of as u64)
            ));
        }
    }

    /// Tells of features that would take more bytes than are kept.
    pub fn too_many_features(&self, bytes: u64, most: u64) {
        self.progress.line(&format!(
            "what the frozen layers make of all pictures is {}, more than is kept ({}): they are computed each epoch",
            table::bytes(bytes),
            table::bytes(most),
        ));
    }

    /// A line that stays on standard error.
    pub fn line(&self, words: &str) {
        self.progress.line(words);
    }

    /// Tells of an epoch, and draws `curves.png` and `filters.png` anew. `metrics.jsonl` must hold
    /// the epoch already.
    pub fn epoch(&mut self, done: &EpochReport, network: &Network) -> Result<()> {
        let pace = std::mem::take(&mut self.pace);
        let metrics = self.metrics()?;
        let best = best(&metrics).is_some_and(|best| best.step == done.step);
        self.progress.line(&words(done, &pace, self.epochs, best));
        self.events.scalars(
            done.step,
            &[
                ("validation/loss", done.loss),
                ("validation/top1_error", done.top1_error),
                ("validation/top5_error", done.top5_error),
                ("train/images_per_second", pace.images_per_second()),
                ("train/waiting_share", pace.waiting_share()),
            ],
        )?;
        for (name, magnitude) in &done.parameters {
            self.events.scalars(
                done.step,
                &[(&format!("update_ratio/{name}"), magnitude.ratio)],
            )?;
        }
        self.draw_from(&metrics, network)
    }

    /// Draws `curves.png` and `filters.png` as things stand.
    pub fn draw(&self, network: &Network) -> Result<()> {
        self.draw_from(&self.metrics()?, network)
    }

    /// The epoch with the lowest top-1 error so far, the first of equals.
    pub fn best(&self) -> Result<Option<Validated>> {
        Ok(best(&self.metrics()?).copied())
    }

    /// Takes the bar away.
    pub fn end(&self) {
        self.progress.finish();
    }

    fn metrics(&self) -> Result<Metrics> {
        Metrics::read(&self.run.join(METRICS))
    }

    fn draw_from(&self, metrics: &Metrics, network: &Network) -> Result<()> {
        curves::save(metrics, &self.title, &self.run.join("curves.png"))?;
        match Conv1::of(network.spec(), &network.weights()?)? {
            Some(conv1) => picture::save(&filters::draw(&conv1)?.png()?, &self.run.join(FILTERS)),
            None => Ok(()),
        }
    }
}

impl Pace {
    fn images_per_second(&self) -> f64 {
        share(self.images as f64, self.took.as_secs_f64())
    }

    fn waiting_share(&self) -> f64 {
        share(self.waited.as_secs_f64(), self.took.as_secs_f64())
    }
}

fn best(metrics: &Metrics) -> Option<&Validated> {
    metrics
        .validated
        .iter()
        .min_by(|a, b| a.top1_error.total_cmp(&b.top1_error))
}

fn words(done: &EpochReport, pace: &Pace, epochs: u64, best: bool) -> String {
    format!(
        "epoch {}/{epochs}  loss {:.4}  validation {:.4}  top-1 error {:.2} %  top-5 {:.2} %{}  {} images/s  {:.0} % waiting for data  {}",
        done.epoch,
        done.training_loss,
        done.loss,
        100.0 * done.top1_error,
        100.0 * done.top5_error,
        if best { "  best" } else { "" },
        three_digits(pace.images_per_second()),
        100.0 * pace.waiting_share(),
        clock(pace.took),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use tandem_alexnet::placement::Placement;
    use tandem_alexnet::spec::Spec;

    use super::*;

    #[test]
    fn an_epoch_leaves_events_and_pictures_in_the_run_directory() {
        let run = tempfile::tempdir().unwrap();
        let spec = Spec::preset("mini").unwrap();
        let network = Network::initial(&spec, &Placement::cpu(), 0).unwrap();
        let mut reports = Reports::begin(run.path(), "mini", 2, true, None).unwrap();
        let step = StepReport {
            step: 1,
            steps: 2,
            epoch: 1.0,
            images: 8,
            loss: 2.0,
            learning_rate: 0.01,
            took: Duration::from_secs(2),
            waited: Duration::from_millis(100),
        };
        reports.step(&step).unwrap();
        let done = EpochReport {
            step: 1,
            epoch: 1,
            loss: 1.9,
            learning_rate: 0.01,
            top1_error: 0.5,
            top5_error: 0.1,
            training_top1_error: None,
            training_loss: 2.0,
            parameters: BTreeMap::new(),
        };
        let lines = [
            serde_json::to_string(&step).unwrap(),
            serde_json::to_string(&done).unwrap(),
        ];
        fs::write(run.path().join(METRICS), lines.join("\n") + "\n").unwrap();
        let told = words(&done, &reports.pace, 2, true);
        assert_eq!(
            told,
            "epoch 1/2  loss 2.0000  validation 1.9000  top-1 error 50.00 %  top-5 10.00 %  best  4.00 images/s  5 % waiting for data  2 s"
        );
        reports.epoch(&done, &network).unwrap();
        reports.end();
        assert_eq!(reports.best().unwrap().unwrap().epoch, 1.0);
        let mut names: Vec<_> = fs::read_dir(run.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names.len(), 4, "{names:?}");
        assert_eq!(
            [&names[0], &names[2], &names[3]],
            ["curves.png", "filters.png", METRICS]
        );
        assert!(names[1].starts_with("events.out.tfevents."));
    }
}
