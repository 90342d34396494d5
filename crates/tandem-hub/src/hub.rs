//! From a name to a snapshot in the cache.

use std::error::Error;
use std::path::PathBuf;

use futures_util::{TryStreamExt, stream};
use hf_hub::repository::HFRepository;
use hf_hub::{HFClient, RepoTypeDataset};
use reqwest::Url;
use tokio::runtime::Runtime;

use crate::cache::{Repository, is_commit};
use crate::choice::{choose, common_folder, missing_shard};
use crate::download::{Meter, fetch, is_whole, missing};
use crate::explain::{REPETITIONS, Request, reason, repeat};
use crate::listing::list;
use crate::tree::{self, Listed};
use crate::{HubError, Name, Settings};

/// Files downloaded at a time, as many as Python does.
const AT_A_TIME: usize = 8;

/// The hub, or what the cache has of it.
#[derive(Debug)]
pub struct Hub {
    settings: Settings,
    http: reqwest::Client,
    client: HFClient,
    runtime: Runtime,
}

/// How far a download is. Several files are on their way at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The file whose bytes came.
    pub file: &'a str,
    /// Bytes of the data set that are there, those found in the cache among them. Less than before if
    /// a file is begun anew.
    pub done: u64,
    /// Bytes of the data set.
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

impl Hub {
    /// A hub with these settings; nothing is asked yet.
    ///
    /// # Errors
    ///
    /// If the endpoint is no address.
    pub fn new(settings: Settings) -> Result<Self, HubError> {
        let endpoint: Url = settings
            .endpoint
            .parse()
            .map_err(|error| HubError::Endpoint {
                endpoint: settings.endpoint.clone(),
                reason: reason(&error),
            })?;
        let http = reqwest::Client::builder()
            .user_agent(concat!("tandem/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(settings.patience)
            .read_timeout(settings.patience);
        // What is on this machine is not reached through another.
        let http = match endpoint.host_str() {
            Some("localhost" | "127.0.0.1" | "[::1]") => http.no_proxy(),
            _ => http,
        };
        let unmade = |error: &(dyn Error + 'static)| HubError::Client {
            reason: reason(error),
        };
        let http = http.build().map_err(|error| unmade(&error))?;
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
        let repository = Repository::new(&self.settings.cache, name.repository());
        let revision = name.revision().unwrap_or("main");
        let (commit, files) = if self.settings.offline {
            self.find(name, &repository, revision)?
        } else {
            let request = Request {
                settings: &self.settings,
                repository: &repository,
                revision,
                file: None,
            };
            self.runtime
                .block_on(self.download(name, &request, progress))?
        };
        let folder = repository.snapshot(&commit);
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

    /// The commit and the data files of a snapshot that is in the cache.
    fn find(
        &self,
        name: &Name,
        repository: &Repository,
        revision: &str,
    ) -> Result<(String, Vec<String>), HubError> {
        let lacks = |missing: String| HubError::Offline {
            name: name.to_string(),
            missing,
            cache: self.settings.cache.clone(),
            cached: repository
                .cached()
                .map_or("which has nothing of it".into(), |cached| {
                    format!("which has {cached}")
                }),
        };
        let lacks_revision = || lacks(format!("revision `{revision}`"));
        let commit = repository.commit(revision).ok_or_else(lacks_revision)?;
        let there = repository.files(&commit)?.ok_or_else(lacks_revision)?;
        let snapshot = repository.snapshot(&commit);
        let (files, missing) = match tree::read(repository, &commit) {
            Some(listed) => {
                let (files, listed) = data_files(name, listed)?;
                let gone = listed
                    .into_iter()
                    .find(|file| !is_whole(&snapshot.join(&file.path), file));
                (files, gone.map(|file| file.path))
            }
            // An older Python left no listing: holes show in links to nothing and in series of shards.
            None => {
                let files = choose(name, &there)?;
                let gone = files
                    .iter()
                    .find(|file| !snapshot.join(file).exists())
                    .cloned();
                let series = || (!is_named(name, &files)).then(|| missing_shard(&files))?;
                let gone = gone.or_else(series);
                (files, gone)
            }
        };
        match missing {
            Some(file) => Err(lacks(file)),
            None => Ok((commit, files)),
        }
    }

    /// Makes the snapshot be there, and gives its commit and data files.
    async fn download(
        &self,
        name: &Name,
        request: &Request<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(String, Vec<String>), HubError> {
        let (owner, last) = hf_hub::split_id(name.repository());
        let hub = self.client.dataset(owner, last);
        let commit = match is_commit(request.revision) {
            true => request.revision.into(),
            false => self.commit(&hub, request).await?,
        };
        let listed = match tree::read(request.repository, &commit) {
            Some(listed) => listed,
            None => {
                let listed = list(&self.http, request, &commit).await?;
                tree::write(request.repository, &commit, &listed)?;
                listed
            }
        };
        let (files, listed) = data_files(name, listed)?;
        self.check_room(
            request,
            listed
                .iter()
                .map(|file| missing(request, &commit, file))
                .sum(),
        )?;
        let meter = Meter::new(listed.iter().map(|file| file.size).sum(), progress);
        stream::iter(listed.iter().map(Ok))
            .try_for_each_concurrent(AT_A_TIME, async |file| {
                let request = Request {
                    file: Some(&file.path),
                    ..*request
                };
                fetch(&hub, &request, &commit, file, &meter).await
            })
            .await?;
        for file in &listed {
            if !is_whole(&request.repository.snapshot(&commit).join(&file.path), file) {
                request
                    .repository
                    .point(&commit, &file.path, file.checksum.id())?;
            }
        }
        if !is_commit(request.revision) {
            request.repository.refer(request.revision, &commit)?;
        }
        Ok((commit, files))
    }

    async fn commit(
        &self,
        hub: &HFRepository<RepoTypeDataset>,
        request: &Request<'_>,
    ) -> Result<String, HubError> {
        let info = repeat(request.settings, async || {
            let info = hub.info().revision(request.revision).send().await;
            info.map_err(|error| request.explain(error))
        });
        match info.await?.sha {
            Some(commit) if is_commit(&commit) => Ok(commit),
            Some(other) => Err(request.answer(format!("its commit is `{other}`"))),
            None => Err(request.answer("it names no commit")),
        }
    }

    /// Says that the disk is too small before anything is downloaded.
    fn check_room(&self, request: &Request, needed: u64) -> Result<(), HubError> {
        let cache = &self.settings.cache;
        #[cfg(unix)]
        if let Ok(disk) = rustix::fs::statvfs(cache)
            && let free = disk.f_bavail.saturating_mul(disk.f_frsize)
            && free < needed
        {
            let repository = request.repository.name().into();
            return Err(HubError::NoRoom {
                repository,
                needed,
                free,
                cache: cache.clone(),
            });
        }
        Ok(())
    }
}

/// The files that hold the data of `name`: their paths, and as they are listed.
fn data_files(name: &Name, listed: Vec<Listed>) -> Result<(Vec<String>, Vec<Listed>), HubError> {
    let paths: Vec<String> = listed.iter().map(|file| file.path.clone()).collect();
    let files = choose(name, &paths)?;
    let listed = listed
        .into_iter()
        .filter(|file| files.binary_search(&file.path).is_ok())
        .collect();
    Ok((files, listed))
}

/// Whether `files` is the one file that `name` asks for.
fn is_named(name: &Name, files: &[String]) -> bool {
    matches!(files, [only] if name.part() == Some(only))
}
