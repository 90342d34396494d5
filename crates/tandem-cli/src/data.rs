//! `tandem data`: packing a set of pictures, and looking into one.

mod info;
mod pack;
mod sample;
mod stats;
mod verify;

use std::process::ExitCode;

use anyhow::{Context, Result};
use tandem_data::{DataError, Part};

use crate::args::{Data, DataCommand, Global};

pub fn run(args: &Data, global: &Global) -> Result<ExitCode> {
    match &args.command {
        DataCommand::Pack(args) => pack::run(args, global)?,
        DataCommand::Info(args) => info::run(args)?,
        DataCommand::Verify(args) => return verify::run(args, global),
        DataCommand::Stats(args) => stats::run(args)?,
        DataCommand::Sample(args) => sample::run(args)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What to say of a set without validation pictures.
fn nothing_held_out(mut parts: impl Iterator<Item = Part>) -> Option<&'static str> {
    (!parts.any(|part| part == Part::Validation)).then_some(
        "no validation pictures: `tandem predict` takes the set so, `tandem train` and `eval` do not",
    )
}

/// Adds the set's name to an error that may not say it.
fn of<T>(source: &str, result: Result<T, DataError>) -> Result<T> {
    result.with_context(|| format!("reading {source}"))
}
