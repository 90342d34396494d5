//! LRN whose windows span the channels of all towers: on every placement the same as one LRN over the
//! joined channels, forward and backward.

use candle_core::{Device, Tensor};
use proptest::prelude::*;
use tandem_alexnet::network::{Network, Pass};
use tandem_alexnet::shapes::Shapes;
use tandem_alexnet::spec::Spec;

/// A network of one LRN; `towers` only says where its channels live, and the values of a seed do not
/// depend on it.
fn spec(towers: usize, channels: usize, size: usize) -> Spec {
    Spec::parse(&format!(
        r#"
name = "one-lrn"
classes = 3
input = {{ channels = 2, side = 5, crop = 5 }}
[[layer]]
kind = "convolution"
name = "conv1"
channels = {channels}
kernel = 3
towers = {towers}
sees = "both"
weight_std = 1.0
[[layer]]
kind = "lrn"
size = {size}
k = 1.5
alpha = 0.7
beta = 0.75
convention = "paper"
sees = "both"
[[layer]]
kind = "convolution"
name = "conv2"
channels = {channels}
kernel = 1
towers = {towers}
sees = "both"
weight_std = 1.0
[[layer]]
kind = "linear"
name = "fc3"
sees = "both"
weight_std = 1.0
"#
    ))
    .unwrap()
}

/// Logits and gradients of a batch, and what LRN gives.
fn pass(spec: &Spec, placement: &str) -> Vec<(String, Vec<f32>)> {
    let network = Network::initial(spec, &placement.parse().unwrap(), 5).unwrap();
    let x: Vec<f32> = (0..2 * 2 * 5 * 5).map(|i| (i as f32).sin()).collect();
    let x = Tensor::from_vec(x, (2, 2, 5, 5), &Device::Cpu).unwrap();
    let labels = Tensor::new(&[0u32, 2], &Device::Cpu).unwrap();
    let outcome = network.gradients(&x, &labels, Pass::Test).unwrap();
    let normalised = network.forward_to(&x, 1, Pass::Test).unwrap();
    let mut all = vec![
        ("logits".to_owned(), outcome.logits),
        ("lrn".to_owned(), normalised),
    ];
    all.extend(network.canonical_gradients(&outcome.gradients).unwrap());
    let values = |(name, tensor): (String, Tensor)| {
        let flat = tensor.flatten_all().unwrap();
        (name, flat.to_vec1().unwrap())
    };
    all.into_iter().map(values).collect()
}

fn assert_same(towers: usize, channels: usize, size: usize, placement: &str) {
    let want = pass(&spec(1, channels, size), "cpu");
    let got = pass(&spec(towers, channels, size), placement);
    assert_eq!(got, pass(&spec(towers, channels, size), placement), "twice");
    for ((name, got), (_, want)) in got.iter().zip(&want) {
        let largest = want.iter().fold(0f32, |largest, v| largest.max(v.abs()));
        assert!(largest > 0.0, "{name} is nothing");
        for (got, want) in got.iter().zip(want) {
            assert!(
                (got - want).abs() <= 1e-5 * largest,
                "{name} on {placement}, {towers} towers of {channels} channels, size {size}: \
                 {got} in place of {want}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Windows that end in the next tower, span several, or hold all channels.
    #[test]
    fn towers_do_not_change_what_lrn_over_all_channels_gives(
        towers in 2usize..=4,
        share in 1usize..=5,
        half in 0usize..=6,
    ) {
        let (channels, size) = (towers * share, 2 * half + 1);
        assert_same(towers, channels, size, "cpu");
        assert_same(towers, channels, size, &vec!["cpu"; towers].join(","));
    }
}

#[test]
fn a_window_inside_a_tower_gives_something_else() {
    let mut own = spec(2, 8, 5);
    let both = pass(&own, "cpu,cpu");
    own = Spec::parse(&own.to_toml().replacen(
        "convention = \"paper\"\nsees = \"both\"",
        "convention = \"paper\"\nsees = \"own\"",
        1,
    ))
    .unwrap();
    for ((name, both), (_, own)) in both.iter().zip(pass(&own, "cpu,cpu")) {
        assert_ne!(*both, own, "{name}");
    }
}

#[test]
fn only_the_channels_beside_a_tower_cross_to_it() {
    let crossing = |size: usize| {
        let shapes = Shapes::of(&spec(2, 8, size)).unwrap();
        shapes.layers[1]
            .crossings
            .iter()
            .map(|c| (c.from_tower, c.to_tower, c.values))
            .collect::<Vec<_>>()
    };
    // conv1's maps are 3x3.
    assert_eq!(crossing(5), [(1, 0, 2 * 9), (0, 1, 2 * 9)]);
    assert_eq!(crossing(21), [(1, 0, 4 * 9), (0, 1, 4 * 9)]);
    assert_eq!(crossing(1), []);
    // Of four towers of two channels each, the middle ones are reached from further away.
    let shapes = Shapes::of(&spec(4, 8, 7)).unwrap();
    let to_0 = shapes.layers[1]
        .crossings
        .iter()
        .filter(|c| c.to_tower == 0);
    let to_0: Vec<_> = to_0.map(|c| (c.from_tower, c.values)).collect();
    assert_eq!(to_0, [(1, 2 * 9), (2, 9)]);
    let arrives = &shapes.holdings(&"cpu,cpu,cpu,cpu".parse().unwrap())[0];
    // conv2 and fc3 (on the first place) read all of it.
    assert_eq!(arrives.received, 3 * 9 + 6 * 9 + 6 * 9);
}

/// Caffe's networks, whose groups are towers here: conv2 is grouped and LRN is not.
#[test]
fn caffe_s_networks_are_the_same_on_one_place_and_on_two() {
    for preset in ["caffenet", "bvlc-alexnet"] {
        let mut spec = Spec::preset(preset).unwrap();
        // The same layers over a smaller picture: what is tested is how towers meet.
        (spec.input.side, spec.input.crop, spec.classes) = (67, 67, 5);
        spec.check().unwrap();
        let x = Tensor::randn(0f32, 60.0, (1, 3, 67, 67), &Device::Cpu).unwrap();
        let network =
            |placement: &str| Network::initial(&spec, &placement.parse().unwrap(), 3).unwrap();
        let (one, two) = (network("cpu"), network("cpu,cpu"));
        for layer in 0..spec.layers.len() {
            let name = spec.layer_name(layer);
            let values = |network: &Network| -> Vec<f32> {
                let y = network.forward_to(&x, layer, Pass::Test).unwrap();
                y.flatten_all().unwrap().to_vec1().unwrap()
            };
            let (one, two) = (values(&one), values(&two));
            let largest = one.iter().fold(0f32, |largest, v| largest.max(v.abs()));
            for (one, two) in one.iter().zip(&two) {
                assert!(
                    (one - two).abs() <= 1e-4 * largest,
                    "{preset} {name}: {one} {two}"
                );
            }
        }
    }
}

/// On a GPU, or on the emulator's.
#[cfg(feature = "cuda")]
#[test]
fn a_gpu_gives_the_same() {
    for placement in ["cuda:0", "cuda:0,cuda:0"] {
        assert_same(2, 8, 5, placement);
    }
}

/// scripts/gpu/accept.sh leaves out tests named `two_gpus` where there is one.
#[cfg(feature = "cuda")]
#[test]
fn two_gpus_give_the_same() {
    assert_same(2, 8, 5, "cuda:0,cuda:1");
}

#[cfg(feature = "cuda")]
#[test]
fn a_gpu_in_bf16_hands_channels_over_too() {
    use tandem_alexnet::precision::Precision;
    let spec = spec(2, 8, 5);
    let network = Network::initial(&spec, &"cuda:0,cuda:0".parse().unwrap(), 5).unwrap();
    let network = network.in_precision(Precision::Bf16).unwrap();
    let x: Vec<f32> = (0..2 * 2 * 5 * 5).map(|i| (i as f32).sin()).collect();
    let x = Tensor::from_vec(x, (2, 2, 5, 5), &Device::Cpu).unwrap();
    let labels = Tensor::new(&[0u32, 2], &Device::Cpu).unwrap();
    let outcome = network.gradients(&x, &labels, Pass::Test).unwrap();
    let got = network.canonical_gradients(&outcome.gradients).unwrap();
    for (name, want) in pass(&spec, "cpu") {
        let got: Vec<f32> = match name.as_str() {
            "lrn" => continue,
            "logits" => outcome.logits.flatten_all().unwrap().to_vec1().unwrap(),
            name => got[name].flatten_all().unwrap().to_vec1().unwrap(),
        };
        let length = |v: &[f32]| v.iter().map(|v| v * v).sum::<f32>().sqrt();
        let apart: Vec<f32> = got.iter().zip(&want).map(|(a, b)| a - b).collect();
        // bf16 rounds to 1/256.
        let distance = length(&apart) / length(&want);
        assert!(distance < 0.05, "{name}: {distance}");
    }
}
