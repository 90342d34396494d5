//! Where the hub is, who asks, where files are kept: from the variables that Python's
//! `huggingface_hub` reads, resolved here and passed on.

use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::HubError;

const ENDPOINT: &str = "https://huggingface.co";

/// How to reach the hub.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The hub's address: `HF_ENDPOINT`, else `https://huggingface.co`.
    pub endpoint: String,
    /// Who asks: `HF_TOKEN`, else the file that `hf auth login` writes (`HF_TOKEN_PATH`, else
    /// `$HF_HOME/token`); none with `HF_HUB_DISABLE_IMPLICIT_TOKEN`.
    pub token: Option<Token>,
    /// The folder of the cache: `HF_HUB_CACHE`, else `$HF_HOME/hub`, where `HF_HOME` is
    /// `$XDG_CACHE_HOME/huggingface`, else `~/.cache/huggingface`.
    pub cache: PathBuf,
    /// Whether only the cache is asked: `HF_HUB_OFFLINE`.
    pub offline: bool,
    /// How long nothing may arrive before a connection counts as cut: `HF_HUB_DOWNLOAD_TIMEOUT`
    /// (seconds), else 30 s.
    pub patience: Duration,
    /// The longest pause before a request is made again; doubled each time. 0.5 s: five repetitions
    /// take up to 15 s.
    pub pause: Duration,
    /// Given words, without a line break, when an answer is long in coming. Nothing is told if left alone.
    pub notice: fn(&str),
}

/// The secret that tells the hub who asks. Its text is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    secret: String,
    origin: String,
}

impl Token {
    /// A token and where it came from: a variable or a file.
    ///
    /// # Errors
    ///
    /// If it holds what no token does: a line break, or other than visible ASCII.
    pub fn new(secret: &str, origin: impl Into<String>) -> Result<Self, HubError> {
        let origin = origin.into();
        if secret.is_empty() || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(HubError::TokenText { origin });
        }
        Ok(Self {
            secret: secret.into(),
            origin,
        })
    }

    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }

    /// The variable or file it came from.
    pub fn origin(&self) -> &str {
        &self.origin
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "the token of {}", self.origin)
    }
}

impl Settings {
    /// The settings that the process's environment gives.
    ///
    /// # Errors
    ///
    /// If a setting cannot be meant, the token's file cannot be read, or nothing says where the cache
    /// is.
    pub fn from_environment() -> Result<Self, HubError> {
        Self::resolve(
            |variable| std::env::var(variable).ok(),
            std::env::home_dir(),
        )
    }

    /// The settings that `variable` gives, a lookup by name; what is empty counts as not set.
    ///
    /// # Errors
    ///
    /// As [`Settings::from_environment`].
    pub fn resolve(
        variable: impl Fn(&str) -> Option<String>,
        home: Option<PathBuf>,
    ) -> Result<Self, HubError> {
        let variable = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let path = |name| variable(name).map(|value| expand(&value, home.as_ref()));
        let is_on = |name| {
            let value = variable(name).unwrap_or_default().to_uppercase();
            ["1", "ON", "YES", "TRUE"].contains(&value.as_str())
        };
        let folder = path("HF_HOME").or_else(|| {
            let cache = path("XDG_CACHE_HOME").or_else(|| Some(home.as_ref()?.join(".cache")))?;
            Some(cache.join("huggingface"))
        });
        let cache = path("HF_HUB_CACHE").or_else(|| path("HUGGINGFACE_HUB_CACHE"));
        let cache = cache
            .or_else(|| Some(folder.as_ref()?.join("hub")))
            .ok_or(HubError::NoCache)?;
        let file = path("HF_TOKEN_PATH").or_else(|| Some(folder?.join("token")));
        let token = match (is_on("HF_HUB_DISABLE_IMPLICIT_TOKEN"), variable("HF_TOKEN")) {
            (true, _) => None,
            (_, Some(secret)) => Some(Token::new(secret.trim(), "HF_TOKEN")?),
            _ => file.map(token_of).transpose()?.flatten(),
        };
        let patience = match variable("HF_HUB_DOWNLOAD_TIMEOUT") {
            Some(seconds) => match seconds.parse() {
                Ok(seconds @ 1..) => Duration::from_secs(seconds),
                _ => return Err(HubError::Timeout { seconds }),
            },
            None => Duration::from_secs(30),
        };
        let endpoint = variable("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.into());
        Ok(Self {
            endpoint: endpoint.trim_end_matches('/').into(),
            token,
            cache,
            offline: is_on("HF_HUB_OFFLINE"),
            patience,
            pause: Duration::from_millis(500),
            notice: |_| {},
        })
    }
}

/// A leading `~` is the home folder: in a file of variables no shell has replaced it.
fn expand(path: &str, home: Option<&PathBuf>) -> PathBuf {
    match (path.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => path.into(),
    }
}

fn token_of(path: PathBuf) -> Result<Option<Token>, HubError> {
    match fs::read_to_string(&path) {
        Ok(text) if text.trim().is_empty() => Ok(None),
        Ok(text) => Token::new(text.trim(), path.display().to_string()).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(HubError::File {
            doing: "read",
            path,
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(variables: &[(&str, &str)]) -> Result<Settings, HubError> {
        let lookup = |name: &str| {
            let pair = variables.iter().find(|(variable, _)| *variable == name)?;
            Some(pair.1.to_string())
        };
        Settings::resolve(lookup, Some("/home/me".into()))
    }

    #[test]
    fn without_variables_the_places_are_those_of_python() {
        let settings = resolve(&[]).unwrap();
        assert_eq!(settings.endpoint, "https://huggingface.co");
        assert_eq!(
            settings.cache,
            PathBuf::from("/home/me/.cache/huggingface/hub")
        );
        assert_eq!((settings.token, settings.offline), (None, false));
    }

    #[test]
    fn the_cache_is_where_the_most_specific_variable_says() {
        let variables = [
            ("HF_HUB_CACHE", "/cache"),
            ("HUGGINGFACE_HUB_CACHE", "/old"),
            ("HF_HOME", "~/hf"),
            ("XDG_CACHE_HOME", "/xdg"),
        ];
        let caches = ["/cache", "/old", "/home/me/hf/hub", "/xdg/huggingface/hub"];
        for (skipped, cache) in caches.iter().enumerate() {
            assert_eq!(
                resolve(&variables[skipped..]).unwrap().cache,
                PathBuf::from(cache)
            );
        }
        let nowhere = Settings::resolve(|_| None, None).unwrap_err();
        assert!(nowhere.to_string().contains("set HF_HOME"), "{nowhere}");
    }

    #[test]
    fn the_token_comes_from_the_variable_then_from_the_file_and_can_be_switched_off() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().to_str().unwrap();
        let token = |variables: &[(&str, &str)]| {
            let mut all = vec![("HF_HOME", home)];
            all.extend(variables);
            resolve(&all)
                .unwrap()
                .token
                .map(|token| (token.secret().to_string(), token.origin().to_string()))
        };
        assert_eq!(token(&[]), None);
        std::fs::write(format!("{home}/token"), "hf_file\n").unwrap();
        assert_eq!(
            token(&[]),
            Some(("hf_file".into(), format!("{home}/token")))
        );
        std::fs::write(format!("{home}/other"), "hf_other").unwrap();
        let other = format!("{home}/other");
        assert_eq!(token(&[("HF_TOKEN_PATH", &other)]).unwrap().0, "hf_other");
        assert_eq!(
            token(&[("HF_TOKEN", " hf_variable ")]).unwrap(),
            ("hf_variable".into(), "HF_TOKEN".into())
        );
        assert_eq!(
            token(&[
                ("HF_TOKEN", "hf_x"),
                ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "yes")
            ]),
            None
        );
    }

    #[test]
    fn a_token_that_no_header_can_carry_is_named_but_not_shown() {
        let error = resolve(&[("HF_TOKEN", "hf_secret\nX-Other: 1")])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("HF_TOKEN") && !error.contains("secret"),
            "{error}"
        );
        let token = Token::new("hf_secret", "HF_TOKEN").unwrap();
        assert_eq!(format!("{token:?}"), "the token of HF_TOKEN");
    }

    #[test]
    fn endpoint_offline_and_patience_are_read() {
        let settings = resolve(&[
            ("HF_ENDPOINT", "http://mirror/"),
            ("HF_HUB_OFFLINE", "True"),
            ("HF_HUB_DOWNLOAD_TIMEOUT", "7"),
        ]);
        let settings = settings.unwrap();
        assert_eq!(settings.endpoint, "http://mirror");
        assert!(settings.offline);
        assert_eq!(settings.patience, Duration::from_secs(7));
        assert!(!resolve(&[("HF_HUB_OFFLINE", "0")]).unwrap().offline);
        let error = resolve(&[("HF_HUB_DOWNLOAD_TIMEOUT", "soon")])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("HF_HUB_DOWNLOAD_TIMEOUT") && error.contains("soon"),
            "{error}"
        );
    }
}
