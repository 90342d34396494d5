//! With what a study is made.

use std::env;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use tandem_reproduce::study::Made;

use crate::args::Reproduce;
use crate::doctor::processor_in_words;

/// What `study.toml` says of this machine and this moment.
pub fn made(args: &Reproduce) -> Made {
    let typed = env::args().skip(1);
    let command = shlex::try_join(typed.collect::<Vec<_>>().iter().map(String::as_str));
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    Made {
        command: format!(
            "tandem {}",
            command.unwrap_or_else(|_| "reproduce".to_owned())
        ),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: commit().unwrap_or_else(|| "not known: not begun in a checkout".to_owned()),
        date: now.chars().take("2012-12-03".len()).collect(),
        hardware: format!(
            "{}; networks on {}, {} at a time",
            processor_in_words(),
            args.devices,
            args.jobs
        ),
    }
}

/// The commit of the checkout this is called in, if it is Tandem's.
fn commit() -> Option<String> {
    if !Path::new("crates/tandem-reproduce").is_dir() {
        return None;
    }
    let git = Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=12"])
        .output();
    let words = String::from_utf8(git.ok().filter(|git| git.status.success())?.stdout).ok()?;
    Some(words.trim().to_owned())
}
