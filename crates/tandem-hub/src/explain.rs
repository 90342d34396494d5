//! From what hf-hub and reqwest report to what a person is told.

use std::error::Error;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use hf_hub::HFError;

use crate::cache::Repository;
use crate::error::plain;
use crate::{HubError, Settings};

/// How often a request is repeated before it counts as failed.
pub(crate) const REPETITIONS: usize = 5;

/// How long no answer comes before that is told.
const SILENCE: Duration = Duration::from_secs(5);

/// What a request is about.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) repository: &'a Repository,
    pub(crate) revision: &'a str,
    /// The file; none where it is the repository or its listing.
    pub(crate) file: Option<&'a str>,
    pub(crate) access: Access,
}

/// What a request is to do at the hub.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Reading,
    Writing,
    /// To write into the storage of large files. It knows nobody: its refusals say nothing of who may.
    Storing,
}

/// A request that failed.
pub(crate) enum Trouble {
    /// To ask again may help.
    Passing(HubError),
    /// It does not.
    Lasting(HubError),
}

/// An answer that is a refusal.
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// The header `X-Error-Code`.
    pub(crate) code: Option<String>,
    /// The header `X-Error-Message`, or the body's.
    pub(crate) message: Option<String>,
    /// The header `Retry-After`.
    pub(crate) wait: Option<Duration>,
}

impl Request<'_> {
    /// The file or repository, in words.
    pub(crate) fn what(&self) -> String {
        match self.file {
            Some(file) => format!("{file} of {}", self.repository.name()),
            None => format!("the {} {}", self.repository.kind(), self.repository.name()),
        }
    }

    /// The repository's page at the hub.
    pub(crate) fn page(&self) -> String {
        let (endpoint, name) = (&self.settings.endpoint, self.repository.name());
        self.repository.kind().page(endpoint, name)
    }

    /// An answer that cannot be the hub's.
    pub(crate) fn answer(&self, problem: impl Into<String>) -> HubError {
        HubError::Answer {
            endpoint: self.settings.endpoint.clone(),
            what: self.what(),
            problem: problem.into(),
        }
    }

    /// What hf-hub reports. It has repeated what may pass, but for answers that were cut off.
    pub(crate) fn explain(&self, error: HFError) -> Trouble {
        let (context, wait) = match error {
            HFError::Http { context }
            | HFError::AuthRequired { context }
            | HFError::Forbidden { context }
            | HFError::Conflict { context }
            | HFError::RepoNotFound {
                context: Some(context),
                ..
            }
            | HFError::RevisionNotFound {
                context: Some(context),
                ..
            }
            | HFError::EntryNotFound {
                context: Some(context),
                ..
            } => (context, None),
            HFError::RateLimited {
                context,
                retry_after,
            } => (context, retry_after),
            HFError::Request { source, .. } => {
                let has_been_repeated = source.is_request();
                return match self.transport(source) {
                    Trouble::Passing(error) if has_been_repeated => Trouble::Lasting(error),
                    trouble => trouble,
                };
            }
            error @ HFError::Xet { .. } => return Trouble::Passing(self.cut(reason(&error))),
            error => return Trouble::Lasting(self.answer(reason(&error))),
        };
        Trouble::Lasting(self.refused(Refusal {
            status: context.status.as_u16(),
            code: context.error_code,
            message: context.server_message,
            wait,
        }))
    }

    /// No answer, or the beginning of one.
    pub(crate) fn transport(&self, error: reqwest::Error) -> Trouble {
        let endpoint = self.settings.endpoint.clone();
        if error.is_redirect() {
            let url = error.url().map_or_else(|| self.what(), ToString::to_string);
            Trouble::Lasting(HubError::RedirectLoop { url, endpoint })
        } else if error.is_connect() {
            Trouble::Passing(HubError::NoNetwork {
                endpoint,
                repository: self.repository.name().into(),
                reason: reason(&error),
                cached: match self.repository.cached() {
                    Some(cached) => format!("the cache has {cached}: HF_HUB_OFFLINE=1 uses it"),
                    None => "the cache has nothing of it".into(),
                },
            })
        } else if error
            .source()
            .is_some_and(|cause| cause.is::<serde_json::Error>())
        {
            Trouble::Lasting(self.answer(reason(&error)))
        } else if error.is_timeout() {
            let patience = self.settings.patience.as_secs_f32();
            Trouble::Passing(self.cut(format!("nothing came for {patience} s")))
        } else {
            Trouble::Passing(self.cut(reason(&error)))
        }
    }

    pub(crate) fn cut(&self, reason: String) -> HubError {
        HubError::Interrupted {
            what: self.what(),
            reason,
            kept: self.kept(),
        }
    }

    /// What need not be done again, in words.
    fn kept(&self) -> &'static str {
        match self.access {
            Access::Reading => "what has been downloaded is kept",
            Access::Writing | Access::Storing => "files that were uploaded are not sent again",
        }
    }

    pub(crate) fn refused(&self, refusal: Refusal) -> HubError {
        let endpoint = self.settings.endpoint.clone();
        let repository = self.repository.name().to_string();
        let token = self
            .settings
            .token
            .as_ref()
            .map(|token| token.origin().to_string());
        let message = refusal.message.unwrap_or_default();
        match (refusal.status, refusal.code.as_deref(), token) {
            (_, Some("GatedRepo"), token) => HubError::Gated {
                page: self.page(),
                repository,
                endpoint,
                token,
            },
            (_, Some("RevisionNotFound"), _) => HubError::NoRevision {
                page: self.page(),
                repository,
                revision: self.revision.into(),
            },
            (401, _, Some(origin)) if message.starts_with("Invalid credentials") => {
                HubError::TokenRefused { endpoint, origin }
            }
            // The hub hides what is private: without a token it answers 401 for what is not there, too.
            (_, Some("RepoNotFound"), token) | (401, _, token) => HubError::NoRepository {
                kind: self.repository.kind(),
                repository,
                endpoint,
                token,
            },
            (status @ (408 | 429 | 500..), _, token) => HubError::Busy {
                endpoint,
                what: self.what(),
                status,
                wait: refusal.wait,
                kept: self.kept(),
                token,
            },
            (409 | 412, ..) if self.access == Access::Writing => HubError::Moved {
                page: self.page(),
                repository,
                revision: self.revision.into(),
            },
            (403, _, Some(origin)) if self.access == Access::Writing => HubError::MayNotWrite {
                repository,
                endpoint,
                origin,
                message: first_line(&message),
            },
            (status, ..) => HubError::Refused {
                endpoint,
                what: self.what(),
                status,
                message: first_line(&message),
            },
        }
    }
}

pub(crate) fn first_line(message: &str) -> String {
    let line = message.lines().next().filter(|line| !line.is_empty());
    line.unwrap_or("it gives no reason").into()
}

/// What `asking` gives; where nothing comes for a while, that is told, and that each attempt is given
/// `patience`.
pub(crate) async fn answered<T>(
    request: &Request<'_>,
    patience: Duration,
    asking: impl Future<Output = T>,
) -> T {
    let mut asking = pin!(asking);
    let silence = SILENCE.min(patience / 6);
    if let Ok(answer) = tokio::time::timeout(silence, &mut asking).await {
        return answer;
    }
    let words = format!(
        "{} has not answered yet for {}; it is asked up to {} times and waited for up to {} s each time",
        request.settings.endpoint,
        request.what(),
        REPETITIONS + 1,
        patience.as_secs_f32(),
    );
    (request.settings.notice)(&plain(&words));
    asking.await
}

/// Asks again, after longer and longer pauses, while to ask again may help.
pub(crate) async fn repeat<T>(
    settings: &Settings,
    ask: impl AsyncFn() -> Result<T, Trouble>,
) -> Result<T, HubError> {
    let mut repetitions = 0;
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(Trouble::Passing(_)) if repetitions < REPETITIONS => {
                pause(settings, repetitions).await;
                repetitions += 1;
            }
            Err(Trouble::Passing(error) | Trouble::Lasting(error)) => return Err(error),
        }
    }
}

/// Waits before a request is made again, twice as long each time.
pub(crate) async fn pause(settings: &Settings, repetitions: usize) {
    tokio::time::sleep(settings.pause * (1 << repetitions.min(REPETITIONS))).await;
}

/// The innermost cause, which is the one that says what happened.
pub(crate) fn reason(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// An error of the system over a file of the cache.
pub(crate) fn file(doing: &'static str, path: PathBuf, source: std::io::Error) -> HubError {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    match source.kind() {
        StorageFull | QuotaExceeded => HubError::DiskFull { path },
        _ => HubError::File {
            doing,
            path,
            source,
        },
    }
}
