//! What a repository of the hub is called: `hf:OWNER/NAME[@REVISION][:PART]`.

use std::fmt;
use std::str::FromStr;

use crate::HubError;

/// `hf:OWNER/NAME[@REVISION][:PART]`, checked. Old data sets have no owner: `hf:mnist`.
///
/// ```
/// let name: tandem_hub::Name = "hf:owner/pictures@v1.0:32px".parse()?;
/// assert_eq!(name.repository(), "owner/pictures");
/// assert_eq!(name.revision(), Some("v1.0"));
/// assert_eq!(name.part(), Some("32px"));
/// assert_eq!(name.to_string(), "hf:owner/pictures@v1.0:32px");
/// # Ok::<(), tandem_hub::HubError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    repository: String,
    revision: Option<String>,
    part: Option<String>,
}

impl Name {
    /// `OWNER/NAME`, or `NAME` for those without an owner.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The branch, tag or commit asked for; the branch `main` if none was.
    pub fn revision(&self) -> Option<&str> {
        self.revision.as_deref()
    }

    /// A folder (a configuration lies in the folder of its name) or a file of the repository.
    pub fn part(&self) -> Option<&str> {
        self.part.as_deref()
    }

    /// The same repository at another revision, to pin a run to [`Snapshot::commit`](crate::Snapshot::commit).
    ///
    /// # Errors
    ///
    /// If it is not the name of a revision.
    pub fn at(&self, revision: &str) -> Result<Self, HubError> {
        Self {
            revision: Some(revision.into()),
            ..self.clone()
        }
        .to_string()
        .parse()
    }

    /// The same repository and revision, another part.
    pub fn with_part(&self, part: &str) -> Self {
        Self {
            part: Some(part.into()),
            ..self.clone()
        }
    }
}

impl FromStr for Name {
    type Err = HubError;

    fn from_str(name: &str) -> Result<Self, HubError> {
        let wrong = |problem| HubError::Name {
            name: name.into(),
            problem,
        };
        let rest = name
            .strip_prefix("hf:")
            .ok_or_else(|| wrong("it does not start with `hf:`"))?;
        let (rest, part) = match rest.split_once(':') {
            Some((rest, part)) => (rest, Some(part)),
            None => (rest, None),
        };
        let (repository, revision) = match rest.split_once('@') {
            Some((repository, revision)) => (repository, Some(revision)),
            None => (rest, None),
        };
        if repository.split('/').count() > 2 || !repository.split('/').all(is_word) {
            return Err(wrong(
                "owner and name are of letters, digits, `-`, `_` and `.`, with one `/` between",
            ));
        }
        if !revision.is_none_or(|revision| {
            stays_inside(revision) && !revision.contains(char::is_whitespace)
        }) {
            return Err(wrong("after `@` belongs a branch, a tag or a commit"));
        }
        if !part.is_none_or(stays_inside) {
            return Err(wrong(
                "after `:` belongs a folder or file of the repository",
            ));
        }
        Ok(Self {
            repository: repository.into(),
            revision: revision.map(Into::into),
            part: part.map(Into::into),
        })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "hf:{}", self.repository)?;
        if let Some(revision) = &self.revision {
            write!(f, "@{revision}")?;
        }
        if let Some(part) = &self.part {
            write!(f, ":{part}")?;
        }
        Ok(())
    }
}

/// The hub's rule for an owner and for a name; the cache's folder names rely on there being no `--`.
fn is_word(word: &str) -> bool {
    (1..=96).contains(&word.len())
        && word
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        && !word.starts_with(['-', '.'])
        && !word.ends_with(['-', '.'])
        && !word.contains("--")
        && !word.contains("..")
}

/// Whether a path with `/` between, from a person or from a server, stays below the folder it is
/// joined to.
pub(crate) fn stays_inside(path: &str) -> bool {
    !path.contains(['\\', '\0']) && path.split('/').all(|step| !matches!(step, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written_back() {
        for name in [
            "hf:mnist",
            "hf:owner/name",
            "hf:owner/name@refs/convert/parquet",
            "hf:owner/name:data/train-00000-of-00002.parquet",
            "hf:a.b/c_d-e@0123456789012345678901234567890123456789:160px",
        ] {
            let read: Name = name.parse().unwrap();
            assert_eq!(read.to_string(), name);
        }
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_rule() {
        for (name, rule) in [
            ("owner/name", "does not start with `hf:`"),
            ("hf:", "letters, digits"),
            ("hf:/name", "letters, digits"),
            ("hf:a/b/c", "letters, digits"),
            ("hf:../name", "letters, digits"),
            ("hf:owner--x/name", "letters, digits"),
            ("hf:owner/na me", "letters, digits"),
            ("hf:owner/name@", "after `@`"),
            ("hf:owner/name@../../../etc", "after `@`"),
            ("hf:owner/name@a b", "after `@`"),
            ("hf:owner/name:", "after `:`"),
            ("hf:owner/name:/etc/passwd", "after `:`"),
            ("hf:owner/name:a/../../b", "after `:`"),
        ] {
            let error = name.parse::<Name>().unwrap_err().to_string();
            assert!(
                error.contains(rule) && error.contains(name),
                "{name}: {error}"
            );
        }
    }
}
