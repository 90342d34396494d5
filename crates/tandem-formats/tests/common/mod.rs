//! What the tests of all formats share: fixtures, and what an imported network says of a picture.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use tandem_alexnet::network::{Network, Pass};
use tandem_alexnet::placement::Placement;
use tandem_data::Normalise;
use tandem_formats::Imported;

pub fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    folder.join(name)
}

fn io(name: &str) -> Tensor {
    let file = fixture("torchvision-narrow-io.safetensors");
    let mut tensors = candle_core::safetensors::load(file, &Device::Cpu).unwrap();
    tensors.remove(name).unwrap()
}

/// The scores of `imported` for the picture of the fixtures, normalised as torchvision does.
pub fn scores(imported: &Imported) -> Vec<f32> {
    let image = io("image").to_dtype(DType::F32).unwrap();
    let normalised = |channel| {
        let (scale, offset) = Normalise::torchvision(channel, 3);
        let channel = image.narrow(1, channel, 1).unwrap();
        channel.affine(scale.into(), offset.into()).unwrap()
    };
    let x = Tensor::cat(&[0, 1, 2].map(normalised), 1).unwrap();
    let weights = &imported.weights;
    let network = Network::new(&weights.spec, &Placement::cpu(), &weights.parameters).unwrap();
    let scores = network.forward(&x, Pass::Test).unwrap();
    scores.flatten_all().unwrap().to_vec1().unwrap()
}

/// PyTorch's scores of `torchvision-narrow` for that picture.
pub fn narrow_scores() -> Vec<f32> {
    io("logits").flatten_all().unwrap().to_vec1().unwrap()
}

#[track_caller]
pub fn assert_close(found: &[f32], wanted: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), wanted.len(), "{what}");
    for (i, (found, wanted)) in found.iter().zip(wanted).enumerate() {
        let apart = (found - wanted).abs();
        assert!(
            apart <= tolerance,
            "{what}: score {i} is {found}, PyTorch's {wanted}"
        );
    }
}
