//! The chosen files of one commit, in the cache.

use futures_util::{TryStreamExt, stream};
use hf_hub::repository::HFRepository;
use hf_hub::{RepoType, split_id};

use crate::cache::{Repository, is_commit};
use crate::choice::missing_shard;
use crate::description::describe;
use crate::download::{Meter, fetch, is_whole, missing};
use crate::explain::{Access, Request};
use crate::hub::is_named;
use crate::listing::list;
use crate::tree::{self, Listed};
use crate::{Hub, HubError, Kind, Name, Progress};

/// Files downloaded at a time, as many as Python does.
const AT_A_TIME: usize = 8;

/// Which of a repository's files are wanted: their paths, sorted.
pub(crate) type Choose<'a> = dyn FnMut(&[String]) -> Result<Vec<String>, HubError> + 'a;

impl Hub {
    /// The repository's place in the cache.
    pub(crate) fn repository(&self, kind: Kind, name: &Name) -> Repository {
        Repository::new(&self.settings.cache, kind, name.repository())
    }

    /// Makes the files that `choose` takes be in the cache; gives the commit and their paths.
    pub(crate) fn snapshot(
        &self,
        kind: Kind,
        name: &Name,
        choose: &mut Choose,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(String, Vec<String>), HubError> {
        let repository = self.repository(kind, name);
        let revision = name.revision().unwrap_or("main");
        if self.settings.offline {
            return self.find(name, &repository, revision, choose);
        }
        let request = Request {
            settings: &self.settings,
            repository: &repository,
            revision,
            file: None,
            access: Access::Reading,
        };
        self.runtime
            .block_on(self.download(&request, choose, progress))
    }

    /// The commit and the chosen files of a snapshot that is in the cache.
    fn find(
        &self,
        name: &Name,
        repository: &Repository,
        revision: &str,
        choose: &mut Choose,
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
                let (files, listed) = chosen(listed, choose)?;
                let gone = listed
                    .into_iter()
                    .find(|file| !is_whole(&snapshot.join(&file.path), file));
                (files, gone.map(|file| file.path))
            }
            // An older Python left no listing: holes show in links to nothing and in series of shards.
            None => {
                let files = choose(&there)?;
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

    /// Makes the snapshot be there, and gives its commit and the chosen files.
    async fn download(
        &self,
        request: &Request<'_>,
        choose: &mut Choose<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(String, Vec<String>), HubError> {
        let commit = match is_commit(request.revision) {
            true => request.revision.into(),
            false => self.commit(request).await?,
        };
        let listed = match tree::read(request.repository, &commit) {
            Some(listed) => listed,
            None => {
                let listed = list(&self.http, request, &commit).await?;
                tree::write(request.repository, &commit, &listed)?;
                listed
            }
        };
        let (files, listed) = chosen(listed, choose)?;
        self.check_room(
            request,
            listed
                .iter()
                .map(|file| missing(request, &commit, file))
                .sum(),
        )?;
        let meter = Meter::new(listed.iter().map(|file| file.size).sum(), progress);
        let (owner, name) = split_id(request.repository.name());
        // Not with `RepoTypeAny`: hf-hub 1.0.0 takes a model's address for it, whatever it is.
        match request.repository.kind() {
            Kind::DataSet => {
                let hub = self.client.dataset(owner, name);
                fetch_all(&hub, request, &commit, &listed, &meter).await?;
            }
            Kind::Model => {
                let hub = self.client.model(owner, name);
                fetch_all(&hub, request, &commit, &listed, &meter).await?;
            }
        }
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

    /// The commit that the revision is now.
    pub(crate) async fn commit(&self, request: &Request<'_>) -> Result<String, HubError> {
        let rest = ["revision", request.revision];
        match describe(&self.http, request, &rest).await?.sha {
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

async fn fetch_all<T: RepoType>(
    hub: &HFRepository<T>,
    request: &Request<'_>,
    commit: &str,
    files: &[Listed],
    meter: &Meter<'_>,
) -> Result<(), HubError> {
    stream::iter(files.iter().map(Ok))
        .try_for_each_concurrent(AT_A_TIME, async |file| {
            let request = Request {
                file: Some(&file.path),
                ..*request
            };
            fetch(hub, &request, commit, file, meter).await
        })
        .await
}

/// The files that `choose` takes: their paths, and as they are listed.
fn chosen(
    listed: Vec<Listed>,
    choose: &mut Choose,
) -> Result<(Vec<String>, Vec<Listed>), HubError> {
    let paths: Vec<String> = listed.iter().map(|file| file.path.clone()).collect();
    let files = choose(&paths)?;
    let listed = listed
        .into_iter()
        .filter(|file| files.binary_search(&file.path).is_ok())
        .collect();
    Ok((files, listed))
}
