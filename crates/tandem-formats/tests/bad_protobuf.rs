//! Caffe and ONNX files that lie, in few bytes: each gets its own error, and little memory.

use prost::encoding::{WireType, encode_key, encode_varint};
use tandem_formats::{Options, import_bytes};

fn bytes_field(tag: u32, content: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    encode_key(tag, WireType::LengthDelimited, &mut field);
    encode_varint(content.len() as u64, &mut field);
    field.extend(content);
    field
}

fn number_field(tag: u32, number: u64) -> Vec<u8> {
    let mut field = Vec::new();
    encode_key(tag, WireType::Varint, &mut field);
    encode_varint(number, &mut field);
    field
}

fn refused(bytes: &[u8]) -> String {
    import_bytes(bytes, &Options::default())
        .unwrap_err()
        .to_string()
}

/// A layer of the current format.
fn layer(name: &str, kind: &str, bottom: &str, rest: &[Vec<u8>]) -> Vec<u8> {
    let fields = [
        bytes_field(1, name.as_bytes()),
        bytes_field(2, kind.as_bytes()),
        bytes_field(3, bottom.as_bytes()),
        bytes_field(4, name.as_bytes()),
        rest.concat(),
    ];
    bytes_field(100, &fields.concat())
}

/// A blob of that shape, with values of zero.
fn blob(shape: &[u64], values: usize) -> Vec<u8> {
    let dims: Vec<u8> = shape
        .iter()
        .flat_map(|&size| number_field(1, size))
        .collect();
    let fields = [bytes_field(5, &vec![0; 4 * values]), bytes_field(7, &dims)];
    bytes_field(7, &fields.concat())
}

fn caffe(layers: &[Vec<u8>]) -> Vec<u8> {
    [bytes_field(1, b"net"), layers.concat()].concat()
}

#[test]
fn a_length_beyond_the_end_is_refused() {
    for length in [200, u64::from(u32::MAX), u64::MAX >> 1, u64::MAX] {
        let mut file = bytes_field(1, b"net");
        encode_key(100, WireType::LengthDelimited, &mut file);
        encode_varint(length, &mut file);
        file.extend(layer("a", "ReLU", "data", &[]));
        let error = refused(&file);
        assert!(
            error.contains("is not a whole Caffe file: field 100 claims more than"),
            "{error}"
        );
    }
}

#[test]
fn a_file_cut_short_anywhere_is_refused() {
    let caffe = include_bytes!("../../../fuzz/seeds/caffe/current");
    let onnx = include_bytes!("../../../fuzz/seeds/onnx/tiny");
    for whole in [&caffe[..], onnx] {
        // What comes last, a softmax and a version, a file may do without.
        for length in 0..whole.len() - 40 {
            assert!(
                import_bytes(&whole[..length], &Options::default()).is_err(),
                "{length}"
            );
        }
    }
}

#[test]
fn a_million_empty_layers_take_no_memory() {
    // Two or three bytes each, which prost alone would make structs of some hundred.
    let empty_layers = bytes_field(100, b"").repeat(1_000_000);
    let error = refused(&[bytes_field(1, b"net"), empty_layers].concat());
    assert!(error.contains("more than 1024 layers"), "{error}");
    let blobs = bytes_field(7, b"").repeat(1_000_000);
    let error = refused(&caffe(&[layer("a", "Convolution", "data", &[blobs])]));
    assert!(error.contains("more than 8 blobs"), "{error}");
    let bottoms = bytes_field(3, b"").repeat(1_000_000);
    let error = refused(&caffe(&[layer("a", "Convolution", "data", &[bottoms])]));
    assert!(error.contains("bytes of it are not values"), "{error}");
}

#[test]
fn a_shape_that_its_values_do_not_fill_is_refused() {
    for (shape, values) in [
        (&[2, 3, 3, 3][..], 53),
        (&[u64::MAX >> 1, 4], 8),
        (&[1 << 32, 1 << 32], 8),
        (&[u64::MAX, 4], 4),
    ] {
        let file = caffe(&[layer(
            "conv1",
            "Convolution",
            "data",
            &[blob(shape, values)],
        )]);
        let error = refused(&file);
        assert!(error.contains("conv1's blob 0"), "{error}");
    }
}

/// A picture of 18,000 x 18,000 fits the layers, and its mean would take five gigabytes.
#[test]
fn a_few_bytes_do_not_ask_for_a_huge_mean() {
    let crop = bytes_field(100, &number_field(3, 18_000));
    let convolution = [number_field(1, 1), number_field(4, 1), number_field(6, 64)].concat();
    let pooling = [number_field(1, 1), number_field(12, 1)].concat();
    let one = |shape: &[u64]| [blob(shape, shape.iter().product::<u64>() as usize)].concat();
    let file = caffe(&[
        layer("data", "Data", "nothing", &[crop]),
        layer(
            "conv1",
            "Convolution",
            "data",
            &[
                bytes_field(106, &convolution),
                one(&[1, 3, 1, 1]),
                one(&[1]),
            ],
        ),
        layer("pool", "Pooling", "conv1", &[bytes_field(121, &pooling)]),
        layer(
            "fc",
            "InnerProduct",
            "pool",
            &[
                bytes_field(117, &number_field(1, 2)),
                one(&[2, 1]),
                one(&[2]),
            ],
        ),
    ]);
    let error = refused(&file);
    assert!(error.contains("would be too large"), "{error}");
}

#[test]
fn a_layer_that_tandem_has_not_is_named() {
    let relu = |bottom| layer("r", "ReLU", bottom, &[]);
    for (layers, words) in [
        (
            vec![layer("inception", "Concat", "data", &[])],
            "layer `inception` (Concat) Tandem has no such",
        ),
        (
            vec![relu("data")],
            "layer `r` (ReLU) an activation stands right after",
        ),
        (
            vec![layer("n", "LRN", "data", &[]), relu("data")],
            "reads `data`, which is not what the layer before",
        ),
        (
            vec![layer("c", "Convolution", "data", &[])],
            "layer `c` (Convolution) has 0 blobs in place of 2",
        ),
        (
            vec![layer(
                "n",
                "LRN",
                "data",
                &[bytes_field(118, &number_field(4, 1))],
            )],
            "normalises within channels",
        ),
        (
            vec![layer(
                "p",
                "Pooling",
                "data",
                &[bytes_field(
                    121,
                    &[number_field(5, 2), number_field(6, 3)].concat(),
                )],
            )],
            "has a kernel of [2, 3], and Tandem's are square",
        ),
    ] {
        let error = refused(&caffe(&layers));
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn weights_of_another_size_than_the_layers_say_are_listed() {
    let mut file = include_bytes!("../../../fuzz/seeds/caffe/current").to_vec();
    // The last layer's weight of 2 x 8, whose values are as many as 8 x 2.
    let shape = [0x0a, 0x02, 0x02, 0x08];
    let at = file.windows(4).rposition(|window| window == shape).unwrap();
    file[at + 2..at + 4].copy_from_slice(&[8, 2]);
    let error = refused(&file);
    assert!(error.contains("does not fit"), "{error}");
    assert!(error.contains("is [8, 2], and must be [2, 8]"), "{error}");
}

#[test]
fn an_onnx_graph_that_is_no_chain_is_refused_by_node() {
    let node = |op: &str, input: &str, output: &str| {
        let fields = [
            bytes_field(1, input.as_bytes()),
            bytes_field(2, output.as_bytes()),
            bytes_field(4, op.as_bytes()),
        ];
        bytes_field(1, &fields.concat())
    };
    let size = |size: u64| bytes_field(1, &number_field(1, size));
    let shape: Vec<u8> = [1, 3, 8, 8].into_iter().flat_map(size).collect();
    let kind = bytes_field(1, &[number_field(1, 1), bytes_field(2, &shape)].concat());
    let input = bytes_field(11, &[bytes_field(1, b"x"), bytes_field(2, &kind)].concat());
    let model = |graph: &[Vec<u8>]| {
        let graph = bytes_field(7, &graph.concat());
        [number_field(1, 8), bytes_field(2, b"somebody"), graph].concat()
    };
    for (nodes, words) in [
        (
            vec![node("BatchNormalization", "x", "y")],
            "node `y` (BatchNormalization) normalises over batches",
        ),
        (
            vec![node("Relu", "z", "y")],
            "reads `z`, which is not what the node before it gives",
        ),
        (
            vec![node("Gelu", "x", "y")],
            "is an operator that no layer of Tandem's is",
        ),
        (vec![node("Softmax", "x", "y")], "is not over the scores"),
        (vec![node("Conv", "x", "y")], "has no weight"),
        (vec![], "there is no layer in its graph"),
    ] {
        let error = refused(&model(&[nodes.concat(), input.clone()]));
        assert!(error.contains(words), "{error}");
    }
    let error = refused(&model(&[node("Relu", "x", "y")]));
    assert!(error.contains("it has 0 inputs"), "{error}");
    let nodes = bytes_field(1, b"").repeat(100_000);
    let error = refused(&model(&[nodes, input.clone()]));
    assert!(error.contains("more than 4096 nodes"), "{error}");
    let tensors = bytes_field(5, b"").repeat(100_000);
    let error = refused(&model(&[tensors, input]));
    assert!(error.contains("more than 8192 initializers"), "{error}");
    assert!(
        refused(
            &[
                number_field(1, 8),
                bytes_field(2, b"x"),
                bytes_field(8, b"")
            ]
            .concat()
        )
        .contains("it has no graph")
    );
}
