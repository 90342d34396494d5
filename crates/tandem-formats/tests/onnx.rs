//! ONNX files, written by the onnx package and PyTorch (`onnx/make.py`): what onnxruntime gives for
//! them; and networks of ours out and in again.

use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use tandem_alexnet::network::{Network, Pass};
use tandem_alexnet::parameters;
use tandem_alexnet::presets;
use tandem_alexnet::shapes::Shapes;
use tandem_alexnet::spec::{Normalise, Spec};
use tandem_alexnet::weights::Weights;
use tandem_formats::onnx::{Precision, model};
use tandem_formats::{ChannelOrder, Format, Imported, Options, import, import_bytes};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/onnx")
        .join(name)
}

fn golden(name: &str) -> Tensor {
    let all = candle_core::safetensors::load(fixture("golden.safetensors"), &Device::Cpu).unwrap();
    all[name].clone()
}

/// The scores of the fixtures' picture.
fn scores(imported: &Imported, order: ChannelOrder) -> Tensor {
    let weights = &imported.weights;
    let crop = weights.spec.input.crop;
    let seen: Vec<f32> = (0..3 * crop * crop)
        .map(|i| (i as f64).sin() as f32)
        .collect();
    let seen = Tensor::from_vec(seen, (1, 3, crop, crop), &Device::Cpu).unwrap();
    let seen = match order {
        ChannelOrder::Rgb => seen,
        ChannelOrder::Bgr => seen.flip(&[1]).unwrap().contiguous().unwrap(),
    };
    let placement = "cpu".parse().unwrap();
    let network = Network::new(&weights.spec, &placement, &weights.parameters).unwrap();
    network.forward(&seen, Pass::Test).unwrap()
}

fn assert_near(got: &Tensor, want: &Tensor) {
    let apart = (got - want).unwrap().abs().unwrap().max_all().unwrap();
    let apart = apart.to_scalar::<f32>().unwrap();
    assert!(apart < 1e-4, "{apart}: {got} in place of {want}");
}

fn torchvision_pictures() -> Options {
    Options {
        normalise: Some(Normalise::Torchvision),
        ..Options::default()
    }
}

#[test]
fn the_model_zoos_alexnet_gives_what_onnxruntime_gives() {
    let imported = import(&fixture("zoo.onnx"), &Options::default()).unwrap();
    assert_eq!(imported.format, Format::Onnx);
    let logits = scores(&imported, ChannelOrder::Bgr);
    assert_near(
        &candle_nn::ops::softmax(&logits, 1).unwrap(),
        &golden("zoo"),
    );
    let spec = &imported.weights.spec;
    assert_eq!(Shapes::of(spec).unwrap().towers(), 2);
    assert!(
        imported.notes[0].contains("onnx-caffe2 wrote it"),
        "{:?}",
        imported.notes
    );
    // Red first.
    let mean = imported.weights.mean.unwrap();
    let first = [0, 1, 2].map(|c| mean.get(c).unwrap().get(0).unwrap().get(0).unwrap());
    let first = first.map(|value| value.to_scalar::<f32>().unwrap());
    assert_eq!(first, [122.67892, 116.66877, 104.00699]);
}

#[test]
fn pytorchs_export_of_torchvisions_pattern_gives_what_onnxruntime_gives() {
    let imported = import(&fixture("pytorch.onnx"), &torchvision_pictures()).unwrap();
    assert_near(&scores(&imported, ChannelOrder::Rgb), &golden("pytorch"));
    assert!(imported.weights.mean.is_none());
    let names: Vec<&str> = imported
        .weights
        .spec
        .layers
        .iter()
        .filter_map(|l| l.name())
        .collect();
    assert_eq!(
        names,
        [
            "conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"
        ]
    );
}

#[test]
fn weights_of_every_type_and_place_give_what_onnxruntime_gives() {
    for name in ["mixed", "external"] {
        let imported = import(&fixture(&format!("{name}.onnx")), &torchvision_pictures()).unwrap();
        assert_near(&scores(&imported, ChannelOrder::Rgb), &golden(name));
    }
}

#[test]
fn how_pictures_are_made_is_never_guessed() {
    let error = import(&fixture("mixed.onnx"), &Options::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("does not say how its pictures are made; give --normalise torchvision"),
        "{error}"
    );
    let options = Options {
        normalise: Some(Normalise::Mean),
        order: Some(ChannelOrder::Bgr),
        ..Options::default()
    };
    let imported = import(&fixture("mixed.onnx"), &options).unwrap();
    assert_near(&scores(&imported, ChannelOrder::Bgr), &golden("mixed"));
    let options = Options {
        mean: Some(fixture("../caffe/narrow_mean.binaryproto")),
        ..Options::default()
    };
    let imported = import(&fixture("mixed.onnx"), &options).unwrap();
    assert_eq!(imported.weights.spec.input.side, 80);
    assert_eq!(imported.weights.mean.unwrap().dims(), [3, 80, 80]);
}

/// A network of ours with its initial values, narrow where the preset is wide.
fn trained(spec: Spec) -> Weights {
    let list = parameters::of(&spec).unwrap();
    let values = list
        .iter()
        .map(|p| (p.name.clone(), p.initial_values(4).unwrap()));
    let (channels, side) = (spec.input_channels(), spec.input.side);
    let mean = Tensor::rand(0f32, 255.0, (channels, side, side), &Device::Cpu).unwrap();
    Weights {
        classes: (0..spec.classes)
            .map(|i| format!("class \"{i}\""))
            .collect(),
        step: 12,
        epoch: 3,
        origin: Some("trained by a test".to_owned()),
        licence: None,
        mean: (spec.input.normalise == Normalise::Mean).then_some(mean),
        parameters: values.collect(),
        spec,
    }
}

fn narrow(preset: &str) -> Spec {
    use tandem_alexnet::spec::Layer;
    let mut spec = Spec::preset(preset).unwrap();
    for layer in &mut spec.layers {
        match layer {
            Layer::Convolution(layer) => layer.channels /= 8,
            Layer::Linear(layer) => layer.channels = layer.channels.map(|n| n / 64),
            _ => {}
        }
    }
    spec.for_data(10, 3).unwrap()
}

fn values(tensor: &Tensor) -> Vec<u32> {
    let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    values.into_iter().map(f32::to_bits).collect()
}

#[test]
fn every_preset_goes_out_and_comes_back_equal() {
    for preset in presets::ALL {
        let weights = trained(narrow(preset.name));
        let bytes = model(&weights, Precision::Single).unwrap();
        let back = import_bytes(&bytes, &Options::default()).unwrap();
        assert!(back.notes.is_empty(), "{}: {:?}", preset.name, back.notes);
        let back = back.weights;
        assert_eq!(back.spec, weights.spec);
        assert_eq!(back.metadata(), weights.metadata());
        assert_eq!(
            back.mean.as_ref().map(values),
            weights.mean.as_ref().map(values)
        );
        for (name, tensor) in &weights.parameters {
            assert_eq!(values(&back.parameters[name]), values(tensor), "{name}");
        }
        assert_eq!(
            model(&back, Precision::Single).unwrap(),
            bytes,
            "{}",
            preset.name
        );
    }
}

#[test]
fn halves_take_half_and_come_back_as_halves() {
    let weights = trained(narrow("alexnet"));
    let bytes = model(&weights, Precision::Half).unwrap();
    let single = model(&weights, Precision::Single).unwrap().len();
    let mean = 4 * 3 * 256 * 256;
    assert!(bytes.len() - mean < (single - mean) * 6 / 10);
    let back = import_bytes(&bytes, &Options::default()).unwrap().weights;
    for (name, tensor) in &weights.parameters {
        let halved = tensor
            .to_dtype(DType::F16)
            .unwrap()
            .to_dtype(DType::F32)
            .unwrap();
        assert_eq!(values(&back.parameters[name]), values(&halved), "{name}");
    }
    assert_eq!(
        back.mean.as_ref().map(values),
        weights.mean.as_ref().map(values)
    );
}

/// Without our metadata a graph of ours is read as anyone's: towers and LRN come out the same.
#[test]
fn a_graph_of_ours_without_its_metadata_computes_the_same() {
    for preset in ["alexnet", "caffenet", "torchvision"] {
        let weights = trained(narrow(preset));
        let bytes = model(&weights, Precision::Single).unwrap();
        let key = b"tandem.spec";
        let at = bytes
            .windows(key.len())
            .position(|window| window == key)
            .unwrap();
        let mut foreign = bytes.clone();
        foreign[at] = b'T';
        let options = Options {
            normalise: Some(Normalise::Torchvision),
            ..Options::default()
        };
        let back = import_bytes(&foreign, &options).unwrap().weights;
        assert_eq!(
            Shapes::of(&back.spec).unwrap().towers(),
            Shapes::of(&weights.spec).unwrap().towers()
        );
        let crop = weights.spec.input.crop;
        let x = Tensor::randn(0f32, 1.0, (1, 3, crop, crop), &Device::Cpu).unwrap();
        let logits = |weights: &Weights| {
            let placement = "cpu".parse().unwrap();
            let network = Network::new(&weights.spec, &placement, &weights.parameters).unwrap();
            network.forward(&x, Pass::Test).unwrap()
        };
        assert_near(&logits(&back), &logits(&weights));
    }
}

#[test]
fn a_graph_that_is_not_what_its_metadata_says_is_read_for_itself() {
    let weights = trained(narrow("torchvision"));
    let bytes = model(&weights, Precision::Single).unwrap();
    // Another stride in the metadata alone.
    let from = b"stride = 4";
    let at = bytes
        .windows(from.len())
        .position(|window| window == from)
        .unwrap();
    let mut changed = bytes.clone();
    changed[at + from.len() - 1] = b'3';
    match import_bytes(&changed, &torchvision_pictures()) {
        Ok(back) => {
            assert!(
                back.notes[0].contains("not those that its metadata tells of"),
                "{:?}",
                back.notes
            );
            let layers = back.weights.spec.to_toml();
            assert!(layers.contains("stride = 4"), "{layers}");
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn values_outside_the_models_folder_are_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let (inside, secret) = (
        folder.path().join("model"),
        folder.path().join("secret.bin"),
    );
    fs::create_dir(&inside).unwrap();
    fs::copy(fixture("external.bin"), &secret).unwrap();
    let file = fs::read(fixture("external.onnx")).unwrap();
    let path = inside.join("m.onnx");
    let refused = |location: &str, at: &str| {
        assert_eq!(
            location.len(),
            "external.bin".len(),
            "lengths stand in the file"
        );
        let mut bytes = file.clone();
        let places: Vec<usize> = (0..bytes.len() - 12)
            .filter(|&i| &bytes[i..i + 12] == b"external.bin")
            .collect();
        assert!(!places.is_empty());
        for place in places {
            bytes[place..place + 12].copy_from_slice(location.as_bytes());
        }
        fs::write(&path, bytes).unwrap();
        let error = import(&path, &torchvision_pictures())
            .unwrap_err()
            .to_string();
        assert!(error.contains(location) && error.contains(at), "{error}");
    };
    refused("../secret.bi", "outside the model's folder");
    refused("/etc/passwdd", "outside the model's folder");
    refused("a/../../x.bi", "outside the model's folder");
    refused("not-there.bi", "no such file");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&secret, inside.join("linked-x.bin")).unwrap();
        refused("linked-x.bin", "outside the model's folder");
        // Not only since the folder is called as one of the hub's cache.
        let cache = folder.path().join("snapshots/1");
        fs::create_dir_all(&cache).unwrap();
        let blobs = folder.path().join("blobs");
        fs::create_dir(&blobs).unwrap();
        fs::copy(fixture("external.bin"), blobs.join("x")).unwrap();
        std::os::unix::fs::symlink("../../blobs/x", cache.join("external.bin")).unwrap();
        fs::copy(fixture("external.onnx"), cache.join("m.onnx")).unwrap();
        let error = import(&cache.join("m.onnx"), &torchvision_pictures());
        let error = error.unwrap_err().to_string();
        assert!(error.contains("outside the model's folder"), "{error}");
    }
    // Inside, but shorter than what is asked of it.
    fs::write(inside.join("external.bin"), [0; 10]).unwrap();
    fs::write(&path, &file).unwrap();
    let error = import(&path, &torchvision_pictures())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("are not in that file, which has 10"),
        "{error}"
    );
    // And without a folder at all.
    let error = import_bytes(&file, &torchvision_pictures())
        .unwrap_err()
        .to_string();
    assert!(error.contains("without a folder"), "{error}");
}
