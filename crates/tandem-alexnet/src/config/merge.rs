//! Putting part of a configuration over a whole one, key by key.

use toml::{Table, Value};

use super::TrainConfig;
use crate::error::ConfigError;
use crate::nearest::{nearest, with_hint};
use crate::spec::Spec;

/// Keys that a configuration may leave out, and so lacks when it is written.
const OPTIONAL: [&str; 8] = [
    "checkpoint_every_steps",
    "early_stop_epochs",
    "measure_training",
    "licence",
    "start.origin",
    "start.sha256",
    "start_from",
    "train_pictures",
];

/// The table whose keys are layers.
const BY_LAYER: &str = "rate.layers.";

/// TOML text as a table.
pub(super) fn table(text: &str, origin: &str) -> Result<Table, ConfigError> {
    text.parse()
        .map_err(|error: toml::de::Error| syntax(origin, &error))
}

/// `a.b=value` as `{ a: { b: value } }`. A value that is not TOML is a string: nobody wants to
/// quote for the shell.
pub(super) fn setting(setting: &str) -> Result<Table, ConfigError> {
    let invalid = || ConfigError::Setting {
        setting: setting.to_owned(),
    };
    let (path, value) = setting.split_once('=').ok_or_else(invalid)?;
    let (path, value) = (path.trim(), value.trim());
    if path.split('.').any(str::is_empty) {
        return Err(invalid());
    }
    let parsed = format!("value = {value}").parse::<Table>().ok();
    // More than one key came of it if `value` held a line break.
    let parsed = parsed
        .filter(|table| table.len() == 1)
        .and_then(|mut table| table.remove("value"));
    let value = parsed.unwrap_or_else(|| Value::String(value.to_owned()));
    let nested = path.rsplit('.').fold(value, |inner, key| {
        Value::Table(Table::from_iter([(key.to_owned(), inner)]))
    });
    match nested {
        Value::Table(table) => Ok(table),
        _ => Err(invalid()),
    }
}

/// The value of `model`: a name, or a spec written out.
pub(super) fn model(value: Value, origin: &str) -> Result<Spec, ConfigError> {
    match value {
        Value::String(name) => Ok(Spec::named(&name)?),
        table => table.try_into().map_err(|error| syntax(origin, &error)),
    }
}

/// `base` with `over` put over it.
pub(super) fn merged(
    base: &TrainConfig,
    mut over: Table,
    origin: &str,
) -> Result<TrainConfig, ConfigError> {
    let spec = match over.remove("model") {
        // Keys of a model are not mixed with those of another: it is replaced as a whole.
        Some(value) => model(value, origin)?,
        None => base.model.clone(),
    };
    let mut whole =
        Table::try_from(base).expect("a checked configuration holds only what TOML can");
    whole.remove("model");
    let known = paths(&whole, "")
        .into_iter()
        .chain(OPTIONAL.map(str::to_owned))
        .collect::<Vec<_>>();
    put(&mut whole, over, "", &known, origin)?;
    whole.insert(
        "model".to_owned(),
        Value::Table(Table::try_from(&spec).expect("so does its spec")),
    );
    Value::Table(whole)
        .try_into()
        .map_err(|error| syntax(origin, &error))
}

fn put(
    whole: &mut Table,
    over: Table,
    above: &str,
    known: &[String],
    origin: &str,
) -> Result<(), ConfigError> {
    for (key, value) in over {
        let path = format!("{above}{key}");
        match (whole.get_mut(&key), value) {
            (Some(Value::Table(inner)), Value::Table(over)) => {
                put(inner, over, &format!("{path}."), known, origin)?;
            }
            // Layers are known to the model, not here.
            (None, _) if !known.contains(&path) && above != BY_LAYER => {
                return Err(unknown(&path, known, origin));
            }
            (_, value) => {
                whole.insert(key, value);
            }
        }
    }
    Ok(())
}

/// The dotted paths of all tables and values in `table`.
fn paths(table: &Table, above: &str) -> Vec<String> {
    let mut all = Vec::new();
    for (key, value) in table {
        let path = format!("{above}{key}");
        if let Value::Table(inner) = value {
            all.extend(paths(inner, &format!("{path}.")));
        }
        all.push(path);
    }
    all
}

fn unknown(path: &str, known: &[String], origin: &str) -> ConfigError {
    let last = |path: &'_ str| path.rsplit('.').next().unwrap_or_default().to_owned();
    // `momentum` for `sgd.momentum`, or a slip in the path as a whole.
    let same_key = known.iter().find(|candidate| last(candidate) == last(path));
    let near = same_key
        .map(String::as_str)
        .or_else(|| nearest(path, known.iter().map(String::as_str)));
    ConfigError::UnknownKey {
        origin: origin.to_owned(),
        key: path.to_owned(),
        hint: near.map_or_else(String::new, |near| format!("; did you mean `{near}`?")),
    }
}

fn syntax(origin: &str, error: &toml::de::Error) -> ConfigError {
    ConfigError::Syntax {
        origin: origin.to_owned(),
        message: with_hint(&error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A default as `docs/settings.md` writes it.
    fn written(value: &Value) -> String {
        match value {
            Value::String(word) => word.clone(),
            Value::Float(number) => number.to_string(),
            Value::Array(items) if items.is_empty() => "none".to_owned(),
            Value::Table(items) if items.is_empty() => "none".to_owned(),
            other => other.to_string(),
        }
    }

    fn defaults(table: &Table, above: &str, all: &mut BTreeMap<String, String>) {
        for (key, value) in table {
            let path = format!("{above}{key}");
            match value {
                Value::Table(inner) if !inner.is_empty() => {
                    defaults(inner, &format!("{path}."), all);
                }
                value => drop(all.insert(path, written(value))),
            }
        }
    }

    #[test]
    fn the_documentation_has_every_setting_with_its_default() {
        let config = TrainConfig::for_model(Spec::preset("alexnet").unwrap()).unwrap();
        let mut whole = Table::try_from(&config).unwrap();
        whole.insert("model".to_owned(), Value::String("mini".to_owned()));
        let mut wanted = BTreeMap::new();
        defaults(&whole, "", &mut wanted);
        for key in OPTIONAL {
            let absent = if key == "train_pictures" {
                "all"
            } else {
                "none"
            };
            wanted.insert(key.to_owned(), absent.to_owned());
        }
        let rows = include_str!("../../../../docs/settings.md").lines();
        let found: BTreeMap<_, _> = rows
            .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
            .map(|(key, rest)| {
                let default = rest.split(" |").next().unwrap_or_default();
                let default = default.trim_matches(['(', ')']).trim_matches('`');
                (key.to_owned(), default.to_owned())
            })
            .collect();
        assert_eq!(found, wanted);
    }
}
