//! How a failure reaches the user: one `error:` line, a `hint:` where there is one, an exit code.

use std::fmt;
use std::io;

use tandem_alexnet::error::{PlacementError, SpecError};

use crate::output::plain;

/// An error of the command's own, or another's with what to do about it.
#[derive(Debug)]
pub struct Failure {
    what: String,
    hint: Option<String>,
    kind: Kind,
}

/// Whose fault it is, which is what the exit code says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Exit code 1.
    Failed,
    /// Exit code 2: what was typed cannot be meant.
    Usage,
}

impl Failure {
    /// What went wrong and what to do about it; exit code 1.
    pub fn failed(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            hint: Some(hint.into()),
            kind: Kind::Failed,
        }
    }

    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// What was typed wrong and what to type instead; exit code 2.
    pub fn usage(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            hint: Some(hint.into()),
            kind: Kind::Usage,
        }
    }

    /// A library's error over something typed; exit code 2.
    pub fn from_typing(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self {
            // The libraries' errors say in their own words what caused them.
            what: error.to_string(),
            hint: None,
            kind: Kind::Usage,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Failure {}

/// What is printed of `error` on standard error: its whole chain on the first line, then the hint.
pub fn describe(error: &anyhow::Error) -> String {
    let mut text = "error: ".to_owned();
    let mut before = String::new();
    for cause in error.chain().map(ToString::to_string) {
        // Some errors print their source and name it as one too; once is enough.
        if before.is_empty() {
            text.push_str(&cause);
        } else if !before.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        before = cause;
    }
    if let Some(hint) = find::<Failure>(error).and_then(|failure| failure.hint.as_ref()) {
        text.push_str("\nhint: ");
        text.push_str(hint);
    }
    plain(&text).into_owned()
}

/// 1 or 2; none when the reader of our output has simply gone (`tandem info | head -1`).
pub fn exit_code(error: &anyhow::Error) -> Option<u8> {
    if find::<io::Error>(error).is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) {
        return None;
    }
    Some(if is_usage(error) { 2 } else { 1 })
}

/// Names and counts that can only have been typed wrong, whichever crate found out.
fn is_usage(error: &anyhow::Error) -> bool {
    find::<Failure>(error).is_some_and(|failure| failure.kind == Kind::Usage)
        || matches!(
            find::<SpecError>(error),
            Some(SpecError::UnknownPreset { .. } | SpecError::UnknownLayer { .. })
        )
        || matches!(
            find::<PlacementError>(error),
            Some(PlacementError::Count { .. } | PlacementError::Precision)
        )
}

fn find<E: std::error::Error + Send + Sync + 'static>(error: &anyhow::Error) -> Option<&E> {
    // The first covers a Failure given as a context, which the chain does not show as its own type.
    error
        .downcast_ref::<E>()
        .or_else(|| error.chain().find_map(|cause| cause.downcast_ref::<E>()))
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn the_chain_is_one_line_and_the_hint_another() {
        let error = anyhow::Error::from(Failure::usage("no preset `minu`", "did you mean `mini`?"))
            .context("--model");
        assert_eq!(
            describe(&error),
            "error: --model: no preset `minu`\nhint: did you mean `mini`?"
        );
        assert_eq!(exit_code(&error), Some(2));
    }

    #[test]
    fn a_hint_given_over_another_error_keeps_both() {
        let lower: Result<(), _> = Err(anyhow!("permission denied"));
        let error = lower
            .context(Failure::failed(
                "cannot write runs/a",
                "choose another --out",
            ))
            .unwrap_err();
        assert_eq!(
            describe(&error),
            "error: cannot write runs/a: permission denied\nhint: choose another --out"
        );
        assert_eq!(exit_code(&error), Some(1));
    }

    #[test]
    fn an_error_without_a_hint_is_one_line() {
        let error = anyhow!("disk full").context("writing last.safetensors");
        assert_eq!(
            describe(&error),
            "error: writing last.safetensors: disk full"
        );
        assert_eq!(exit_code(&error), Some(1));
    }

    #[test]
    fn a_reader_that_left_is_no_failure() {
        let error =
            anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe)).context("printing");
        assert_eq!(exit_code(&error), None);
    }

    #[test]
    fn a_cause_already_told_is_not_told_again() {
        let error = anyhow!("no such file").context("cannot read a.toml: no such file");
        assert_eq!(describe(&error), "error: cannot read a.toml: no such file");
    }
}
