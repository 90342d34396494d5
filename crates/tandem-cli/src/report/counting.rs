//! Progress of work that is counted in pictures and done by many threads: a bar on a terminal, a
//! plain line now and then elsewhere; on standard error.

use std::fmt::Write;
use std::io::{self, IsTerminal};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use super::progress::{CALM, clock, share, three_digits, write_line};
use super::table::grouped;

/// Counts up to a total.
#[derive(Debug)]
pub struct Counting {
    what: &'static str,
    total: u64,
    done: AtomicU64,
    begun: Instant,
    output: Output,
}

#[derive(Debug)]
enum Output {
    Bar(ProgressBar),
    Lines { last: Mutex<Instant> },
    Quiet,
}

impl Counting {
    /// `what` is done to the pictures: "packing".
    pub fn new(what: &'static str, total: usize, quiet: bool) -> Self {
        let output = if quiet {
            Output::Quiet
        } else if io::stderr().is_terminal() {
            let template = "{prefix} {bar:20.cyan/blue} {human_pos}/{human_len}  {eta} left  {rate} pictures/s";
            let style = ProgressStyle::with_template(template)
                .expect("the template is a constant that parses")
                .with_key("rate", |state: &ProgressState, out: &mut dyn Write| {
                    let _ = out.write_str(&three_digits(state.per_sec()));
                });
            let bar = ProgressBar::new(total as u64).with_style(style);
            Output::Bar(bar.with_prefix(what))
        } else {
            Output::Lines {
                last: Mutex::new(Instant::now()),
            }
        };
        Self {
            what,
            total: total as u64,
            done: AtomicU64::new(0),
            begun: Instant::now(),
            output,
        }
    }

    /// So many more pictures are done.
    pub fn add(&self, pictures: usize) {
        let done = self.done.fetch_add(pictures as u64, Ordering::Relaxed) + pictures as u64;
        match &self.output {
            Output::Bar(bar) => bar.inc(pictures as u64),
            Output::Lines { last } => {
                // A thread that finds another one writing has nothing to add.
                if let Ok(mut last) = last.try_lock()
                    && last.elapsed() >= CALM
                {
                    *last = Instant::now();
                    write_line(&self.words(done, self.begun.elapsed()));
                }
            }
            Output::Quiet => {}
        }
    }

    fn words(&self, done: u64, took: Duration) -> String {
        let rate = share(done as f64, took.as_secs_f64());
        let left = share((self.total.saturating_sub(done)) as f64, rate);
        format!(
            "{}  {}/{}  {} left  {} pictures/s",
            self.what,
            grouped(done),
            grouped(self.total),
            clock(Duration::try_from_secs_f64(left).unwrap_or(Duration::MAX)),
            three_digits(rate),
        )
    }

    /// Takes the bar away and tells how long it took.
    pub fn finish(self) -> Duration {
        if let Output::Bar(bar) = &self.output {
            bar.finish_and_clear();
        }
        self.begun.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_how_far_how_long_and_how_fast() {
        let counting = Counting::new("packing", 50_000, true);
        let words = counting.words(10_000, Duration::from_secs(20));
        assert_eq!(words, "packing  10,000/50,000  1:20 left  500 pictures/s");
        let words = counting.words(0, Duration::ZERO);
        assert_eq!(words, "packing  0/50,000  0 s left  0.00 pictures/s");
    }
}
