//! Weights of another architecture, and headers that say what is not so.

mod common;

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use common::fixture;
use tandem_alexnet::parameters;
use tandem_alexnet::spec::Spec;
use tandem_formats::{Looks, Options, Problem, Suggestion, import_bytes};

/// A safetensors file of zeros under these names and shapes.
fn file(tensors: &[(&str, &[usize])]) -> Vec<u8> {
    let tensors: HashMap<String, Tensor> = tensors
        .iter()
        .map(|(name, shape)| {
            let zeros = Tensor::zeros(*shape, DType::F32, &Device::Cpu).unwrap();
            (name.to_string(), zeros)
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    candle_core::safetensors::save(&tensors, &path).unwrap();
    std::fs::read(path).unwrap()
}

fn refused(file: &[u8]) -> Problem {
    import_bytes(file, &Options::default()).unwrap_err()
}

#[test]
fn of_torchvisions_names_with_other_shapes_each_is_listed_with_what_it_must_be() {
    let problem = refused(&file(&[
        ("features.0.weight", &[8, 3, 7, 7]),
        ("features.0.bias", &[8]),
        ("features.3.weight", &[24, 4, 5, 5]),
        ("features.3.bias", &[24]),
        ("classifier.6.weight", &[10, 32]),
        ("features.1.running_mean", &[8]),
    ]));
    let message = problem.to_string();
    for line in [
        "does not fit `torchvision`:",
        "  conv1.weight (features.0.weight) is [8, 3, 7, 7], and must be [8, 3, 11, 11]",
        "  conv2.weight (features.3.weight) is [24, 4, 5, 5], and must be [24, 8, 5, 5]",
        "  features.1.running_mean [8] is not part of the network",
        "  conv3.weight [384, 24, 3, 3] is missing",
    ] {
        assert!(
            message.lines().any(|found| found == line),
            "{line:?} in {message}"
        );
    }
}

#[test]
fn the_preset_that_shapes_are_of_is_named_whatever_the_names_and_classes() {
    let spec = Spec::preset("mini").unwrap().for_data(7, 3).unwrap();
    let list = parameters::of(&spec).unwrap();
    let renamed: Vec<(String, &[usize])> = list
        .iter()
        .map(|parameter| {
            (
                format!("net.{}", parameter.name),
                parameter.shape.as_slice(),
            )
        })
        .collect();
    let renamed: Vec<(&str, &[usize])> = renamed
        .iter()
        .map(|(name, shape)| (name.as_str(), *shape))
        .collect();
    let problem = refused(&file(&renamed));
    let Problem::UnknownNames { ref suggestion, .. } = problem else {
        panic!("{problem}")
    };
    assert_eq!(*suggestion, Suggestion::Exact(vec!["mini"]));
    assert!(
        problem
            .to_string()
            .ends_with("its shapes are those of `mini`"),
        "{problem}"
    );
    // Without one of them it is only near.
    let problem = refused(&file(&renamed[1..]));
    assert!(
        problem
            .to_string()
            .contains("nearest is the preset `mini`: "),
        "{problem}"
    );
    // Of another network altogether nothing is suggested.
    let problem = refused(&file(&[
        ("layer1.0.conv1.weight", &[64, 64, 3, 3]),
        ("bn1.weight", &[64]),
    ]));
    let message = problem.to_string();
    assert!(
        message.contains("its tensors are bn1.weight [64], layer1.0.conv1.weight [64, 64, 3, 3]"),
        "{message}"
    );
    assert!(!message.contains("preset"), "{message}");
}

#[test]
fn weights_of_another_network_than_the_one_named_are_told_their_shapes_and_not_of_a_mean() {
    let bytes = file(&[("conv1.weight", &[4, 3, 11, 11]), ("conv1.bias", &[4])]);
    let options = Options {
        model: Some(Spec::preset("alexnet").unwrap()),
        ..Options::default()
    };
    let problem = import_bytes(&bytes, &options).unwrap_err();
    assert!(matches!(problem, Problem::DoesNotFit { .. }), "{problem}");
    let said = problem.to_string();
    assert!(said.contains("[96, 3, 11, 11]"), "{said}");
}

#[test]
fn tensors_under_tandems_own_names_need_to_be_told_their_network() {
    let spec = Spec::preset("torchvision").unwrap().for_data(5, 3).unwrap();
    let text = spec.to_toml().replace("channels = 4096", "channels = 8");
    let text = [("64", "2"), ("192", "3"), ("384", "4"), ("256", "2")]
        .iter()
        .fold(text, |text, (from, to)| {
            text.replace(
                &format!("channels = {from}\n"),
                &format!("channels = {to}\n"),
            )
        });
    let spec = Spec::parse(&text).unwrap();
    let list = parameters::of(&spec).unwrap();
    let tensors: Vec<(&str, &[usize])> = list
        .iter()
        .map(|p| (p.name.as_str(), p.shape.as_slice()))
        .collect();
    let bytes = file(&tensors);
    assert!(matches!(refused(&bytes), Problem::UnknownNames { .. }));
    let told = Options {
        model: Some(spec.clone()),
        ..Options::default()
    };
    assert_eq!(import_bytes(&bytes, &told).unwrap().weights.spec, spec);
    let other = Options {
        model: Some(spec.for_data(6, 3).unwrap()),
        ..Options::default()
    };
    let error = import_bytes(&bytes, &other).unwrap_err().to_string();
    assert!(
        error.contains("fc8.bias is [5], and must be [6]"),
        "{error}"
    );
}

#[test]
fn shapes_that_repeat_values_make_no_memory() {
    // Every stride 0: a few bytes claim billions of values.
    let mut stream = std::fs::read(fixture("tiny-stream.pth")).unwrap();
    let shape = b"(K\x02K\x03K\x0bK\x0btq"; // of features.0.weight
    let strides = b"(Mk\x01KyK\x0bK\x01tq";
    let place = |stream: &[u8], part: &[u8]| {
        (0..stream.len())
            .find(|&at| stream[at..].starts_with(part))
            .unwrap()
    };
    let at = place(&stream, shape);
    stream[at + 2] = 0xff;
    let at = place(&stream, strides);
    for (offset, byte) in [(2, 0), (3, 0), (5, 0), (7, 0), (9, 0)] {
        stream[at + offset] = byte;
    }
    let problem = refused(&stream);
    assert!(
        matches!(
            problem,
            Problem::TooManyValues { .. } | Problem::DoesNotFit { .. }
        ),
        "{problem}"
    );
}

#[test]
fn safetensors_headers_that_lie_are_refused() {
    let with_header = |header: &str, data: usize| {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        bytes
    };
    let tensor = |shape: &str, offsets: &str| {
        format!(
            r#"{{"features.0.bias":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#
        )
    };
    for (header, data) in [
        (tensor("[2]", "[0,4]"), 8),
        (tensor("[2]", "[0,8000000000000000000]"), 8),
        (tensor("[2]", "[8,0]"), 8),
        (tensor("[4294967296,4294967296,4294967296]", "[0,8]"), 8),
        (tensor("[2]", "[4,12]"), 12),
        ("{".to_owned(), 0),
        (r#"{"__metadata__":{"step":3}}"#.to_owned(), 0),
    ] {
        let problem = refused(&with_header(&header, data));
        assert!(
            matches!(problem, Problem::Safetensors(_)),
            "{header}: {problem}"
        );
    }
    let longer_than_the_file = [&1000u64.to_le_bytes()[..], b"{}"].concat();
    assert!(matches!(
        refused(&longer_than_the_file),
        Problem::Safetensors(_)
    ));
    for (key, value) in [("spec", "name = 3"), ("classes", "no list"), ("step", "-1")] {
        let header = format!(r#"{{"__metadata__":{{"{key}":"{value}"}}}}"#);
        let problem = refused(&with_header(&header, 0));
        assert!(!problem.to_string().is_empty());
    }
}

#[test]
fn what_is_no_weights_file_is_said_to_be_none() {
    for (bytes, wanted) in [
        (&b""[..], Looks::Empty),
        (b"hello, world", Looks::Unknown),
        (&[0xff; 64], Looks::Unknown),
        (b"\x89HDF\r\n\x1a\n", Looks::Unknown),
        (b"\n<!doctype html>", Looks::Page),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            Looks::LfsPointer,
        ),
    ] {
        let problem = refused(bytes);
        assert!(
            matches!(&problem, Problem::Unrecognised(looks) if *looks == wanted),
            "{bytes:?}: {problem}"
        );
    }
}
