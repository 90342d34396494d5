//! Steps timed as a whole and in named parts.

use std::time::{Duration, Instant};

use anyhow::Result;

/// Runs steps and remembers how long each, and each part of it, took.
#[derive(Debug)]
pub struct Stopwatch {
    warmup: usize,
    steps: usize,
    took: Vec<Duration>,
    /// When the step or its last lap began.
    lap: Instant,
    /// In the order in which the parts were first met.
    parts: Vec<(String, Vec<Duration>)>,
}

impl Stopwatch {
    pub fn new(warmup: usize, steps: usize) -> Self {
        Self {
            warmup,
            steps,
            took: Vec::new(),
            lap: Instant::now(),
            parts: Vec::new(),
        }
    }

    /// Runs `step` for the warm-up, which does not count, and then for the steps that do.
    pub fn run(&mut self, mut step: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        for _ in 0..self.warmup {
            step(self)?;
        }
        self.parts.clear();
        for _ in 0..self.steps {
            let start = Instant::now();
            self.lap = start;
            step(self)?;
            self.took.push(start.elapsed());
        }
        Ok(())
    }

    /// Runs one part of a step.
    pub fn part<T>(&mut self, name: &str, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = work();
        self.note(name.to_owned(), start.elapsed());
        done
    }

    /// Ends a part that began where the last lap, or the step, did.
    pub fn lap(&mut self, name: String) {
        let now = Instant::now();
        self.note(name, now - self.lap);
        self.lap = now;
    }

    fn note(&mut self, name: String, took: Duration) {
        match self.parts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, all)) => all.push(took),
            None => self.parts.push((name, vec![took])),
        }
    }

    /// Steps timed.
    pub fn steps(&self) -> usize {
        self.took.len()
    }

    /// Seconds a step.
    pub fn median(&self) -> f64 {
        median(self.took.iter().map(Duration::as_secs_f64))
    }

    /// Seconds a step on average: where steps are made ahead, the only figure that tells of the pace.
    pub fn mean(&self) -> f64 {
        let total: Duration = self.took.iter().sum();
        total.as_secs_f64() / self.took.len().max(1) as f64
    }

    /// Seconds of the fastest and of the slowest step.
    pub fn range(&self) -> (f64, f64) {
        let seconds = self.took.iter().map(Duration::as_secs_f64);
        seconds.fold((f64::INFINITY, 0.0), |(low, high), s| {
            (low.min(s), high.max(s))
        })
    }

    /// Each part's name and median, in seconds.
    pub fn parts(&self) -> Vec<(String, f64)> {
        self.parts
            .iter()
            .map(|(name, took)| (name.clone(), median(took.iter().map(Duration::as_secs_f64))))
            .collect()
    }
}

/// As the PyTorch peer takes it: of an even number, the upper one.
pub fn median(seconds: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = seconds.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        let times = |all: &[u64]| median(all.iter().map(|&s| s as f64));
        assert_eq!(times(&[9, 1, 2]), 2.0);
        assert_eq!(times(&[4, 1, 2, 3]), 3.0);
    }

    #[test]
    fn warm_up_runs_and_does_not_count() {
        let mut watch = Stopwatch::new(2, 3);
        let mut ran = 0;
        watch
            .run(|watch| {
                ran += 1;
                watch.part("a", || ());
                Ok(())
            })
            .unwrap();
        assert_eq!((ran, watch.steps()), (5, 3));
        assert_eq!(watch.parts[0].1.len(), 3);
    }

    #[test]
    fn a_step_that_fails_ends_the_measurement() {
        let mut watch = Stopwatch::new(0, 3);
        assert!(watch.run(|_| anyhow::bail!("no")).is_err());
        assert_eq!(watch.steps(), 0);
    }
}
