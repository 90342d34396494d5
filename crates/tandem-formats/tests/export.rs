//! Out of Tandem and back.

mod common;

use std::fs;
use std::path::Path;

use candle_core::{DType, Device};
use common::{assert_close, fixture, narrow_scores, scores};
use tandem_alexnet::parameters;
use tandem_alexnet::spec::Spec;
use tandem_alexnet::weights::Weights;
use tandem_formats::{ExportError, Imported, Options, Precision, Target, export, import};

fn narrow() -> Imported {
    import(&fixture("torchvision-narrow.pth"), &Options::default()).unwrap()
}

/// The bytes of the weights file that importing `file` into `out` makes.
fn imported(file: &Path, out: &Path) -> Vec<u8> {
    let imported = import(file, &Options::default()).unwrap();
    fs::read(imported.write(out).unwrap()).unwrap()
}

#[test]
fn import_export_import_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let first = imported(&fixture("torchvision-narrow.pth"), &at("first"));
    let weights = Weights::read(&at("first/best.safetensors")).unwrap();
    for target in [Target::Torchvision, Target::Safetensors] {
        let file = at(&format!("{target:?}"));
        export(&weights, target, Precision::Single, &file).unwrap();
        let again = at(&format!("{target:?}-again"));
        assert!(
            imported(&file, &again) == first,
            "{target:?} changed a byte"
        );
    }
    // Tandem's own form is the file itself.
    assert!(fs::read(at("Safetensors")).unwrap() == first);
}

#[test]
fn half_precision_comes_back_rounded_once_and_then_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let whole = narrow();
    export(
        &whole.weights,
        Target::Torchvision,
        Precision::Half,
        &at("half"),
    )
    .unwrap();
    export(
        &whole.weights,
        Target::Torchvision,
        Precision::Single,
        &at("single"),
    )
    .unwrap();
    let length = |name| fs::metadata(at(name)).unwrap().len();
    assert!(
        length("half") * 10 < length("single") * 6,
        "{} of {}",
        length("half"),
        length("single")
    );
    let half = import(&at("half"), &Options::default()).unwrap();
    assert_close(&scores(&half), &narrow_scores(), 2e-3, "half");
    export(
        &half.weights,
        Target::Torchvision,
        Precision::Half,
        &at("again"),
    )
    .unwrap();
    assert!(fs::read(at("again")).unwrap() == fs::read(at("half")).unwrap());
}

#[test]
fn an_exported_file_has_torchvisions_names_and_says_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alexnet.safetensors");
    let weights = Weights {
        licence: Some("CC-BY-4.0".to_owned()),
        ..narrow().weights
    };
    export(&weights, Target::Torchvision, Precision::Single, &file).unwrap();
    let theirs = fixture("torchvision-narrow.safetensors");
    let [ours, theirs] =
        [&file, &theirs].map(|file| candle_core::safetensors::load(file, &Device::Cpu).unwrap());
    assert_eq!(ours.len(), theirs.len());
    for (name, tensor) in &theirs {
        let bits = |tensor: &candle_core::Tensor| -> Vec<u32> {
            let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            values.iter().map(|value| value.to_bits()).collect()
        };
        assert_eq!(ours[name].dtype(), DType::F32);
        assert_eq!(ours[name].dims(), tensor.dims(), "{name}");
        assert!(bits(&ours[name]) == bits(tensor), "{name}");
    }
    let back = import(&file, &Options::default()).unwrap();
    assert_eq!(back.weights.licence.as_deref(), Some("CC-BY-4.0"));
    assert_eq!(back.weights.origin, weights.origin);
    assert_eq!(back.weights.spec, weights.spec);
    assert!(
        back.notes.is_empty(),
        "it names its classes: {:?}",
        back.notes
    );
}

#[test]
fn a_network_of_another_shape_is_not_torchvisions_and_the_first_difference_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mini.safetensors");
    let spec = Spec::preset("mini").unwrap().for_data(10, 1).unwrap();
    let list = parameters::of(&spec).unwrap();
    let weights = Weights {
        parameters: list
            .iter()
            .map(|p| (p.name.clone(), p.initial_values(0).unwrap()))
            .collect(),
        spec,
        ..narrow().weights
    };
    let error = export(&weights, Target::Torchvision, Precision::Single, &file).unwrap_err();
    assert!(
        matches!(error, ExportError::NotTorchvision { .. }),
        "{error}"
    );
    let error = error.to_string();
    assert!(
        error.contains("`mini` is not of the shape of torchvision's alexnet: in "),
        "{error}"
    );
    assert!(!file.exists());
}

#[test]
fn a_file_that_is_there_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine");
    fs::write(&file, "mine").unwrap();
    let error = export(
        &narrow().weights,
        Target::Safetensors,
        Precision::Single,
        &file,
    )
    .unwrap_err();
    assert!(matches!(error, ExportError::Exists { .. }), "{error}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
}
