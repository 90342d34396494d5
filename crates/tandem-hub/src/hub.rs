//! From a name to a snapshot in the cache.

use std::error::Error;
use std::path::PathBuf;

use hf_hub::HFClient;
use reqwest::Url;
use tokio::runtime::Runtime;

use crate::choice::{choose, common_folder};
use crate::explain::{REPETITIONS, reason};
use crate::model::{Wanted, choose_weights, companions};
use crate::{HubError, Kind, Name, Settings};

/// The hub, or what the cache has of it.
#[derive(Debug)]
pub struct Hub {
    pub(crate) settings: Settings,
    pub(crate) http: reqwest::Client,
    /// Without a limit on how long no answer comes: while a large file goes out, none does.
    pub(crate) uploads: reqwest::Client,
    pub(crate) client: HFClient,
    pub(crate) runtime: Runtime,
}

/// How far a download is. Several files are on their way at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The file whose bytes came.
    pub file: &'a str,
    /// Bytes that are there, those found in the cache among them. Less than before if a file is begun
    /// anew.
    pub done: u64,
    /// Bytes of all files.
    pub total: u64,
}

/// A data set in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The commit that the revision was; [`Name::at`] pins a later run to it.
    pub commit: String,
    /// The snapshot's folder, as the repository is laid out. It may hold other files than [`files`]
    /// (another configuration, what Python downloaded).
    ///
    /// [`files`]: Snapshot::files
    pub folder: PathBuf,
    /// The folder of the data: the deepest that all [`files`](Snapshot::files) are in, but not one
    /// named for a split (`train`, `test`, …).
    pub data: PathBuf,
    /// The files that hold the data, below [`folder`](Snapshot::folder), sorted, with `/` between.
    pub files: Vec<String>,
}

/// A model in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// The commit that the revision was; [`Name::at`] pins a later run to it.
    pub commit: String,
    /// The snapshot's folder, as the repository is laid out. It may hold other files, which Python
    /// downloaded.
    pub folder: PathBuf,
    /// The file of the weights, below [`folder`](Model::folder), with `/` between.
    pub weights: String,
    /// What was asked for with the weights, or belongs to them, and is there, likewise.
    pub companions: Vec<String>,
}

impl Model {
    /// Where the weights are.
    pub fn path(&self) -> PathBuf {
        self.folder.join(&self.weights)
    }
}

impl Hub {
    /// A hub with these settings; nothing is asked yet.
    ///
    /// # Errors
    ///
    /// If the endpoint is no address.
    pub fn new(settings: Settings) -> Result<Self, HubError> {
        let no_address = |reason| HubError::Endpoint {
            endpoint: settings.endpoint.clone(),
            reason,
        };
        let endpoint: Url = settings
            .endpoint
            .parse()
            .map_err(|error| no_address(reason(&error)))?;
        if endpoint.cannot_be_a_base() {
            return Err(no_address(
                "it does not begin with http:// or https://".into(),
            ));
        }
        let to_build = || {
            let http = reqwest::Client::builder()
                .user_agent(concat!("tandem/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(settings.patience);
            // What is on this machine is not reached through another.
            match endpoint.host_str() {
                Some("localhost" | "127.0.0.1" | "[::1]") => http.no_proxy(),
                _ => http,
            }
        };
        let unmade = |error: &(dyn Error + 'static)| HubError::Client {
            reason: reason(error),
        };
        let http = to_build().read_timeout(settings.patience).build();
        let http = http.map_err(|error| unmade(&error))?;
        let uploads = to_build().build().map_err(|error| unmade(&error))?;
        // hf-hub 1.0.0 looks for a token by itself if given none. A line break fits in no header, so
        // with this one it sends none.
        let token = settings.token.as_ref().map_or("\n", |token| token.secret());
        let client = HFClient::builder()
            .client(http.clone())
            .endpoint(&settings.endpoint)
            .token(token)
            .cache_dir(&settings.cache)
            .retry_max_attempts(REPETITIONS)
            // It waits up to twice this, then twice as long each time.
            .retry_base_delay(settings.pause / 2)
            .build()
            .map_err(|error| unmade(&error))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.map_err(|error| unmade(&error))?;
        Ok(Self {
            settings,
            http,
            uploads,
            client,
            runtime,
        })
    }

    /// Gives the data set `name`: looks up the commit, lists its files, chooses those that hold data
    /// and downloads what the cache lacks; offline, finds all this in the cache. `progress` is called
    /// after each piece that came. Blocks; not for within an asynchronous runtime.
    ///
    /// # Errors
    ///
    /// If there is no such data set, revision, folder or data in it; if it is gated or private; if the
    /// hub cannot be reached, or offline the cache lacks a file; if the hub is overloaded or breaks off
    /// again and again; if a file is not what the listing says; if the disk is full.
    pub fn dataset(
        &self,
        name: &Name,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Snapshot, HubError> {
        let mut choose = |paths: &[String]| choose(name, paths);
        let (commit, files) = self.snapshot(Kind::DataSet, name, &mut choose, progress)?;
        let folder = self.repository(Kind::DataSet, name).snapshot(&commit);
        let data = match files.as_slice() {
            // Not its folder, where the others of its series are missing, or are not meant.
            [only] if is_named(name, &files) => folder.join(only),
            _ => folder.join(common_folder(&files)),
        };
        Ok(Snapshot {
            commit,
            folder,
            data,
            files,
        })
    }

    /// Gives the model `name`, of whose files [`Wanted`] says which; else as [`dataset`](Hub::dataset).
    ///
    /// # Errors
    ///
    /// If the repository has no such file or several that it could be, and as [`dataset`](Hub::dataset).
    pub fn model(
        &self,
        name: &Name,
        wanted: Wanted,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Model, HubError> {
        let mut weights = String::new();
        let mut choose = |paths: &[String]| {
            weights = choose_weights(name, paths, wanted)?;
            let mut files = companions(&weights, paths, wanted);
            files.push(weights.clone());
            files.sort_unstable();
            Ok(files)
        };
        let (commit, mut files) = self.snapshot(Kind::Model, name, &mut choose, progress)?;
        files.retain(|file| *file != weights);
        Ok(Model {
            folder: self.repository(Kind::Model, name).snapshot(&commit),
            commit,
            weights,
            companions: files,
        })
    }
}

/// Whether `files` is the one file that `name` asks for.
pub(crate) fn is_named(name: &Name, files: &[String]) -> bool {
    matches!(files, [only] if name.part() == Some(only))
}
