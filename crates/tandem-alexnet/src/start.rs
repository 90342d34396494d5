//! What a run starts from: the paper's random values (Section 5), or the weights of another run
//! wherever it has a parameter of the same name and shape (the pretrained nets of Section 6.1).

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor};

use crate::config::{LastLayer, MeanOf, TrainConfig};
use crate::error::{NetworkError, StartError, WeightsError};
use crate::nearest::nearest;
use crate::parameters;
use crate::spec::{Layer, Normalise, Spec};
use crate::weights::Weights;

/// What a run begins with.
pub struct Start {
    /// By canonical name, of the network's shapes.
    pub values: BTreeMap<String, Tensor>,
    /// (C, side, side), where the mean of the weights is to be subtracted.
    pub mean: Option<Tensor>,
    /// Of a start from weights the layers that they give nothing for, by their places in the spec.
    pub anew: Vec<usize>,
}

/// What a network of `spec` that tells `classes` apart begins with, as `config` says.
///
/// Of `source`, the weights that `config.start_from` names, those parameters are taken that have the same
/// name and shape; the rest is drawn from the seed as without them. The last layer follows
/// `config.start.last_layer`.
///
/// # Errors
///
/// When there are such weights and they are not given, or the other way round; when they have not one
/// parameter in common with `spec`, not the classes whose rows are to be kept, nothing for a layer that
/// is frozen, or no mean that suits.
pub fn start(
    spec: &Spec,
    classes: &[String],
    config: &TrainConfig,
    source: Option<&Weights>,
) -> Result<Start, StartError> {
    let seed = config.seed;
    let (path, weights) = match (&config.start_from, source) {
        (Some(path), Some(weights)) => (path, weights),
        (Some(path), None) => return Err(StartError::NotGiven { path: path.clone() }),
        (None, Some(_)) => return Err(StartError::NotNamed),
        (None, None) => {
            return Ok(Start {
                values: drawn(spec, seed, BTreeMap::new())?.0,
                mean: None,
                anew: Vec::new(),
            });
        }
    };
    if let [class] = classes {
        return Err(StartError::OneClass {
            path: path.clone(),
            class: class.clone(),
        });
    }
    let mean = match (config.start.mean, spec.input.normalise) {
        (MeanOf::Weights, Normalise::Mean) => Some(mean(weights, spec, path)?),
        _ => None,
    };
    let mut given = weights.parameters.clone();
    if let Some(last) = weights.spec.layers.last().and_then(Layer::name) {
        let names = ["weight", "bias"].map(|role| format!("{last}.{role}"));
        match config.start.last_layer {
            LastLayer::IfSameClasses if weights.classes == classes => {}
            LastLayer::IfSameClasses => {
                for name in &names {
                    given.remove(name);
                }
            }
            LastLayer::RowsByName => {
                let rows = rows(classes, &weights.classes, path)?;
                let rows = Tensor::from_vec(rows, classes.len(), &Device::Cpu);
                let rows = rows.map_err(NetworkError::from)?;
                for name in &names {
                    if let Some(whole) = given.get_mut(name) {
                        let kept = whole.index_select(&rows, 0);
                        *whole = kept.map_err(NetworkError::from)?;
                    }
                }
            }
        }
    }
    let (values, mut anew) = drawn(spec, seed, given)?;
    if anew.len() == values.len() {
        return Err(StartError::NothingInCommon {
            path: path.clone(),
            network: spec.name.clone(),
        });
    }
    let tuning = config.tuning(spec)?;
    match anew.iter().find(|&&layer| tuning.factor(layer).is_none()) {
        Some(&layer) => Err(StartError::FrozenAnew {
            path: path.clone(),
            layer: spec.layer_name(layer),
        }),
        None => {
            anew.dedup();
            Ok(Start { values, mean, anew })
        }
    }
}

/// The parameters of `spec`: those `given` that fit, the others drawn; and the layer of each that was
/// drawn.
fn drawn(
    spec: &Spec,
    seed: u64,
    mut given: BTreeMap<String, Tensor>,
) -> Result<(BTreeMap<String, Tensor>, Vec<usize>), NetworkError> {
    let mut values = BTreeMap::new();
    let mut anew = Vec::new();
    for parameter in parameters::of(spec)? {
        let fits = |tensor: &Tensor| tensor.dims() == parameter.shape;
        let value = match given.remove(&parameter.name).filter(fits) {
            Some(tensor) => tensor,
            None => {
                anew.push(parameter.layer);
                parameter.initial_values(seed)?
            }
        };
        values.insert(parameter.name, value);
    }
    Ok((values, anew))
}

/// For each of `classes` its row among those `known` to the weights at `path`.
fn rows(classes: &[String], known: &[String], path: &Path) -> Result<Vec<u32>, StartError> {
    let place = |class: &String| known.iter().position(|name| name == class);
    let missing: Vec<String> = classes
        .iter()
        .filter(|class| place(class).is_none())
        .map(|class| {
            let near = nearest(class, known.iter().map(String::as_str));
            near.map_or(format!("`{class}`"), |near| {
                format!("`{class}` (it has `{near}`)")
            })
        })
        .collect();
    if !missing.is_empty() {
        let mut numbers = known.iter().enumerate();
        return Err(StartError::NoSuchClasses {
            path: path.to_owned(),
            missing,
            numbered: numbers.all(|(number, class)| *class == number.to_string()),
        });
    }
    // At most MAX_CLASSES.
    Ok(classes
        .iter()
        .filter_map(place)
        .map(|row| row as u32)
        .collect())
}

fn mean(weights: &Weights, spec: &Spec, path: &Path) -> Result<Tensor, StartError> {
    let mean = weights.mean.clone().ok_or_else(|| WeightsError::NoMean {
        path: path.to_owned(),
    })?;
    let side = spec.input.side;
    let wanted = vec![spec.input_channels(), side, side];
    if mean.dims() != wanted {
        return Err(StartError::MeanOfAnotherShape {
            path: path.to_owned(),
            network: spec.name.clone(),
            found: mean.dims().to_vec(),
            wanted,
        });
    }
    Ok(mean)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn names(spec: &Spec, word: &str) -> Vec<String> {
        (0..spec.classes)
            .map(|class| format!("{word} {class}"))
            .collect()
    }

    fn mini(classes: usize) -> Spec {
        Spec::preset("mini").unwrap().for_data(classes, 1).unwrap()
    }

    fn config(seed: u64, from: Option<&Path>, last_layer: LastLayer) -> TrainConfig {
        let mut config = TrainConfig::resolve(None, None).unwrap();
        config.seed = seed;
        config.start_from = from.map(Path::to_owned);
        config.start.last_layer = last_layer;
        config
    }

    fn begun(spec: &Spec, classes: &[String], from: Option<&Path>) -> BTreeMap<String, Tensor> {
        let config = config(2, from, LastLayer::IfSameClasses);
        told(spec, classes, &config).unwrap().values
    }

    /// As `config` says, from its file.
    fn told(spec: &Spec, classes: &[String], config: &TrainConfig) -> Result<Start, StartError> {
        let source = config.start_from.as_deref().map(Weights::read);
        start(spec, classes, config, source.transpose()?.as_ref())
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
            parameters: drawn(spec, seed, BTreeMap::new()).unwrap().0,
        }
    }

    /// A folder with `w.safetensors` in it.
    fn written(weights: &Weights) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let mut bytes = Vec::new();
        weights.write(&mut bytes).unwrap();
        std::fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    fn sum(tensor: &Tensor) -> f32 {
        tensor.sum_all().unwrap().to_scalar().unwrap()
    }

    #[test]
    fn the_trunk_is_taken_and_the_last_layer_drawn_where_the_classes_differ() {
        let spec = mini(10);
        let source = weights(&spec, 1);
        let (_folder, path) = written(&source);

        // As many classes, but others.
        let started = begun(&spec, &names(&spec, "other"), Some(&path));
        let drawn = begun(&spec, &[], None);
        for (name, value) in &started {
            let from = match name.starts_with("fc6") {
                true => &drawn,
                false => &source.parameters,
            };
            assert_eq!(sum(value), sum(&from[name]), "{name}");
        }
        let same = begun(&spec, &source.classes, Some(&path));
        assert_eq!(
            sum(&same["fc6.weight"]),
            sum(&source.parameters["fc6.weight"])
        );
        let fewer = mini(7);
        let started = begun(&fewer, &names(&fewer, "class"), Some(&path));
        assert_eq!(started["fc6.weight"].dims(), [7, 256]);
    }

    #[test]
    fn a_layer_that_is_drawn_anew_cannot_be_frozen() {
        let spec = mini(10);
        let (_folder, path) = written(&weights(&spec, 1));
        let mut config = config(2, Some(&path), LastLayer::IfSameClasses);
        config.freeze = vec!["fc6".to_owned()];
        let begun = |classes: &[String]| told(&spec, classes, &config);
        let error = begun(&names(&spec, "other")).err().unwrap().to_string();
        assert!(error.starts_with("fc6 is frozen"), "{error}");
        assert!(begun(&names(&spec, "class")).is_ok());
    }

    #[test]
    fn rows_kept_by_name_are_those_of_the_same_class_wherever_it_stands() {
        let mut source = weights(&mini(10), 1);
        source.parameters.insert(
            "fc6.bias".to_owned(),
            Tensor::arange(0f32, 10.0, &Device::Cpu).unwrap(),
        );
        let (_folder, path) = written(&source);
        let classes = ["class 7", "class 0", "class 3"].map(str::to_owned);
        let kept = config(2, Some(&path), LastLayer::RowsByName);
        let values = told(&mini(3), &classes, &kept).unwrap().values;
        assert_eq!(
            values["fc6.bias"].to_vec1::<f32>().unwrap(),
            [7.0, 0.0, 3.0]
        );
        let rows = values["fc6.weight"].to_vec2::<f32>().unwrap();
        let all = source.parameters["fc6.weight"].to_vec2::<f32>().unwrap();
        assert_eq!(rows, [&all[7][..], &all[0], &all[3]]);
    }

    #[test]
    fn a_class_without_a_row_to_keep_is_named_with_the_nearest() {
        let (_folder, path) = written(&weights(&mini(10), 1));
        let classes = ["class 1", "clas 2", "zebra"].map(str::to_owned);
        let kept = config(2, Some(&path), LastLayer::RowsByName);
        let error = told(&mini(3), &classes, &kept).err().unwrap().to_string();
        assert!(
            error.contains("`clas 2` (it has `class 2`), `zebra`:"),
            "{error}"
        );
    }

    #[test]
    fn a_mean_is_taken_from_weights_that_have_one_of_the_same_size() {
        let mut spec = mini(10);
        spec.input.normalise = Normalise::Mean;
        let mut source = weights(&spec, 1);
        let mut wanted = config(2, None, LastLayer::IfSameClasses);
        wanted.start.mean = MeanOf::Weights;
        let (_folder, path) = written(&source);
        wanted.start_from = Some(path);
        let error = told(&spec, &[], &wanted).err().unwrap().to_string();
        assert!(error.contains("lacks the training mean"), "{error}");

        source.mean = Some(Tensor::full(7f32, (1, 28, 28), &Device::Cpu).unwrap());
        let (_folder, path) = written(&source);
        wanted.start_from = Some(path);
        let found = told(&spec, &[], &wanted).unwrap().mean.unwrap();
        assert_eq!(sum(&found), 7.0 * 28.0 * 28.0);
        let mut larger = spec.clone();
        larger.input.side = 32;
        let error = told(&larger, &[], &wanted).err().unwrap().to_string();
        assert!(
            error.contains("[1, 28, 28]") && error.contains("[1, 32, 32]"),
            "{error}"
        );
    }

    #[test]
    fn weights_of_quite_another_network_are_refused_by_name() {
        let mini = Spec::preset("mini").unwrap();
        let (_folder, path) = written(&weights(&mini, 1));
        let text = mini.to_toml().replace("name = \"conv", "name = \"other");
        let text = text.replace("name = \"fc", "name = \"full");
        let other = Spec::parse(&text).unwrap();
        let config = config(2, Some(&path), LastLayer::IfSameClasses);
        let error = told(&other, &[], &config).err().unwrap().to_string();
        assert!(
            error.contains("w.safetensors") && error.contains("mini"),
            "{error}"
        );
    }
}
