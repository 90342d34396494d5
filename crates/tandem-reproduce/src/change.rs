//! One change to a network: layers left out, or other values in them.

use std::collections::BTreeMap;

use serde::Deserialize;
use tandem_alexnet::spec::Spec;
use toml::{Table, Value};

use crate::error::ReproduceError;

const INPUT: &str = "input";

/// What an arm of an experiment changes of the network.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Which layers, by `name` or by `kind`; `input` is what stands before them all.
    pub layers: Vec<String>,
    /// Leaves them out.
    #[serde(default)]
    pub remove: bool,
    /// New values of their keys.
    #[serde(default)]
    pub set: Table,
    /// Whole numbers among their keys are multiplied and rounded.
    #[serde(default)]
    pub times: BTreeMap<String, f64>,
    /// Layers of these keys that come right behind the last of them.
    #[serde(default)]
    pub then: Vec<Table>,
}

impl Change {
    /// `spec`, changed. A change that finds no layer is an error: nothing would be compared.
    pub fn apply(&self, spec: &Spec) -> Result<Spec, ReproduceError> {
        let refused = |source| ReproduceError::Change {
            network: spec.name.clone(),
            layers: self.layers.join(", "),
            source: Box::new(source),
        };
        let Value::Table(mut whole) = Value::try_from(spec).expect("a checked spec is TOML") else {
            unreachable!("a spec is a table")
        };
        if self.layers.iter().any(|layer| layer == INPUT) {
            let input = whole.get_mut(INPUT).and_then(Value::as_table_mut);
            input.expect("a spec has an input").extend(self.set.clone());
            let text = toml::to_string(&whole).expect("a table of TOML's values");
            return Spec::parse(&text).map_err(refused);
        }
        let layers = whole.get_mut("layer").and_then(Value::as_array_mut);
        let layers = layers.expect("a spec has layers");
        let mut found = None;
        let mut kept = Vec::new();
        for mut layer in std::mem::take(layers) {
            let table = layer.as_table_mut().expect("a layer is a table");
            if self.means(table) {
                for (key, value) in &self.set {
                    table.insert(key.clone(), value.clone());
                }
                for (key, factor) in &self.times {
                    if let Some(Value::Integer(value)) = table.get_mut(key) {
                        *value = (*value as f64 * factor).round() as i64;
                    }
                }
                if !self.remove {
                    kept.push(layer);
                }
                found = Some(kept.len());
            } else {
                kept.push(layer);
            }
        }
        let after = found.ok_or_else(|| ReproduceError::NoSuchLayer {
            network: spec.name.clone(),
            layers: self.layers.join(" or "),
        })?;
        let new = self.then.iter().cloned().map(Value::Table);
        kept.splice(after..after, new);
        *layers = kept;
        let text = toml::to_string(&whole).expect("a table of TOML's values");
        Spec::parse(&text).map_err(refused)
    }

    fn means(&self, layer: &Table) -> bool {
        ["name", "kind"].iter().any(|key| {
            let word = layer.get(*key).and_then(Value::as_str);
            word.is_some_and(|word| self.layers.iter().any(|wanted| wanted == word))
        })
    }
}

#[cfg(test)]
mod tests {
    use tandem_alexnet::spec::Layer;

    use super::*;

    fn changed(text: &str) -> Result<Spec, ReproduceError> {
        let change: Change = toml::from_str(text).unwrap();
        change.apply(&Spec::preset("mini").unwrap())
    }

    #[test]
    fn layers_of_a_kind_are_left_out() {
        let spec = changed("layers = ['lrn']\nremove = true").unwrap();
        assert_eq!(
            spec.layers.len(),
            Spec::preset("mini").unwrap().layers.len() - 2
        );
        assert!(spec.layers.iter().all(|layer| layer.kind() != "lrn"));
    }

    #[test]
    fn values_are_set_and_multiplied_in_the_layers_named() {
        let spec = changed(
            "layers = ['conv1', 'conv3']\nset = { activation = 'tanh' }\ntimes = { channels = 0.5 }",
        )
        .unwrap();
        let channels = spec.layers.iter().filter_map(|layer| match layer {
            Layer::Convolution(layer) => Some((layer.channels, format!("{:?}", layer.activation))),
            _ => None,
        });
        let wanted = [(16, "Tanh"), (64, "Relu"), (48, "Tanh"), (64, "Relu")];
        assert!(channels.eq(wanted.map(|(n, word)| (n, word.to_owned()))));
    }

    #[test]
    fn the_input_is_changed_as_a_layer_is() {
        let spec = changed("layers = ['input']\nset = { side = 40 }").unwrap();
        assert_eq!((spec.input.side, spec.input.crop), (40, 28));
    }

    #[test]
    fn layers_are_put_behind_those_named() {
        let spec = changed(
            "layers = ['fc5']\nthen = [{ kind = 'linear', name = 'more', channels = 64, sees = 'both', towers = 2 }]",
        )
        .unwrap();
        let at = spec
            .layers
            .iter()
            .position(|layer| layer.name() == Some("fc5"))
            .unwrap();
        assert_eq!(spec.layers[at + 1].name(), Some("more"));
    }

    #[test]
    fn a_change_that_changes_nothing_is_refused() {
        let error = changed("layers = ['conv9']\nremove = true")
            .unwrap_err()
            .to_string();
        assert!(error.contains("conv9") && error.contains("mini"), "{error}");
    }

    #[test]
    fn a_change_that_leaves_no_network_says_why() {
        let error = changed("layers = ['fc6']\nremove = true")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("fc6") && error.contains("last layer"),
            "{error}"
        );
    }
}
