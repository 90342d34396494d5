//! Results on standard output, and paths to be copied from what is said.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result};

/// Prints `text` and makes sure it arrived: a full disk behind a redirection is an error.
pub fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(plain(text).as_bytes())
        .and_then(|()| out.flush())
        .context("writing to standard output")
}

/// `text` without what would command a terminal: names of classes and tensors come from anybody's files.
pub fn plain(text: &str) -> Cow<'_, str> {
    let commands = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !text.contains(commands) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::new();
    for c in text.chars() {
        match commands(c) {
            true => plain.extend(c.escape_default()),
            false => plain.push(c),
        }
    }
    Cow::Owned(plain)
}

/// `path` as it is to be typed in a shell.
pub fn typed(path: &Path) -> Cow<'_, str> {
    let text = path.to_string_lossy();
    match shlex::try_quote(&text) {
        Ok(quoted) => Cow::Owned(quoted.into_owned()),
        // It holds a NUL: no path does.
        Err(_) => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_commands_a_terminal_is_escaped() {
        assert_eq!(plain("a\tb\n"), "a\tb\n");
        assert_eq!(plain("\u{1b}[31mred\u{7}\r"), "\\u{1b}[31mred\\u{7}\\r");
    }

    #[test]
    fn a_path_is_quoted_only_where_a_shell_needs_it() {
        assert_eq!(typed(Path::new("runs/mini-1")), "runs/mini-1");
        assert_eq!(typed(Path::new("my runs/a")), "'my runs/a'");
    }
}
