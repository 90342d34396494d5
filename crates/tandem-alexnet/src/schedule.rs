//! The learning rate over a run, and when the run ends before its last epoch.
//!
//! The paper's Section 5: "divide the learning rate by 10 when the validation error rate stopped
//! improving with the current learning rate. The learning rate was initialized at 0.01 and reduced
//! three times prior to termination."

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::tuning::Factor;

/// `[rate]` of a configuration. Each schedule has its own table; only the chosen one is used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateConfig {
    /// The rate to start with.
    pub initial: f64,
    /// Over the first so many updates the rate climbs to what the schedule says, in equal steps.
    #[serde(default)]
    pub warm_up_steps: u64,
    pub schedule: Kind,
    pub plateau: Plateau,
    pub step: Step,
    pub cosine: Cosine,
    /// By layer, or range of layers as `conv1..conv5`, the multiple of this rate that it learns at.
    #[serde(default)]
    pub layers: BTreeMap<String, Factor>,
}

/// How the rate falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// When the validation error stops improving: the paper's.
    Plateau,
    /// At fixed epochs.
    Step,
    /// Along half a cosine, step by step.
    Cosine,
}

/// Divides the rate when `patience` epochs in a row did not lower the best validation error by
/// `min_delta`. After the last reduction the next plateau ends the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plateau {
    pub patience: u64,
    /// As a fraction of the pictures: 0.001 is a tenth of a percent.
    pub min_delta: f64,
    pub divide_by: f64,
    pub reductions: u64,
}

/// Divides the rate each `epochs` epochs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    pub epochs: u64,
    pub divide_by: f64,
}

/// From the initial rate to `last` at the end of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cosine {
    pub last: f64,
}

impl Default for RateConfig {
    /// The paper's, Section 5. It does not say how long "stopped improving" was watched.
    fn default() -> Self {
        Self {
            initial: 0.01,
            warm_up_steps: 0,
            schedule: Kind::Plateau,
            plateau: Plateau {
                patience: 4,
                min_delta: 0.001,
                divide_by: 10.0,
                reductions: 3,
            },
            step: Step {
                epochs: 30,
                divide_by: 10.0,
            },
            cosine: Cosine { last: 0.0 },
            layers: BTreeMap::new(),
        }
    }
}

/// The rate of a run, and what it has seen of the validation error.
///
/// ```
/// use tandem_alexnet::schedule::{RateConfig, Schedule, Verdict};
///
/// let mut schedule = Schedule::new(RateConfig::default(), 10_000, 90, None);
/// assert_eq!(schedule.rate(0), 0.01);
/// schedule.end_epoch(0.60);
/// for _ in 0..3 {
///     assert_eq!(schedule.end_epoch(0.60), Verdict::Continue);
/// }
/// assert_eq!(schedule.end_epoch(0.60), Verdict::Reduced { reductions: 1 });
/// assert_eq!(schedule.rate(0), 0.001);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    config: RateConfig,
    steps_per_epoch: u64,
    epochs: u64,
    early_stop_epochs: Option<u64>,
    state: ScheduleState,
}

/// What of a schedule changes during a run. Saved with every checkpoint, and restored bit for bit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleState {
    /// The lowest validation error so far, a fraction. Absent before the first validation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_error: Option<f64>,
    /// Epochs since the error was last below `best_error`.
    pub epochs_since_best: u64,
    /// The error that a plateau is measured against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plateau_error: Option<f64>,
    /// Epochs in a row without an improvement of `min_delta`, since the last reduction.
    pub plateau_epochs: u64,
    /// How often a plateau has reduced the rate.
    pub reductions: u64,
    /// Why the run is done before its last epoch. Saved, so that a run killed after its last
    /// checkpoint is not trained on when it is resumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<End>,
}

/// Why a run is done before its last epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The error stands still and the rate has been reduced as often as it may.
    Plateau,
    /// The error has not fallen for as many epochs as early stopping allows.
    EarlyStop,
}

/// What follows from an epoch's validation error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Continue,
    /// The rate falls from the next step on, for the `reductions`-th time.
    Reduced {
        reductions: u64,
    },
    /// The run is done.
    End(End),
}

impl Schedule {
    /// A run of `epochs` epochs of `steps_per_epoch` updates; ends early after `early_stop_epochs`
    /// epochs without a new best.
    pub fn new(
        config: RateConfig,
        steps_per_epoch: u64,
        epochs: u64,
        early_stop_epochs: Option<u64>,
    ) -> Self {
        Self {
            config,
            steps_per_epoch,
            epochs,
            early_stop_epochs,
            state: ScheduleState::default(),
        }
    }

    /// The same schedule where a checkpoint left it.
    pub fn restored(self, state: ScheduleState) -> Self {
        Self { state, ..self }
    }

    /// What a checkpoint must keep.
    pub fn state(&self) -> &ScheduleState {
        &self.state
    }

    /// The rate of update `step`, counted from 0 over the whole run.
    pub fn rate(&self, step: u64) -> f64 {
        let scheduled = self.scheduled(step);
        let warm_up = self.config.warm_up_steps;
        match step < warm_up {
            true => scheduled * (step + 1) as f64 / warm_up as f64,
            false => scheduled,
        }
    }

    fn scheduled(&self, step: u64) -> f64 {
        let RateConfig {
            initial,
            plateau,
            step: steps,
            cosine,
            ..
        } = &self.config;
        match self.config.schedule {
            Kind::Plateau => initial / power(plateau.divide_by, self.state.reductions),
            Kind::Step => {
                let epoch = step / self.steps_per_epoch.max(1);
                initial / power(steps.divide_by, epoch / steps.epochs)
            }
            Kind::Cosine => {
                let total = self.steps_per_epoch.saturating_mul(self.epochs).max(1);
                let done = (step as f64 / total as f64).min(1.0);
                cosine.last
                    + (initial - cosine.last) * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())
            }
        }
    }

    /// Takes the validation error (a fraction) at the end of an epoch.
    pub fn end_epoch(&mut self, error: f64) -> Verdict {
        let state = &mut self.state;
        if state.best_error.is_none_or(|best| error < best) {
            state.best_error = Some(error);
            state.epochs_since_best = 0;
        } else {
            state.epochs_since_best += 1;
        }
        if self
            .early_stop_epochs
            .is_some_and(|most| state.epochs_since_best >= most)
        {
            state.ended = Some(End::EarlyStop);
            return Verdict::End(End::EarlyStop);
        }
        match self.config.schedule {
            Kind::Plateau => state.watch(&self.config.plateau, error),
            Kind::Step | Kind::Cosine => Verdict::Continue,
        }
    }

    /// Why the run is done, if it is.
    pub fn ended(&self) -> Option<End> {
        self.state.ended
    }

    /// Whether the error given last is the lowest so far.
    pub fn is_best(&self) -> bool {
        self.state.best_error.is_some() && self.state.epochs_since_best == 0
    }
}

impl ScheduleState {
    fn watch(&mut self, plateau: &Plateau, error: f64) -> Verdict {
        // Measured against the last error that counted, so that a slow but steady fall is not taken
        // for a plateau.
        if self
            .plateau_error
            .is_none_or(|best| error < best - plateau.min_delta)
        {
            self.plateau_error = Some(error);
            self.plateau_epochs = 0;
            return Verdict::Continue;
        }
        self.plateau_epochs += 1;
        if self.plateau_epochs < plateau.patience {
            return Verdict::Continue;
        }
        self.plateau_epochs = 0;
        if self.reductions == plateau.reductions {
            self.ended = Some(End::Plateau);
            return Verdict::End(End::Plateau);
        }
        self.reductions += 1;
        Verdict::Reduced {
            reductions: self.reductions,
        }
    }
}

/// By multiplication, which gives the same bits everywhere; `powi` need not.
fn power(base: f64, exponent: u64) -> f64 {
    // A rate divided a thousand times is zero or, for a divisor of 1, unchanged.
    (0..exponent.min(1000)).fold(1.0, |product, _| product * base)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(kind: Kind, early_stop: Option<u64>) -> Schedule {
        let config = RateConfig {
            schedule: kind,
            ..RateConfig::default()
        };
        Schedule::new(config, 100, 90, early_stop)
    }

    #[test]
    fn a_plateau_reduces_three_times_and_then_ends_the_run() {
        let mut schedule = schedule(Kind::Plateau, None);
        assert_eq!(schedule.end_epoch(0.5), Verdict::Continue);
        for reductions in 1..=3 {
            for _ in 0..3 {
                assert_eq!(schedule.end_epoch(0.5), Verdict::Continue);
            }
            assert_eq!(schedule.end_epoch(0.5), Verdict::Reduced { reductions });
        }
        assert_eq!(schedule.rate(0), 0.01 / 1000.0);
        let ends: Vec<Verdict> = (0..4).map(|_| schedule.end_epoch(0.5)).collect();
        assert_eq!(ends.last(), Some(&Verdict::End(End::Plateau)));
    }

    #[test]
    fn a_slow_steady_fall_is_no_plateau() {
        let mut schedule = schedule(Kind::Plateau, None);
        for epoch in 0..90 {
            // Less than min_delta an epoch, more than it in three.
            assert_eq!(
                schedule.end_epoch(0.5 - 0.0004 * f64::from(epoch)),
                Verdict::Continue
            );
        }
        assert_eq!(schedule.rate(0), 0.01);
    }

    #[test]
    fn an_error_that_is_not_a_number_counts_as_no_improvement() {
        let mut schedule = schedule(Kind::Plateau, None);
        schedule.end_epoch(0.5);
        schedule.end_epoch(f64::NAN);
        assert_eq!(schedule.state().best_error, Some(0.5));
        assert!(!schedule.is_best());
    }

    #[test]
    fn a_step_schedule_divides_at_its_epochs() {
        let schedule = schedule(Kind::Step, None);
        let rates = [0, 2999, 3000, 5999, 6000].map(|step| schedule.rate(step));
        assert_eq!(rates, [0.01, 0.01, 0.001, 0.001, 0.01 / 100.0]);
    }

    #[test]
    fn a_cosine_falls_from_the_initial_rate_to_the_last() {
        let schedule = schedule(Kind::Cosine, None);
        assert_eq!(schedule.rate(0), 0.01);
        assert!((schedule.rate(4500) - 0.005).abs() < 1e-12);
        assert!(schedule.rate(9000) < 1e-12 && schedule.rate(10_000) < 1e-12);
    }

    #[test]
    fn early_stop_counts_epochs_without_a_new_best() {
        let mut schedule = schedule(Kind::Cosine, Some(2));
        let verdicts = [0.5, 0.6, 0.4, 0.4].map(|error| schedule.end_epoch(error));
        assert_eq!(verdicts, [Verdict::Continue; 4]);
        assert_eq!(schedule.end_epoch(0.5), Verdict::End(End::EarlyStop));
    }

    #[test]
    fn a_restored_schedule_knows_that_its_run_is_done() {
        let mut plateau = schedule(Kind::Plateau, None);
        let epochs = (0..).take_while(|_| plateau.end_epoch(0.5) != Verdict::End(End::Plateau));
        assert_eq!(
            epochs.count(),
            16,
            "one epoch to compare with, then four plateaus of four"
        );
        let text = toml::to_string(plateau.state()).unwrap();
        let restored = schedule(Kind::Plateau, None).restored(toml::from_str(&text).unwrap());
        assert_eq!(restored.ended(), Some(End::Plateau));
        assert_eq!(schedule(Kind::Plateau, None).ended(), None);
    }

    #[test]
    fn a_restored_schedule_goes_on_as_if_it_had_never_stopped() {
        let errors = [
            0.7,
            0.65,
            1.0 / 3.0,
            0.34,
            0.335,
            0.3333,
            0.3334,
            0.3,
            0.31,
            0.31,
            0.31,
            0.31,
        ];
        let mut whole = schedule(Kind::Plateau, Some(9));
        for (stop, &error) in errors.iter().enumerate() {
            whole.end_epoch(error);
            let text = toml::to_string(whole.state()).unwrap();
            let state: ScheduleState = toml::from_str(&text).unwrap();
            assert_eq!(&state, whole.state(), "after epoch {stop}");
        }
        let mut restored = schedule(Kind::Plateau, Some(9)).restored(whole.state().clone());
        for error in [0.31, 0.3, 0.2] {
            assert_eq!(restored.end_epoch(error), whole.end_epoch(error));
            assert_eq!(restored.rate(0).to_bits(), whole.rate(0).to_bits());
        }
    }
}
