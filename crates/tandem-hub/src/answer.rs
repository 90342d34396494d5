//! Requests that this crate makes itself, and what the hub answers to them.

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{RequestBuilder, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::HubError;
use crate::explain::{Refusal, Request, Trouble};

/// What the hub says of a refusal in its body.
#[derive(Deserialize)]
struct Said {
    error: String,
}

/// Asks the hub in the name of whoever has the token; gives its answer if that is no refusal.
pub(crate) async fn ask(
    request: &Request<'_>,
    mut asking: RequestBuilder,
) -> Result<Response, Trouble> {
    if let Some(token) = &request.settings.token {
        asking = asking.bearer_auth(token.secret());
    }
    let answer = asking.send().await;
    accepted(request, answer.map_err(|error| request.transport(error))?).await
}

/// The answer, if it is no refusal.
pub(crate) async fn accepted(request: &Request<'_>, answer: Response) -> Result<Response, Trouble> {
    let status = answer.status().as_u16();
    if answer.status().is_success() {
        return Ok(answer);
    }
    let header = |headers: &HeaderMap, name: &str| {
        let value = headers.get(name)?.to_str().ok()?;
        Some(value.to_string())
    };
    let code = header(answer.headers(), "x-error-code");
    let wait = header(answer.headers(), RETRY_AFTER.as_str());
    let message = match header(answer.headers(), "x-error-message") {
        Some(message) => Some(message),
        None => answer.json::<Said>().await.ok().map(|said| said.error),
    };
    let error = request.refused(Refusal {
        status,
        code,
        message,
        wait: wait
            .and_then(|wait| wait.parse().ok())
            .map(Duration::from_secs),
    });
    Err(match error {
        HubError::Busy { .. } | HubError::Moved { .. } => Trouble::Passing(error),
        _ => Trouble::Lasting(error),
    })
}

/// The answer's body as what it should be: `what`, in words.
pub(crate) async fn read<T: DeserializeOwned>(
    request: &Request<'_>,
    answer: Response,
    what: &str,
) -> Result<T, Trouble> {
    let text = answer.bytes().await;
    let text = text.map_err(|error| request.transport(error))?;
    serde_json::from_slice(&text)
        .map_err(|error| Trouble::Lasting(request.answer(format!("no {what} ({error})"))))
}
