//! What a run starts from: the paper's random values (Section 5), or the weights of another run
//! wherever it has a parameter of the same name and shape (the pretrained nets of Section 6.1).

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Tensor;

use crate::error::{NetworkError, StartError};
use crate::parameters;
use crate::spec::{Layer, Spec};
use crate::weights::Weights;

/// The values by canonical name that a network of `spec` starts from.
///
/// With weights in the file `from`, the parameters that it has in the same shape; the rest is drawn from
/// `seed` as without them. The last layer is taken only if it tells the same `classes` apart.
///
/// # Errors
///
/// When the file is not a network's, or has not one parameter in common with `spec`.
pub fn values(
    spec: &Spec,
    classes: &[String],
    seed: u64,
    from: Option<&Path>,
) -> Result<BTreeMap<String, Tensor>, StartError> {
    let mut given = match from {
        Some(path) => {
            let mut weights = Weights::read(path)?;
            if weights.classes != classes
                && let Some(last) = weights.spec.layers.last().and_then(Layer::name)
            {
                let last = format!("{last}.");
                weights
                    .parameters
                    .retain(|name, _| !name.starts_with(&last));
            }
            weights.parameters
        }
        None => BTreeMap::new(),
    };
    let mut values = BTreeMap::new();
    let mut taken = 0;
    for parameter in parameters::of(spec).map_err(NetworkError::from)? {
        let fits = |tensor: &Tensor| tensor.dims() == parameter.shape;
        let value = match given.remove(&parameter.name).filter(fits) {
            Some(tensor) => {
                taken += 1;
                tensor
            }
            None => parameter.initial_values(seed).map_err(NetworkError::from)?,
        };
        values.insert(parameter.name, value);
    }
    match from {
        Some(path) if taken == 0 => Err(StartError::NothingInCommon {
            path: path.to_owned(),
            network: spec.name.clone(),
        }),
        _ => Ok(values),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(spec: &Spec, word: &str) -> Vec<String> {
        (0..spec.classes)
            .map(|class| format!("{word} {class}"))
            .collect()
    }

    fn weights(spec: &Spec, seed: u64) -> Weights {
        Weights {
            spec: spec.clone(),
            classes: names(spec, "class"),
            step: 1,
            epoch: 1,
            origin: None,
            licence: None,
            mean: None,
            parameters: values(spec, &[], seed, None).unwrap(),
        }
    }

    fn sum(tensor: &Tensor) -> f32 {
        tensor.sum_all().unwrap().to_scalar().unwrap()
    }

    #[test]
    fn the_trunk_is_taken_and_the_last_layer_drawn_where_the_classes_differ() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let spec = Spec::preset("mini").unwrap().for_data(10, 1).unwrap();
        let source = weights(&spec, 1);
        let mut bytes = Vec::new();
        source.write(&mut bytes).unwrap();
        std::fs::write(&path, bytes).unwrap();

        // As many classes, but others.
        let started = values(&spec, &names(&spec, "other"), 2, Some(&path)).unwrap();
        let drawn = values(&spec, &[], 2, None).unwrap();
        for (name, value) in &started {
            let from = match name.starts_with("fc6") {
                true => &drawn,
                false => &source.parameters,
            };
            assert_eq!(sum(value), sum(&from[name]), "{name}");
        }
        let same = values(&spec, &source.classes, 2, Some(&path)).unwrap();
        assert_eq!(
            sum(&same["fc6.weight"]),
            sum(&source.parameters["fc6.weight"])
        );
        let fewer = spec.for_data(7, 1).unwrap();
        let started = values(&fewer, &names(&fewer, "class"), 2, Some(&path)).unwrap();
        assert_eq!(started["fc6.weight"].dims(), [7, 256]);
    }

    #[test]
    fn weights_of_quite_another_network_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let mini = Spec::preset("mini").unwrap();
        let mut bytes = Vec::new();
        weights(&mini, 1).write(&mut bytes).unwrap();
        std::fs::write(&path, bytes).unwrap();
        let text = mini.to_toml().replace("name = \"conv", "name = \"other");
        let text = text.replace("name = \"fc", "name = \"full");
        let other = Spec::parse(&text).unwrap();
        let error = values(&other, &[], 2, Some(&path)).unwrap_err().to_string();
        assert!(
            error.contains("w.safetensors") && error.contains("mini"),
            "{error}"
        );
    }
}
