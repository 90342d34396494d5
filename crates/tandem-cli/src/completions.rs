//! `tandem completions`: what a shell needs to complete the rest.

use anyhow::Result;
use clap::CommandFactory;

use crate::args::{Cli, Completions};
use crate::output::print;

pub fn run(args: &Completions) -> Result<()> {
    // Generated whole first: clap_complete panics when the pipe it writes to is closed early.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "tandem", &mut script);
    print(&String::from_utf8(script)?)
}
