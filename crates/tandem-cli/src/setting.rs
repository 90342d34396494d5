//! `--set key=value`: one setting over a table of them.

use std::str::FromStr;

use anyhow::{Result, bail};
use toml::{Table, Value};

/// A dotted key and a value, such as `schedule.factor=0.1`.
///
/// The value is read as TOML (`0.01`, `true`, `[1, 2]`, `"text"`), and as plain text where it is
/// not TOML, so that `model=alexnet` needs no quotes a shell would eat.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    pub key: String,
    pub value: Value,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((key, value)) = text.split_once('=') else {
            return Err("expected KEY=VALUE, such as learning_rate=0.02".to_owned());
        };
        let key = key.trim();
        if key.split('.').any(|part| part.is_empty()) {
            return Err(format!(
                "`{key}` is not a key; expected KEY=VALUE, such as learning_rate=0.02"
            ));
        }
        let value = value.trim();
        let parsed = format!("value = {value}").parse::<Table>();
        let value = match parsed {
            Ok(mut table) if table.len() == 1 => table
                .remove("value")
                .unwrap_or_else(|| Value::String(value.to_owned())),
            _ => Value::String(value.to_owned()),
        };
        Ok(Self {
            key: key.to_owned(),
            value,
        })
    }
}

impl Setting {
    /// Puts the value into `table`, making the tables its key names on the way.
    ///
    /// Fails when a name on the way already holds something that is not a table.
    pub fn put_into(self, table: &mut Table) -> Result<()> {
        let mut parts: Vec<&str> = self.key.split('.').collect();
        let last = parts.pop().expect("split gives at least one part");
        let mut inner = table;
        for part in parts {
            let entry = inner
                .entry(part)
                .or_insert_with(|| Value::Table(Table::new()));
            match entry {
                Value::Table(next) => inner = next,
                _ => bail!(
                    "--set {}: `{part}` is a value, not a table of settings",
                    self.key
                ),
            }
        }
        inner.insert(last.to_owned(), self.value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(text: &str) -> Setting {
        text.parse().unwrap()
    }

    #[test]
    fn a_value_is_toml_where_it_can_be_and_text_elsewhere() {
        assert_eq!(setting("rate=0.02").value, Value::Float(0.02));
        assert_eq!(setting("batch = 64").value, Value::Integer(64));
        assert_eq!(setting("mirror=true").value, Value::Boolean(true));
        assert_eq!(
            setting("model=alexnet").value,
            Value::String("alexnet".into())
        );
        assert_eq!(setting("model=\"a b\"").value, Value::String("a b".into()));
        assert_eq!(setting("out=a=b").value, Value::String("a=b".into()));
        assert_eq!(
            setting("devices=cpu,cpu").value,
            Value::String("cpu,cpu".into())
        );
        assert_eq!(
            setting("steps=[1, 2]").value,
            Value::Array(vec![1.into(), 2.into()])
        );
    }

    #[test]
    fn a_value_cannot_smuggle_in_a_second_key() {
        let text = "a=1\nb = 2";
        assert_eq!(setting(text).value, Value::String("1\nb = 2".into()));
    }

    #[test]
    fn what_is_not_key_and_value_is_refused() {
        for text in ["rate", "=1", "a..b=1", ".a=1"] {
            assert!(
                text.parse::<Setting>().unwrap_err().contains("KEY=VALUE"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_dotted_key_reaches_into_tables() {
        let mut table: Table = "[schedule]\nkind = \"plateau\"".parse().unwrap();
        setting("schedule.factor=0.1").put_into(&mut table).unwrap();
        setting("augment.colour=off").put_into(&mut table).unwrap();
        assert_eq!(table["schedule"]["kind"].as_str(), Some("plateau"));
        assert_eq!(table["schedule"]["factor"].as_float(), Some(0.1));
        assert_eq!(table["augment"]["colour"].as_str(), Some("off"));
        let error = setting("schedule.kind.x=1")
            .put_into(&mut table)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "--set schedule.kind.x: `kind` is a value, not a table of settings"
        );
    }
}
