//! Doing what a plan lacks: each network is trained once, by whoever holds its run directory.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rayon::ThreadPoolBuilder;
use tandem_alexnet::checkpoint::RunDirectory;
use tandem_alexnet::config::TrainConfig;
use tandem_alexnet::error::{RunError, TrainError};
use tandem_alexnet::placement::Placement;
use tandem_alexnet::trainer::{self, Beginning, EpochReport, Flow, Trainer};
use tandem_alexnet::training_data::{self, TrainingData};
use tandem_alexnet::weights::Weights;
use tandem_data::{DataError, Dataset};

use crate::error::ReproduceError;
use crate::log::{End, Ended, Log, conclude};
use crate::measure;
use crate::plan::{Measurement, Plan, Run};
use crate::study::Study;

/// How often a run that another process trains is looked at again.
const AGAIN: Duration = Duration::from_millis(500);

/// With what a plan is carried out.
#[derive(Clone, Debug)]
pub struct Means {
    /// Where networks live.
    pub devices: Placement,
    /// Networks trained at the same time, which share the threads.
    pub jobs: usize,
    pub threads: usize,
    /// Where the data that the plan names lies on this machine, as `tandem_data::open` takes it.
    pub places: Places,
}

/// The names of data sets and where they lie.
pub type Places = Vec<(String, String)>;

/// What whoever watches is told.
pub enum Event<'a> {
    Began(&'a Run),
    Epoch(&'a Run, &'a EpochReport),
    Ended(&'a Run, End),
    Measured(&'a Measurement),
}

/// Told of everything, from any thread; asked whether to go on.
pub type Watch<'a> = &'a (dyn Fn(Event<'_>) -> Flow + Sync);

/// Whether a plan is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// It was asked to stop, and every run is saved.
    Stopped,
}

/// Runs that are done already are not begun again: what is left to do.
///
/// # Errors
///
/// When a log cannot be read.
pub fn missing<'a>(plan: &'a Plan, study: &Study) -> Result<Vec<&'a Run>, ReproduceError> {
    let mut missing = Vec::new();
    for run in &plan.runs {
        if Log::read(&study.path().join(run.folder()))?.end.is_none() {
            missing.push(run);
        }
    }
    Ok(missing)
}

/// Trains and measures what `plan` lacks in `study`.
///
/// # Errors
///
/// What a run or a measurement fails with, but for a loss that diverges: that is a result.
pub fn execute(
    plan: &Plan,
    study: &Study,
    means: &Means,
    watch: Watch<'_>,
) -> Result<Outcome, ReproduceError> {
    let work = Work {
        study,
        means,
        watch,
        queue: Mutex::new(missing(plan, study)?.into()),
        stop: AtomicBool::new(false),
        read: Mutex::new(VecDeque::new()),
    };
    let jobs = means.jobs.max(1);
    let threads = (means.threads / jobs).max(1);
    let results: Vec<Result<(), ReproduceError>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs)
            .map(|_| {
                scope.spawn(|| {
                    let pool = ThreadPoolBuilder::new().num_threads(threads).build();
                    let pool = pool.expect("a pool of a few threads");
                    let worked = pool.install(|| work.work());
                    if worked.is_err() {
                        work.stop.store(true, Ordering::Relaxed);
                    }
                    worked
                })
            })
            .collect();
        let joined = workers.into_iter().map(|worker| match worker.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.collect()
    });
    results.into_iter().collect::<Result<(), _>>()?;
    if work.stopped() {
        return Ok(Outcome::Stopped);
    }
    for measurement in &plan.measurements {
        let log = Log::read(&study.path().join(measurement.folder()))?;
        if log.measured.is_empty() {
            measure::measure(measurement, plan, study, means)?;
            if watch(Event::Measured(measurement)) == Flow::Stop {
                return Ok(Outcome::Stopped);
            }
        }
    }
    Ok(Outcome::Done)
}

/// What the workers share.
struct Work<'a> {
    study: &'a Study,
    means: &'a Means,
    watch: Watch<'a>,
    queue: Mutex<VecDeque<&'a Run>>,
    stop: AtomicBool,
    /// Pictures as runs had them last, by what they depend on.
    read: Mutex<VecDeque<(String, TrainingData)>>,
}

/// How a run was left.
enum Left {
    Ended,
    /// It cannot be begun yet: another trains it, or what it starts from.
    Waits,
    Stopped,
}

impl Work<'_> {
    fn work(&self) -> Result<(), ReproduceError> {
        while !self.stopped() {
            let Some(run) = lock(&self.queue).pop_front() else {
                break;
            };
            match self.attempt(run)? {
                Left::Ended => {}
                Left::Stopped => break,
                Left::Waits => {
                    lock(&self.queue).push_back(run);
                    thread::sleep(AGAIN);
                }
            }
        }
        Ok(())
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn attempt(&self, run: &Run) -> Result<Left, ReproduceError> {
        let path = self.study.path().join(run.folder());
        let ended = |path: &Path| Ok::<_, ReproduceError>(Log::read(path)?.end.is_some());
        if ended(&path)? {
            return Ok(Left::Ended);
        }
        let start = run.start().map(|start| self.study.path().join(start));
        if let Some(start) = start.as_deref().and_then(Path::parent)
            && !ended(start)?
        {
            return Ok(Left::Waits);
        }
        let config = TrainConfig {
            devices: self.means.devices.clone(),
            loader_threads: 1,
            start_from: start,
            ..run.config.clone()
        };
        let opened = match RunDirectory::resume(&path) {
            Err(RunError::NoRun { .. }) => {
                RunDirectory::create(&path, &config).map(|run| (run, None))
            }
            opened => opened,
        };
        let (directory, checkpoint) = match opened {
            Err(RunError::InUse { .. } | RunError::HoldsAnotherRun { .. }) => {
                return Ok(Left::Waits);
            }
            opened => opened?,
        };
        // Another process may have ended it just before it let go of it.
        if ended(&path)? {
            return Ok(Left::Ended);
        }
        same(&directory.config()?, &config, &path)?;
        if (self.watch)(Event::Began(run)) == Flow::Stop {
            self.stop.store(true, Ordering::Relaxed);
            return Ok(Left::Stopped);
        }
        let begun = Instant::now();
        let data = self.data(&config)?;
        let source = || config.start_from.as_deref().map(Weights::read).transpose();
        let beginning = match checkpoint {
            Some(checkpoint) => Beginning::Checkpoint(checkpoint),
            None => Beginning::New(source().map_err(RunError::from)?),
        };
        let mut trainer = Trainer::new(config, data, directory, beginning)?;
        let since = trainer.step();
        let trained = trainer.train(&mut |event| {
            let flow = match event {
                trainer::Event::Epoch(report, _) => (self.watch)(Event::Epoch(run, report)),
                _ => Flow::Continue,
            };
            if flow == Flow::Stop {
                self.stop.store(true, Ordering::Relaxed);
            }
            if self.stopped() {
                Flow::Stop
            } else {
                Flow::Continue
            }
        });
        let ended = match trained {
            Ok(trainer::Ending::Stopped) => return Ok(Left::Stopped),
            Ok(_) => Ended::Done,
            Err(TrainError::Diverged { .. } | TrainError::WeightsDiverged { .. }) => {
                Ended::Diverged
            }
            Err(error) => return Err(error.into()),
        };
        let end = End {
            step: trainer.step(),
            ended,
            seconds: (begun.elapsed().as_secs_f64() * 10.0).round() / 10.0,
            since,
        };
        conclude(&path, end)?;
        // Its lock goes only now, with the trainer.
        drop(trainer);
        if (self.watch)(Event::Ended(run, end)) == Flow::Stop {
            self.stop.store(true, Ordering::Relaxed);
        }
        Ok(Left::Ended)
    }

    /// The pictures of a run, those of the runs before where they are the same.
    fn data(&self, config: &TrainConfig) -> Result<TrainingData, ReproduceError> {
        let seed = (config.randomise != Default::default()).then_some(config.seed);
        let key = format!(
            "{:?}",
            (
                &config.data,
                config.train_pictures,
                config.measure_training,
                config.randomise,
                seed,
                &config.model.input,
            )
        );
        let known = |read: &VecDeque<(String, TrainingData)>| {
            let found = read.iter().find(|(there, _)| *there == key);
            found.map(|(_, data)| data.clone())
        };
        if let Some(data) = known(&lock(&self.read)) {
            return Ok(data);
        }
        let data = read(config, &self.means.places)?;
        let mut read = lock(&self.read);
        if read.len() >= 2 * self.means.jobs {
            read.pop_front();
        }
        read.push_back((key.clone(), data.clone()));
        Ok(data)
    }
}

/// The pictures that `config` names.
fn read(config: &TrainConfig, places: &Places) -> Result<TrainingData, ReproduceError> {
    at(config, places, TrainingData::read)
}

/// Those of them that it is measured on.
pub(crate) fn validation(
    config: &TrainConfig,
    places: &Places,
) -> Result<Arc<dyn Dataset>, ReproduceError> {
    at(config, places, training_data::validation)
}

/// What `open` finds where the data of `config` lies.
fn at<T>(
    config: &TrainConfig,
    places: &Places,
    open: fn(&TrainConfig, &str) -> Result<T, DataError>,
) -> Result<T, ReproduceError> {
    let place = places.iter().find(|(name, _)| *name == config.data);
    let place = place.map_or(&config.data, |(_, place)| place);
    open(config, place).map_err(|source| ReproduceError::Data {
        data: config.data.clone(),
        source: Box::new(source),
    })
}

/// Whether a run that is there was told what this one is: where it runs may differ.
fn same(there: &TrainConfig, config: &TrainConfig, path: &Path) -> Result<(), ReproduceError> {
    match there.difference(config) {
        None => Ok(()),
        Some(what) => Err(ReproduceError::AnotherRun {
            path: PathBuf::from(path),
            what,
        }),
    }
}

/// A worker that panicked ends the study; what it held is not read again.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
