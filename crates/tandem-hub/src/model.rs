//! Which files of a model's repository are taken.

use std::collections::BTreeSet;

use crate::choice::{below, inside, some_of};
use crate::{HubError, Name};

/// What of a model is wanted, where its name does not end in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// Weights in Tandem's form: `model.safetensors`, else `best.safetensors`, else the only
    /// safetensors file.
    Weights,
    /// Those, and of the files beside them the ones with these names that there are.
    WeightsWith(&'a [&'a str]),
    /// Weights in any framework's form: the same, else the only `.pth`, `.pt`, `.bin`, `.caffemodel`,
    /// `.onnx` or `.npy`; and what lies beside and belongs to it, Caffe's `.binaryproto` or the values of
    /// an ONNX model.
    AnyForm,
}

const OURS: &[&str] = &[".safetensors"];
const FOREIGN: &[&str] = &[".pth", ".pt", ".bin", ".caffemodel", ".onnx", ".npy"];
/// Taken first, in this order: what the hub calls a model's weights, and what a run its best.
const FIRST: [&str; 2] = ["model.safetensors", "best.safetensors"];

/// The file of the weights out of all `paths` of the repository.
///
/// # Errors
///
/// If there is none, or several and none has a name that is taken first.
pub(crate) fn choose_weights(
    name: &Name,
    paths: &[String],
    wanted: Wanted,
) -> Result<String, HubError> {
    let inside = inside(name, paths)?;
    let scope = match name.part() {
        // A file was named, and is taken whatever it is.
        Some(part) if inside == [part] => return Ok(part.into()),
        part => part.unwrap_or_default(),
    };
    let with = |endings: &[&str]| -> Vec<&str> {
        let has = |path: &&str| endings.iter().any(|ending| path.ends_with(ending));
        // Weights in a folder of their own are those of something else.
        let is_near = |path: &&str| !below(scope, path).contains('/');
        inside.iter().copied().filter(has).filter(is_near).collect()
    };
    let (ours, mut foreign) = (with(OURS), with(FOREIGN));
    // What an ONNX model leaves in another file is no model.
    let models: Vec<&str> = foreign
        .iter()
        .copied()
        .filter(|path| path.ends_with(".onnx"))
        .collect();
    foreign.retain(|path| !models.iter().any(|model| is_left_by(model, path)));
    let first = FIRST
        .iter()
        .find_map(|first| ours.iter().find(|path| below(scope, path) == *first));
    let candidates = match (wanted, ours.is_empty()) {
        (Wanted::AnyForm, true) => &foreign,
        _ => &ours,
    };
    match (first, candidates.as_slice()) {
        (Some(only), _) | (None, [only]) => Ok((*only).into()),
        (None, [one, ..]) => {
            // Some of those may be no weights.
            let certain = candidates.iter().find(|path| !path.ends_with(".bin"));
            Err(HubError::SeveralWeights {
                found: some_of(candidates),
                example: name.with_part(certain.unwrap_or(one)),
            })
        }
        (None, []) => Err(HubError::NoWeights {
            name: name.clone(),
            found: some_of(inside.iter().collect::<BTreeSet<_>>()),
            import: foreign.first().map(|path| Box::new(name.with_part(path))),
        }),
    }
}

/// Whether `path` is where the ONNX model `model` leaves values: `net.onnx.data`, `net.onnx_data`,
/// `net.data` or `net.bin` of `net.onnx`.
fn is_left_by(model: &str, path: &str) -> bool {
    let Some(stem) = model.strip_suffix(".onnx") else {
        return false;
    };
    let rest = path.strip_prefix(stem).unwrap_or_default();
    matches!(rest, ".bin" | ".data") || rest.starts_with(".onnx.") || rest.starts_with(".onnx_")
}

/// The files beside `weights` that are wanted with them, or belong to them.
pub(crate) fn companions(weights: &str, paths: &[String], wanted: Wanted) -> Vec<String> {
    let folder = weights
        .rsplit_once('/')
        .map_or(String::new(), |(folder, _)| format!("{folder}/"));
    let is_wanted = |path: &&String| {
        let beside = path
            .strip_prefix(&folder)
            .filter(|name| !name.contains('/'));
        beside.is_some_and(|name| match wanted {
            Wanted::WeightsWith(names) => names.contains(&name),
            Wanted::Weights => false,
            // Caffe's mean, and the values that an ONNX model leaves in another file.
            Wanted::AnyForm => {
                weights.ends_with(".caffemodel") && name.ends_with(".binaryproto")
                    || is_left_by(weights, path)
            }
        }) && *path != weights
    };
    paths.iter().filter(is_wanted).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(name: &str, paths: &[&str], wanted: Wanted) -> Result<String, String> {
        let paths: Vec<String> = paths.iter().map(ToString::to_string).collect();
        choose_weights(&name.parse().unwrap(), &paths, wanted).map_err(|error| error.to_string())
    }

    #[test]
    fn the_models_come_before_the_best_before_the_only_one() {
        let mut paths = vec!["README.md", "onnx/other.safetensors"];
        for expected in ["mine.safetensors", "best.safetensors", "model.safetensors"] {
            paths.push(expected);
            for wanted in [Wanted::Weights, Wanted::AnyForm] {
                assert_eq!(choice("hf:o/n", &paths, wanted).unwrap(), expected);
            }
        }
        let named = choice("hf:o/n:mine.safetensors", &paths, Wanted::Weights);
        assert_eq!(named.unwrap(), "mine.safetensors");
        let folder = choice("hf:o/n:onnx", &paths, Wanted::Weights);
        assert_eq!(folder.unwrap(), "onnx/other.safetensors");
    }

    #[test]
    fn of_several_none_is_guessed() {
        let paths = ["a.safetensors", "b.safetensors"];
        let error = choice("hf:o/n@v1", &paths, Wanted::Weights).unwrap_err();
        for words in ["a.safetensors, b.safetensors", "`hf:o/n@v1:a.safetensors`"] {
            assert!(error.contains(words), "{error}");
        }
        let error = choice("hf:o/n", &["a.pth", "b.onnx"], Wanted::AnyForm).unwrap_err();
        assert!(error.contains("a.pth, b.onnx"), "{error}");
    }

    #[test]
    fn what_belongs_to_weights_of_another_form_comes_with_them() {
        let paths = [
            "README.md",
            "net.onnx",
            "net.bin",
            "net.onnx.data",
            "mean.binaryproto",
        ];
        let of = |weights: &str| {
            let paths = paths.map(String::from);
            companions(weights, &paths, Wanted::AnyForm)
        };
        assert_eq!(
            choice("hf:o/n", &paths, Wanted::AnyForm).unwrap(),
            "net.onnx"
        );
        assert_eq!(of("net.onnx"), ["net.bin", "net.onnx.data"]);
        assert_eq!(of("net.caffemodel"), ["mean.binaryproto"]);
        assert!(of("net.pth").is_empty());
        // Another model is not taken for a part of one.
        for other in ["net.pth", "network.caffemodel", "net_half.onnx"] {
            let error = choice("hf:o/n", &["net.onnx", other], Wanted::AnyForm).unwrap_err();
            assert!(error.contains(other), "{error}");
            assert!(!is_left_by("net.onnx", other));
        }
    }

    #[test]
    fn other_forms_are_taken_where_any_is_wanted_and_else_named() {
        let paths = ["README.md", "alexnet.pth"];
        let found = choice("hf:o/n", &paths, Wanted::AnyForm);
        assert_eq!(found.unwrap(), "alexnet.pth");
        let error = choice("hf:o/n", &paths, Wanted::Weights).unwrap_err();
        let command = "tandem import hf:o/n:alexnet.pth";
        assert!(error.contains(command), "{error}");
        let error = choice("hf:o/n", &["README.md"], Wanted::AnyForm).unwrap_err();
        assert!(
            error.contains("README.md") && !error.contains("import"),
            "{error}"
        );
        let error = choice("hf:o/n:x.pth", &paths, Wanted::AnyForm).unwrap_err();
        assert!(
            error.contains("`x.pth`") && error.contains("alexnet.pth"),
            "{error}"
        );
    }

    #[test]
    fn companions_lie_beside_the_weights() {
        let paths = [
            "config.toml",
            "a/config.toml",
            "a/b/config.toml",
            "a/w.safetensors",
        ];
        let paths = paths.map(String::from);
        let wanted = Wanted::WeightsWith(&["config.toml", "labels.txt"]);
        let found = |weights: &str| companions(weights, &paths, wanted);
        assert_eq!(found("a/w.safetensors"), ["a/config.toml"]);
        assert_eq!(found("w.safetensors"), ["config.toml"]);
        let alone = companions("a/w.safetensors", &paths, Wanted::Weights);
        assert_eq!(alone, Vec::<String>::new());
    }
}
