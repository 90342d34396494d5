//! What the hub says of a repository.

use reqwest::{Client, Url};
use serde::Deserialize;

use crate::HubError;
use crate::answer::{ask, read};
use crate::explain::{Request, repeat};

#[derive(Deserialize)]
pub(crate) struct Description {
    /// The commit.
    pub(crate) sha: Option<String>,
    pub(crate) private: Option<bool>,
}

/// The description at `rest` of the repository's address.
///
/// # Errors
///
/// If the hub refuses, cannot be reached, or answers what is no description.
pub(crate) async fn describe(
    client: &Client,
    request: &Request<'_>,
    rest: &[&str],
) -> Result<Description, HubError> {
    let url = address(request, rest);
    repeat(request.settings, async || {
        let answer = ask(request, client.get(url.clone())).await?;
        read(request, answer, "description of it").await
    })
    .await
}

/// `ENDPOINT/api/models/OWNER/NAME/REST`, of a data set with `datasets`; a `/` within a part is escaped.
pub(crate) fn address(request: &Request, rest: &[&str]) -> Url {
    let mut url: Url = request
        .settings
        .endpoint
        .parse()
        .expect("the hub was made with this endpoint");
    url.path_segments_mut()
        .expect("the hub refuses an endpoint such as `mailto:`")
        .pop_if_empty()
        .extend(["api", request.repository.kind().plural()])
        .extend(request.repository.name().split('/'))
        .extend(rest);
    url
}
