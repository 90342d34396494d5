//! What the hub answers, when nothing goes wrong.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::repository::{Commit, Kind, Repository};
use crate::writing::{right, write};
use crate::{Access, Request, Shared, State};

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn body(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }

    pub(crate) fn json(value: &Value) -> Self {
        Self::new(200)
            .with("Content-Type", "application/json")
            .body(value.to_string().into_bytes())
    }

    pub(crate) fn error(status: u16, code: &str, message: &str) -> Self {
        Self::new(status)
            .with("X-Error-Code", code)
            .with("X-Error-Message", message)
    }

    /// The part that `Range: bytes=FIRST-[LAST]` asks for.
    pub(crate) fn ranged(mut self, range: Option<&str>) -> Self {
        let Some((first, last)) =
            range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'))
        else {
            return self;
        };
        if self.status != 200 {
            return self;
        }
        let length = self.body.len();
        let first = first.parse().unwrap_or(usize::MAX);
        let last = last
            .parse()
            .unwrap_or(usize::MAX)
            .min(length.saturating_sub(1));
        if first >= length {
            return Self::new(416).with("Content-Range", &format!("bytes */{length}"));
        }
        self.body = self.body[first..=last].to_vec();
        self.status = 206;
        self.with("Content-Range", &format!("bytes {first}-{last}/{length}"))
    }
}

pub(crate) fn answer(shared: &Shared, request: &Request) -> Answer {
    if let "POST" | "PUT" = request.method.as_str() {
        return write(shared, request);
    }
    let state = shared.state();
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    if request.to_contents {
        // /ID/PATH: the path is only there for faults to be aimed at.
        let id = path.split('/').nth(1).unwrap_or_default();
        let contents = state
            .repositories
            .iter()
            .find_map(|repository| repository.contents(id));
        return contents.map_or(Answer::new(404), |contents| Answer::new(200).body(contents));
    }
    for (old, new) in &state.renamed {
        for prefix in ["/api/datasets/", "/datasets/"] {
            let rest = path
                .strip_prefix(prefix)
                .and_then(|path| path.strip_prefix(old.as_str()));
            if let Some(rest) = rest.filter(|rest| rest.is_empty() || rest.starts_with('/')) {
                // A revision has its slashes hidden.
                let rest = hide_revision(rest);
                return Answer::new(307).with("Location", &format!("{prefix}{new}{rest}?{query}"));
            }
        }
    }
    for kind in [Kind::DataSet, Kind::Model] {
        if let Some(path) = path.strip_prefix(kind.interface()) {
            return with_repository(&state, request, kind, path, |repository, rest| {
                interface(shared, &state, repository, rest, query)
            });
        }
        // A model's address has no word for its kind: it is tried last.
        if let Some(path) = path.strip_prefix(kind.files()) {
            return with_repository(&state, request, kind, path, |repository, rest| {
                gated_file(shared, &state, request, repository, rest)
            });
        }
    }
    Answer::new(404)
}

/// A file, for those who may read it.
fn gated_file(
    shared: &Shared,
    state: &State,
    request: &Request,
    repository: &Repository,
    rest: &str,
) -> Answer {
    if matches!(repository.access, Access::Gated(_)) && !may_read(state, repository, request) {
        let status = if request.authorization.is_some() {
            403
        } else {
            401
        };
        return Answer::error(
            status,
            "GatedRepo",
            "Access to this repository is restricted",
        );
    }
    file(shared, repository, rest)
}

fn hide_revision(rest: &str) -> String {
    match rest.strip_prefix("/revision/") {
        Some(revision) => format!("/revision/{}", revision.replace('/', "%2F")),
        None => rest.into(),
    }
}

/// Whether whoever asks may read; an owner's token may, too.
fn may_read(state: &State, repository: &Repository, request: &Request) -> bool {
    let owner = repository.name.split('/').next().unwrap_or_default();
    if right(state, request, owner).is_some() {
        return true;
    }
    match &repository.access {
        Access::Public => true,
        Access::Private(token) | Access::Gated(token) => {
            request.authorization.as_deref() == Some(&format!("Bearer {token}"))
        }
    }
}

/// Finds the repository that `path` begins with; `then` is given what follows.
fn with_repository(
    state: &State,
    request: &Request,
    kind: Kind,
    path: &str,
    then: impl Fn(&Repository, &str) -> Answer,
) -> Answer {
    if request.authorization.as_deref() == Some("Bearer hf_revoked") {
        return Answer::error(401, "", "Invalid credentials in Authorization header");
    }
    let named = state.repositories.iter().find_map(|repository| {
        let rest = path.strip_prefix(&repository.name)?;
        (repository.kind == kind).then_some(())?;
        (rest.is_empty() || rest.starts_with('/')).then_some((repository, rest))
    });
    match named {
        Some((repository, rest))
            if !matches!(repository.access, Access::Private(_))
                || may_read(state, repository, request) =>
        {
            then(repository, rest)
        }
        // What is not there and what is hidden look the same.
        _ if request.authorization.is_none() => {
            Answer::error(401, "RepoNotFound", "Invalid username or password.")
        }
        _ => Answer::error(404, "RepoNotFound", "Repository not found"),
    }
}

fn no_revision(revision: &str) -> Answer {
    Answer::error(
        404,
        "RevisionNotFound",
        &format!("Invalid rev id: {revision}"),
    )
}

/// `[/revision/REVISION]` and `/tree/REVISION`.
fn interface(
    shared: &Shared,
    state: &State,
    repository: &Repository,
    rest: &str,
    query: &str,
) -> Answer {
    if let Some(revision) = rest.strip_prefix("/tree/") {
        return match repository.commit(revision) {
            Some((commit, files)) => tree(shared, state, repository, &commit, &files, query),
            None => no_revision(revision),
        };
    }
    let revision = rest.strip_prefix("/revision/").unwrap_or("main");
    let Some((commit, files)) = repository.commit(revision) else {
        return no_revision(revision);
    };
    let siblings: Vec<Value> = files
        .keys()
        .map(|path| json!({ "rfilename": path }))
        .collect();
    Answer::json(&json!({
        "_id": "0",
        "id": repository.name,
        "sha": commit,
        "private": matches!(repository.access, Access::Private(_)),
        "gated": if matches!(repository.access, Access::Gated(_)) { json!("manual") } else { json!(false) },
        "disabled": false,
        "downloads": 0,
        "likes": 0,
        "tags": [],
        "siblings": siblings,
    }))
}

fn tree(
    shared: &Shared,
    state: &State,
    repository: &Repository,
    commit: &str,
    files: &Arc<Commit>,
    query: &str,
) -> Answer {
    let mut entries: Vec<Value> = Vec::new();
    for (path, file) in files.iter() {
        if let Some((folder, _)) = path.rsplit_once('/') {
            let entry = json!({ "type": "directory", "oid": "0", "size": 0, "path": folder });
            if !entries.contains(&entry) {
                entries.push(entry);
            }
        }
        let size = file.contents.len();
        let mut entry = json!({ "type": "file", "oid": file.git, "size": size, "path": path });
        if let Some(id) = &file.large {
            entry["lfs"] = json!({ "oid": id, "size": size, "pointerSize": 130 });
        }
        entries.push(entry);
    }
    let first = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("cursor=")?.parse().ok())
        .unwrap_or(0);
    let page = state.page.unwrap_or(1000);
    let answer = Answer::json(&entries.iter().skip(first).take(page).cloned().collect());
    if first + page >= entries.len() {
        return answer;
    }
    let next = format!(
        "<{}{}{}/tree/{commit}?recursive=true&cursor={}>; rel=\"next\"",
        shared.endpoint,
        repository.kind.interface(),
        repository.name,
        first + page
    );
    answer.with("Link", &next)
}

/// `/resolve/REVISION/PATH`.
fn file(shared: &Shared, repository: &Repository, rest: &str) -> Answer {
    let rest = rest.strip_prefix("/resolve/").unwrap_or_default();
    // A revision may have slashes: it is the longest there is.
    let found = rest.match_indices('/').rev().find_map(|(slash, _)| {
        let (commit, files) = repository.commit(&rest[..slash])?;
        Some((commit, files, &rest[slash + 1..]))
    });
    let Some((commit, files, path)) = found else {
        return no_revision(rest);
    };
    let Some(file) = files.get(path) else {
        return Answer::error(404, "EntryNotFound", "Entry not found")
            .with("X-Repo-Commit", &commit);
    };
    let etag = format!("\"{}\"", file.etag());
    let size = file.contents.len().to_string();
    let answer = Answer::new(200)
        .with("X-Repo-Commit", &commit)
        .with("ETag", &etag);
    match &file.large {
        None => answer
            .with("Accept-Ranges", "bytes")
            .body(file.contents.clone()),
        Some(id) => Answer {
            status: 302,
            ..answer
                .with("X-Linked-ETag", &etag)
                .with("X-Linked-Size", &size)
                .with("Location", &format!("{}/{id}/{path}", shared.contents))
        },
    }
}
