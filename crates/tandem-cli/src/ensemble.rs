//! `tandem ensemble …`: several networks as one.

mod eval;
mod train;

use std::process::ExitCode;

use anyhow::Result;

use crate::args::{Ensemble, EnsembleCommand, Global};
use crate::gpu;

pub fn run(args: &Ensemble, global: &Global) -> Result<ExitCode> {
    match &args.command {
        EnsembleCommand::Train(args) => train::run(args, global),
        EnsembleCommand::Eval(args) => {
            let done = eval::run(args, global);
            done.map_err(|error| gpu::explain(error, &args.devices))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
