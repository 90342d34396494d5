//! Which layers learn and how fast: some frozen, others at a multiple of the run's rate.
//!
//! A frozen layer keeps its bytes: it is not updated, decayed or differentiated. The frozen layers
//! before the first that learns are the trunk. It is a fixed function, computed as at test (dropout
//! off); nothing is remembered of it for the way back, which ends at the first layer that learns.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use crate::nearest::hint;
use crate::spec::{Layer, Spec};

/// A multiple of the run's rate: `10x`, in TOML also `10.0`. Positive.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Factor(f64);

/// A multiple that is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("`{0}` is no multiple of the rate: say 10x for ten times as fast, 0.1x for a tenth")]
pub struct FactorError(String);

impl Factor {
    /// # Errors
    /// When `times` is not a positive number. A rate of zero is said by freezing.
    pub fn new(times: f64) -> Result<Self, FactorError> {
        match times > 0.0 && times.is_finite() {
            true => Ok(Self(times)),
            false => Err(FactorError(times.to_string())),
        }
    }

    pub fn times(self) -> f64 {
        self.0
    }
}

impl FromStr for Factor {
    type Err = FactorError;

    /// Reads `10x`. A bare number is refused: it could as well be meant as a rate.
    fn from_str(text: &str) -> Result<Self, FactorError> {
        let refused = || FactorError(text.to_owned());
        let digits = text.trim().strip_suffix('x').ok_or_else(refused)?;
        Self::new(digits.parse().map_err(|_| refused())?).map_err(|_| refused())
    }
}

impl<'de> Deserialize<'de> for Factor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a multiple of the rate: 10.0 or \"10x\"")]
        enum Written {
            Number(f64),
            Text(String),
        }
        let factor = match Written::deserialize(deserializer)? {
            Written::Number(times) => Self::new(times),
            Written::Text(text) => text.parse(),
        };
        factor.map_err(serde::de::Error::custom)
    }
}

/// Layers that cannot be frozen or given a rate as asked.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TuningError {
    #[error("`{name}` is no layer with weights of `{network}`; those are {known}{hint}")]
    UnknownLayer {
        name: String,
        network: String,
        known: String,
        hint: String,
    },
    #[error("`{from}..{to}` is the wrong way round: say {to}..{from}")]
    Reversed { from: String, to: String },
    #[error("every layer of `{network}` is frozen, and nothing would be learned: leave out {last}")]
    EverythingFrozen { network: String, last: String },
    #[error("{layer} has two rates, by `{first}` and by `{second}`: say one")]
    TwoRates {
        layer: String,
        first: String,
        second: String,
    },
    #[error("{layer} is frozen and has a rate, by `{by}`: say one")]
    RateOfFrozen { layer: String, by: String },
}

/// How each layer of a network learns.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuning {
    /// For each layer of the spec the multiple of its rate; none where it is frozen.
    factors: Vec<Option<f64>>,
    /// Place of the first layer that learns.
    first: usize,
    /// Layers of the trunk.
    trunk: usize,
}

impl Tuning {
    /// Every layer of `spec` at the run's own rate.
    pub fn everything(spec: &Spec) -> Self {
        Self::from_factors(vec![Some(1.0); spec.layers.len()], spec)
    }

    /// `frozen` layers and `rates` by layer of `spec`: each a name as `conv1`, or a range as
    /// `conv1..conv5`, both ends included.
    ///
    /// # Errors
    /// See [`TuningError`].
    pub fn of(
        spec: &Spec,
        frozen: &[String],
        rates: &BTreeMap<String, Factor>,
    ) -> Result<Self, TuningError> {
        let mut factors = vec![Some(1.0); spec.layers.len()];
        for selection in frozen {
            factors[selected(spec, selection)?].fill(None);
        }
        let mut rated: Vec<Option<&str>> = vec![None; spec.layers.len()];
        for (selection, factor) in rates {
            for layer in weighted(spec, selected(spec, selection)?) {
                let (name, by) = (spec.layer_name(layer), selection.clone());
                if let Some(first) = rated[layer].replace(selection) {
                    return Err(TuningError::TwoRates {
                        layer: name,
                        first: first.to_owned(),
                        second: by,
                    });
                }
                match &mut factors[layer] {
                    Some(rate) => *rate = factor.times(),
                    None => return Err(TuningError::RateOfFrozen { layer: name, by }),
                }
            }
        }
        if weighted(spec, 0..=spec.layers.len() - 1).all(|layer| factors[layer].is_none()) {
            return Err(TuningError::EverythingFrozen {
                network: spec.name.clone(),
                last: spec.layer_name(spec.layers.len() - 1),
            });
        }
        Ok(Self::from_factors(factors, spec))
    }

    fn from_factors(factors: Vec<Option<f64>>, spec: &Spec) -> Self {
        let mut layers = weighted(spec, 0..=spec.layers.len() - 1);
        let first = layers.find(|&layer| factors[layer].is_some());
        let first = first.expect("the last layer has weights, and callers froze not everything");
        // Dropout before the first layer that learns regularises what is learned.
        let dropout = |layer: &&Layer| matches!(layer, Layer::Dropout(_));
        let held = spec.layers[..first].iter().rev().take_while(dropout);
        let trunk = first - held.count();
        Self {
            factors,
            first,
            trunk,
        }
    }

    /// The multiple of the run's rate that layer `layer` learns at; none where it is frozen.
    pub fn factor(&self, layer: usize) -> Option<f64> {
        self.factors[layer]
    }

    /// The place of the first layer that learns.
    pub fn first(&self) -> usize {
        self.first
    }

    /// How many layers, from the picture on, are a fixed function: the trunk.
    pub fn trunk(&self) -> usize {
        self.trunk
    }

    /// Whether any layer with weights of `spec` is frozen before the first that learns.
    pub fn freezes_trunk(&self, spec: &Spec) -> bool {
        spec.layers[..self.trunk]
            .iter()
            .any(|layer| layer.name().is_some())
    }
}

/// The places with weights among `places`.
fn weighted(spec: &Spec, places: RangeInclusive<usize>) -> impl Iterator<Item = usize> {
    places.filter(move |&layer| spec.layers[layer].name().is_some())
}

/// The layers that `selection` names: `conv1`, or `conv1..conv5`.
pub fn selected(spec: &Spec, selection: &str) -> Result<RangeInclusive<usize>, TuningError> {
    let place = |name: &str| {
        let named: Vec<&str> = spec.layers.iter().filter_map(Layer::name).collect();
        let found = spec
            .layers
            .iter()
            .position(|layer| layer.name() == Some(name));
        found.ok_or_else(|| TuningError::UnknownLayer {
            name: name.to_owned(),
            network: spec.name.clone(),
            hint: hint(name, named.iter().copied()),
            known: named.join(", "),
        })
    };
    let Some((from, to)) = selection.split_once("..") else {
        let one = place(selection.trim())?;
        return Ok(one..=one);
    };
    let (from, to) = (from.trim(), to.trim());
    let (start, end) = (place(from)?, place(to)?);
    if start > end {
        return Err(TuningError::Reversed {
            from: from.to_owned(),
            to: to.to_owned(),
        });
    }
    Ok(start..=end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuning(frozen: &[&str], rates: &[(&str, f64)]) -> Result<Tuning, TuningError> {
        let frozen: Vec<String> = frozen.iter().map(|&name| name.to_owned()).collect();
        let rates = rates
            .iter()
            .map(|&(name, times)| (name.to_owned(), Factor::new(times).unwrap()));
        Tuning::of(&alexnet(), &frozen, &rates.collect())
    }

    fn alexnet() -> Spec {
        Spec::preset("alexnet").unwrap()
    }

    fn place(name: &str) -> usize {
        alexnet().layer_named(name).unwrap()
    }

    #[test]
    fn a_range_freezes_both_its_ends_and_all_between() {
        let tuned = tuning(&["conv2..conv4", "fc7"], &[("fc8", 10.0)]).unwrap();
        for (name, factor) in [
            ("conv1", Some(1.0)),
            ("conv2", None),
            ("conv3", None),
            ("conv4", None),
            ("conv5", Some(1.0)),
            ("fc6", Some(1.0)),
            ("fc7", None),
            ("fc8", Some(10.0)),
        ] {
            assert_eq!(tuned.factor(place(name)), factor, "{name}");
        }
        assert_eq!((tuned.first(), tuned.trunk()), (0, 0));
        assert!(!tuned.freezes_trunk(&alexnet()));
    }

    #[test]
    fn the_trunk_ends_before_the_dropout_of_the_first_layer_that_learns() {
        let tuned = tuning(&["conv1..conv5"], &[]).unwrap();
        assert_eq!(tuned.first(), place("fc6"));
        assert_eq!(tuned.trunk(), place("fc6"), "fc6 has no dropout before it");
        let probe = tuning(&["conv1..fc7"], &[]).unwrap();
        assert_eq!(probe.first(), place("fc8"));
        assert_eq!(probe.trunk(), place("fc7") + 1);
        assert!(probe.freezes_trunk(&alexnet()));
        assert_eq!(Tuning::everything(&alexnet()).trunk(), 0);
    }

    #[test]
    fn what_cannot_be_meant_is_named_with_what_is_near() {
        let says = |error: TuningError, words: &str| {
            assert!(error.to_string().contains(words), "{error}");
        };
        says(tuning(&["cov1"], &[]).unwrap_err(), "did you mean `conv1`?");
        says(
            tuning(&["conv5..conv1"], &[]).unwrap_err(),
            "say conv1..conv5",
        );
        says(tuning(&["conv1.."], &[]).unwrap_err(), "`` is no layer");
        says(tuning(&["conv1..fc8"], &[]).unwrap_err(), "leave out fc8");
        says(
            tuning(&["fc7"], &[("fc6..fc8", 2.0)]).unwrap_err(),
            "fc7 is frozen",
        );
        says(
            tuning(&[], &[("fc6..fc8", 2.0), ("fc7", 3.0)]).unwrap_err(),
            "fc7 has two rates",
        );
        says(tuning(&[], &[("conv1/lrn", 2.0)]).unwrap_err(), "no layer");
    }

    #[test]
    fn a_multiple_is_a_positive_number_and_an_x() {
        assert_eq!("10x".parse(), Factor::new(10.0));
        assert_eq!(" 0.5x".parse(), Factor::new(0.5));
        for wrong in ["10", "x", "tenx", "0x", "-1x", "nanx", "infx", ""] {
            let error = wrong.parse::<Factor>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{wrong}`")), "{error}");
        }
    }
}
