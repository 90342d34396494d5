//! What a layer gives, asked for by its name: the same on every placement.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use tandem_alexnet::error::{NetworkError, SpecError};
use tandem_alexnet::features::features;
use tandem_alexnet::network::{Network, Pass};
use tandem_alexnet::spec::Spec;
use tandem_data::{Form, LoaderOptions, Normalise, Part, Pictures, Preprocess, Share};

fn mini(placement: &str) -> Network {
    let spec = Spec::preset("mini").unwrap().for_data(10, 1).unwrap();
    Network::initial(&spec, &placement.parse().unwrap(), 7).unwrap()
}

fn pictures() -> Tensor {
    Tensor::randn(0f32, 1.0, (3, 1, 28, 28), &Device::Cpu).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn the_last_layer_gives_the_logits() {
    for placement in ["cpu", "cpu,cpu"] {
        let (network, x) = (mini(placement), pictures());
        let last = network.spec().layer_named("fc6").unwrap();
        let scores = network.forward_to(&x, last, Pass::Test).unwrap();
        let logits = network.forward(&x, Pass::Test).unwrap();
        assert_eq!(scores.dims(), [3, 10]);
        assert_eq!(values(&scores), values(&logits), "{placement}");
    }
}

#[test]
fn every_layer_gives_the_same_with_a_place_for_each_tower() {
    let (together, apart, x) = (mini("cpu"), mini("cpu,cpu"), pictures());
    let shapes = tandem_alexnet::shapes::Shapes::of(together.spec()).unwrap();
    for (layer, shape) in shapes.layers.iter().enumerate() {
        let one = together.forward_to(&x, layer, Pass::Test).unwrap();
        let two = apart.forward_to(&x, layer, Pass::Test).unwrap();
        assert_eq!(one.dims(), two.dims(), "{}", shape.name);
        assert_eq!(
            one.elem_count(),
            3 * shape.output.values(),
            "{}",
            shape.name
        );
        let largest = values(&one).into_iter().fold(0f32, |l, v| l.max(v.abs()));
        assert!(largest > 0.0, "{} gives nothing", shape.name);
        for (one, two) in values(&one).into_iter().zip(values(&two)) {
            assert!(
                (one - two).abs() <= 1e-5 * largest,
                "{}: {one} {two}",
                shape.name
            );
        }
    }
}

#[test]
fn a_tower_s_maps_follow_from_its_own_weights() {
    let (network, x) = (mini("cpu,cpu"), pictures());
    let mut weights: BTreeMap<String, Tensor> = network.weights().unwrap();
    // Tower 1 has the second half of conv1.
    let silent = Tensor::zeros((16, 1, 5, 5), candle_core::DType::F32, &Device::Cpu).unwrap();
    let first = weights["conv1.weight"].narrow(0, 0, 16).unwrap();
    let half = Tensor::cat(&[first, silent], 0).unwrap();
    weights.insert("conv1.weight".to_owned(), half);
    let half = Network::new(network.spec(), &"cpu,cpu".parse().unwrap(), &weights).unwrap();
    let maps = half.forward_to(&x, 0, Pass::Test).unwrap();
    let whole = network.forward_to(&x, 0, Pass::Test).unwrap();
    let tower = |maps: &Tensor, tower: usize| values(&maps.narrow(1, 16 * tower, 16).unwrap());
    assert_eq!(tower(&maps, 0), tower(&whole, 0));
    assert!(tower(&maps, 1).iter().all(|value| *value == 0.0));
}

#[test]
fn features_are_what_the_layer_gives_for_each_picture() {
    let network = mini("cpu");
    let preprocess = Preprocess {
        side: 28,
        channels: 1,
    };
    let set = tandem_data::open("builtin", Part::Validation).unwrap();
    let pictures = Arc::new(Pictures::prepare(set, preprocess, 0.0).unwrap());
    let options = LoaderOptions {
        batch: 400,
        threads: 2,
        prefetch: 1,
        seed: 0,
        form: Form::Values,
        share: Share::WHOLE,
    };
    let layer = network.spec().last_hidden().unwrap();
    assert_eq!(network.spec().layer_name(layer), "fc5");
    let mut found = Vec::new();
    let normalise = Normalise::Torchvision;
    features(
        &network,
        layer,
        &pictures,
        &normalise,
        options,
        |place, row| {
            found.push((place, row));
            Ok::<_, NetworkError>(())
        },
    )
    .unwrap();
    assert!(found.iter().map(|f| f.0).eq(0..1000));
    let pixels = pictures.picture(700).unwrap();
    let view = tandem_data::View::Centre;
    let x = tandem_data::view(&pixels, preprocess, 28, view, &normalise).unwrap();
    let x = Tensor::from_vec(x, (1, 1, 28, 28), &Device::Cpu).unwrap();
    let one = values(&network.forward_to(&x, layer, Pass::Test).unwrap());
    assert_eq!(one.len(), 256);
    for (one, many) in one.iter().zip(&found[700].1) {
        assert!((one - many).abs() < 1e-4, "{one} {many}");
    }
}

#[test]
fn the_last_hidden_layer_is_fc7_in_the_paper() {
    let alexnet = Spec::preset("alexnet").unwrap();
    assert_eq!(alexnet.layer_name(alexnet.last_hidden().unwrap()), "fc7");
    let text = "name = \"flat\"\nclasses = 2\n[input]\nside = 4\ncrop = 4\n[[layer]]\nkind = \"linear\"\nname = \"fc1\"\n";
    assert_eq!(Spec::parse(text).unwrap().last_hidden(), None);
}

#[test]
fn a_layer_that_is_not_there_is_answered_with_the_nearest() {
    let error = Spec::preset("mini")
        .unwrap()
        .layer_named("conv9")
        .unwrap_err();
    assert!(matches!(error, SpecError::UnknownLayer { .. }));
    let error = error.to_string();
    assert!(
        error.contains("no layer `conv9`; its layers are conv1,"),
        "{error}"
    );
    assert!(error.ends_with("fc6; did you mean `conv1`?"), "{error}");
}
