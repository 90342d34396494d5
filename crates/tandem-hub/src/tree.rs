//! The files of a commit as a listing has them: what is checked about it, and how it is kept.
//!
//! A commit never changes, so Python's `huggingface_hub` keeps its listing since 2.0, as
//! `trees/COMMIT.json` in the repository's folder of the cache, and this crate reads and writes the same
//! file. It says of a snapshot which files it should hold.

use std::collections::BTreeMap;
use std::fs;

use serde::{Deserialize, Serialize};

use crate::HubError;
use crate::cache::{Repository, write_in_one_piece};
use crate::checksum::Checksum;
use crate::name::stays_inside;

const FORMAT: u32 = 1;

/// A file as the hub lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) path: String,
    /// Bytes.
    pub(crate) size: u64,
    pub(crate) checksum: Checksum,
    kept: Kept,
}

/// A file in `trees/COMMIT.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) size: u64,
    /// Git's id; of a large file, that of its pointer.
    pub(crate) blob_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lfs_sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lfs_size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) xet_hash: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Tree {
    format_version: u32,
    files: BTreeMap<String, Kept>,
}

impl Listed {
    /// Checks what becomes paths in the cache.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in words.
    pub(crate) fn new(path: String, kept: Kept) -> Result<Self, String> {
        if !stays_inside(&path) {
            return Err(format!(
                "it lists the file `{}`, outside the repository",
                path.escape_debug()
            ));
        }
        match Checksum::of_listing(&kept.blob_id, kept.lfs_sha256.as_deref()) {
            Some(checksum) => Ok(Self {
                path,
                size: kept.lfs_size.unwrap_or(kept.size),
                checksum,
                kept,
            }),
            None => Err(format!("it lists {path} without a checksum")),
        }
    }
}

/// The listing of `commit` that is kept; none too if it is damaged or of another format.
pub(crate) fn read(repository: &Repository, commit: &str) -> Option<Vec<Listed>> {
    let tree: Tree = serde_json::from_slice(&fs::read(repository.tree(commit)).ok()?).ok()?;
    let files = tree
        .files
        .into_iter()
        .map(|(path, kept)| Listed::new(path, kept).ok());
    (tree.format_version == FORMAT).then(|| files.collect())?
}

/// Keeps the listing of `commit`.
///
/// # Errors
///
/// If the cache does not take it.
pub(crate) fn write(
    repository: &Repository,
    commit: &str,
    files: &[Listed],
) -> Result<(), HubError> {
    let files = files
        .iter()
        .map(|file| (file.path.clone(), file.kept.clone()))
        .collect();
    let text = serde_json::to_string_pretty(&Tree {
        format_version: FORMAT,
        files,
    });
    write_in_one_piece(
        &repository.tree(commit),
        &text.expect("text and numbers are JSON"),
    )
}
