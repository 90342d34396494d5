//! Files into a model's repository, in one commit.
//!
//! The repository and the branch hf-hub makes. The commit is made here: hf-hub 1.0.0 takes large files
//! only to the hub's chunk storage (Xet), with a client that heeds none of [`Settings`](crate::Settings)
//! and reports its use; where a server offers another way, it writes them into the commit, whatever
//! their size; and it sends a commit again whose answer was lost. Here they go the way of git's large
//! file storage, which the hub keeps for all other clients (`upload.rs`).
//!
//! Nothing is sent that the branch or the storage has, and before a commit is sent again the branch is
//! looked at again. So a push that was interrupted goes on, and one made twice makes one commit.

use std::cell::Cell;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hf_hub::{HFError, RepoTypeModel, split_id};
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{ask, read};
use crate::cache::is_commit;
use crate::checksum::Checksum;
use crate::description::{address, describe};
use crate::download::Meter;
use crate::explain::{Access, Request, Trouble, file, repeat};
use crate::listing::list;
use crate::tree::Listed;
use crate::{Hub, HubError, Kind, Name, Progress};

/// How many bytes of a file the hub is shown to say whether it is a large one.
const SAMPLE: usize = 512;
/// How often longer than other answers that to a commit is waited for.
const COMMIT_TAKES: u32 = 10;

/// Where a push goes, and how it is told there.
#[derive(Debug, Clone, Copy)]
pub struct Push<'a> {
    /// The model's repository, made if it is not there, and in place of a revision the branch,
    /// likewise; `main` if none is named.
    pub name: &'a Name,
    /// Who may see it.
    pub visibility: Visibility,
    /// The first line of the commit.
    pub message: &'a str,
}

/// Who may see a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Everyone, if it is made now; as it is, if it is there.
    Public,
    /// The owner and whom the owner lets in; a public repository is refused.
    Private,
}

/// A push that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The branch's commit, which has all files as they are here.
    pub commit: String,
    /// The repository's page.
    pub page: String,
    pub outcome: Outcome,
}

/// What a push changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// There is a new commit.
    Committed,
    /// The branch had all files as they are.
    Unchanged,
}

/// A file to push.
pub(crate) struct Local {
    /// In the repository.
    pub(crate) path: String,
    /// On this machine.
    pub(crate) file: PathBuf,
    /// Bytes.
    pub(crate) size: u64,
    pub(crate) sha256: String,
    git: String,
    sample: Vec<u8>,
}

#[derive(Deserialize)]
struct Modes {
    files: Vec<Mode>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mode {
    path: String,
    upload_mode: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Committed {
    commit_oid: String,
}

impl Hub {
    /// Makes the branch have `files`, each under its path in the repository, in one commit; other files
    /// it has stay. Afterwards compares what the hub lists with what was pushed.
    /// `progress` is called while large files go. Blocks; not for within an asynchronous runtime.
    ///
    /// # Errors
    ///
    /// If there is no token, or it may not write there; if what should be private is public; if the hub
    /// cannot be reached, is overloaded or breaks off again and again; if a file cannot be read; if the
    /// hub then lists other contents.
    pub fn push(
        &self,
        push: Push,
        files: &[(&str, &Path)],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Pushed, HubError> {
        let repository = self.repository(Kind::Model, push.name);
        let revision = push.name.revision().unwrap_or("main");
        let request = Request {
            settings: &self.settings,
            repository: &repository,
            revision,
            file: None,
            access: Access::Writing,
        };
        self.may_push(push.name)?;
        let files = files.iter().map(|(path, file)| Local::read(path, file));
        let files = files.collect::<Result<Vec<_>, _>>()?;
        let total = files.iter().map(|file| file.size).sum();
        let meter = Meter::new(total, progress);
        self.runtime.block_on(async {
            self.make_repository(push, &request).await?;
            self.make_branch(&request).await?;
            let committed = Cell::new(Outcome::Unchanged);
            let commit = repeat(request.settings, async || {
                let committed = &committed;
                self.commit_files(push, &request, &files, &meter, committed)
                    .await
            });
            let commit = commit.await?;
            self.compare(&request, &commit, &files).await?;
            Ok(Pushed {
                commit,
                page: request.page(),
                outcome: committed.get(),
            })
        })
    }

    /// Whether a push can be tried at all, from what is known here.
    ///
    /// # Errors
    ///
    /// If there is no token, or the settings say to stay offline.
    pub fn may_push(&self, name: &Name) -> Result<(), HubError> {
        let (endpoint, repository) = (self.settings.endpoint.clone(), name.repository().into());
        match (self.settings.offline, &self.settings.token) {
            (true, _) => Err(HubError::OfflinePush {
                endpoint,
                repository,
            }),
            (false, None) => Err(HubError::NoToken {
                endpoint,
                repository,
            }),
            (false, Some(_)) => Ok(()),
        }
    }

    async fn make_repository(&self, push: Push<'_>, request: &Request<'_>) -> Result<(), HubError> {
        let mut private = self.is_private(request).await;
        if let Err(HubError::NoRepository { .. }) = private {
            repeat(request.settings, async || {
                let made = self
                    .client
                    .create_repository()
                    .repo_id(request.repository.name())
                    .repo_type(RepoTypeModel)
                    .private(push.visibility == Visibility::Private)
                    .exist_ok(true)
                    .send();
                made.await.map_err(|error| request.explain(error))
            })
            .await?;
            private = self.is_private(request).await;
        }
        match (push.visibility, private?) {
            (Visibility::Private, false) => Err(HubError::NotPrivate {
                repository: request.repository.name().into(),
                page: request.page(),
            }),
            _ => Ok(()),
        }
    }

    async fn is_private(&self, request: &Request<'_>) -> Result<bool, HubError> {
        let description = describe(&self.http, request, &[]).await?;
        Ok(description.private.unwrap_or(false))
    }

    async fn make_branch(&self, request: &Request<'_>) -> Result<(), HubError> {
        match self.commit(request).await {
            Err(HubError::NoRevision { .. }) if !is_commit(request.revision) => {}
            other => return other.map(drop),
        }
        let (owner, name) = split_id(request.repository.name());
        repeat(request.settings, async || {
            let hub = self.client.model(owner, name);
            match hub.create_branch().branch(request.revision).send().await {
                // Another attempt, or somebody else, was faster.
                Err(HFError::Conflict { .. }) => Ok(()),
                made => made.map_err(|error| request.explain(error)),
            }
        })
        .await
    }

    /// One attempt: looks at what the branch has and adds what it lacks; gives the commit that has all.
    async fn commit_files(
        &self,
        push: Push<'_>,
        request: &Request<'_>,
        files: &[Local],
        meter: &Meter<'_>,
        committed: &Cell<Outcome>,
    ) -> Result<String, Trouble> {
        let parent = self.commit(request).await.map_err(Trouble::Lasting)?;
        let listed = list(&self.http, request, &parent).await;
        let listed = listed.map_err(Trouble::Lasting)?;
        let is_there = |file: &&Local| listed.iter().any(|listed| file.is_at(listed).is_ok());
        let (there, changed): (Vec<_>, Vec<_>) = files.iter().partition(is_there);
        meter.start_at(there.iter().map(|file| file.size).sum());
        if changed.is_empty() {
            return Ok(parent);
        }
        let large = self.large_ones(request, &changed).await?;
        self.upload(request, &large, meter).await?;
        let body = commit(push.message, &parent, &changed, &large).map_err(Trouble::Lasting)?;
        // From here on it may be there, whatever comes back.
        committed.set(Outcome::Committed);
        let asking = self
            .uploads
            .post(address(request, &["commit", request.revision]))
            .timeout(self.settings.patience * COMMIT_TAKES)
            .header(CONTENT_TYPE, "application/x-ndjson")
            .body(body);
        let answer = ask(request, asking).await?;
        let Committed { commit_oid } = read(request, answer, "commit").await?;
        if !is_commit(&commit_oid) {
            let problem = format!("its commit is `{}`", commit_oid.escape_debug());
            return Err(Trouble::Lasting(request.answer(problem)));
        }
        Ok(commit_oid)
    }

    /// Those of `files` that belong into the storage of large files.
    async fn large_ones<'a>(
        &self,
        request: &Request<'_>,
        files: &[&'a Local],
    ) -> Result<Vec<&'a Local>, Trouble> {
        let listed: Vec<Value> = files
            .iter()
            .map(|file| {
                let sample = BASE64.encode(&file.sample);
                json!({ "path": file.path, "size": file.size, "sample": sample })
            })
            .collect();
        let asking = self
            .http
            .post(address(request, &["preupload", request.revision]))
            .json(&json!({ "files": listed }));
        let answer = ask(request, asking).await?;
        let modes: Modes = read(request, answer, "list of ways to upload").await?;
        let is_large = |file: &&&Local| {
            let mode = modes.files.iter().find(|mode| mode.path == file.path);
            // An empty file has no place in that storage.
            file.size > 0 && mode.is_some_and(|mode| mode.upload_mode == "lfs")
        };
        Ok(files.iter().filter(is_large).copied().collect())
    }

    /// Whether the hub has of `commit` what was pushed.
    async fn compare(
        &self,
        request: &Request<'_>,
        commit: &str,
        files: &[Local],
    ) -> Result<(), HubError> {
        let listed = list(&self.http, request, commit).await?;
        for file in files {
            let found = listed.iter().find(|listed| listed.path == file.path);
            let problem = match found.map(|listed| file.is_at(listed)) {
                Some(Ok(())) => continue,
                Some(Err(problem)) => problem,
                None => "it is not there".into(),
            };
            return Err(HubError::PushedOtherwise {
                file: file.path.clone(),
                repository: request.repository.name().into(),
                endpoint: self.settings.endpoint.clone(),
                problem,
            });
        }
        Ok(())
    }
}

impl Local {
    fn read(path: &str, on_disk: &Path) -> Result<Self, HubError> {
        let failed = |source| file("read", on_disk.into(), source);
        let open = || File::open(on_disk).map_err(failed);
        let size = open()?.metadata().map_err(failed)?.len();
        let mut sample = Vec::new();
        let taken = open()?.take(SAMPLE as u64).read_to_end(&mut sample);
        taken.map_err(failed)?;
        let hash = |kind: Checksum| kind.hasher(size).of(open()?).map_err(failed);
        Ok(Self {
            path: path.into(),
            size,
            sha256: hash(Checksum::Sha256(String::new()))?,
            git: hash(Checksum::Git(String::new()))?,
            sample,
            file: on_disk.into(),
        })
    }

    /// Whether this is the file that is listed, and if not, in what it differs.
    fn is_at(&self, listed: &Listed) -> Result<(), String> {
        let mine = match &listed.checksum {
            Checksum::Sha256(_) => &self.sha256,
            Checksum::Git(_) => &self.git,
        };
        if listed.path != self.path {
            Err("it is another file".into())
        } else if listed.size != self.size {
            let (theirs, mine) = (listed.size, self.size);
            Err(format!("it has {theirs} bytes in place of {mine}"))
        } else if listed.checksum.id() != mine {
            let theirs = listed.checksum.id();
            Err(format!("its checksum is {theirs} in place of {mine}"))
        } else {
            Ok(())
        }
    }
}

/// A commit as the hub takes it: a JSON object a line.
fn commit(
    message: &str,
    parent: &str,
    files: &[&Local],
    large: &[&Local],
) -> Result<Vec<u8>, HubError> {
    let header = json!({ "summary": message, "description": "", "parentCommit": parent });
    let mut lines = vec![json!({ "key": "header", "value": header })];
    for local in files {
        let path = &local.path;
        lines.push(match large.iter().any(|large| large.path == *path) {
            true => {
                let value = json!({
                    "path": path, "algo": "sha256", "oid": local.sha256, "size": local.size,
                });
                json!({ "key": "lfsFile", "value": value })
            }
            false => {
                let contents = std::fs::read(&local.file)
                    .map_err(|source| file("read", local.file.clone(), source))?;
                let content = BASE64.encode(contents);
                let value = json!({ "path": path, "content": content, "encoding": "base64" });
                json!({ "key": "file", "value": value })
            }
        });
    }
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    Ok(text.into_bytes())
}
