//! Files into a model's repository, and what goes wrong with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hub_emulator::{Access, Fault, Request, Right, sha256};
use tandem_hub::{Hub, HubError, Outcome, Progress, Push, Pushed, Settings, Visibility};

use crate::place::{Place, contents, says};

const NAME: &str = "hf:me/net";
const WEIGHTS: &str = "model.safetensors";
const COMMIT: &str = "/commit/";

/// A place whose token may write what is `me`'s, and two files to push.
struct Pusher {
    place: Place,
    folder: tempfile::TempDir,
}

impl Pusher {
    fn new() -> Self {
        let place = Place::new().token("hf_write");
        place.server.allow("hf_write", "me", Right::Write);
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(WEIGHTS), contents()).unwrap();
        fs::write(folder.path().join("README.md"), "# Net").unwrap();
        Self { place, folder }
    }

    fn with(
        &self,
        settings: Settings,
        name: &str,
        visibility: Visibility,
    ) -> Result<Pushed, HubError> {
        self.reporting(settings, name, visibility, &mut |_| {})
    }

    fn reporting(
        &self,
        settings: Settings,
        name: &str,
        visibility: Visibility,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Pushed, HubError> {
        let push = Push {
            name: &name.parse()?,
            visibility,
            message: "Sixteen epochs",
        };
        let files = [WEIGHTS, "README.md"].map(|file| (file, self.folder.path().join(file)));
        let files: Vec<(&str, &Path)> = files
            .iter()
            .map(|(path, file)| (*path, file.as_path()))
            .collect();
        Hub::new(settings)?.push(push, &files, progress)
    }

    fn push(&self) -> Result<Pushed, HubError> {
        self.with(self.place.settings.clone(), NAME, Visibility::Public)
    }

    #[track_caller]
    fn is_refused(&self, words: &[&str]) {
        let said = says_and_gives(self.push(), words);
        assert!(!said.contains("hf_"), "it shows the token: {said}");
    }

    /// The hub has both files as they are here, after so many commits (the first makes the repository).
    #[track_caller]
    fn is_there(&self, commits: usize) {
        let server = &self.place.server;
        let files = server.files("me/net", "main").unwrap();
        assert_eq!(files[WEIGHTS], contents());
        assert_eq!(files["README.md"], b"# Net");
        assert_eq!(server.commits("me/net"), Some(commits));
    }

    fn asked(&self, method: &str, path: &str) -> Vec<Request> {
        let mut asked = self.place.server.requests();
        asked.retain(|request| request.method == method && request.path.contains(path));
        asked
    }
}

#[track_caller]
fn says_and_gives(result: Result<Pushed, HubError>, words: &[&str]) -> String {
    let text = result.as_ref().expect_err("no error").to_string();
    says(result, words);
    text
}

#[test]
fn a_push_makes_the_repository_and_one_commit() {
    let pusher = Pusher::new();
    let pushed = pusher.push().unwrap();
    pusher.is_there(2);
    assert_eq!(pushed.outcome, Outcome::Committed);
    assert_eq!(
        pushed.page,
        format!("{}/me/net", pusher.place.server.endpoint())
    );
    let server = &pusher.place.server;
    assert_eq!(
        server.files("me/net", &pushed.commit),
        server.files("me/net", "main")
    );
    assert_eq!(server.is_private("me/net"), Some(false));
    let requests = server.requests();
    let commit = requests
        .iter()
        .find(|request| request.path.contains(COMMIT))
        .unwrap();
    let text = String::from_utf8_lossy(&commit.body);
    assert!(text.contains("Sixteen epochs"), "{text}");
    // The weights went to the storage, and the token did not.
    assert!(commit.body.len() < 2000);
    let put = requests
        .iter()
        .find(|request| request.method == "PUT")
        .unwrap();
    assert_eq!(
        (put.body.len(), put.to_contents, &put.authorization),
        (100_000, true, &None)
    );
}

#[test]
fn what_is_there_is_not_sent_again() {
    let pusher = Pusher::new();
    let first = pusher.push().unwrap();
    pusher.place.server.requests();
    let second = pusher.push().unwrap();
    assert_eq!(
        (second.outcome, second.commit),
        (Outcome::Unchanged, first.commit)
    );
    let asked = pusher.place.server.requests();
    assert!(
        asked.iter().all(|request| request.method == "GET"),
        "{asked:?}"
    );
    pusher.is_there(2);

    // A file that changed is sent alone, and what others put there stays.
    fs::write(pusher.folder.path().join("README.md"), "# Net, better").unwrap();
    assert_eq!(pusher.push().unwrap().outcome, Outcome::Committed);
    assert_eq!(pusher.asked("PUT", "").len(), 0);
    let files = pusher.place.server.files("me/net", "main").unwrap();
    assert_eq!(files["README.md"], b"# Net, better");
    assert_eq!((&files[WEIGHTS], files.len()), (&contents(), 3));
}

#[test]
fn a_private_push_makes_a_private_repository_and_refuses_a_public_one() {
    let pusher = Pusher::new();
    let push = |visibility| pusher.with(pusher.place.settings.clone(), NAME, visibility);
    push(Visibility::Private).unwrap();
    assert_eq!(pusher.place.server.is_private("me/net"), Some(true));
    push(Visibility::Private).unwrap();
    assert_eq!(
        push(Visibility::Public).unwrap().outcome,
        Outcome::Unchanged
    );

    let pusher = Pusher::new();
    pusher.push().unwrap();
    fs::write(pusher.folder.path().join("README.md"), "secret").unwrap();
    let settings = pusher.place.settings.clone();
    let page = format!("{}/me/net/settings", settings.endpoint);
    let result = pusher.with(settings, NAME, Visibility::Private);
    says(result, &["me/net is there and is public", &page]);
    pusher.is_there(2);
}

#[test]
fn a_branch_that_is_not_there_is_made_and_main_stays() {
    let pusher = Pusher::new();
    let settings = &pusher.place.settings;
    let name = format!("{NAME}@try/one");
    let pushed = pusher
        .with(settings.clone(), &name, Visibility::Public)
        .unwrap();
    let server = &pusher.place.server;
    assert_eq!(
        server.files("me/net", "try/one").unwrap()[WEIGHTS],
        contents()
    );
    assert!(
        !server
            .files("me/net", "main")
            .unwrap()
            .contains_key(WEIGHTS)
    );
    let again = pusher
        .with(settings.clone(), &name, Visibility::Public)
        .unwrap();
    assert_eq!(
        (again.commit, again.outcome),
        (pushed.commit, Outcome::Unchanged)
    );
}

#[test]
fn who_may_not_write_is_told_and_nothing_is_made() {
    let mut pusher = Pusher::new();
    pusher.place.settings.token = None;
    let tokens = format!("{}/settings/tokens", pusher.place.server.endpoint());
    pusher.is_refused(&[
        "must know who writes me/net",
        "set HF_TOKEN",
        &tokens,
        "hf auth login",
    ]);
    assert_eq!(pusher.place.server.requests(), [], "nobody was asked");

    // A token that may only read.
    pusher.place = pusher.place.token("hf_read");
    pusher.place.server.allow("hf_read", "me", Right::Read);
    let words = [
        "the token of HF_TOKEN may not write me/net",
        "a write token",
        &tokens,
    ];
    pusher.is_refused(&words);
    // Somebody else's namespace, and somebody else's repository.
    pusher.place = pusher.place.token("hf_stranger");
    pusher
        .place
        .server
        .allow("hf_stranger", "you", Right::Write);
    let words = ["may not write me/net", "is the name right"];
    pusher.is_refused(&words);
    assert_eq!(pusher.place.server.commits("me/net"), None);
    pusher
        .place
        .server
        .push_model("me/net", "main", &[("README.md", b"mine")]);
    pusher.is_refused(&words);
    // Hidden from them.
    pusher
        .place
        .server
        .protect("me/net", Access::Private("nobody's".into()));
    pusher.is_refused(&words);
    pusher.place = pusher.place.token("hf_revoked");
    pusher.is_refused(&["does not take the token of HF_TOKEN"]);
    assert_eq!(pusher.place.server.commits("me/net"), Some(1));
}

#[test]
fn offline_nothing_is_pushed() {
    let mut pusher = Pusher::new();
    pusher.place.settings.offline = true;
    pusher.is_refused(&["HF_HUB_OFFLINE is set", "me/net", "unset it"]);
    assert_eq!(pusher.place.server.requests(), []);
}

#[test]
fn what_passes_is_tried_again() {
    for (method, path) in [
        ("GET", "/revision/main"),
        ("GET", "/tree/"),
        ("POST", "/repos/create"),
        ("POST", "/preupload/"),
        ("POST", "/objects/batch"),
        ("PUT", "/upload"),
        ("POST", "/objects/verify"),
        ("POST", COMMIT),
    ] {
        for fault in [
            Fault::Status(429, "Retry-After", "1"),
            Fault::Status(500, "X-Request-Id", "1"),
            Fault::Hangup,
            Fault::Cut(0),
        ] {
            let pusher = Pusher::new();
            pusher.place.server.fail_at(method, path, fault.clone(), 2);
            let pushed = pusher.push();
            let outcome = pushed.map(|pushed| pushed.outcome);
            assert_eq!(
                outcome.ok(),
                Some(Outcome::Committed),
                "{method} {path} {fault:?}"
            );
            pusher.is_there(2);
        }
    }
}

#[test]
fn a_hub_that_stays_away_is_told() {
    for (method, path) in [
        ("POST", "/preupload/"),
        ("PUT", "/upload"),
        ("POST", COMMIT),
    ] {
        let pusher = Pusher::new();
        let server = &pusher.place.server;
        server.fail_at(method, path, Fault::Status(503, "Retry-After", "60"), 1000);
        pusher.is_refused(&["503", "each of 6 times", "in 60 s", "are not sent again"]);
        assert_eq!(pusher.asked(method, path).len(), 6);
        let pusher = Pusher::new();
        pusher
            .place
            .server
            .fail_at(method, path, Fault::Hangup, 1000);
        pusher.is_refused(&["broke again and again", "me/net", "are not sent again"]);
        assert_eq!(pusher.place.server.commits("me/net"), Some(1));
    }
    let pusher = Pusher::new();
    let settings = Settings {
        endpoint: "http://127.0.0.1:1".into(),
        ..pusher.place.settings.clone()
    };
    says(
        pusher.with(settings, NAME, Visibility::Public),
        &["http://127.0.0.1:1", "me/net", "refused"],
    );
}

#[test]
fn an_upload_that_is_cut_is_made_again_and_one_that_was_made_is_not() {
    let pusher = Pusher::new();
    pusher
        .place
        .server
        .fail_at("PUT", "/upload", Fault::Deaf(30_000), 1);
    pusher.push().unwrap();
    pusher.is_there(2);
    assert_eq!(pusher.asked("PUT", "/upload").len(), 2);

    // A push that got as far as the storage goes on from there in another process.
    let pusher = Pusher::new();
    let server = &pusher.place.server;
    server.fail_at("POST", COMMIT, Fault::Status(500, "X-Request-Id", "1"), 6);
    pusher.is_refused(&["500"]);
    assert_eq!(pusher.asked("PUT", "/upload").len(), 1);
    pusher.push().unwrap();
    pusher.is_there(2);
    assert_eq!(pusher.asked("PUT", "/upload").len(), 0);
}

#[test]
fn a_storage_that_takes_nothing_is_not_waited_for_without_end() {
    let mut pusher = Pusher::new();
    pusher.place.settings.patience = Duration::from_millis(300);
    let server = &pusher.place.server;
    server.fail_at("PUT", "/upload", Fault::Mute, 1000);
    pusher.is_refused(&[WEIGHTS, "me/net", "broke again and again"]);
}

#[test]
fn an_answer_that_was_lost_makes_no_second_commit() {
    let pusher = Pusher::new();
    pusher
        .place
        .server
        .fail_at("POST", COMMIT, Fault::Cut(0), 1);
    assert_eq!(pusher.push().unwrap().outcome, Outcome::Committed);
    pusher.is_there(2);
    assert_eq!(pusher.asked("POST", COMMIT).len(), 1);
}

#[test]
fn somebody_else_s_commit_meanwhile_is_built_on() {
    let pusher = Pusher::new();
    pusher.push().unwrap();
    fs::write(pusher.folder.path().join("README.md"), "mine").unwrap();
    let server = &pusher.place.server;
    server.fail_at(
        "POST",
        COMMIT,
        Fault::Status(412, "X-Error-Message", "A commit has happened"),
        1,
    );
    pusher.push().unwrap();
    assert_eq!(
        server.files("me/net", "main").unwrap()["README.md"],
        b"mine"
    );
    fs::write(pusher.folder.path().join("README.md"), "again").unwrap();
    server.fail_at(
        "POST",
        COMMIT,
        Fault::Status(412, "X-Error-Message", "A commit has happened"),
        1000,
    );
    pusher.is_refused(&["`main` of me/net changed meanwhile", "/me/net/commits/main"]);
}

#[test]
fn what_the_hub_then_lists_otherwise_is_told() {
    let pusher = Pusher::new();
    // The storage got other bytes, and nobody there noticed.
    let damaged = Pusher::new();
    let server = &damaged.place.server;
    server.fail_at(
        "PUT",
        "/upload",
        Fault::Status(200, "X-Request-Id", "1"),
        1000,
    );
    damaged.is_refused(&[WEIGHTS, "422", "not what its id says"]);
    assert_eq!(server.commits("me/net"), Some(1));

    pusher.push().unwrap();
    fs::write(pusher.folder.path().join("README.md"), "other").unwrap();
    let server = &pusher.place.server;
    let old = server.push_model("me/net", "old", &[("README.md", b"# Net")]);
    let answer = format!(r#"{{"commitOid": "{old}"}}"#);
    server.fail_at("POST", COMMIT, Fault::Body(answer), 1);
    pusher.is_refused(&["of me/net is not at", "what was pushed", "push again"]);
}

#[test]
fn an_answer_that_is_not_the_hub_s_is_told() {
    for (path, body) in [
        ("/preupload/", "<html>"),
        ("/objects/batch", "{}"),
        (COMMIT, r#"{"commitOid": "../../x"}"#),
    ] {
        let pusher = Pusher::new();
        pusher
            .place
            .server
            .fail_at("POST", path, Fault::Body(body.into()), 1000);
        pusher.is_refused(&["answers not as the hub does", "HF_ENDPOINT"]);
    }
    for (method, path) in [
        ("GET", "/revision/main"),
        ("POST", "/preupload/"),
        ("POST", COMMIT),
    ] {
        let pusher = Pusher::new();
        pusher.push().unwrap();
        fs::write(pusher.folder.path().join("README.md"), "other").unwrap();
        // A redirected POST becomes a GET, as browsers have it.
        pusher.place.server.fail_at(method, path, Fault::Loop, 1000);
        pusher.place.server.fail(path, Fault::Loop, 1000);
        pusher.is_refused(&["redirected without end", "HF_ENDPOINT"]);
    }
}

#[test]
fn a_file_the_storage_refuses_is_told_in_its_words() {
    let pusher = Pusher::new();
    let id = sha256(&contents());
    let refusal = format!(
        r#"{{"objects": [{{"oid": "{id}", "size": 1, "error": {{"code": 413, "message": "Too large \u001b[1m for a free account"}}}}]}}"#
    );
    pusher
        .place
        .server
        .fail_at("POST", "/objects/batch", Fault::Body(refusal), 1);
    pusher.is_refused(&[WEIGHTS, "413", r"Too large \u{1b}[1m for a free account"]);
}

#[test]
fn a_file_that_cannot_be_read_is_named_before_anything_is_made() {
    let pusher = Pusher::new();
    let missing: PathBuf = pusher.folder.path().join(WEIGHTS);
    fs::remove_file(&missing).unwrap();
    pusher.is_refused(&["cannot read", WEIGHTS]);
    assert_eq!(pusher.place.server.requests(), []);
}

#[test]
fn progress_ends_with_everything_there() {
    let pusher = Pusher::new();
    let mut seen = Vec::new();
    let settings = pusher.place.settings.clone();
    pusher
        .reporting(settings, NAME, Visibility::Public, &mut |progress| {
            seen.push((progress.done, progress.total));
        })
        .unwrap();
    assert_eq!(seen.last(), Some(&(100_000, 100_005)));
    assert!(seen.is_sorted());
}
