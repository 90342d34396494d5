//! The files of a commit, asked of the hub.
//!
//! Not with hf-hub's `list_tree`: 1.0.0 reads a large file's SHA-256 from `lfs.sha256`, where the hub's
//! tree has it in `lfs.oid`, so it comes without, and neither the blob's name nor its checksum is known.

use reqwest::header::{HeaderMap, LINK};
use reqwest::{Client, Url};
use serde::Deserialize;

use crate::HubError;
use crate::answer::{ask, read};
use crate::explain::{Request, Trouble, repeat};
use crate::tree::{Kept, Listed};

/// More files than any repository has.
const LIMIT: usize = 10_000_000;

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Entry {
    File {
        path: String,
        size: u64,
        oid: String,
        lfs: Option<Large>,
        #[serde(rename = "xetHash")]
        xet_hash: Option<String>,
    },
    #[serde(other)]
    Other,
}

/// What git holds a pointer to.
#[derive(Deserialize)]
struct Large {
    oid: String,
    size: u64,
}

impl Entry {
    fn file(self) -> Option<(String, Kept)> {
        let Self::File {
            path,
            size,
            oid: blob_id,
            lfs,
            xet_hash,
        } = self
        else {
            return None;
        };
        let (lfs_sha256, lfs_size) = lfs.map(|large| (large.oid, large.size)).unzip();
        Some((
            path,
            Kept {
                size,
                blob_id,
                lfs_sha256,
                lfs_size,
                xet_hash,
            },
        ))
    }
}

/// All files of `commit`.
///
/// # Errors
///
/// If the hub refuses, cannot be reached, or answers what is no listing or leads out of the cache.
pub(crate) async fn list(
    client: &Client,
    request: &Request<'_>,
    commit: &str,
) -> Result<Vec<Listed>, HubError> {
    let (endpoint, repository) = (&request.settings.endpoint, request.repository);
    let (kind, name) = (repository.kind().plural(), repository.name());
    let url = format!("{endpoint}/api/{kind}/{name}/tree/{commit}?recursive=true");
    let mut url: Url = url
        .parse()
        .expect("hf-hub's client was made with this endpoint");
    let mut files = Vec::new();
    loop {
        let (entries, next) =
            repeat(request.settings, async || page(client, request, &url).await).await?;
        for (path, kept) in entries.into_iter().filter_map(Entry::file) {
            files.push(Listed::new(path, kept).map_err(|problem| request.answer(problem))?);
        }
        match next {
            None => return Ok(files),
            Some(next) if url.query() != Some(&next) && files.len() <= LIMIT => {
                url.set_query(Some(&next))
            }
            Some(_) => return Err(request.answer("its listing does not end")),
        }
    }
}

/// One page of the listing, and the query that asks for the next.
async fn page(
    client: &Client,
    request: &Request<'_>,
    url: &Url,
) -> Result<(Vec<Entry>, Option<String>), Trouble> {
    let answer = ask(request, client.get(url.clone())).await?;
    let next = next(answer.headers());
    Ok((read(request, answer, "listing of files").await?, next))
}

/// The query of the next page's address. Only that is taken from it: the token goes to the endpoint
/// alone, and a mirror's pages may be said to be elsewhere.
fn next(headers: &HeaderMap) -> Option<String> {
    let links = headers.get(LINK)?.to_str().ok()?;
    let next = links
        .split(',')
        .find(|link| link.contains("rel=\"next\""))?;
    let address = next.trim().strip_prefix('<')?.split_once('>')?.0;
    Some(address.split_once('?')?.1.to_string())
}
