//! The `tandem` command: parsing, progress, reports. No arithmetic.
//!
//! A library, so that the end-to-end tests are given the command by cargo, up to date: see the
//! `Cargo.toml` in `tests/`.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

#[cfg(target_os = "linux")]
mod allocator;
mod args;
mod bench;
mod completions;
mod data;
mod doctor;
mod ensemble;
mod eval;
mod export;
mod failure;
mod features;
mod finetune;
mod gpu;
mod hub;
mod import;
mod info;
mod memory;
mod output;
mod pictures;
mod predict;
mod report;
mod reproduce;
mod settings;
mod show;
mod signals;
mod start;
mod train;
mod weights;

use args::{Cli, Command, Global};

/// The command: reads the arguments of the process, does what they say, and says how that went.
pub fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => match failure::exit_code(&error) {
            Some(code) => {
                // Not `eprintln!`, which panics where nobody reads standard error any more.
                let _ = writeln!(io::stderr(), "{}", failure::describe(&error));
                ExitCode::from(code)
            }
            None => ExitCode::SUCCESS,
        },
    }
}

fn run() -> Result<ExitCode> {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no failures; clap knows which stream each belongs to.
            let _ = error.print();
            return Ok(ExitCode::from(error.exit_code() as u8));
        }
    };
    speak(&cli.global);
    set_threads(&cli.global)?;
    // From inside the pool: a step has dozens of parallel parts, and a thread outside would hand each
    // to the pool and sleep until it is done.
    let mut result = Ok(ExitCode::SUCCESS);
    rayon::scope(|_| result = obey(&cli));
    result
}

fn obey(cli: &Cli) -> Result<ExitCode> {
    match &cli.command {
        Command::Train(args) => return train::run(args, &cli.global),
        Command::Finetune(args) => return finetune::run(args, &cli.global),
        Command::Ensemble(args) => return ensemble::run(args, &cli.global),
        Command::Eval(args) => {
            eval::run(args).map_err(|error| gpu::explain(error, &args.devices))?;
        }
        Command::Predict(args) => {
            predict::run(args, &cli.global).map_err(|error| gpu::explain(error, &args.devices))?;
        }
        Command::Features(args) => {
            features::run(args).map_err(|error| gpu::explain(error, &args.devices))?;
        }
        Command::Bench(args) => {
            bench::run(args).map_err(|error| gpu::explain(error, &args.devices))?;
        }
        Command::Show(args) => show::run(args, &cli.global)?,
        Command::Hub(args) => hub::run(args)?,
        Command::Data(args) => return data::run(args, &cli.global),
        Command::Reproduce(args) => {
            return reproduce::run(args, &cli.global)
                .map_err(|error| gpu::explain(error, &args.devices));
        }
        Command::Import(args) => import::run(args)?,
        Command::Export(args) => export::run(args)?,
        Command::Info(args) => info::run(args)?,
        Command::Doctor(args) => doctor::run(args)?,
        Command::Completions(args) => completions::run(args)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Warnings on standard error, and more with -v.
fn speak(global: &Global) {
    let filter = match global.verbose {
        // What hf-hub has to say of a failure is in our error.
        0 => "warn,hf_hub=off",
        1 => "info,hf_hub=off",
        _ => "debug",
    };
    let plain = std::env::var_os("NO_COLOR");
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal() && plain.is_none_or(|set| set.is_empty()))
        .without_time()
        .with_target(false)
        .log_internal_errors(false)
        .init();
}

/// The pool every operation computes in; made once, before anything uses it.
fn set_threads(global: &Global) -> Result<()> {
    let mut pool = rayon::ThreadPoolBuilder::new();
    if let Some(threads) = global.threads {
        pool = pool.num_threads(threads.get());
    }
    pool.build_global().context("starting the threads")
}
