//! `tandem ensemble train`: runs that differ in their seeds, each brought to its end.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use tandem_alexnet::config::TrainConfig;

use super::eval;
use crate::args::{EnsembleEval, EnsembleTrain, Global, Views};
use crate::report::progress::write_line;
use crate::signals::Stop;
use crate::{failure::Failure, gpu, settings, start, train};

pub fn run(args: &EnsembleTrain, global: &Global) -> Result<ExitCode> {
    let mut config = settings::resolve(&args.recipe)?;
    let folders = folders(&config, args);
    start::read_for(&mut config, &folders)?;
    let members = members(&config, folders)?;
    let stop = Stop::install().context("taking over Ctrl-C")?;
    for (number, (config, out)) in members.iter().enumerate() {
        if !global.quiet {
            let (number, of, seed) = (number + 1, members.len(), config.seed);
            write_line(&format!("member {number} of {of}, seed {seed}"));
        }
        if let Some(code) = train::to_its_end(config.clone(), out, &stop, global.quiet)? {
            if !global.quiet {
                write_line("the same `tandem ensemble train` again goes on with all members");
            }
            return Ok(code);
        }
    }
    let weights = members.iter().map(|(_, out)| out.to_string_lossy().into());
    let measured = eval::run(
        &EnsembleEval {
            weights: weights.collect(),
            data: config.data,
            views: Views::One,
            batch: NonZeroUsize::new(config.batch).unwrap_or(NonZeroUsize::MIN),
            devices: config.devices.clone(),
            json: false,
        },
        global,
    );
    measured.map_err(|error| gpu::explain(error, &config.devices))?;
    Ok(ExitCode::SUCCESS)
}

/// The run directory of each.
fn folders(config: &TrainConfig, args: &EnsembleTrain) -> Vec<PathBuf> {
    let usual = || Path::new("runs").join(format!("{}-ensemble", config.model.name));
    let out = args.out.clone().unwrap_or_else(usual);
    let member = |number| out.join(format!("member-{number}"));
    (1..=args.members).map(member).collect()
}

/// The settings and the run directory of each.
fn members(config: &TrainConfig, folders: Vec<PathBuf>) -> Result<Vec<(TrainConfig, PathBuf)>> {
    let member = |(number, out): (u64, PathBuf)| {
        let config = TrainConfig {
            seed: config.seed.saturating_add(number),
            ..config.clone()
        };
        config.check("--members").map_err(Failure::from_typing)?;
        Ok((config, out))
    };
    (0..).zip(folders).map(member).collect()
}
