//! Where pictures and weights from the Hugging Face hub are kept, and whether there is a token.
//!
//! The rules are huggingface_hub's (its "Environment variables" page), so that both share a cache.

use std::path::PathBuf;

use serde::Serialize;

use super::Machine;

#[derive(Debug, Serialize)]
pub(super) struct Cache {
    /// HF_HOME: what the hub's tools keep of themselves.
    home: Option<PathBuf>,
    /// HF_HUB_CACHE: what was downloaded.
    hub: Option<PathBuf>,
    hub_exists: bool,
    /// Where a token was found, never the token.
    token: Option<String>,
}

impl Cache {
    pub(super) fn of(machine: &Machine) -> Self {
        let home = home(machine);
        let hub = ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"]
            .into_iter()
            .find_map(|name| machine.variable(name))
            .map(|path| expanded(machine, path.into()))
            .or_else(|| Some(home.as_ref()?.join("hub")));
        Self {
            hub_exists: hub.as_ref().is_some_and(|hub| machine.at(hub).is_dir()),
            token: token(machine, home.as_ref()),
            home,
            hub,
        }
    }

    pub(super) fn lines(&self) -> Vec<(&'static str, String)> {
        let path = |path: &Option<PathBuf>| {
            path.as_ref().map_or(
                "not known: neither HF_HOME nor HOME is set".to_owned(),
                |p| p.display().to_string(),
            )
        };
        let made = if self.hub_exists || self.hub.is_none() {
            ""
        } else {
            " (made when first needed)"
        };
        let token = match &self.token {
            Some(place) => format!("present, {place}"),
            None => "none; only private or gated repositories need one (HF_TOKEN)".to_owned(),
        };
        vec![
            ("home", path(&self.home)),
            ("cache", path(&self.hub) + made),
            ("token", token),
        ]
    }
}

fn home(machine: &Machine) -> Option<PathBuf> {
    if let Some(home) = machine.variable("HF_HOME") {
        return Some(expanded(machine, home.into()));
    }
    let cache = match machine.variable("XDG_CACHE_HOME") {
        Some(cache) => PathBuf::from(cache),
        None => user_home(machine)?.join(".cache"),
    };
    Some(cache.join("huggingface"))
}

fn user_home(machine: &Machine) -> Option<PathBuf> {
    ["HOME", "USERPROFILE"]
        .into_iter()
        .find_map(|name| machine.variable(name))
        .map(PathBuf::from)
}

/// `~/x` as a shell would have it: a value from a settings file has not been through one.
fn expanded(machine: &Machine, path: PathBuf) -> PathBuf {
    match (path.strip_prefix("~"), user_home(machine)) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path,
    }
}

/// The place is all that is looked at: a file that is there and not empty, its contents unread.
fn token(machine: &Machine, home: Option<&PathBuf>) -> Option<String> {
    if let Some(name) = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]
        .into_iter()
        .find(|name| machine.variable(name).is_some())
    {
        return Some(format!("in {name}"));
    }
    let file = match machine.variable("HF_TOKEN_PATH") {
        Some(file) => expanded(machine, file.into()),
        None => home?.join("token"),
    };
    let there =
        std::fs::metadata(machine.at(&file)).is_ok_and(|file| file.is_file() && file.len() > 0);
    there.then(|| format!("in {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::super::tests::machine;
    use super::*;

    #[test]
    fn without_settings_the_cache_is_in_the_home_folder() {
        let (_folder, machine) = machine(&[], |name| (name == "HOME").then(|| "/home/ada".into()));
        let cache = Cache::of(&machine);
        assert_eq!(cache.hub, Some("/home/ada/.cache/huggingface/hub".into()));
        assert_eq!((cache.hub_exists, cache.token), (false, None));
    }

    #[test]
    fn the_nearest_setting_wins() {
        let settings = |name: &str| match name {
            "HOME" => Some("/home/ada".into()),
            "XDG_CACHE_HOME" => Some("/scratch".into()),
            "HF_HOME" => Some("~/hf".into()),
            _ => None,
        };
        let (_folder, machine) = machine(
            &[("/home/ada/hf/hub/a", ""), ("/home/ada/hf/token", "secret")],
            settings,
        );
        let cache = Cache::of(&machine);
        assert_eq!(
            (cache.home, cache.hub_exists),
            (Some("/home/ada/hf".into()), true)
        );
        assert_eq!(cache.token.as_deref(), Some("in /home/ada/hf/token"));

        let (_folder, machine) = super::super::tests::machine(&[], |name| {
            (name == "HF_HUB_CACHE").then(|| "/data/hub".into())
        });
        assert_eq!(Cache::of(&machine).hub, Some("/data/hub".into()));
    }

    #[test]
    fn an_empty_token_file_is_no_token() {
        let (_folder, machine) = machine(&[("/hf/token", "")], |name| {
            (name == "HF_HOME").then(|| "/hf".into())
        });
        assert_eq!(Cache::of(&machine).token, None);
    }
}
