//! What a run shows while it goes on, all of it on standard error: a bar on a terminal, a plain line
//! now and then anywhere else.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tandem_alexnet::trainer::StepReport;

/// How much of the recent past a rate tells of.
const MEMORY: Duration = Duration::from_secs(5);

/// How often a plain line is written: a log of an hour is then 360 lines.
pub const CALM: Duration = Duration::from_secs(10);

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

    /// Shows one more step, of a run of so many epochs.
    pub fn step(&mut self, done: &StepReport, epochs: u64) {
        self.meter.add(done);
        // The epoch under way, from 1; at its last step `done.epoch` is that number itself.
        let epoch = (done.epoch.ceil() as u64).clamp(1, epochs.max(1));
        let (step, steps) = (done.step, done.steps);
        match &mut self.output {
            Output::Bar(bar) => {
                bar.set_length(steps);
                bar.set_position(step);
                bar.set_prefix(format!("epoch {epoch}/{epochs}"));
                bar.set_message(self.meter.words(done));
            }
            Output::Lines { last } => {
                // The first step always: it shows that the run has begun, and how soon.
                if last.is_none_or(|last| last.elapsed() >= CALM) {
                    *last = Some(Instant::now());
                    let words = self.meter.words(done);
                    write_line(&format!(
                        "epoch {epoch}/{epochs}  step {step}/{steps}  {words}"
                    ));
                }
            }
            Output::Quiet => {}
        }
    }

    /// Shows how many pictures have been taken through the frozen layers.
    pub fn features(&mut self, done: usize, of: usize) {
        match &mut self.output {
            Output::Bar(bar) => {
                bar.set_length(of as u64);
                bar.set_position(done as u64);
                bar.set_prefix("features");
            }
            Output::Lines { last } => {
                if last.is_some_and(|last| last.elapsed() >= CALM) {
                    write_line(&format!("features of {done} of {of} pictures"));
                    *last = Some(Instant::now());
                }
                // The first step is told of however soon it comes.
                *last = match done == of {
                    true => None,
                    false => last.or_else(|| Some(Instant::now())),
                };
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

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Output::Bar(bar) = &self.output {
            bar.finish_and_clear();
        }
    }
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix} {bar:10.cyan/blue} {pos}/{len}  {wide_msg}")
        .expect("the template is a constant that parses");
    ProgressBar::new(0).with_style(style)
}

/// Progress is a courtesy: a standard error that was closed stops no run.
pub fn write_line(words: &str) {
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
    fn add(&mut self, done: &StepReport) {
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

    fn left(&self, done: &StepReport) -> Duration {
        let steps = done.steps.saturating_sub(done.step) as f64;
        Duration::try_from_secs_f64(steps * share(self.seconds, self.steps))
            .unwrap_or(Duration::MAX)
    }

    /// What matters most comes first: a narrow terminal cuts off the end.
    fn words(&self, done: &StepReport) -> String {
        format!(
            "{} left  {} images/s  loss {:.4}  rate {}  {:.0} % waiting for data",
            clock(self.left(done)),
            three_digits(self.images_per_second()),
            done.loss,
            rounded(done.learning_rate),
            100.0 * self.waiting_share(),
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

/// A rate to four digits: a cosine's values have sixteen, a plateau's few.
pub fn rounded(rate: f64) -> f64 {
    format!("{rate:.3e}").parse().unwrap_or(rate)
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

    fn step(step: u64, took: f64, waited: f64) -> StepReport {
        StepReport {
            step,
            steps: 1000,
            epoch: 0.5,
            images: 64,
            loss: 2.25,
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
            "7:30 left  128 images/s  loss 2.2500  rate 0.01  10 % waiting for data"
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
    fn a_rate_has_four_digits_at_most() {
        let rates = [0.01, 0.001, 0.007180166596385915, 1.0, 0.0].map(rounded);
        assert_eq!(rates, [0.01, 0.001, 0.00718, 1.0, 0.0]);
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
