//! The Hugging Face hub on the loopback interface, in as much of its API as reading data sets
//! and writing models takes, with faults on demand. Tests only.
//!
//! Two servers, as in life: the hub (`/api/datasets/…`, `/datasets/…/resolve/…`; of models
//! `/api/models/…`, `/…/resolve/…`) keeps small files and sends whoever asks for a large one
//! (`.parquet`, `.tar`, pictures, weights) to the other, which has no names
//! but only contents. Headers are those that the hub sends: `ETag`, `X-Repo-Commit`, `X-Linked-ETag`,
//! `X-Linked-Size`, `X-Error-Code`, `X-Error-Message`, `Link`, `Content-Range`.
//!
//! ```
//! let hub = hub_emulator::Hub::start();
//! let commit = hub.push("owner/name", "main", &[("README.md", b"text")]);
//! assert_eq!(commit.len(), 40);
//! assert!(hub.endpoint().starts_with("http://127.0.0.1:"));
//! ```

mod answer;
mod http;
mod repository;
mod writing;

use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

pub use repository::{git_id, sha256};

use repository::{Kind, Repository};

/// The hub, running until it is dropped.
pub struct Hub {
    shared: Arc<Shared>,
}

/// Who may read a repository's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Everyone.
    Public,
    /// Who has this token; others are not told that it exists.
    Private(String),
    /// Who has this token; others may list it.
    Gated(String),
}

/// What whoever has a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// See what the owner sees.
    Read,
    /// Make and change repositories of the owner, too.
    Write,
}

/// What goes wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// This status, with this header.
    Status(u16, &'static str, &'static str),
    /// The connection ends without an answer, and nothing is done.
    Hangup,
    /// Nothing comes, and nothing is done.
    Mute,
    /// The connection ends after so many bytes of the request's body, and nothing is done.
    Deaf(usize),
    /// The connection ends after so many bytes of the body.
    Cut(usize),
    /// Nothing more comes after so many bytes of the body.
    Silence(usize),
    /// The file lacks so many of its last bytes.
    Short(usize),
    /// So many bytes follow the file, and `Range` is not heeded.
    Long(usize),
    /// One bit of the first byte is wrong.
    Damaged,
    /// `Range` is not heeded.
    WholeOnly,
    /// A redirection to where it came from.
    Loop,
    /// Another body.
    Body(String),
    /// A body of spaces that does not end.
    Endless,
}

/// A request that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Whether it went to the server of contents, rather than to the hub.
    pub to_contents: bool,
    /// `GET`, `HEAD`, `POST`, `PUT`.
    pub method: String,
    /// Path and query, percent signs resolved.
    pub path: String,
    /// The header `Range`.
    pub range: Option<String>,
    /// The header `Authorization`.
    pub authorization: Option<String>,
    pub body: Vec<u8>,
}

struct Shared {
    endpoint: String,
    contents: String,
    stopped: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    repositories: Vec<Repository>,
    renamed: Vec<(String, String)>,
    faults: Vec<Fated>,
    requests: Vec<Request>,
    page: Option<usize>,
    /// Tokens, whose they are and what they are for.
    accounts: Vec<(String, String, Right)>,
    /// Contents of large files, that commits may name.
    storage: BTreeMap<String, Vec<u8>>,
}

/// Requests that will go wrong.
struct Fated {
    method: &'static str,
    path: String,
    fault: Fault,
    times: usize,
}

impl State {
    fn model(&self, name: &str) -> Option<&Repository> {
        self.repositories
            .iter()
            .find(|repository| (repository.kind, repository.name.as_str()) == (Kind::Model, name))
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hub {
    /// Starts it, on two free ports of 127.0.0.1.
    ///
    /// # Panics
    ///
    /// If the loopback interface gives none.
    pub fn start() -> Self {
        let [hub, contents] = [(); 2]
            .map(|()| TcpListener::bind("127.0.0.1:0").expect("a port of the loopback interface"));
        let address = |listener: &TcpListener| {
            format!("http://{}", listener.local_addr().expect("it is bound"))
        };
        let shared = Arc::new(Shared {
            endpoint: address(&hub),
            contents: address(&contents),
            stopped: AtomicBool::new(false),
            state: Mutex::default(),
        });
        for (listener, to_contents) in [(hub, false), (contents, true)] {
            let shared = shared.clone();
            thread::spawn(move || {
                for connection in listener.incoming().flatten() {
                    if shared.stopped.load(Ordering::Relaxed) {
                        return;
                    }
                    let shared = shared.clone();
                    thread::spawn(move || http::converse(&shared, connection, to_contents));
                }
            });
        }
        Self { shared }
    }

    /// What `HF_ENDPOINT` should be.
    pub fn endpoint(&self) -> &str {
        &self.shared.endpoint
    }

    /// Makes `revision` of the data set a new commit of these files, and gives the commit's id.
    pub fn push(&self, name: &str, revision: &str, files: &[(&str, &[u8])]) -> String {
        self.push_of(Kind::DataSet, name, revision, files)
    }

    /// Makes `revision` of the model a new commit of these files, and gives the commit's id.
    pub fn push_model(&self, name: &str, revision: &str, files: &[(&str, &[u8])]) -> String {
        self.push_of(Kind::Model, name, revision, files)
    }

    fn push_of(&self, kind: Kind, name: &str, revision: &str, files: &[(&str, &[u8])]) -> String {
        let mut state = self.shared.state();
        let repositories = &mut state.repositories;
        let at = repositories
            .iter()
            .position(|repository| (repository.kind, repository.name.as_str()) == (kind, name));
        let at = at.unwrap_or_else(|| {
            repositories.push(Repository::new(kind, name));
            repositories.len() - 1
        });
        repositories[at].push(revision, files)
    }

    /// Says who may read the files of a repository.
    ///
    /// # Panics
    ///
    /// If there is no such repository.
    pub fn protect(&self, name: &str, access: Access) {
        let mut state = self.shared.state();
        let repository = state
            .repositories
            .iter_mut()
            .find(|repository| repository.name == name);
        repository.expect("a repository that was pushed").access = access;
    }

    /// Redirects the data set `old` to `new`.
    pub fn rename(&self, old: &str, new: &str) {
        self.shared.state().renamed.push((old.into(), new.into()));
    }

    /// Lists so many files a page.
    pub fn list_by(&self, files: usize) {
        self.shared.state().page = Some(files);
    }

    /// Lets the next `times` GETs whose path contains `path` go wrong.
    pub fn fail(&self, path: &str, fault: Fault, times: usize) {
        self.fail_at("GET", path, fault, times);
    }

    /// Lets the next `times` requests of this method whose path contains `path` go wrong.
    pub fn fail_at(&self, method: &'static str, path: &str, fault: Fault, times: usize) {
        self.shared.state().faults.push(Fated {
            method,
            path: path.into(),
            fault,
            times,
        });
    }

    /// Lets whoever has `token` do so much with the repositories of `owner`.
    pub fn allow(&self, token: &str, owner: &str, right: Right) {
        let mut state = self.shared.state();
        state.accounts.push((token.into(), owner.into(), right));
    }

    /// The files of a model's branch, tag or commit; none if there is no such.
    pub fn files(&self, name: &str, revision: &str) -> Option<BTreeMap<String, Vec<u8>>> {
        let state = self.shared.state();
        let (_, commit) = state.model(name)?.commit(revision)?;
        let files = commit.iter();
        Some(
            files
                .map(|(path, file)| (path.clone(), file.contents.clone()))
                .collect(),
        )
    }

    /// How many commits a model has; none if there is no such.
    pub fn commits(&self, name: &str) -> Option<usize> {
        Some(self.shared.state().model(name)?.commits())
    }

    /// Whether a model is only shown to its owner; none if there is no such.
    pub fn is_private(&self, name: &str) -> Option<bool> {
        let state = self.shared.state();
        Some(matches!(state.model(name)?.access, Access::Private(_)))
    }

    /// What has been asked since the last call.
    pub fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.shared.state().requests)
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        for address in [&self.shared.endpoint, &self.shared.contents] {
            // Wakes the thread that waits for a connection; it is gone if this fails.
            let _ = TcpStream::connect(address.trim_start_matches("http://"));
        }
    }
}
