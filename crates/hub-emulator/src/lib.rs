//! The Hugging Face hub on the loopback interface, in as much of its API as reading data sets takes,
//! with faults on demand. Tests only.
//!
//! Two servers, as in life: the hub (`/api/datasets/…`, `/datasets/…/resolve/…`) keeps small files and
//! sends whoever asks for a large one (`.parquet`, `.tar`, pictures) to the other, which has no names
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

use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

pub use repository::{git_id, sha256};

use repository::Repository;

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

/// What goes wrong with an answer to a GET.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// This status, with this header.
    Status(u16, &'static str, &'static str),
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
}

/// A request that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Whether it went to the server of contents, rather than to the hub.
    pub to_contents: bool,
    /// `GET`, `HEAD`.
    pub method: String,
    /// Path and query, percent signs resolved.
    pub path: String,
    /// The header `Range`.
    pub range: Option<String>,
    /// The header `Authorization`.
    pub authorization: Option<String>,
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
    faults: Vec<(String, Fault, usize)>,
    requests: Vec<Request>,
    page: Option<usize>,
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
        let mut state = self.shared.state();
        let repositories = &mut state.repositories;
        let at = repositories
            .iter()
            .position(|repository| repository.name == name);
        let at = at.unwrap_or_else(|| {
            repositories.push(Repository::new(name));
            repositories.len() - 1
        });
        repositories[at].push(revision, files)
    }

    /// Says who may read a data set's files.
    ///
    /// # Panics
    ///
    /// If there is no such data set.
    pub fn protect(&self, name: &str, access: Access) {
        let mut state = self.shared.state();
        let repository = state
            .repositories
            .iter_mut()
            .find(|repository| repository.name == name);
        repository.expect("a data set that was pushed").access = access;
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
        self.shared.state().faults.push((path.into(), fault, times));
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
