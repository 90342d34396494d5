//! `tandem train`: settings, run directory, signals and reports around the trainer.

mod numbered;

use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use tandem_alexnet::checkpoint::{BEST, Checkpoint, LAST, RunDirectory};
use tandem_alexnet::config::TrainConfig;
use tandem_alexnet::error::{RunError, TrainError, advice};
use tandem_alexnet::schedule::End;
use tandem_alexnet::shapes::Shapes;
use tandem_alexnet::spec::Spec;
use tandem_alexnet::trainer::{Beginning, Ending, Event, Flow, Trainer};
use tandem_alexnet::training_data::TrainingData;
use tandem_alexnet::transfer::Transfer;
use tandem_alexnet::weights::Weights;
use tandem_data::DataError;

use crate::args::{Global, Recipe, Train};
use crate::failure::Failure;
use crate::gpu::Work;
use crate::hub::{located, pinned};
use crate::output::{print, typed};
use crate::pictures::left_out;
use crate::report::run::Reports;
use crate::report::table::grouped;
use crate::signals::Stop;
use crate::{settings, start};

/// Where the pictures that do not decode are listed.
const LEFT_OUT: &str = "left-out.txt";

/// What helps a run that diverged. To resume it would only repeat it.
const LOWER_RATE: &str =
    "start again with a lower rate (--set rate.initial=...), or look at the pictures";

const THROUGH_THE_HOST: &str = "GPUs here do not hand tensors to each other directly: they go \
                                through the host's memory, which is slower (`tandem doctor`)";

/// A run about to begin or to go on.
struct Plan {
    config: TrainConfig,
    data: TrainingData,
    /// The network as the data has it: its classes and channels.
    spec: Spec,
    run: RunDirectory,
    beginning: Beginning,
    /// Layers that the weights it starts from have nothing for.
    anew: Vec<String>,
    /// Bytes free on the GPU of each place before the run.
    free: Vec<Option<u64>>,
}

pub fn run(args: &Train, global: &Global) -> Result<ExitCode> {
    match &args.resume {
        Some(run) => resumed(run, &args.recipe)?.until_stopped(global),
        None => {
            let mut config = settings::resolve(&args.recipe)?;
            let source = start::read(&mut config)?;
            begin(config, source, args.out.as_deref(), global)
        }
    }
}

/// A new run that is told `config` and starts from `source`, to its end or until a signal.
pub fn begin(
    config: TrainConfig,
    source: Option<Weights>,
    out: Option<&Path>,
    global: &Global,
) -> Result<ExitCode> {
    Plan::new(config, source, out)?.until_stopped(global)
}

/// The run in `path`, told anew where it is computed and where its pictures are.
fn resumed(path: &Path, args: &Recipe) -> Result<Plan> {
    let (run, checkpoint) = RunDirectory::resume(path)?;
    let mut config = run.config()?;
    // A checkpoint does not depend on where its towers were.
    if let Some(devices) = &args.devices {
        config.devices = devices.clone();
        config.check("--devices").map_err(Failure::from_typing)?;
    }
    // Nor on where its pictures are, if only they are the same.
    if let Some(data) = &args.data {
        config.data.clone_from(data);
    }
    Plan::resumed(run, checkpoint, config)
}

/// The run in `out` that is told `config`, whether it is to begin, to go on or is done: brings it to its
/// end. The exit code of the signal that stopped it before.
pub fn to_its_end(
    mut config: TrainConfig,
    out: &Path,
    stop: &Stop,
    quiet: bool,
) -> Result<Option<ExitCode>> {
    let (run, checkpoint) = match RunDirectory::resume(out) {
        Err(RunError::NoRun { .. }) => {
            let source = match config.start.sha256 {
                Some(_) => start::read_again(&config, out)?,
                None => start::read(&mut config)?,
            };
            return Plan::new(config, source, Some(out))?.follow(stop, quiet);
        }
        opened => opened?,
    };
    let there = run.config()?;
    start::as_noted(&mut config, &there);
    let wanted = TrainConfig {
        data: from_anywhere(pinned(&config.data)?),
        ..config
    };
    if let Some(difference) = there.difference(&wanted) {
        let what = format!(
            "{} holds a run with other settings: {difference}",
            out.display()
        );
        let hint = "give the settings it was begun with, or another --out";
        return Err(Failure::usage(what, hint).into());
    }
    if checkpoint
        .as_ref()
        .is_some_and(|checkpoint| checkpoint.is_last(&wanted))
    {
        return Ok(None);
    }
    Plan::resumed(run, checkpoint, wanted)?.follow(stop, quiet)
}

impl Plan {
    /// Everything is read and checked before the run directory is made: what fails leaves nothing.
    fn new(mut config: TrainConfig, source: Option<Weights>, out: Option<&Path>) -> Result<Self> {
        config.data = pinned(&config.data)?;
        let (data, spec) = read(&config)?;
        let anew = Trainer::check(&config, &data, source.as_ref())?;
        let free = config.devices.free_memory()?;
        config.data = from_anywhere(config.data);
        let run = match out {
            Some(out) => RunDirectory::create(out, &config)?,
            None => numbered::next_free(Path::new("runs"), &spec.name, &config)?,
        };
        Ok(Self {
            config,
            data,
            spec,
            run,
            beginning: Beginning::New(source),
            anew,
            free,
        })
    }

    fn resumed(
        run: RunDirectory,
        checkpoint: Option<Checkpoint>,
        config: TrainConfig,
    ) -> Result<Self> {
        let (data, spec) = read(&config).map_err(|error| match error.downcast_ref() {
            Some(DataError::NotFound { .. }) => error.context(Failure::failed(
                format!("the pictures that {} learns from", run.path().display()),
                "where they are now is said by --data",
            )),
            _ => error,
        })?;
        let (beginning, anew) = match checkpoint {
            Some(checkpoint) => (Beginning::Checkpoint(checkpoint), Vec::new()),
            None => {
                let source = start::read_again(&config, run.path())?;
                let anew = Trainer::check(&config, &data, source.as_ref())?;
                (Beginning::New(source), anew)
            }
        };
        let free = config.devices.free_memory()?;
        Ok(Self {
            config,
            data,
            spec,
            run,
            beginning,
            anew,
            free,
        })
    }

    fn list_what_was_left_out(&self) -> Result<()> {
        let TrainingData {
            train, validation, ..
        } = &self.data;
        let list = left_out(&[("train", train), ("validation", validation)]);
        if list.is_empty() {
            return Ok(());
        }
        let path = self.run.path().join(LEFT_OUT);
        fs::write(&path, &list).with_context(|| format!("writing {}", path.display()))?;
        let (count, path) = (list.lines().count(), path.display());
        let first = list.lines().next().unwrap_or_default().replace('\t', ": ");
        match count {
            1 => tracing::warn!("a picture does not decode and is left out: {first}; see {path}"),
            _ => tracing::warn!(
                "{count} pictures do not decode and are left out; {path} lists them, first {first}"
            ),
        }
        Ok(())
    }

    /// What stands on the first line and over the curves.
    fn title(&self) -> Result<String> {
        let TrainingData {
            train,
            validation,
            name,
            ..
        } = &self.data;
        Ok(format!(
            "{} ({} parameters, {}) on {name}: {} + {} pictures, {} classes",
            self.spec.name,
            grouped(Shapes::of(&self.spec)?.parameters()),
            self.config.devices,
            grouped(train.len() as u64),
            grouped(validation.len() as u64),
            self.spec.classes,
        ))
    }

    /// [`Plan::follow`] with the signals taken over.
    fn until_stopped(self, global: &Global) -> Result<ExitCode> {
        let stop = Stop::install().context("taking over Ctrl-C")?;
        let stopped = self.follow(&stop, global.quiet)?;
        Ok(stopped.unwrap_or(ExitCode::SUCCESS))
    }

    /// Trains to the end of the run, or until a signal asks to stop: its exit code then.
    fn follow(self, stop: &Stop, quiet: bool) -> Result<Option<ExitCode>> {
        self.list_what_was_left_out()?;
        let title = self.title()?;
        let out = self.run.path().to_owned();
        let resumed_at = match &self.beginning {
            Beginning::Checkpoint(checkpoint) => Some(checkpoint.weights.step),
            Beginning::New(_) => None,
        };
        let (epochs, warm_up) = (self.config.epochs, self.config.rate.warm_up_steps);
        let work = Work {
            shapes: Shapes::of(&self.spec)?,
            devices: self.config.devices.clone(),
            precision: self.config.precision,
            batch: self.config.batch,
            accumulate: self.config.accumulate,
            free: self.free,
        };
        let mut trainer = Trainer::new(self.config, self.data, self.run, self.beginning)
            .map_err(|error| work.explain(error.into()))?;

        let mut reports = Reports::begin(&out, &title, epochs, quiet, resumed_at)
            .map_err(|error| stopped(error, &trainer))?;
        reports.line(&title);
        if trainer.network().transfer() == Transfer::Host {
            reports.line(THROUGH_THE_HOST);
        }
        match resumed_at {
            Some(step) => reports.line(&format!("goes on from step {step} in {}", out.display())),
            None => reports.line(&format!("begins in {}", out.display())),
        }
        if !self.anew.is_empty() {
            reports.line(&format!(
                "new, and drawn at random: {}",
                self.anew.join(", ")
            ));
        }
        if warm_up > trainer.steps() {
            tracing::warn!(
                "the rate climbs over {warm_up} updates and the run has {}: it never comes to its full height",
                trainer.steps()
            );
        }
        // The trainer asks after each step; what fails in a report stops it as a signal would.
        let mut failed = None;
        let ended = trainer.train(&mut |event| {
            let told = match event {
                Event::Step(report) => reports.step(report),
                Event::Epoch(report, network) => reports.epoch(report, network),
                Event::Features { done, of } => {
                    reports.features(done, of);
                    Ok(())
                }
                Event::TooManyFeatures { bytes, most } => {
                    reports.too_many_features(bytes, most);
                    Ok(())
                }
                Event::Saved { .. } => Ok(()),
            };
            if let Err(error) = told {
                failed.get_or_insert(error);
            }
            if failed.is_some() || stop.requested() {
                Flow::Stop
            } else {
                Flow::Continue
            }
        });
        reports.end();
        // A report that failed comes first: where the disk is full, the save after it fails too.
        let ended = match failed {
            Some(error) => Err(error),
            None => ended.map_err(Into::into),
        };
        let ended = ended.map_err(|error| stopped(work.explain(error), &trainer))?;
        reports.draw(trainer.network())?;
        conclude(ended, &out, trainer.step(), &reports, stop)
    }
}

/// Opens both parts of the data, and fits the network to it.
fn read(config: &TrainConfig) -> Result<(TrainingData, Spec)> {
    let data = TrainingData::read(config, &located(&config.data)?)
        .with_context(|| format!("--data {}", config.data))?;
    let spec = data.fit(&config.model)?;
    Ok((data, spec))
}

/// The data as a run's config.toml has it, which may be resumed from another folder.
fn from_anywhere(data: String) -> String {
    let path = Path::new(&data);
    if !path.exists() {
        // `builtin`
        return data;
    }
    let whole = std::path::absolute(path).ok();
    whole
        .and_then(|whole| Some(whole.to_str()?.to_owned()))
        .unwrap_or(data)
}

/// What ended a run before its time, and how to go on from there.
fn stopped(error: anyhow::Error, trainer: &Trainer) -> anyhow::Error {
    let run = trainer.run_directory();
    let diverged = matches!(
        error.downcast_ref(),
        Some(TrainError::Diverged { .. } | TrainError::WeightsDiverged { .. })
    );
    let resume = format!("`tandem train --resume {}`", typed(run.path()));
    let hint = match (run.saved(), diverged) {
        (Some(step), true) => format!("the checkpoint of step {step} is kept; {LOWER_RATE}"),
        (None, true) => format!("no checkpoint was saved yet; {LOWER_RATE}"),
        (Some(step), false) => format!("the checkpoint of step {step} is intact: {resume} goes on"),
        (None, false) => format!("no checkpoint was saved yet: {resume} begins again"),
    };
    // The library's errors of files end in advice; those of reports do not.
    let advice = error.downcast_ref::<io::Error>().map_or("", advice);
    let hint = match error.downcast_ref::<Failure>().and_then(Failure::hint) {
        // A GPU's fault, which the same run would meet again where it is one of memory.
        Some(help) if run.saved().is_none() => format!(
            "{help}; no checkpoint was saved yet: {resume} begins again with the same settings, others need another \
             --out"
        ),
        Some(help) => format!("{hint}; {help}"),
        None => hint + advice,
    };
    let what = format!("the run in {} stopped", run.path().display());
    error.context(Failure::failed(what, hint))
}

/// The last words; the exit code of the signal where it cut the run short.
fn conclude(
    ended: Ending,
    out: &Path,
    step: u64,
    reports: &Reports,
    stop: &Stop,
) -> Result<Option<ExitCode>> {
    let why = match ended {
        Ending::Done => "all epochs are done",
        Ending::Schedule(End::EarlyStop) => "the error no longer falls",
        Ending::Schedule(End::Plateau) => "the error stands still at the last rate",
        Ending::Stopped => {
            reports.line(&format!(
                "stopped and saved at step {step}; go on with: tandem train --resume {}",
                typed(out)
            ));
            return Ok(Some(stop.exit_code().unwrap_or(ExitCode::FAILURE)));
        }
    };
    let mut text = format!("{why}, after step {step}\n");
    if let Some(best) = reports.best()? {
        text.push_str(&format!(
            "best top-1 error {:.2} % at epoch {}: {}\n",
            100.0 * best.top1_error,
            best.epoch,
            out.join(BEST).display()
        ));
    }
    text.push_str(&format!("last: {}\n", out.join(LAST).display()));
    print(&text)?;
    Ok(None)
}
