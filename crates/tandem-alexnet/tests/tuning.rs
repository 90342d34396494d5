//! Frozen layers and rates by layer, on one place and on two: what learns does so as it would without
//! them, and what is frozen stays to the byte.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use tandem_alexnet::input::Input;
use tandem_alexnet::network::{Direction, Network, Pass};
use tandem_alexnet::spec::Spec;
use tandem_alexnet::tuning::{Factor, Tuning};
use tandem_ops::sgd::{Sgd, SgdRule};

const SPEC: &str = r#"
name = "narrow"
classes = 3
[input]
channels = 1
side = 16
crop = 16
[[layer]]
kind = "convolution"
name = "conv1"
channels = 4
kernel = 3
towers = 2
sees = "both"
activation = "relu"
weight_std = 0.3
[[layer]]
kind = "max-pool"
kernel = 3
stride = 2
[[layer]]
kind = "convolution"
name = "conv2"
channels = 8
kernel = 3
padding = 1
towers = 2
activation = "relu"
weight_std = 0.3
[[layer]]
kind = "linear"
name = "fc3"
channels = 12
towers = 2
sees = "both"
activation = "relu"
weight_std = 0.1
[[layer]]
kind = "dropout"
p = 0.5
rule = "paper"
[[layer]]
kind = "linear"
name = "fc4"
channels = 12
towers = 2
sees = "both"
activation = "relu"
weight_std = 0.3
[[layer]]
kind = "dropout"
p = 0.5
rule = "paper"
[[layer]]
kind = "linear"
name = "fc5"
sees = "both"
weight_std = 0.3
"#;

const PLACES: [&str; 2] = ["cpu", "cpu,cpu"];
const TRAIN: Pass = Pass::Train {
    seed: 3,
    step: 5,
    part: 0,
};

fn spec() -> Spec {
    Spec::parse(SPEC).unwrap()
}

fn network(place: &str, frozen: &[&str], rates: &[(&str, f64)]) -> Network {
    let frozen: Vec<String> = frozen.iter().map(|&name| name.to_owned()).collect();
    let rates = rates
        .iter()
        .map(|&(name, times)| (name.to_owned(), Factor::new(times).unwrap()));
    let tuning = Tuning::of(&spec(), &frozen, &rates.collect()).unwrap();
    let network = Network::initial(&spec(), &place.parse().unwrap(), 1).unwrap();
    network.tuned(tuning)
}

fn batch() -> (Tensor, Tensor) {
    let cpu = &Device::Cpu;
    let values = (0..5 * 256).map(|i| ((i * 7919 % 1009) as f32 / 500.0) - 1.0);
    let x = Tensor::from_iter(values, cpu).unwrap();
    let x = x.reshape((5, 1, 16, 16)).unwrap();
    (x, Tensor::new(&[0u32, 2, 1, 1, 0], cpu).unwrap())
}

fn gradients(network: &Network) -> BTreeMap<String, Vec<f32>> {
    let (x, labels) = batch();
    let outcome = network.gradients(&x, &labels, TRAIN).unwrap();
    values(&network.canonical_gradients(&outcome.gradients).unwrap())
}

fn values(tensors: &BTreeMap<String, Tensor>) -> BTreeMap<String, Vec<f32>> {
    let flat = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    tensors
        .iter()
        .map(|(name, tensor)| (name.clone(), flat(tensor)))
        .collect()
}

/// Weights after a step of rate 0.1 with decay.
fn stepped(network: &mut Network) -> BTreeMap<String, Vec<f32>> {
    let (x, labels) = batch();
    let outcome = network.gradients(&x, &labels, TRAIN).unwrap();
    let sgd = Sgd::new(SgdRule::Paper, 0.1, 0.9, 0.0005).unwrap();
    network.update(&outcome.gradients, sgd).unwrap();
    values(&network.weights().unwrap())
}

#[test]
fn a_frozen_layer_keeps_its_bytes_and_the_others_learn_as_they_would_beside_it() {
    for place in PLACES {
        let all = gradients(&network(place, &[], &[]));
        // Above conv1, which learns: gradients pass through the frozen ones unchanged.
        let mut tuned = network(place, &["conv2..fc4"], &[]);
        let some = gradients(&tuned);
        assert_eq!(
            some.keys().collect::<Vec<_>>(),
            ["conv1.bias", "conv1.weight", "fc5.bias", "fc5.weight"]
        );
        for (name, gradient) in &some {
            assert_eq!(gradient, &all[name], "{place} {name}");
        }
        let before = values(&tuned.weights().unwrap());
        for _ in 0..3 {
            stepped(&mut tuned);
        }
        for (name, after) in values(&tuned.weights().unwrap()) {
            let frozen = !some.contains_key(&name);
            assert_eq!(after == before[&name], frozen, "{place} {name}");
        }
        let velocities = values(&tuned.velocities().unwrap());
        assert!(velocities["conv2.weight"].iter().all(|&v| v == 0.0));
    }
}

#[test]
fn the_way_back_ends_at_the_first_layer_that_learns() {
    let (x, labels) = batch();
    let tuned = network("cpu", &["conv1..conv2"], &[]);
    let mut back = Vec::new();
    let mut done = |name: &str, direction| {
        if direction == Direction::Backward {
            back.push(name.to_owned());
        }
    };
    tuned
        .gradients_watched(&x, &labels, TRAIN, &mut done)
        .unwrap();
    let names = ["loss", "fc5", "fc4/dropout", "fc4", "fc3/dropout", "fc3"];
    assert_eq!(back, names);
}

#[test]
fn a_trunk_is_computed_without_dropout_and_the_dropout_before_what_learns_stays_on() {
    for place in PLACES {
        let (x, _) = batch();
        let tuned = network(place, &["conv1..fc4"], &[]);
        let trunk = tuned.tuning().trunk();
        assert_eq!(tuned.spec().layer_name(trunk - 1), "fc4");
        let rows = |layer: usize, pass| {
            let output = tuned.forward_to(&x, layer, pass).unwrap();
            output.to_vec2::<f32>().unwrap()
        };
        assert_eq!(rows(trunk - 1, TRAIN), rows(trunk - 1, Pass::Test));
        assert_ne!(rows(trunk, TRAIN), rows(trunk, Pass::Test), "dropout is on");
        let whole = network(place, &[], &[]);
        let trained = whole.forward_to(&x, trunk - 1, TRAIN).unwrap();
        assert_ne!(trained.to_vec2::<f32>().unwrap(), rows(trunk - 1, TRAIN));
    }
}

#[test]
fn from_its_features_a_network_goes_on_as_from_the_picture() {
    for place in PLACES {
        let (x, labels) = batch();
        for frozen in [&["conv1"][..], &["conv1..conv2"], &["conv1..fc4"]] {
            let tuned = network(place, frozen, &[]);
            let trunk = tuned.tuning().trunk();
            let features = tuned.forward_to(&x, trunk - 1, Pass::Test).unwrap();
            let input = Input::after(trunk, features);
            let [from_picture, from_features] = [Input::from(&x), input].map(|input| {
                let outcome = tuned.gradients(input, &labels, TRAIN).unwrap();
                let gradients = tuned.canonical_gradients(&outcome.gradients).unwrap();
                (outcome.loss.read().unwrap(), values(&gradients))
            });
            assert_eq!(from_picture, from_features, "{place} {frozen:?}");
        }
    }
}

#[test]
fn a_layer_at_ten_times_the_rate_moves_ten_times_as_far() {
    for place in PLACES {
        let before = values(&network(place, &[], &[]).weights().unwrap());
        let once = stepped(&mut network(place, &[], &[]));
        let rates = [("fc5", 10.0), ("conv1..conv2", 0.5)];
        let tuned = stepped(&mut network(place, &[], &rates));
        for (name, start) in &before {
            let factor = match name.split('.').next().unwrap() {
                "fc5" => 10.0,
                "conv1" | "conv2" => 0.5,
                _ => 1.0,
            };
            for ((start, once), tuned) in start.iter().zip(&once[name]).zip(&tuned[name]) {
                let (want, got) = (factor * (once - start), tuned - start);
                assert!((want - got).abs() < 1e-6, "{place} {name}: {want} {got}");
            }
        }
    }
}

#[test]
fn pictures_that_count_double_have_double_the_loss_and_gradient() {
    let (x, labels) = batch();
    let network = network("cpu", &[], &[]);
    let once = network.gradients(&x, &labels, TRAIN).unwrap();
    let weighted = |weights: [f32; 5]| {
        let weights = Tensor::new(&weights, &Device::Cpu).unwrap();
        let outcome = network.gradients_weighted(&x, &labels, &weights, TRAIN);
        let outcome = outcome.unwrap();
        let gradients = network.canonical_gradients(&outcome.gradients).unwrap();
        (outcome.loss.read().unwrap(), values(&gradients))
    };
    let (loss, gradients) = weighted([2.0; 5]);
    assert!((loss - 2.0 * once.loss.read().unwrap()).abs() < 1e-6);
    let single = values(&network.canonical_gradients(&once.gradients).unwrap());
    for (name, gradient) in &gradients {
        for (double, once) in gradient.iter().zip(&single[name]) {
            assert!((double - 2.0 * once).abs() < 1e-6, "{name}");
        }
    }
    // Those that count nothing change nothing: only picture 1 is left, of five.
    let (alone, _) = weighted([0.0, 1.0, 0.0, 0.0, 0.0]);
    let logits = once.logits.to_vec2::<f32>().unwrap()[1].clone();
    let sum: f32 = logits.iter().map(|z| z.exp()).sum();
    let by_hand = f64::from(sum.ln() - logits[2]) / 5.0;
    assert!((alone - by_hand).abs() < 1e-6, "{alone} {by_hand}");
}
