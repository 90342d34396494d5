//! The files of a commit, as the hub lists them.
//!
//! Not with hf-hub's `list_tree`: 1.0.0 reads a large file's SHA-256 from `lfs.sha256`, where the hub's
//! tree has it in `lfs.oid`, so it comes without, and neither the blob's name nor its checksum is known.

use std::time::Duration;

use reqwest::header::{HeaderMap, LINK, RETRY_AFTER};
use reqwest::{Client, Url};
use serde::Deserialize;

use crate::HubError;
use crate::checksum::Checksum;
use crate::explain::{Refusal, Request, Trouble, repeat};
use crate::name::stays_inside;

/// More files than any data set has.
const LIMIT: usize = 10_000_000;

/// A file as the hub lists it.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub(crate) path: String,
    /// Bytes.
    pub(crate) size: u64,
    pub(crate) checksum: Checksum,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Entry {
    File {
        path: String,
        size: u64,
        oid: String,
        lfs: Option<Large>,
    },
    #[serde(other)]
    Other,
}

/// What git holds a pointer to.
#[derive(Deserialize)]
struct Large {
    oid: String,
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
    let (endpoint, repository) = (&request.settings.endpoint, request.repository.name());
    let url = format!("{endpoint}/api/datasets/{repository}/tree/{commit}?recursive=true");
    let mut url: Url = url
        .parse()
        .expect("hf-hub's client was made with this endpoint");
    let mut files = Vec::new();
    loop {
        let (entries, next) =
            repeat(request.settings, async || page(client, request, &url).await).await?;
        for entry in entries {
            if let Entry::File {
                path,
                size,
                oid,
                lfs,
            } = entry
            {
                files.push(listed(request, path, size, &oid, lfs)?);
            }
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
    let mut get = client.get(url.clone());
    if let Some(token) = &request.settings.token {
        get = get.bearer_auth(token.secret());
    }
    let answer = get.send().await.map_err(|error| request.transport(error))?;
    let status = answer.status();
    if !status.is_success() {
        let header = |name: &str| Some(answer.headers().get(name)?.to_str().ok()?.to_string());
        let error = request.refused(Refusal {
            status: status.as_u16(),
            code: header("x-error-code"),
            message: header("x-error-message"),
            wait: header(RETRY_AFTER.as_str())
                .and_then(|wait| wait.parse().ok())
                .map(Duration::from_secs),
        });
        return Err(match error {
            HubError::Busy { .. } => Trouble::Passing(error),
            _ => Trouble::Lasting(error),
        });
    }
    let next = next(answer.headers());
    let text = answer
        .bytes()
        .await
        .map_err(|error| request.transport(error))?;
    match serde_json::from_slice(&text) {
        Ok(entries) => Ok((entries, next)),
        Err(error) => Err(Trouble::Lasting(
            request.answer(format!("no listing of files ({error})")),
        )),
    }
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

fn listed(
    request: &Request,
    path: String,
    size: u64,
    oid: &str,
    large: Option<Large>,
) -> Result<Listed, HubError> {
    if !stays_inside(&path) {
        let path = path.escape_debug();
        return Err(request.answer(format!("it lists the file `{path}`, outside the data set")));
    }
    match Checksum::of_listing(oid, large.as_ref().map(|large| large.oid.as_str())) {
        Some(checksum) => Ok(Listed {
            path,
            size,
            checksum,
        }),
        None => Err(request.answer(format!("it lists {path} without a checksum"))),
    }
}
