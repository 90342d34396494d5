//! Requests that this crate makes itself, and what the hub answers to them.

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{RequestBuilder, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::HubError;
use crate::explain::{Refusal, Request, Trouble, answered};

/// Bytes of an answer's body that are read at most. A description names all files of a repository: of
/// a million pictures in some 60 MB.
const LIMIT: usize = 128 << 20;

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
    let (client, asking) = asking.build_split();
    let asking = asking.map_err(|error| request.transport(error))?;
    let patience = *asking.timeout().unwrap_or(&request.settings.patience);
    let answer = answered(request, patience, client.execute(asking)).await;
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
        None => read::<Said>(request, answer, "reason")
            .await
            .ok()
            .map(|said| said.error),
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
    let text = body(request, answer).await?;
    serde_json::from_slice(&text)
        .map_err(|error| Trouble::Lasting(request.answer(format!("no {what} ({error})"))))
}

async fn body(request: &Request<'_>, mut answer: Response) -> Result<Vec<u8>, Trouble> {
    let mut body = Vec::new();
    loop {
        let piece = answer.chunk().await;
        let Some(piece) = piece.map_err(|error| request.transport(error))? else {
            return Ok(body);
        };
        if body.len() + piece.len() > LIMIT {
            let problem = format!("{} sends more than {} MiB", answer.url(), LIMIT >> 20);
            return Err(Trouble::Lasting(request.answer(problem)));
        }
        body.extend_from_slice(&piece);
    }
}
