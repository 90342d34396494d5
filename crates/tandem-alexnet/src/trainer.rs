//! The training loop, straight through: batch, forward, loss, backward, update, and at the end of
//! an epoch validation, schedule and checkpoint.
//!
//! A run is a pure function of its configuration and its pictures. Stopped at any moment and
//! resumed, it ends in the same bytes.

mod begin;
mod origin;
mod report;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use begin::Beginning;
use candle_core::{Device, Tensor};
pub use report::{Ending, EpochReport, Event, Flow, Magnitude, StepReport};
use tandem_data::{
    Augment, Form, Images, Loader, LoaderOptions, Normalise, Pictures, Share, Views,
};
use tandem_ops::sgd::{Sgd, SgdRule};

use crate::cached::{Cached, CachedData, Lesson, MAX_BYTES};
use crate::checkpoint::{Position, Rank, RunDirectory, State};
use crate::config::{SgdRule as ConfiguredRule, TrainConfig};
use crate::error::{NetworkError, RunError, TrainError};
use crate::evaluation::{Evaluation, evaluate};
use crate::input::Feed;
use crate::metrics::Metrics;
use crate::network::{Gradients, Network, Pass};
use crate::schedule::{Schedule, Verdict};
use crate::training_data::TrainingData;
use crate::weights::{Weights, is_finite};

/// A run in progress.
pub struct Trainer {
    config: TrainConfig,
    data: TrainingData,
    network: Network,
    schedule: Schedule,
    position: Position,
    run: RunDirectory,
    metrics: Metrics,
    augment: Augment,
    normalise: Normalise,
    feed: Feed,
    mean: Option<Tensor>,
    /// What a picture of each class counts, if not one.
    class_weights: Option<Vec<f32>>,
    /// What a frozen trunk makes of the pictures, once it is computed.
    cached: Option<CachedData>,
    /// Of the last update of an epoch, until its end: to read them within the step would hold it up.
    gradients: Option<Gradients>,
}

impl Trainer {
    pub fn network(&self) -> &Network {
        &self.network
    }

    pub fn run_directory(&self) -> &RunDirectory {
        &self.run
    }

    /// Updates in the whole run.
    pub fn steps(&self) -> u64 {
        self.steps_per_epoch() * self.config.epochs
    }

    /// Updates made so far.
    pub fn step(&self) -> u64 {
        self.position.step
    }

    fn steps_per_epoch(&self) -> u64 {
        let update = (self.config.batch * self.config.accumulate) as u64;
        (self.data.train.len() as u64).div_ceil(update)
    }

    /// Takes each picture through the frozen trunk once, where pictures and trunk are fixed.
    fn prepare(&mut self, watch: &mut dyn FnMut(Event<'_>) -> Flow) -> Result<Flow, TrainError> {
        if self.cached.is_some() || !self.network.tuning().freezes_trunk(self.network.spec()) {
            return Ok(Flow::Continue);
        }
        let Some(views) = self.augment.views(self.data.train.preprocess().side) else {
            return Ok(Flow::Continue);
        };
        let lesson = Lesson {
            network: &self.network,
            normalise: &self.normalise,
            options: self.loader_options(),
        };
        let bytes = lesson.bytes(&self.data, views.len());
        if bytes > MAX_BYTES {
            let most = MAX_BYTES;
            return Ok(watch(Event::TooManyFeatures { bytes, most }));
        }
        let mut flow = Flow::Continue;
        self.cached = CachedData::of(&lesson, &self.data, views, |done, of| {
            flow = watch(Event::Features { done, of });
            flow
        })?;
        Ok(flow)
    }

    /// Trains until the run is done or `watch` asks to stop.
    pub fn train(
        &mut self,
        watch: &mut dyn FnMut(Event<'_>) -> Flow,
    ) -> Result<Ending, TrainError> {
        if let Some(end) = self.schedule.ended() {
            // Killed between its last checkpoint and its last word.
            return Ok(Ending::Schedule(end));
        }
        if self.prepare(watch)? == Flow::Stop {
            self.save(Rank::Ordinary, self.schedule.rate(self.position.step))?;
            return Ok(Ending::Stopped);
        }
        while self.position.epoch < self.config.epochs {
            if self.epoch(watch)? == Flow::Stop {
                return Ok(Ending::Stopped);
            }
            let (verdict, flow) = self.end_epoch(watch)?;
            if let Verdict::End(end) = verdict {
                return Ok(Ending::Schedule(end));
            }
            if flow == Flow::Stop && self.position.epoch < self.config.epochs {
                return Ok(Ending::Stopped);
            }
        }
        Ok(Ending::Done)
    }

    /// The rest of the epoch under way.
    fn epoch(&mut self, watch: &mut dyn FnMut(Event<'_>) -> Flow) -> Result<Flow, TrainError> {
        let mut loader = Loader::train(
            self.data.train.clone(),
            self.augment.clone(),
            LoaderOptions {
                form: match &self.cached {
                    Some(_) => Form::Draws,
                    None => self.feed.form(),
                },
                ..self.loader_options()
            },
            self.position.epoch,
            self.position.batch as usize,
        );
        loop {
            let begun = Instant::now();
            let waited = loader.waited();
            let Some(mut report) = self.update(&mut loader)? else {
                return Ok(Flow::Continue);
            };
            report.took = begun.elapsed();
            report.waited = loader.waited() - waited;
            if self
                .position
                .step
                .is_multiple_of(self.config.log_every_steps)
            {
                self.metrics.append(&report)?;
            }
            let mut flow = watch(Event::Step(&report));
            let last = self.position.batch as usize >= loader.batches();
            let due = |every: u64| self.position.step.is_multiple_of(every);
            if !last && (flow == Flow::Stop || self.config.checkpoint_every_steps.is_some_and(due))
            {
                self.save(Rank::Ordinary, report.learning_rate)?;
                if watch(Event::Saved {
                    step: self.position.step,
                }) == Flow::Stop
                {
                    flow = Flow::Stop;
                }
            }
            // A stop at the last step of an epoch lets the epoch end first: its checkpoint follows.
            if flow == Flow::Stop && !last {
                return Ok(Flow::Stop);
            }
        }
    }

    /// One update from the next `accumulate` batches; none at the end of the epoch.
    fn update(&mut self, loader: &mut Loader) -> Result<Option<StepReport>, TrainError> {
        let rate = self.schedule.rate(self.position.step);
        let mut sum = None;
        let mut losses = Vec::new();
        let (mut images, mut parts) = (0, 0u64);
        for part in 0..self.config.accumulate as u64 {
            let Some(batch) = loader.next() else { break };
            let batch = batch?;
            let n = batch.labels.len();
            let x = match (&self.cached, batch.images) {
                (Some(cached), Images::Draws(draws)) => {
                    cached.train.batch(&batch.indices, &draws)?
                }
                (_, images) => self.feed.input(images)?,
            };
            let weights = self.weights_of(&batch.labels)?;
            let labels = Tensor::from_vec(batch.labels, n, &Device::Cpu)?;
            let pass = Pass::Train {
                seed: self.config.seed,
                step: self.position.step,
                part,
            };
            let outcome = match &weights {
                None => self.network.gradients(x, &labels, pass)?,
                Some(weights) => self.network.gradients_weighted(x, &labels, weights, pass)?,
            };
            losses.push((outcome.loss, n));
            images += n;
            parts += 1;
            // Each picture counts the same, also where the last batch is smaller.
            sum = Some(match (sum, self.config.accumulate) {
                (None, 1) => outcome.gradients,
                (None, _) => outcome.gradients.scale(n as f64)?,
                (Some(sum), _) => outcome.gradients.scale(n as f64)?.plus(sum)?,
            });
        }
        let Some(mut gradients) = sum else {
            return Ok(None);
        };
        if self.config.accumulate > 1 {
            gradients = gradients.scale(1.0 / images as f64)?;
        }
        // Read here, a GPU has the way back still to go while the host queues what follows.
        let mut loss = 0.0;
        for (mean, n) in losses {
            loss += mean.read()? * n as f64;
        }
        if !loss.is_finite() {
            return Err(TrainError::Diverged {
                step: self.position.step + 1,
                rate,
                layer: self.first_not_finite(&gradients)?,
            });
        }
        let sgd = &self.config.sgd;
        let rule = match sgd.rule {
            ConfiguredRule::Paper => SgdRule::Paper,
            ConfiguredRule::Pytorch => SgdRule::Pytorch,
        };
        self.network.update(
            &gradients,
            Sgd::new(rule, rate, sgd.momentum, sgd.weight_decay)?,
        )?;
        if self.position.batch + parts == loader.batches() as u64 {
            self.gradients = Some(gradients);
        }
        self.position.step += 1;
        self.position.batch += parts;
        self.position.loss_sum += loss;
        self.position.pictures += images as u64;
        let batches = loader.batches() as f64;
        Ok(Some(StepReport {
            step: self.position.step,
            epoch: self.position.epoch as f64 + self.position.batch as f64 / batches,
            loss: loss / images as f64,
            learning_rate: rate,
            images,
            steps: self.steps(),
            took: Duration::ZERO,
            waited: Duration::ZERO,
        }))
    }

    /// What each picture of a batch with these labels counts, if not one.
    fn weights_of(&self, labels: &[u32]) -> candle_core::Result<Option<Tensor>> {
        let of_class = self.class_weights.as_ref();
        let weights = of_class.map(|of_class| {
            let weights = labels.iter().map(|&label| of_class[label as usize]);
            Tensor::from_vec(weights.collect(), labels.len(), &Device::Cpu)
        });
        weights.transpose()
    }

    fn end_epoch(
        &mut self,
        watch: &mut dyn FnMut(Event<'_>) -> Flow,
    ) -> Result<(Verdict, Flow), TrainError> {
        let rate = self.schedule.rate(self.position.step.saturating_sub(1));
        let gradients = self.gradients.take();
        let gradients = gradients.map(|gradients| self.network.gradient_magnitudes(&gradients));
        let gradients = gradients.transpose()?.unwrap_or_default();
        let Evaluation {
            top1_error,
            top5_error,
            loss,
            ..
        } = self.measure(&self.data.validation, |cached| Some(&cached.validation))?;
        let measured = self.data.measured.as_ref();
        let measured = measured
            .map(|pictures| self.measure(pictures, |cached| cached.measured.as_ref()))
            .transpose()?;
        let verdict = self.schedule.end_epoch(top1_error);
        let factors = self.network.parameters().iter();
        let factors = factors.map(|p| self.network.tuning().factor(p.layer).unwrap_or(0.0));
        let of_parameters = self.network.magnitudes()?.into_iter().zip(gradients);
        let magnitudes =
            of_parameters
                .zip(factors)
                .map(|(((name, weight, velocity), gradient), factor)| {
                    let update = match self.config.sgd.rule {
                        ConfiguredRule::Paper => velocity,
                        ConfiguredRule::Pytorch => velocity * rate * factor,
                    };
                    let magnitude = Magnitude {
                        mean_abs_weight: weight,
                        mean_abs_gradient: gradient,
                        mean_abs_update: update,
                        ratio: if weight > 0.0 { update / weight } else { 0.0 },
                    };
                    (name, magnitude)
                });
        let report = EpochReport {
            step: self.position.step,
            epoch: self.position.epoch + 1,
            loss,
            learning_rate: rate,
            top1_error,
            top5_error,
            training_top1_error: measured.map(|measured| measured.top1_error),
            training_loss: self.position.loss_sum / self.position.pictures.max(1) as f64,
            parameters: magnitudes.collect(),
        };
        self.metrics.append(&report)?;
        self.position = Position {
            step: self.position.step,
            epoch: self.position.epoch + 1,
            ..Position::default()
        };
        let rank = if self.schedule.is_best() {
            Rank::Best
        } else {
            Rank::Ordinary
        };
        self.save(rank, rate)?;
        let one = watch(Event::Epoch(&report, &self.network));
        let two = watch(Event::Saved {
            step: self.position.step,
        });
        let flow = if one == Flow::Stop { one } else { two };
        Ok((verdict, flow))
    }

    /// The error on `pictures`, from their features where `cached` finds them.
    fn measure<'a>(
        &'a self,
        pictures: &Arc<Pictures>,
        cached: impl FnOnce(&'a CachedData) -> Option<&'a Cached>,
    ) -> Result<Evaluation, NetworkError> {
        if let Some(cached) = self.cached.as_ref().and_then(cached) {
            return cached.evaluate(&self.network, pictures, self.config.batch);
        }
        let options = self.loader_options();
        evaluate(
            &self.network,
            pictures,
            &self.normalise,
            Views::Centre,
            options,
        )
    }

    /// Saves what the update at `rate` has led to.
    fn save(&mut self, rank: Rank, rate: f64) -> Result<(), TrainError> {
        self.metrics.sync()?;
        let weights = Weights {
            spec: self.network.spec().clone(),
            classes: self.data.train.classes().to_vec(),
            step: self.position.step,
            epoch: self.position.epoch,
            origin: Some(origin::origin(
                &self.config,
                self.data.train.len(),
                &self.position,
            )),
            licence: self.config.licence.clone(),
            mean: self.mean.clone(),
            parameters: self.network.weights()?,
        };
        let state = State {
            position: self.position.clone(),
            schedule: self.schedule.state().clone(),
            data: self.data.identity(),
            velocities: self.network.velocities()?,
        };
        self.run
            .save(&weights, &state, rank)
            .map_err(|error| match error {
                RunError::NotFinite { name, step } => {
                    TrainError::WeightsDiverged { name, step, rate }
                }
                error => error.into(),
            })
    }

    /// Where a loss that is not finite came from. Once a single weight is not finite neither is any
    /// gradient before it, so weights are looked at first.
    fn first_not_finite(&self, gradients: &Gradients) -> Result<Option<String>, TrainError> {
        let weights = self.network.weights()?;
        let mut names = self.network.parameters().iter().map(|p| &p.name);
        match names.find(|name| weights.get(*name).is_some_and(|tensor| !is_finite(tensor))) {
            Some(name) => Ok(Some(name.clone())),
            None => Ok(self.network.first_not_finite(gradients)?),
        }
    }

    fn loader_options(&self) -> LoaderOptions {
        LoaderOptions {
            batch: self.config.batch,
            threads: self.config.loader_threads,
            prefetch: 2 * self.config.loader_threads.max(1),
            seed: self.config.seed,
            form: self.feed.form(),
            share: Share::WHOLE,
        }
    }
}
