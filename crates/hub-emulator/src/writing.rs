//! What the hub answers to those who write models: repositories, branches, large files, commits.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::repository::{Commit, File, Kind, Repository, is_large, sha256};
use crate::{Access, Request, Right, Shared, State};

/// What the token of `request` may do with the repositories of `owner`.
pub(crate) fn right(state: &State, request: &Request, owner: &str) -> Option<Right> {
    let token = request.authorization.as_deref()?.strip_prefix("Bearer ")?;
    let mut accounts = state.accounts.iter();
    let account = accounts.find(|(known, whose, _)| (known == token) && (whose == owner))?;
    Some(account.2)
}

/// Answers a POST or PUT.
pub(crate) fn write(shared: &Shared, request: &Request) -> Answer {
    let mut state = shared.state();
    let path = request.path.as_str();
    if request.to_contents {
        // /ID/upload. As of the storage, whoever has the address may.
        let id = path.split('/').nth(1).unwrap_or_default();
        if request.body.is_empty() || request.authorization.is_some() {
            return Answer::new(501);
        }
        state.storage.insert(id.into(), request.body.clone());
        return Answer::new(200);
    }
    if path == "/api/repos/create" {
        return create(shared, &mut state, request);
    }
    let large = path.strip_prefix('/').and_then(|path| {
        let (name, what) = path.split_once(".git/info/lfs/objects/")?;
        Some((name.to_owned(), what.to_owned()))
    });
    if let Some((name, what)) = large {
        return with_model(&mut state, request, &name, |state, _| match what.as_str() {
            "batch" => batch(shared, state, request, &name),
            "verify" => verify(state, request),
            _ => Answer::new(404),
        });
    }
    let Some(rest) = path.strip_prefix(Kind::Model.interface()) else {
        return Answer::new(404);
    };
    let mut steps = rest.splitn(4, '/');
    let [owner, name, what, revision] = [(); 4].map(|()| steps.next().unwrap_or_default());
    let name = format!("{owner}/{name}");
    with_model(&mut state, request, &name, |state, at| match what {
        "preupload" => preupload(request),
        "branch" => branch(&mut state.repositories[at], revision),
        "commit" => commit(shared, state, at, request, revision),
        _ => Answer::new(404),
    })
}

fn refuse(state: &State, request: &Request, owner: &str) -> Option<Answer> {
    match right(state, request, owner) {
        Some(Right::Write) => None,
        _ if request.authorization.is_none() => {
            Some(Answer::error(401, "", "Invalid username or password."))
        }
        Some(Right::Read) => Some(Answer::error(
            403,
            "",
            "Forbidden: you must use a write token to upload to a repository.",
        )),
        None => Some(Answer::error(
            403,
            "",
            &format!("You don't have the rights to write under the namespace \"{owner}\""),
        )),
    }
}

/// Gives `then` the place of a model that whoever asks may write.
fn with_model(
    state: &mut State,
    request: &Request,
    name: &str,
    then: impl FnOnce(&mut State, usize) -> Answer,
) -> Answer {
    let owner = name.split('/').next().unwrap_or_default();
    if let Some(refusal) = refuse(state, request, owner) {
        return refusal;
    }
    let is_meant = |repository: &Repository| {
        (repository.kind, repository.name.as_str()) == (Kind::Model, name)
    };
    match state.repositories.iter().position(is_meant) {
        Some(at) => then(state, at),
        None => Answer::error(404, "RepoNotFound", "Repository not found"),
    }
}

fn create(shared: &Shared, state: &mut State, request: &Request) -> Answer {
    let wanted: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let text = |key: &str| wanted[key].as_str().unwrap_or_default().to_string();
    let (owner, name) = (text("organization"), text("name"));
    if let Some(refusal) = refuse(state, request, &owner) {
        return refusal;
    }
    if name.is_empty() || name.contains("--") || text("type") != "model" {
        return Answer::error(400, "", "Invalid repository");
    }
    let name = format!("{owner}/{name}");
    if state.model(&name).is_some() {
        return Answer::error(409, "", "You already created this model repo");
    }
    let mut repository = Repository::new(Kind::Model, &name);
    let attributes: &[u8] = b"*.safetensors filter=lfs\n";
    repository.push("main", &[(".gitattributes", attributes)]);
    if wanted["private"] == true {
        repository.access = Access::Private("nobody's".into());
    }
    state.repositories.push(repository);
    Answer::json(&json!({ "url": format!("{}/{name}", shared.endpoint) }))
}

fn branch(repository: &mut Repository, branch: &str) -> Answer {
    let Some((main, _)) = repository.commit("main") else {
        return Answer::new(404);
    };
    match repository.branch(branch, main) {
        true => Answer::new(200),
        false => Answer::error(409, "", "Reference already exists"),
    }
}

fn preupload(request: &Request) -> Answer {
    let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let files = asked["files"].as_array().cloned().unwrap_or_default();
    let modes: Vec<Value> = files
        .iter()
        .map(|file| {
            let path = file["path"].as_str().unwrap_or_default();
            let mode = if is_large(path) { "lfs" } else { "regular" };
            json!({ "path": path, "uploadMode": mode, "shouldIgnore": false })
        })
        .collect();
    Answer::json(&json!({ "files": modes }))
}

fn batch(shared: &Shared, state: &State, request: &Request, name: &str) -> Answer {
    let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    if asked["operation"] != "upload" || asked["hash_algo"] != "sha256" {
        return Answer::new(422);
    }
    let objects = asked["objects"].as_array().cloned().unwrap_or_default();
    let objects: Vec<Value> = objects
        .into_iter()
        .map(|mut object| {
            let id = object["oid"].as_str().unwrap_or_default().to_string();
            if !state.storage.contains_key(&id) {
                let verify = format!("{}/{name}.git/info/lfs/objects/verify", shared.endpoint);
                object["actions"] = json!({
                    "upload": { "href": format!("{}/{id}/upload", shared.contents) },
                    "verify": { "href": verify },
                });
            }
            object
        })
        .collect();
    Answer::json(&json!({ "transfer": "basic", "objects": objects }))
}

/// What is in the storage under a wrong name is thrown away.
fn verify(state: &mut State, request: &Request) -> Answer {
    let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let id = asked["oid"].as_str().unwrap_or_default();
    match state.storage.get(id).map(|contents| sha256(contents)) {
        Some(found) if found == id => Answer::new(200),
        _ => {
            state.storage.remove(id);
            Answer::error(422, "", "The object is not what its id says")
        }
    }
}

fn commit(
    shared: &Shared,
    state: &mut State,
    at: usize,
    request: &Request,
    revision: &str,
) -> Answer {
    let Some((parent, old)) = state.repositories[at].commit(revision) else {
        return Answer::error(404, "RevisionNotFound", "Invalid rev id");
    };
    let mut files: Commit = Arc::unwrap_or_clone(old);
    let lines = String::from_utf8_lossy(&request.body).into_owned();
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_default();
        let (key, value) = (&line["key"], &line["value"]);
        let text = |key: &str| value[key].as_str().unwrap_or_default();
        let contents = match key.as_str() {
            Some("header") if value["parentCommit"] == parent.as_str() => continue,
            Some("header") => {
                return Answer::error(412, "", "A commit has happened since. Please refresh.");
            }
            Some("file") => match BASE64.decode(text("content")) {
                Ok(contents) => contents,
                Err(_) => return Answer::error(400, "", "That is not base64"),
            },
            Some("lfsFile") => match state.storage.get(text("oid")) {
                Some(contents) => contents.clone(),
                None => return Answer::error(400, "", "There is no such large file"),
            },
            _ => return Answer::error(400, "", "That is no operation"),
        };
        files.insert(text("path").into(), File::new(text("path"), &contents));
    }
    let id = state.repositories[at].add(revision, files);
    let url = format!(
        "{}/{}/commit/{id}",
        shared.endpoint, state.repositories[at].name
    );
    Answer::json(&json!({ "success": true, "commitOid": id, "commitUrl": url }))
}
