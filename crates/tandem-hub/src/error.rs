//! What can go wrong with the hub: each error names the repository or file, the place, and the fix.
//!
//! What the hub says goes into an error as it is, and is shown through [`plain`].

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::explain::REPETITIONS;
use crate::{Kind, Name};

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// Not the name of a repository.
    #[error(
        "`{name}` names no repository of the hub: {problem}. Write hf:OWNER/NAME[@REVISION][:PART]"
    )]
    Name {
        /// What was given.
        name: String,
        /// The rule that it breaks.
        problem: &'static str,
    },
    /// Nothing says where the cache is.
    #[error("no place for the hub's cache: there is no home folder; set HF_HOME or HF_HUB_CACHE")]
    NoCache,
    /// A token that cannot be one.
    #[error(
        "the token of {origin} holds spaces, line breaks or other than ASCII; tokens are made at https://huggingface.co/settings/tokens"
    )]
    TokenText {
        /// The variable or file.
        origin: String,
    },
    /// A time limit that is not one.
    #[error("HF_HUB_DOWNLOAD_TIMEOUT is `{seconds}`; give whole seconds from 1 up, or unset it")]
    Timeout {
        /// What it is.
        seconds: String,
    },
    /// The hub's address is not one.
    #[error(
        "HF_ENDPOINT is `{endpoint}`, which is no address ({reason}); give one such as https://huggingface.co"
    )]
    Endpoint {
        /// What it is.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The hub knows no such repository, or does not tell who asks.
    #[error(
        "no {kind} {repository} at {endpoint}, or it is private: check the name{}",
        private(token)
    )]
    NoRepository {
        /// What was looked for.
        kind: Kind,
        /// `OWNER/NAME`.
        repository: String,
        /// The hub.
        endpoint: String,
        /// Where the token is from that it was asked with.
        token: Option<String>,
    },
    /// The repository has no such revision.
    #[error(
        "{repository} has no revision `{revision}`; its branches, tags and commits are at {page}/commits/main"
    )]
    NoRevision {
        /// `OWNER/NAME`.
        repository: String,
        /// The branch, tag or commit.
        revision: String,
        /// The repository's page.
        page: String,
    },
    /// A gated repository, and nobody or one without access asked.
    #[error(
        "{repository} is gated: accept its terms at {page}, {}",
        gated(endpoint, token)
    )]
    Gated {
        /// `OWNER/NAME`.
        repository: String,
        /// The repository's page.
        page: String,
        /// The hub.
        endpoint: String,
        /// Where the token is from that it was asked with.
        token: Option<String>,
    },
    /// The hub does not take the token.
    #[error(
        "{endpoint} does not take the token of {origin}: make a new one at {endpoint}/settings/tokens"
    )]
    TokenRefused {
        /// The hub.
        endpoint: String,
        /// The variable or file the token is from.
        origin: String,
    },
    /// To write takes a token, and there is none.
    #[error(
        "{endpoint} must know who writes {repository}: set HF_TOKEN to a token that may write, made at {endpoint}/settings/tokens, or run `hf auth login`"
    )]
    NoToken {
        /// The hub.
        endpoint: String,
        /// `OWNER/NAME`.
        repository: String,
    },
    /// The token may only read, or the repository is somebody else's.
    #[error(
        "the token of {origin} may not write {repository} ({message}): is the name right, and does the token have write access ({endpoint}/settings/tokens)?",
        message = plain(message)
    )]
    MayNotWrite {
        /// `OWNER/NAME`.
        repository: String,
        /// The hub.
        endpoint: String,
        /// The variable or file the token is from.
        origin: String,
        /// What the hub says.
        message: String,
    },
    /// What should be private would be public.
    #[error(
        "{repository} is there and is public: make it private at {page}/settings first, or push under another name"
    )]
    NotPrivate {
        /// `OWNER/NAME`.
        repository: String,
        /// The repository's page.
        page: String,
    },
    /// Nothing is written offline.
    #[error("HF_HUB_OFFLINE is set, and {repository} is at {endpoint}; unset it to push")]
    OfflinePush {
        /// `OWNER/NAME`.
        repository: String,
        /// The hub.
        endpoint: String,
    },
    /// Somebody else writes the same branch.
    #[error(
        "`{revision}` of {repository} changed meanwhile: somebody else writes it; look at {page}/commits/{revision} and push again"
    )]
    Moved {
        /// `OWNER/NAME`.
        repository: String,
        /// The branch.
        revision: String,
        /// The repository's page.
        page: String,
    },
    /// What the hub has is not what was pushed.
    #[error(
        "{file} of {repository} is not at {endpoint} what was pushed: {problem}; push again, and if it stays so, tell who runs the hub"
    )]
    PushedOtherwise {
        /// The file.
        file: String,
        /// `OWNER/NAME`.
        repository: String,
        /// The hub.
        endpoint: String,
        /// In what it differs.
        problem: String,
    },
    /// The repository has no such folder or file.
    #[error("{repository} has no folder or file `{part}`; it has {found}", found = plain(found))]
    NoPart {
        /// `OWNER/NAME`.
        repository: String,
        /// The part of it that is not there.
        part: String,
        /// What is there.
        found: String,
    },
    /// Several configurations, and none is the default.
    #[error("{} has several configurations ({}); name one, as in `{}`", .example.repository(), plain(found), plain(&example.to_string()))]
    Configurations {
        /// The configurations.
        found: String,
        /// The name of the first.
        example: Name,
    },
    /// No file of the repository holds data that is read here.
    #[error("{name} holds no parquet, no tar and no folders of pictures but {}; the hub's own copy in parquet, if it made one, is `hf:{}@refs/convert/parquet`", plain(found), .name.repository())]
    NoData {
        /// What was asked for.
        name: Name,
        /// What it holds.
        found: String,
    },
    /// Several weights, and none has a name that is taken first.
    #[error("{} has several weights ({}); name one, as in `{}`", .example.repository(), plain(found), plain(&example.to_string()))]
    SeveralWeights {
        /// Their files.
        found: String,
        /// The name of the first.
        example: Name,
    },
    /// No file of the model holds weights that are read here.
    #[error("{name} holds no {} but {}{}", if import.is_some() { "safetensors" } else { "weights" }, plain(found), plain(&to_import(import)))]
    NoWeights {
        /// What was asked for.
        name: Name,
        /// What it holds.
        found: String,
        /// A file of another framework, which could be imported.
        import: Option<Box<Name>>,
    },
    /// The hub cannot be reached.
    #[error("no way to {endpoint} for {repository} ({reason}); {cached}")]
    NoNetwork {
        /// The hub.
        endpoint: String,
        /// `OWNER/NAME`.
        repository: String,
        /// The system's reason.
        reason: String,
        /// What of it is in the cache, and how to use that.
        cached: String,
    },
    /// Offline, and not in the cache.
    #[error(
        "HF_HUB_OFFLINE is set, and {missing} of {name} is not in {cache} ({cached}); unset it to download",
        missing = plain(missing)
    )]
    Offline {
        /// What was asked for.
        name: String,
        /// The revision or file that is missing.
        missing: String,
        /// The cache's folder.
        cache: PathBuf,
        /// What of it is there.
        cached: String,
    },
    /// The hub is overloaded, or limits who asks.
    #[error("{endpoint} answered {status} for {} each of {} times; try again {}, {kept}{}", plain(what), REPETITIONS + 1, after(wait), limit(*status, token))]
    Busy {
        /// The hub.
        endpoint: String,
        /// The file or repository.
        what: String,
        /// The HTTP status.
        status: u16,
        /// How long it asks to wait.
        wait: Option<Duration>,
        /// What need not be done again, in words.
        kept: &'static str,
        /// Where the token is from that it was asked with.
        token: Option<String>,
    },
    /// Another refusal.
    #[error("{endpoint} refuses {} with {status}: {}", plain(what), plain(message))]
    Refused {
        /// The hub.
        endpoint: String,
        /// The file or repository.
        what: String,
        /// The HTTP status.
        status: u16,
        /// What the hub says.
        message: String,
    },
    /// Redirections that do not end.
    #[error(
        "{url} is redirected without end; {endpoint} is misconfigured: unset HF_ENDPOINT, or tell who runs it"
    )]
    RedirectLoop {
        /// Where it was seen.
        url: String,
        /// The hub.
        endpoint: String,
    },
    /// A connection that was cut, or fell silent, again and again.
    #[error(
        "{}: the connection broke again and again ({}); run the command again, {kept}",
        plain(what),
        plain(reason)
    )]
    Interrupted {
        /// The file or repository.
        what: String,
        /// The last reason.
        reason: String,
        /// What need not be done again, in words.
        kept: &'static str,
    },
    /// A file that is not as long as the hub's listing says.
    #[error(
        "{file} of {repository} came with {found} bytes where the hub lists {wanted}; try again, and if it stays so, tell its owner",
        file = plain(file)
    )]
    Length {
        /// The file.
        file: String,
        /// `OWNER/NAME`.
        repository: String,
        /// Bytes that came; more may have followed.
        found: u64,
        /// Bytes that belong.
        wanted: u64,
    },
    /// A file whose contents are not those that the hub lists.
    #[error(
        "{file} of {repository} came damaged: its checksum is {found} where the hub lists {wanted}; it was discarded, try again",
        file = plain(file)
    )]
    Checksum {
        /// The file.
        file: String,
        /// `OWNER/NAME`.
        repository: String,
        /// The checksum found.
        found: String,
        /// The checksum listed.
        wanted: String,
    },
    /// An answer that is not the hub's API.
    #[error(
        "{endpoint} answers not as the hub does for {}: {}; is HF_ENDPOINT right?",
        plain(what),
        plain(problem)
    )]
    Answer {
        /// The hub.
        endpoint: String,
        /// The file or repository.
        what: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Not enough room for what is to be downloaded.
    #[error("{repository} needs {} more, and {cache} has {} free; make room, or set HF_HUB_CACHE to a larger disk", size(*needed), size(*free))]
    NoRoom {
        /// `OWNER/NAME`.
        repository: String,
        /// Bytes still to download.
        needed: u64,
        /// Bytes free.
        free: u64,
        /// The cache's folder.
        cache: PathBuf,
    },
    /// The disk filled up meanwhile.
    #[error(
        "the disk is full at {}; make room and run the command again, it goes on from there",
        shown(path)
    )]
    DiskFull {
        /// The file that could not grow.
        path: PathBuf,
    },
    /// A file of the cache, or the token's.
    #[error("cannot {doing} {}: {source}", shown(path))]
    File {
        /// "read", "write" and the like.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The client could not be made.
    #[error("cannot make an HTTP client: {reason}")]
    Client {
        /// Why not.
        reason: String,
    },
}

fn private(token: &Option<String>) -> String {
    match token {
        Some(token) => format!(", and whether the token of {} may read it", token),
        None => ", or set HF_TOKEN to a token that may read it".into(),
    }
}

fn gated(endpoint: &str, token: &Option<String>) -> String {
    match token {
        Some(token) => format!(
            "with the account of the token of {}, which must be allowed to read gated repositories \
             ({endpoint}/settings/tokens)",
            token
        ),
        None => format!(
            "then set HF_TOKEN to a token of that account, made at {endpoint}/settings/tokens, or run \
             `hf auth login`"
        ),
    }
}

fn to_import(file: &Option<Box<Name>>) -> String {
    file.as_ref().map_or(String::new(), |file| {
        format!("; turn its weights into Tandem's with: tandem import {file}")
    })
}

fn after(wait: &Option<Duration>) -> String {
    wait.map_or("later".into(), |wait| format!("in {} s", wait.as_secs()))
}

fn limit(status: u16, token: &Option<String>) -> &'static str {
    match (status, token) {
        (429, None) => "; with a token in HF_TOKEN the limit is higher",
        _ => "",
    }
}

/// What the hub says, or a name it gives, with control characters escaped: a terminal would obey them.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return text.into();
    }
    let mut escaped = String::new();
    for c in text.chars() {
        match c.is_control() {
            true => escaped.extend(c.escape_default()),
            false => escaped.push(c),
        }
    }
    escaped.into()
}

/// A path below which may be names that the hub gives.
fn shown(path: &Path) -> String {
    plain(&path.to_string_lossy()).into_owned()
}

/// Bytes as a person reads them.
fn size(bytes: u64) -> impl fmt::Display {
    let units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let unit = (bytes.max(1).ilog10() / 3) as usize;
    format!(
        "{:.1} {}",
        bytes as f64 / 1000f64.powi(unit as i32),
        units[unit]
    )
}
