//! torchvision's network, a narrow one of its pattern: the scores that PyTorch gives.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use tandem_alexnet::network::{Network, Pass};
use tandem_alexnet::placement::Placement;
use tandem_data::Normalise;
use tandem_formats::{Imported, Options, import};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

/// The largest difference between the scores of `imported` and PyTorch's.
fn difference(imported: &Imported) -> f32 {
    let io =
        candle_core::safetensors::load(fixture("torchvision-narrow-io.safetensors"), &Device::Cpu)
            .unwrap();
    let channels: Vec<Tensor> = (0..3)
        .map(|channel| {
            let (scale, offset) = Normalise::torchvision(channel, 3);
            let pixels = io["image"].narrow(1, channel, 1).unwrap();
            let pixels = pixels.to_dtype(DType::F32).unwrap();
            pixels.affine(f64::from(scale), f64::from(offset)).unwrap()
        })
        .collect();
    let x = Tensor::cat(&channels, 1).unwrap();
    let weights = &imported.weights;
    let network = Network::new(&weights.spec, &Placement::cpu(), &weights.parameters).unwrap();
    let logits = network.forward(&x, Pass::Test).unwrap();
    let apart = (logits - &io["logits"]).unwrap().abs().unwrap();
    apart.max_all().unwrap().to_scalar().unwrap()
}

#[test]
fn torchvisions_scores_come_out_of_its_safetensors() {
    let imported = import(
        &fixture("torchvision-narrow.safetensors"),
        &Options::default(),
    )
    .unwrap();
    let apart = difference(&imported);
    assert!(apart < 1e-4, "{apart}");
    assert_eq!(imported.weights.classes.len(), 10);
    assert!(
        imported.notes[0].contains("does not name its 10 classes"),
        "{:?}",
        imported.notes
    );
    let origin = imported.weights.origin.unwrap();
    assert!(
        origin.starts_with("imported from torchvision-narrow.safetensors (safetensors, SHA-256 "),
        "{origin}"
    );
}

#[test]
fn an_imported_network_is_a_folder_that_reads_back_equal_and_is_never_written_over() {
    let labels: Vec<String> = "abcdefghij".chars().map(String::from).collect();
    let options = Options {
        labels: Some(labels.clone()),
        ..Options::default()
    };
    let imported = import(&fixture("torchvision-narrow.safetensors"), &options).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new");
    let file = imported.write(&out).unwrap();
    let read = tandem_alexnet::weights::Weights::read(&file).unwrap();
    assert_eq!(
        (&read.classes, &read.spec),
        (&labels, &imported.weights.spec)
    );
    assert_eq!(read.origin, imported.weights.origin);
    let config = std::fs::read_to_string(out.join("config.toml")).unwrap();
    assert!(
        config.contains("normalise = \"torchvision\"") && config.contains("\"j\""),
        "{config}"
    );
    let error = imported.write(&out).unwrap_err().to_string();
    assert!(error.contains("not empty"), "{error}");
}
