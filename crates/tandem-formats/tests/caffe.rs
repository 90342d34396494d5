//! Caffe's files, written by google.protobuf (`caffe/make.py`): the scores that PyTorch gives in float64.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use tandem_alexnet::network::{Network, Pass};
use tandem_alexnet::shapes::Shapes;
use tandem_alexnet::spec::{Layer, Sees};
use tandem_data::{Normalise, Preprocess, View, view};
use tandem_formats::{Format, Imported, Options, import};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/caffe")
        .join(name)
}

fn imported(name: &str) -> Imported {
    import(&fixture(&format!("{name}.caffemodel")), &Options::default()).unwrap()
}

/// Pictures (N, side, side, 3) of RGB bytes, and their scores (N, classes).
fn golden(name: &str) -> (Tensor, Tensor) {
    let all = candle_core::safetensors::load(fixture("scores.safetensors"), &Device::Cpu).unwrap();
    let of = |what: &str| all[&format!("{name}.{what}")].clone();
    (of("pictures"), of("scores"))
}

/// Scores of RGB pictures, made as `predict` makes them.
fn scores(imported: &Imported, pictures: &Tensor, placement: &str) -> Tensor {
    let weights = &imported.weights;
    let spec = &weights.spec;
    let preprocess = Preprocess {
        side: spec.input.side,
        channels: 3,
    };
    let mean = weights.mean.as_ref().unwrap().flatten_all().unwrap();
    let normalise = Normalise::Mean(mean.to_vec1::<f32>().unwrap().into());
    let rows: Vec<f32> = (0..pictures.dim(0).unwrap())
        .flat_map(|n| {
            let pixels = pictures.get(n).unwrap().flatten_all().unwrap();
            let pixels = pixels.to_vec1::<u8>().unwrap();
            assert_eq!(pixels.len(), 3 * spec.input.side * spec.input.side);
            view(
                &pixels,
                preprocess,
                spec.input.crop,
                View::Centre,
                &normalise,
            )
            .unwrap()
        })
        .collect();
    let crop = spec.input.crop;
    let shape = (pictures.dim(0).unwrap(), 3, crop, crop);
    let x = Tensor::from_vec(rows, shape, &Device::Cpu).unwrap();
    let placement = placement.parse().unwrap();
    let network = Network::new(spec, &placement, &weights.parameters).unwrap();
    network.forward(&x, Pass::Test).unwrap()
}

fn apart(a: &Tensor, b: &Tensor) -> f32 {
    let apart = (a - b).unwrap().abs().unwrap();
    apart.max_all().unwrap().to_scalar().unwrap()
}

#[test]
fn a_solvers_file_of_2014_gives_pytorchs_scores() {
    let imported = imported("caffenet");
    let (pictures, want) = golden("caffenet");
    for placement in ["cpu", "cpu,cpu"] {
        let apart = apart(&scores(&imported, &pictures, placement), &want);
        assert!(apart < 1e-4, "{placement}: {apart}");
    }
    assert_eq!(imported.format, Format::Caffe);
    assert!(
        imported.notes[0].contains("narrow_mean.binaryproto, which lies beside the file"),
        "{:?}",
        imported.notes
    );
    let kinds: Vec<&str> = imported
        .weights
        .spec
        .layers
        .iter()
        .map(Layer::kind)
        .collect();
    assert_eq!(
        kinds[..6],
        [
            "convolution",
            "max-pool",
            "lrn",
            "convolution",
            "max-pool",
            "lrn"
        ]
    );
}

#[test]
fn a_file_of_current_layers_gives_pytorchs_scores() {
    let imported = imported("bvlc");
    let (pictures, want) = golden("bvlc");
    let apart = apart(&scores(&imported, &pictures, "cpu"), &want);
    assert!(apart < 1e-4, "{apart}");
    let kinds: Vec<&str> = imported
        .weights
        .spec
        .layers
        .iter()
        .map(Layer::kind)
        .collect();
    assert_eq!(kinds[..3], ["convolution", "lrn", "max-pool"]);
    // Means of blue, green, red in the file; here red comes first.
    let mean = imported.weights.mean.unwrap();
    let first = |channel: usize| mean.get(channel).unwrap().flatten_all().unwrap();
    let first = |channel: usize| first(channel).to_vec1::<f32>().unwrap()[0];
    assert_eq!([first(0), first(1), first(2)], [123.0, 117.0, 104.0]);
}

#[test]
fn a_mean_that_is_given_stands_for_the_files_own_and_says_so() {
    let options = Options {
        mean: Some(fixture("narrow_mean.binaryproto")),
        ..Options::default()
    };
    let given = import(&fixture("bvlc.caffemodel"), &options).unwrap();
    assert!(
        given.notes[0].contains("[104.0, 117.0, 123.0], gives way"),
        "{:?}",
        given.notes
    );
    let mean = |imported: &Imported| imported.weights.mean.clone().unwrap();
    assert_eq!(apart(&mean(&given), &mean(&imported("caffenet"))), 0.0);
}

#[test]
fn red_is_red_and_blue_is_blue() {
    let imported = imported("caffenet");
    let (pictures, want) = golden("caffenet");
    // The second picture is red on the left and blue on the right.
    let pixel = |x: usize| -> Vec<u8> {
        let pixel = pictures.get(1).unwrap().get(0).unwrap().get(x).unwrap();
        pixel.to_vec1().unwrap()
    };
    assert_eq!((pixel(0), pixel(79)), (vec![255, 0, 0], vec![0, 0, 255]));
    let red_and_blue_swapped = pictures.flip(&[3]).unwrap().contiguous().unwrap();
    let swapped = scores(&imported, &red_and_blue_swapped, "cpu");
    assert!(apart(&swapped, &want) > 0.1);
}

#[test]
fn groups_become_towers_and_lrn_sees_both() {
    let imported = imported("caffenet");
    let spec = &imported.weights.spec;
    assert_eq!(Shapes::of(spec).unwrap().towers(), 2);
    let seen: Vec<Sees> = spec
        .layers
        .iter()
        .filter_map(|layer| match layer {
            Layer::Convolution(layer) => Some(layer.sees),
            Layer::Lrn(layer) => Some(layer.sees),
            _ => None,
        })
        .collect();
    use Sees::{Both, Own};
    assert_eq!(seen, [Both, Both, Own, Both, Both, Own, Own]);
}

#[test]
fn an_imported_network_is_written_and_read_back_equal() {
    let imported = imported("bvlc");
    let folder = tempfile::tempdir().unwrap();
    let file = imported.write(&folder.path().join("new")).unwrap();
    let read = import(&file, &Options::default()).unwrap();
    assert_eq!(read.weights.spec, imported.weights.spec);
    let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    for (name, tensor) in &imported.weights.parameters {
        assert_eq!(flat(&read.weights.parameters[name]), flat(tensor), "{name}");
    }
    let mean = |imported: &Imported| flat(imported.weights.mean.as_ref().unwrap());
    assert_eq!(mean(&read), mean(&imported));
}
