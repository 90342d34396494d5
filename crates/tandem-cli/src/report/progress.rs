//! What a run shows while it goes on, all of it on standard error: a bar on a terminal, a plain line
//! now and then anywhere else.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How much of the recent past a rate tells of.
const MEMORY: Duration = Duration::from_secs(5);

/// How often a plain line is written: a log of an hour is then 360 lines.
const CALM: Duration = Duration::from_secs(10);

/// One step done, as the trainer tells of it.
#[derive(Debug, Clone, Copy)]
pub struct StepDone {
    /// Steps done since the run began, from 1, and in the whole run.
    pub step: u64,
    pub steps: u64,
    /// The epoch this step belongs to, from 1, and of how many.
    pub epoch: u64,
    pub epochs: u64,
    /// Pictures in this step's batch.
    pub images: usize,
    /// Mean loss over the batch.
    pub loss: f64,
    pub learning_rate: f64,
    /// From the end of the step before (or the start of the epoch) to the end of this one.
    pub took: Duration,
    /// The part of `took` spent waiting for the loader.
    pub waited: Duration,
}

/// Shows the progress of a run.
#[derive(Debug)]
pub struct Progress {
    output: Output,
    meter: Meter,
}

#[derive(Debug)]
enum Output {
    Bar(ProgressBar),
    Lines { last: Option<Instant> },
    Quiet,
}

impl Progress {
    /// A bar where standard error is a terminal, lines elsewhere, nothing with `--quiet`.
    pub fn new(quiet: bool) -> Self {
        let output = if quiet {
            Output::Quiet
        } else if io::stderr().is_terminal() {
            Output::Bar(bar())
        } else {
            Output::Lines { last: None }
        };
        Self {
            output,
            meter: Meter::default(),
        }
    }

    /// Shows one more step.
    pub fn step(&mut self, done: &StepDone) {
        self.meter.add(done);
        match &mut self.output {
            Output::Bar(bar) => {
                bar.set_length(done.steps);
                bar.set_position(done.step);
                bar.set_prefix(format!("epoch {}/{}", done.epoch, done.epochs));
                bar.set_message(self.meter.words(done));
            }
            Output::Lines { last } => {
                // The first step always: it shows that the run has begun, and how soon.
                if last.is_none_or(|last| last.elapsed() >= CALM) {
                    *last = Some(Instant::now());
                    let StepDone {
                        step,
                        steps,
                        epoch,
                        epochs,
                        ..
                    } = done;
                    let words = self.meter.words(done);
                    write_line(&format!(
                        "epoch {epoch}/{epochs}  step {step}/{steps}  {words}"
                    ));
                }
            }
            Output::Quiet => {}
        }
    }

    /// A line that stays, such as an epoch's result.
    pub fn line(&self, words: &str) {
        match &self.output {
            Output::Bar(bar) => bar.suspend(|| write_line(words)),
            Output::Lines { .. } => write_line(words),
            Output::Quiet => {}
        }
    }

    /// What is being done between steps, such as measuring the error; shown on the bar only.
    pub fn stage(&self, words: &str) {
        if let Output::Bar(bar) = &self.output {
            bar.set_message(words.to_owned());
            bar.tick();
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Output::Bar(bar) = &self.output {
            bar.finish_and_clear();
        }
    }
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix} {bar:20.cyan/blue} {pos}/{len}  {wide_msg}")
        .expect("the template is a constant that parses");
    ProgressBar::new(0).with_style(style)
}

/// Progress is a courtesy: a standard error that was closed stops no run.
fn write_line(words: &str) {
    let _ = writeln!(io::stderr().lock(), "{words}");
}

/// Means over the last seconds, older steps weighing less.
#[derive(Debug, Default)]
struct Meter {
    images: f64,
    steps: f64,
    seconds: f64,
    waited: f64,
}

impl Meter {
    fn add(&mut self, done: &StepDone) {
        let took = done.took.as_secs_f64();
        let keep = (-took / MEMORY.as_secs_f64()).exp();
        self.images = keep * self.images + done.images as f64;
        self.steps = keep * self.steps + 1.0;
        self.seconds = keep * self.seconds + took;
        self.waited = keep * self.waited + done.waited.as_secs_f64();
    }

    fn images_per_second(&self) -> f64 {
        share(self.images, self.seconds)
    }

    fn waiting_share(&self) -> f64 {
        share(self.waited, self.seconds).min(1.0)
    }

    fn left(&self, done: &StepDone) -> Duration {
        let steps = done.steps.saturating_sub(done.step) as f64;
        Duration::try_from_secs_f64(steps * share(self.seconds, self.steps))
            .unwrap_or(Duration::MAX)
    }

    fn words(&self, done: &StepDone) -> String {
        format!(
            "loss {:.4}  rate {}  {} images/s  {:.0} % waiting for data  {} left",
            done.loss,
            done.learning_rate,
            three_digits(self.images_per_second()),
            100.0 * self.waiting_share(),
            clock(self.left(done)),
        )
    }
}

pub(super) fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

pub(super) fn three_digits(rate: f64) -> String {
    match rate {
        r if r < 10.0 => format!("{r:.2}"),
        r if r < 100.0 => format!("{r:.1}"),
        r => format!("{r:.0}"),
    }
}

/// `59 s`, `12:34`, `3:04:05`, `2 d 03 h`.
pub fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes}:{:02}", seconds % 60),
        3600..86_400 => format!("{hours}:{minutes:02}:{:02}", seconds % 60),
        _ => format!("{days} d {hours:02} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(step: u64, took: f64, waited: f64) -> StepDone {
        StepDone {
            step,
            steps: 1000,
            epoch: 1,
            epochs: 10,
            images: 64,
            loss: 2.30259,
            learning_rate: 0.01,
            took: Duration::from_secs_f64(took),
            waited: Duration::from_secs_f64(waited),
        }
    }

    #[test]
    fn even_steps_give_their_own_rate_share_and_time_left() {
        let mut meter = Meter::default();
        for n in 1..=100 {
            meter.add(&step(n, 0.5, 0.05));
        }
        assert!((meter.images_per_second() - 128.0).abs() < 1e-9);
        assert!((meter.waiting_share() - 0.1).abs() < 1e-9);
        let words = meter.words(&step(100, 0.5, 0.05));
        assert_eq!(
            words,
            "loss 2.3026  rate 0.01  128 images/s  10 % waiting for data  7:30 left"
        );
    }

    #[test]
    fn a_change_of_pace_shows_within_seconds() {
        let mut meter = Meter::default();
        (1..=100).for_each(|n| meter.add(&step(n, 1.0, 0.0)));
        (101..=130).for_each(|n| meter.add(&step(n, 0.5, 0.0)));
        assert!(
            (meter.images_per_second() - 128.0).abs() < 10.0,
            "{}",
            meter.images_per_second()
        );
    }

    #[test]
    fn a_step_that_took_no_time_divides_by_nothing() {
        let mut meter = Meter::default();
        meter.add(&step(1, 0.0, 0.0));
        assert_eq!(
            (meter.images_per_second(), meter.waiting_share()),
            (0.0, 0.0)
        );
        assert_eq!(meter.left(&step(1, 0.0, 0.0)), Duration::ZERO);
    }

    #[test]
    fn times_read_as_people_say_them() {
        let words = [5, 59, 60, 754, 3600, 11_045, 183_600].map(|s| clock(Duration::from_secs(s)));
        assert_eq!(
            words,
            [
                "5 s", "59 s", "1:00", "12:34", "1:00:00", "3:04:05", "2 d 03 h"
            ]
        );
    }
}
