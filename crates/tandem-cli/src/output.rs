//! Results on standard output.

use std::io::{self, Write};

use anyhow::{Context, Result};

/// Prints `text` and makes sure it arrived: a full disk behind a redirection is an error.
pub fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("writing to standard output")
}
