//! A data set or a model with its commits and files, and the hashes that name their contents.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::Access;

pub(crate) struct Repository {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) access: Access,
    /// Branches and tags, and their commits.
    revisions: BTreeMap<String, String>,
    commits: BTreeMap<String, Arc<Commit>>,
}

/// What a repository holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    DataSet,
    Model,
}

impl Kind {
    /// What the interface's addresses begin with.
    pub(crate) fn interface(self) -> &'static str {
        match self {
            Self::DataSet => "/api/datasets/",
            Self::Model => "/api/models/",
        }
    }

    /// What the files' addresses begin with.
    pub(crate) fn files(self) -> &'static str {
        match self {
            Self::DataSet => "/datasets/",
            Self::Model => "/",
        }
    }
}

pub(crate) type Commit = BTreeMap<String, File>;

#[derive(Clone)]
pub(crate) struct File {
    pub(crate) contents: Vec<u8>,
    /// Git's id: of a large file, that of its pointer.
    pub(crate) git: String,
    /// A large file's SHA-256.
    pub(crate) large: Option<String>,
}

/// Whether a file of this name goes into the storage of large files.
pub(crate) fn is_large(path: &str) -> bool {
    [".parquet", ".tar", ".jpg", ".png", ".safetensors", ".pth"]
        .iter()
        .any(|ending| path.ends_with(ending))
}

impl File {
    pub(crate) fn new(path: &str, contents: &[u8]) -> Self {
        let large = is_large(path).then(|| sha256(contents));
        let git = match &large {
            Some(id) => git_id(pointer(id, contents.len()).as_bytes()),
            None => git_id(contents),
        };
        Self {
            contents: contents.into(),
            git,
            large,
        }
    }

    pub(crate) fn etag(&self) -> &str {
        self.large.as_ref().unwrap_or(&self.git)
    }
}

impl Repository {
    pub(crate) fn new(kind: Kind, name: &str) -> Self {
        Self {
            kind,
            name: name.into(),
            access: Access::Public,
            revisions: BTreeMap::new(),
            commits: BTreeMap::new(),
        }
    }

    pub(crate) fn push(&mut self, revision: &str, files: &[(&str, &[u8])]) -> String {
        let files = files
            .iter()
            .map(|(path, contents)| ((*path).into(), File::new(path, contents)));
        self.add(revision, files.collect())
    }

    /// Makes `revision` a new commit of these files.
    pub(crate) fn add(&mut self, revision: &str, files: Commit) -> String {
        let text: String = files
            .iter()
            .map(|(path, file)| format!("{path} {}\n", file.git))
            .collect();
        let id = git_id(format!("{} {} {}", self.name, self.commits.len(), text).as_bytes());
        self.commits.insert(id.clone(), Arc::new(files));
        self.revisions.insert(revision.into(), id.clone());
        id
    }

    /// The commit of a branch, tag or commit id.
    pub(crate) fn commit(&self, revision: &str) -> Option<(String, Arc<Commit>)> {
        let id = self
            .revisions
            .get(revision)
            .map_or(revision, String::as_str);
        Some((id.into(), self.commits.get(id)?.clone()))
    }

    pub(crate) fn commits(&self) -> usize {
        self.commits.len()
    }

    /// Makes `branch` be `commit`, if it is not there.
    pub(crate) fn branch(&mut self, branch: &str, commit: String) -> bool {
        let is_new = !self.revisions.contains_key(branch);
        if is_new {
            self.revisions.insert(branch.into(), commit);
        }
        is_new
    }

    /// The contents of a large file, by their hash.
    pub(crate) fn contents(&self, id: &str) -> Option<Vec<u8>> {
        let mut files = self.commits.values().flat_map(|commit| commit.values());
        Some(
            files
                .find(|file| file.large.as_deref() == Some(id))?
                .contents
                .clone(),
        )
    }
}

/// What git holds in place of a large file.
fn pointer(id: &str, length: usize) -> String {
    format!("version https://git-lfs.github.com/spec/v1\noid sha256:{id}\nsize {length}\n")
}

/// Git's id of a file with these contents.
pub fn git_id(contents: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(format!("blob {}\0", contents.len()));
    hash.update(contents);
    hex(&hash.finalize())
}

/// The SHA-256 of these contents.
pub fn sha256(contents: &[u8]) -> String {
    hex(&Sha256::digest(contents))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
