//! `tandem reproduce`: the paper's experiments on the data at hand.

mod cost;
mod machine;

use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tandem_alexnet::trainer::Flow;
use tandem_reproduce::error::ReproduceError;
use tandem_reproduce::execute::{Event, Means, Outcome, execute, missing};
use tandem_reproduce::log::{End, Ended};
use tandem_reproduce::plan::{Asked, Plan, Run, Sizes};
use tandem_reproduce::report;
use tandem_reproduce::study::Study;

use crate::args::{Global, Reproduce};
use crate::failure::Failure;
use crate::hub::{located, pinned};
use crate::output::{print, typed};
use crate::report::progress::{clock, write_line};
use crate::signals::Stop;

pub fn run(args: &Reproduce, global: &Global) -> Result<ExitCode> {
    if args.report {
        let study = Study::there(&args.out)?;
        return finish(&study);
    }
    let asked = Asked {
        experiment: args.experiment.clone(),
        data: pinned(&args.data)?,
        second: args.second.as_deref().map(pinned).transpose()?,
        quick: args.quick,
        seeds: args.seeds,
        settings: args.settings.clone(),
    };
    let plan = Plan::of(&asked).map_err(Failure::from_typing)?;
    let mut places = vec![(asked.data.clone(), located(&asked.data)?)];
    if let Some(second) = &asked.second {
        places.push((second.clone(), located(second)?));
    }
    // Everything is checked before anything is trained.
    let sizes = plan.check(&places)?;
    let means = Means {
        devices: args.devices.clone(),
        jobs: args.jobs.get(),
        threads: rayon::current_num_threads(),
        places,
    };
    if args.plan {
        let done = Study::there(&args.out).ok();
        return cost::print_plan(&plan, &sizes, done.as_ref(), &means);
    }
    let study = Study::open(&args.out, &asked, plan.seeds, machine::made(args))?;
    let stop = Stop::install().context("taking over Ctrl-C")?;
    let progress = Progress::new(&plan, &sizes, missing(&plan, &study)?, global.quiet)?;
    let watch = |event: Event<'_>| {
        progress.tell(&event);
        match stop.requested() {
            true => Flow::Stop,
            false => Flow::Continue,
        }
    };
    match execute(&plan, &study, &means, &watch)? {
        Outcome::Done => finish(&study),
        Outcome::Stopped => {
            write_line(&format!(
                "stopped; the same command goes on from here. The report so far: tandem reproduce {} --report --out {}",
                args.experiment,
                typed(&args.out)
            ));
            Ok(stop.exit_code().unwrap_or(ExitCode::FAILURE))
        }
    }
}

/// Writes the report and says where it is.
fn finish(study: &Study) -> Result<ExitCode> {
    let page = report::write(study)?;
    print(&format!("{}\n", page.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// What is said while networks are trained.
struct Progress {
    quiet: bool,
    begun: Instant,
    state: Mutex<State>,
}

struct State {
    /// Work of the runs that are left, and of all that were at the start.
    left: f64,
    whole: f64,
    ended: usize,
    runs: usize,
    costs: Vec<(String, u64, f64)>,
}

impl Progress {
    fn new(
        plan: &Plan,
        sizes: &Sizes,
        missing: Vec<&Run>,
        quiet: bool,
    ) -> Result<Self, ReproduceError> {
        let costs = missing.iter().map(|run| {
            let cost = run.cost(sizes.of(&run.config.data))?;
            Ok((run.arm.clone(), run.seed, cost))
        });
        let costs: Vec<_> = costs.collect::<Result<_, ReproduceError>>()?;
        let whole = costs.iter().map(|(_, _, cost)| cost).sum();
        if !quiet {
            let there = plan.runs.len() - missing.len();
            write_line(&format!(
                "{} networks to train, {there} are there already",
                missing.len()
            ));
        }
        Ok(Self {
            quiet,
            begun: Instant::now(),
            state: Mutex::new(State {
                left: whole,
                whole,
                ended: plan.runs.len() - missing.len(),
                runs: plan.runs.len(),
                costs,
            }),
        })
    }

    fn tell(&self, event: &Event<'_>) {
        let mut state = self
            .state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let line = match event {
            Event::Began(run) => format!("{}, seed {}: begins", run.arm, run.seed),
            Event::Epoch(run, report) => format!(
                "{}, seed {}: epoch {}/{}  loss {:.4}  top-1 error {:.2} %{}",
                run.arm,
                run.seed,
                report.epoch,
                run.config.epochs,
                report.training_loss,
                100.0 * report.top1_error,
                report
                    .training_top1_error
                    .map_or_else(String::new, |error| {
                        format!("  training {:.2} %", 100.0 * error)
                    }),
            ),
            Event::Ended(run, End { ended, seconds, .. }) => {
                let cost = |(arm, seed, cost): &(String, u64, f64)| {
                    (*arm == run.arm && *seed == run.seed).then_some(*cost)
                };
                let cost = state.costs.iter().find_map(cost).unwrap_or(0.0);
                state.left -= cost;
                state.ended += 1;
                let done = state.whole - state.left;
                let left = self.begun.elapsed().as_secs_f64() * state.left / done.max(1.0);
                format!(
                    "{}, seed {}: {} after {}  ({} of {} networks, about {} left)",
                    run.arm,
                    run.seed,
                    match ended {
                        Ended::Done => "done",
                        Ended::Diverged => "diverged",
                    },
                    clock(Duration::from_secs_f64(*seconds)),
                    state.ended,
                    state.runs,
                    clock(Duration::from_secs_f64(left.max(0.0))),
                )
            }
            Event::Measured(measurement) => match measurement.seed {
                Some(seed) => format!("{}, seed {seed}: measured", measurement.name),
                None => format!("{}: measured", measurement.name),
            },
        };
        if !self.quiet {
            write_line(&line);
        }
    }
}
