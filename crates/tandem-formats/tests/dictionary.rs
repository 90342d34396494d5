//! NumPy's dictionaries in TensorFlow's layout: the scores that the same layers give in PyTorch.

mod common;

use candle_core::{DType, Device, Tensor};
use common::{assert_close, fixture};
use tandem_alexnet::network::{Network, Pass};
use tandem_alexnet::placement::Placement;
use tandem_alexnet::spec::Spec;
use tandem_formats::{Format, Imported, Options, import};

fn options() -> Options {
    Options {
        model: Some(Spec::read(&fixture("tiny-bvlc.toml")).unwrap()),
        ..Options::default()
    }
}

/// What `imported` says of the fixture's picture, red first, and what PyTorch does.
fn scores(imported: &Imported) -> [Vec<f32>; 2] {
    let io = fixture("tiny-bvlc-io.safetensors");
    let io = candle_core::safetensors::load(io, &Device::Cpu).unwrap();
    let image = io["image"].to_dtype(DType::F32).unwrap();
    let weights = &imported.weights;
    let mean = weights.mean.as_ref().unwrap();
    let mean = mean.narrow(1, 14, 227).unwrap().narrow(2, 14, 227).unwrap();
    let x = image.broadcast_sub(&mean).unwrap();
    let network = Network::new(&weights.spec, &Placement::cpu(), &weights.parameters).unwrap();
    let found = network.forward(&x, Pass::Test).unwrap();
    [&found, &io["logits"]].map(|scores: &Tensor| scores.flatten_all().unwrap().to_vec1().unwrap())
}

#[test]
fn layout_groups_and_colours_are_turned_into_ours() {
    for name in ["tiny-bvlc-list.npy", "tiny-bvlc-dict.npy"] {
        let imported = import(&fixture(name), &options()).unwrap();
        assert_eq!(imported.format, Format::Npy);
        let [found, wanted] = scores(&imported);
        assert_close(&found, &wanted, 1e-4, name);
        let notes = imported.notes.join("\n");
        assert!(notes.contains("red 124, green 117 and blue 104"), "{notes}");
    }
}

#[test]
fn arrays_of_another_network_are_refused_with_what_they_must_be() {
    let error = import(&fixture("tiny-bvlc-list.npy"), &Options::default()).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("does not fit `bvlc-alexnet`"), "{error}");
    assert!(
        error.contains("conv2.weight is [8, 3, 5, 5], and must be [256, 48, 5, 5]"),
        "{error}"
    );
}

#[test]
fn an_array_of_numbers_is_no_network() {
    let error = import(&fixture("numbers.npy"), &Options::default()).unwrap_err();
    assert!(
        error.to_string().contains("one array of numbers"),
        "{error}"
    );
}
