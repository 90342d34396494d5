//! Large files into the hub's storage, as git's large file storage has it: the hub is told their hashes
//! and says of those it lacks where to put them.
//!
//! <https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md>

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::stream;
use reqwest::Body;
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{accepted, ask, read};
use crate::download::Meter;
use crate::explain::{Access, Request, Trouble, file, first_line};
use crate::push::Local;
use crate::{Hub, HubError};

const MEDIA_TYPE: &str = "application/vnd.git-lfs+json";
/// Bytes sent at a time.
const PIECE: usize = 1 << 16;
/// How often it is looked how far an upload is.
const TICK: Duration = Duration::from_millis(100);

#[derive(Deserialize)]
struct Batch {
    objects: Vec<Object>,
}

#[derive(Deserialize)]
struct Object {
    oid: String,
    /// None if the storage has it.
    actions: Option<Actions>,
    error: Option<Refused>,
}

#[derive(Deserialize)]
struct Refused {
    code: u16,
    message: String,
}

#[derive(Deserialize)]
struct Actions {
    upload: Option<Action>,
    verify: Option<Action>,
}

#[derive(Deserialize)]
struct Action {
    href: String,
    #[serde(default)]
    header: BTreeMap<String, Value>,
}

impl Hub {
    /// Puts those of `files` into the storage that are not there.
    pub(crate) async fn upload(
        &self,
        request: &Request<'_>,
        files: &[&Local],
        meter: &Meter<'_>,
    ) -> Result<(), Trouble> {
        if files.is_empty() {
            return Ok(());
        }
        let objects = self.batch(request, files).await?;
        for local in files {
            let request = Request {
                file: Some(&local.path),
                access: Access::Storing,
                ..*request
            };
            let object = objects.iter().find(|object| object.oid == local.sha256);
            match object.map(|object| (&object.error, &object.actions)) {
                Some((Some(refused), _)) => {
                    return Err(Trouble::Lasting(HubError::Refused {
                        endpoint: self.settings.endpoint.clone(),
                        what: request.what(),
                        status: refused.code,
                        message: first_line(&refused.message),
                    }));
                }
                Some((None, Some(actions))) => self.send(&request, local, actions, meter).await?,
                Some((None, None)) => meter.add(&local.path, local.size),
                None => {
                    let problem = "it does not say where the file belongs";
                    return Err(Trouble::Lasting(request.answer(problem)));
                }
            }
        }
        Ok(())
    }

    /// Where the files belong.
    async fn batch(&self, request: &Request<'_>, files: &[&Local]) -> Result<Vec<Object>, Trouble> {
        let (endpoint, name) = (&self.settings.endpoint, request.repository.name());
        let objects: Vec<Value> = files
            .iter()
            .map(|file| json!({ "oid": file.sha256, "size": file.size }))
            .collect();
        let body = json!({
            "operation": "upload",
            "transfers": ["basic"],
            "objects": objects,
            "hash_algo": "sha256",
            "ref": { "name": request.revision },
        });
        let asking = self
            .http
            .post(format!("{endpoint}/{name}.git/info/lfs/objects/batch"))
            .header(ACCEPT, MEDIA_TYPE)
            .header(CONTENT_TYPE, MEDIA_TYPE)
            .body(body.to_string());
        let answer = ask(request, asking).await?;
        let batch: Batch = read(request, answer, "list of places for large files").await?;
        Ok(batch.objects)
    }

    async fn send(
        &self,
        request: &Request<'_>,
        local: &Local,
        actions: &Actions,
        meter: &Meter<'_>,
    ) -> Result<(), Trouble> {
        match &actions.upload {
            Some(upload) => self.put(request, local, upload, meter).await?,
            None => meter.add(&local.path, local.size),
        }
        let Some(verify) = &actions.verify else {
            return Ok(());
        };
        let asking = self
            .http
            .post(&verify.href)
            .header(ACCEPT, MEDIA_TYPE)
            .header(CONTENT_TYPE, MEDIA_TYPE)
            .body(json!({ "oid": local.sha256, "size": local.size }).to_string());
        // The token goes to the hub alone.
        let own = format!("{}/", self.settings.endpoint);
        match verify.href.starts_with(&own) {
            true => ask(request, asking).await?,
            false => {
                let answer = with_headers(asking, verify).send().await;
                let answer = answer.map_err(|error| request.transport(error))?;
                accepted(request, answer).await?
            }
        };
        Ok(())
    }

    /// Sends the file's bytes, as long as some go.
    async fn put(
        &self,
        request: &Request<'_>,
        local: &Local,
        upload: &Action,
        meter: &Meter<'_>,
    ) -> Result<(), Trouble> {
        let failed = |source| Trouble::Lasting(file("read", local.file.clone(), source));
        let sent = Arc::new(AtomicU64::new(0));
        let contents = File::open(&local.file).map_err(failed)?;
        let asking = self
            .uploads
            .put(&upload.href)
            .header(CONTENT_LENGTH, local.size)
            .body(body(contents, sent.clone()));
        let mut sending = pin!(with_headers(asking, upload).send());
        let (mut seen, mut moved) = (0, Instant::now());
        let answer = loop {
            let answer = tokio::time::timeout(TICK, &mut sending).await;
            let now = sent.load(Ordering::Relaxed);
            if now > seen {
                meter.add(&local.path, now - seen);
                (seen, moved) = (now, Instant::now());
            }
            let patience = self.settings.patience;
            match answer {
                Ok(answer) => break answer.map_err(|error| request.transport(error)),
                Err(_) if moved.elapsed() < patience => {}
                Err(_) => {
                    let reason = format!("nothing went for {} s", patience.as_secs_f32());
                    break Err(Trouble::Passing(request.cut(reason)));
                }
            }
        };
        let stored = match answer {
            Ok(answer) => accepted(request, answer).await,
            Err(trouble) => Err(trouble),
        };
        if stored.is_err() {
            meter.take_back(seen);
        }
        stored.map(drop)
    }
}

/// What the hub wants said with an action.
fn with_headers(asking: reqwest::RequestBuilder, action: &Action) -> reqwest::RequestBuilder {
    let headers = action.header.iter();
    headers.fold(asking, |asking, (name, value)| match value.as_str() {
        Some(value) => asking.header(name, value),
        None => asking.header(name, value.to_string()),
    })
}

/// The file piece by piece; `sent` counts the bytes that were taken from it.
fn body(contents: File, sent: Arc<AtomicU64>) -> Body {
    let pieces = stream::unfold(contents, move |mut contents| {
        let sent = sent.clone();
        async move {
            let mut piece = vec![0; PIECE];
            let read = contents.read(&mut piece);
            let piece = match read {
                Ok(0) => return None,
                Ok(read) => {
                    piece.truncate(read);
                    sent.fetch_add(read as u64, Ordering::Relaxed);
                    Ok::<_, io::Error>(piece)
                }
                Err(error) => Err(error),
            };
            Some((piece, contents))
        }
    });
    Body::wrap_stream(pieces)
}
