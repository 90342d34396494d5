//! A hub and an empty cache for one test.

use std::fmt::Debug;
use std::path::PathBuf;
use std::time::Duration;

use hub_emulator::Hub as Server;
use tandem_hub::{Hub, HubError, Settings, Snapshot, Token};

pub const NAME: &str = "hf:owner/pictures";
pub const TRAIN: &str = "data/train-00000-of-00001.parquet";
pub const TEST: &str = "data/test-00000-of-00001.parquet";

pub struct Place {
    pub server: Server,
    pub settings: Settings,
    /// The commit of `main`.
    pub commit: String,
    cache: tempfile::TempDir,
}

/// 100,000 bytes that no two places of are alike.
pub fn contents() -> Vec<u8> {
    (0..25_000u32)
        .flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect()
}

impl Place {
    /// With the data set [`NAME`]: two shards, a README and more.
    pub fn new() -> Self {
        let server = Server::start();
        let commit = server.push(
            "owner/pictures",
            "main",
            &[
                (".gitattributes", b"*.parquet filter=lfs"),
                ("README.md", b"# Pictures"),
                (TEST, b"test"),
                (TRAIN, &contents()),
            ],
        );
        let cache = tempfile::tempdir().unwrap();
        let settings = Settings {
            endpoint: server.endpoint().into(),
            token: None,
            cache: cache.path().into(),
            offline: false,
            patience: Duration::from_secs(20),
            pause: Duration::from_millis(1),
            notice: |_| {},
        };
        Self {
            server,
            settings,
            commit,
            cache,
        }
    }

    pub fn token(mut self, token: &str) -> Self {
        self.settings.token = Some(Token::new(token, "HF_TOKEN").unwrap());
        self
    }

    pub fn get(&self, name: &str) -> Result<Snapshot, HubError> {
        Hub::new(self.settings.clone())?.dataset(&name.parse()?, &mut |_| {})
    }

    /// Gets it with no way to the hub.
    pub fn offline(&self, name: &str) -> Result<Snapshot, HubError> {
        let settings = Settings {
            offline: true,
            endpoint: "http://127.0.0.1:1".into(),
            ..self.settings.clone()
        };
        Hub::new(settings)?.dataset(&name.parse()?, &mut |_| {})
    }

    /// The error, in one line that holds all these words.
    #[track_caller]
    pub fn refuses(&self, name: &str, words: &[&str]) {
        says(self.get(name), words);
    }

    /// A path in the cache's folder of [`NAME`].
    pub fn cached(&self, path: &str) -> PathBuf {
        self.cache
            .path()
            .join("datasets--owner--pictures")
            .join(path)
    }

    /// The ranges that were asked of `path` since the last call, by GET.
    pub fn ranges(&self, path: &str) -> Vec<String> {
        let asked = self.server.requests().into_iter();
        asked
            .filter(|request| {
                request.to_contents && request.method == "GET" && request.path.ends_with(path)
            })
            .map(|request| request.range.unwrap_or_else(|| "all".into()))
            .collect()
    }
}

#[track_caller]
pub fn says<T: Debug>(result: Result<T, HubError>, words: &[&str]) {
    let error = result.expect_err("no error").to_string();
    for word in words {
        assert!(error.contains(word), "`{word}` is not in: {error}");
    }
    assert_eq!(error.lines().count(), 1, "{error}");
}
