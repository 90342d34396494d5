//! Weights files of every kind of wrong.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use candle_core::{DType, Device};
use proptest::prelude::*;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::*;

const SPEC: &str = r#"
name = "tiny"
classes = 2
input = { channels = 1, side = 4, crop = 4 }
layer = [
    { kind = "convolution", name = "conv1", channels = 2, kernel = 3, towers = 2, sees = "both" },
    { kind = "linear", name = "fc2", sees = "both" },
]
"#;

fn weights() -> Weights {
    let spec = Spec::parse(SPEC).unwrap();
    let list = parameters::of(&spec).unwrap();
    let parameters = list
        .iter()
        .map(|p| (p.name.clone(), p.initial_values(1).unwrap()))
        .collect();
    Weights {
        spec,
        classes: vec!["cat".to_owned(), "dog".to_owned()],
        step: 3,
        epoch: 1,
        origin: None,
        licence: None,
        mean: None,
        parameters,
    }
}

fn bytes() -> Vec<u8> {
    let mut bytes = Vec::new();
    weights().write(&mut bytes).unwrap();
    bytes
}

/// A folder with `weights.safetensors` of that content.
fn file(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    fs::write(&path, content).unwrap();
    (folder, path)
}

fn refused(content: &[u8]) -> String {
    let (_folder, path) = file(content);
    let error = Weights::read(&path).unwrap_err().to_string();
    assert!(
        error.contains("weights.safetensors"),
        "the file is named: {error}"
    );
    error
}

/// A file with that header before `data` bytes of zeros.
fn with_header(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

/// Tensors of one value each, as someone else would write them.
fn foreign(tensors: &[(&str, Dtype, &[usize])]) -> Vec<u8> {
    let data = vec![0u8; 1024];
    let view = |&(name, dtype, shape): &(&str, Dtype, &[usize])| {
        let size = dtype.bitsize() / 8 * shape.iter().product::<usize>();
        (
            name.to_owned(),
            TensorView::new(dtype, shape.to_vec(), &data[..size]).unwrap(),
        )
    };
    let views: HashMap<_, _> = tensors.iter().map(view).collect();
    safetensors::serialize(views, None).unwrap()
}

#[test]
fn weights_come_back_as_they_were_written() {
    let (_folder, path) = file(&bytes());
    let read = Weights::read(&path).unwrap();
    assert_eq!((read.step, read.epoch, &read.spec), (3, 1, &weights().spec));
    for (name, tensor) in weights().parameters {
        let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values(&read.parameters[&name]), values(&tensor), "{name}");
    }
    assert!(read.mean.is_none());
}

#[test]
fn what_is_written_is_what_the_safetensors_crate_reads() {
    let bytes = bytes();
    let archive = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(
        archive.tensor("conv1.weight").unwrap().shape(),
        [2, 1, 3, 3]
    );
    assert_eq!(archive.len(), 4);
}

#[test]
fn a_file_that_is_no_safetensors_is_named() {
    for content in [
        &b""[..],
        b"PK\x03\x04",
        b"not a safetensors file at all, but a text",
        &[0xff; 64],
    ] {
        assert!(refused(content).contains("is not a whole safetensors file"));
    }
    let error = Weights::read(Path::new("no/such.safetensors"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("cannot read no/such.safetensors"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    assert!(
        Weights::read(folder.path())
            .unwrap_err()
            .to_string()
            .contains("cannot read")
    );
}

#[test]
fn a_file_cut_short_anywhere_is_refused() {
    let whole = bytes();
    for length in (0..whole.len()).step_by(7) {
        assert!(refused(&whole[..length]).contains("cut short"));
    }
    let longer = [whole.as_slice(), b"x"].concat();
    assert!(refused(&longer).contains("cut short"));
}

#[test]
fn a_header_that_lies_is_refused() {
    let tensor = |shape: &str, offsets: &str| {
        format!(r#"{{"conv1.bias":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#)
    };
    for (header, data) in [
        (tensor("[2]", "[0,4]"), 8),                   // shorter than the shape
        (tensor("[2]", "[0,8000000000000000000]"), 8), // beyond the file
        (tensor("[2]", "[8,0]"), 8),                   // backwards
        (tensor("[2]", "[-8,0]"), 8),                  // negative
        (tensor("[4294967296,4294967296,4294967296]", "[0,8]"), 8), // overflows
        (tensor("[2]", "[4,12]"), 12),                 // a hole in front
        ("{".to_owned(), 0),                           // no JSON
        ("[".repeat(10_000), 0),                       // deep
        (r#"{"__metadata__":{"step":3}}"#.to_owned(), 0), // metadata that is no string
    ] {
        assert!(
            refused(&with_header(&header, data)).contains("is not a whole safetensors file"),
            "{header:.80}"
        );
    }
    for length in [u64::MAX, u64::MAX - 7, 1 << 40, 100_000_001, 1000] {
        let bytes = [&length.to_le_bytes()[..], b"{}"].concat();
        assert!(
            refused(&bytes).contains("is not a whole safetensors file"),
            "{length}"
        );
    }
    assert!(refused(&[&4u64.to_le_bytes()[..], b"\xff\xfe\xfd\xfc"].concat()).contains("UTF-8"));
}

#[test]
fn a_file_from_elsewhere_has_no_spec_of_its_own() {
    let error = refused(&foreign(&[("conv1.bias", Dtype::F32, &[2])]));
    assert!(error.contains("says nothing about its `format`"), "{error}");
}

#[test]
fn all_that_does_not_fit_is_listed_at_once() {
    let (_folder, path) = file(&foreign(&[
        ("conv1.weight", Dtype::F32, &[2, 1, 5, 5]),
        ("conv1.bias", Dtype::I64, &[2]),
        ("fc2.bias", Dtype::F32, &[2]),
        ("fc3.weight", Dtype::F32, &[7]),
    ]));
    let error = read_parameters(&path, &weights().spec)
        .unwrap_err()
        .to_string();
    let lines: Vec<&str> = error.lines().collect();
    assert!(
        lines[0].ends_with("weights.safetensors does not fit `tiny`:"),
        "{error}"
    );
    assert_eq!(
        lines[1..],
        [
            "  fc2.weight [2, 8] is missing",
            "  conv1.bias holds I64, and must hold F32, F64, F16 or BF16",
            "  conv1.weight is [2, 1, 5, 5], and must be [2, 1, 3, 3]",
            "  fc3.weight [7] is not part of the network",
        ]
    );
}

#[test]
fn half_and_double_precision_become_f32() {
    let values = [1.5f64, -0.375];
    let spec = weights().spec;
    for dtype in [DType::F64, DType::F16, DType::BF16, DType::F32] {
        let mut stored: HashMap<String, Tensor> = weights().parameters.into_iter().collect();
        let bias = Tensor::new(&values, &Device::Cpu)
            .unwrap()
            .to_dtype(dtype)
            .unwrap();
        stored.insert("fc2.bias".to_owned(), bias);
        let (_folder, path) = file(&[]);
        candle_core::safetensors::save(&stored, &path).unwrap();
        let read = read_parameters(&path, &spec).unwrap();
        assert_eq!(
            read["fc2.bias"].to_vec1::<f32>().unwrap(),
            [1.5, -0.375],
            "{dtype:?}"
        );
    }
}

#[test]
fn metadata_that_makes_no_sense_is_named() {
    let text = String::from_utf8_lossy(&bytes()).into_owned();
    assert!(text.contains(r#""step":"3""#), "the test spoils it");
    let spoil = |from: &str, to: &str| {
        let whole = bytes();
        let at = whole
            .windows(from.len())
            .position(|window| window == from.as_bytes())
            .unwrap();
        [&whole[..at], to.as_bytes(), &whole[at + from.len()..]].concat()
    };
    assert!(refused(&spoil(r#""step":"3""#, r#""step":"x""#)).contains("its `step` is `x`"));
    assert!(
        refused(&spoil(r#""format":"tandem""#, r#""format":"random""#))
            .contains("its `format` is `random`")
    );
    assert!(
        refused(&spoil("classes = 2", "classes = 3"))
            .contains("names 2 classes and its network has 3")
    );
    assert!(
        refused(&spoil("kernel = 3", "kernel = 9"))
            .contains("its network is refused: layer 1 `conv1`")
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Whatever bytes are changed, reading answers or refuses: no panic.
    #[test]
    fn no_damage_makes_reading_panic(damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut content = bytes();
        for (place, byte) in damage {
            let place = place.index(content.len());
            content[place] = byte;
        }
        let (_folder, path) = file(&content);
        let _ = Weights::read(&path);
    }
}
