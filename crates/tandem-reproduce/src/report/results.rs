//! What a study's logs come to, by arm and measure.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use tandem_alexnet::checkpoint::CONFIG;
use tandem_alexnet::config::TrainConfig;

use crate::error::ReproduceError;
use crate::experiment::ErrorOf;
use crate::interval::mean;
use crate::log::{Ended, Line, Log};
use crate::page::Estimate;
use crate::study::{Study, failed};

/// Which error of the test pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Top {
    One,
    Five,
}

/// The logs of a study.
#[derive(Debug, Default)]
pub struct Results {
    /// Of `base`, `lrn/without`, `views/ten`, `baseline/sparse-coding`, by seed.
    logs: BTreeMap<String, Vec<Log>>,
    /// What the first run of each arm was told.
    configs: BTreeMap<String, TrainConfig>,
    seconds: f64,
    networks: usize,
}

impl Results {
    pub fn read(study: &Study) -> Result<Self, ReproduceError> {
        let mut results = Self::default();
        for (folder, called) in [("runs", ""), ("measured", ""), ("baselines", "baseline/")] {
            results.gather(&study.path().join(folder), &mut Vec::new(), called)?;
        }
        let all = results.logs.values().flatten();
        let ends = all.filter_map(|log| log.end);
        results.networks = ends.clone().count();
        results.seconds = ends.map(|end| end.whole_seconds()).sum();
        Ok(results)
    }

    /// Reads every log below `folder`; the names of the folders between are the arm's, numbers are seeds.
    fn gather(
        &mut self,
        folder: &Path,
        above: &mut Vec<String>,
        called: &str,
    ) -> Result<(), ReproduceError> {
        let log = Log::read(folder)?;
        if log != Log::default() {
            let seed = above.last().is_some_and(|name| name.parse::<u64>().is_ok());
            let name = above[..above.len() - usize::from(seed)].join("/");
            self.logs
                .entry(format!("{called}{name}"))
                .or_default()
                .push(log);
            let config = folder.join(CONFIG);
            if seed && called.is_empty() && config.exists() && !self.configs.contains_key(&name) {
                let text = fs::read_to_string(&config).map_err(failed("read", &config))?;
                let config = TrainConfig::parse(&text, &config.display().to_string())?;
                self.configs.insert(name, config);
            }
        }
        if !folder.is_dir() {
            return Ok(());
        }
        let mut inside = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed("read", folder))? {
            let entry = entry.map_err(failed("read", folder))?;
            if entry.path().is_dir() {
                inside.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        // Seeds in their order, 10 after 9.
        inside.sort_by_key(|name| (name.parse::<u64>().ok(), name.clone()));
        for name in inside {
            let path = folder.join(&name);
            above.push(name);
            self.gather(&path, above, called)?;
            above.pop();
        }
        Ok(())
    }

    /// The logs of an arm or measure, by seed.
    pub fn logs(&self, name: &str) -> &[Log] {
        self.logs.get(name).map_or(&[], Vec::as_slice)
    }

    /// Those that came to their end, and those that are measurements.
    fn last(&self, name: &str) -> impl Iterator<Item = &Line> {
        let whole = |log: &&Log| log.end.is_some() || log.measured.len() == 1;
        self.logs(name).iter().filter(whole).filter_map(Log::last)
    }

    /// An error of each network or measurement of that name, 0 to 1.
    pub fn errors(&self, name: &str, top: Top) -> Vec<f64> {
        let of = |line: &Line| match top {
            Top::One => Some(line.top1_error),
            Top::Five => line.top5_error,
        };
        self.last(name).filter_map(of).collect()
    }

    /// The top-1 error on the training pictures, 0 to 1.
    pub fn training_errors(&self, name: &str) -> Vec<f64> {
        self.last(name)
            .filter_map(|line| line.training_top1_error)
            .collect()
    }

    pub fn errors_of(&self, name: &str, of: ErrorOf) -> Vec<f64> {
        match of {
            ErrorOf::Test => self.errors(name, Top::One),
            ErrorOf::Training => self.training_errors(name),
        }
    }

    /// The last line of a measurement of several networks.
    pub fn line(&self, name: &str) -> Option<&Line> {
        self.last(name).next()
    }

    /// Runs of that name whose loss was no longer a number.
    pub fn diverged(&self, name: &str) -> usize {
        let ends = self.logs(name).iter().filter_map(|log| log.end);
        ends.filter(|end| end.ended == Ended::Diverged).count()
    }

    /// Something of each end of an epoch, as the mean over seeds: (epoch, value).
    pub fn curve(&self, name: &str, of: fn(&Line) -> Option<f64>) -> Vec<(f64, Estimate)> {
        let mut epochs: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for line in self.logs(name).iter().flat_map(|log| &log.measured) {
            if let Some(value) = of(line) {
                // Whole epochs.
                epochs.entry(line.epoch as u64).or_default().push(value);
            }
        }
        let points = epochs.into_iter().filter_map(|(epoch, values)| {
            // An interval of two curves is wider than the plot.
            let estimate = mean(&values)?;
            let interval = estimate.interval.filter(|_| values.len() > 2);
            Some((
                epoch as f64,
                Estimate {
                    interval,
                    ..estimate
                },
            ))
        });
        points.collect()
    }

    pub fn config(&self, arm: &str) -> Option<&TrainConfig> {
        self.configs.get(arm)
    }

    /// Networks that were trained.
    pub fn networks(&self) -> usize {
        self.networks
    }

    /// What their training took in all, one after the other.
    pub fn time(&self) -> String {
        super::clock(Duration::from_secs_f64(self.seconds))
    }
}
