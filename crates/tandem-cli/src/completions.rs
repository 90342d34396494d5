//! `tandem completions`: what a shell needs to complete the rest.

use std::io::{self, Write};

use anyhow::Result;
use clap::CommandFactory;

use crate::args::{Cli, Completions};

pub fn run(args: &Completions) -> Result<()> {
    // Generated whole first: clap_complete panics when the pipe it writes to is closed early.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "tandem", &mut script);
    io::stdout().lock().write_all(&script)?;
    Ok(())
}
