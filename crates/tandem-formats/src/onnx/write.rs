//! A network as a graph of ONNX's operators.
//!
//! Towers are groups of a convolution. LRN inside a tower is LRN over pictures of half the channels: a
//! reshaping before it and one after. Dropout is left out, but for the factor that the paper's rule has
//! at test. After the last layer comes a softmax.

use prost::Message;
use tandem_alexnet::error::SpecError;
use tandem_alexnet::shapes::{LayerShape, Shapes};
use tandem_alexnet::spec::{
    Activation, AlphaConvention, DropoutRule, Layer, Lrn, Pool, Rounding, Sees, Spec,
};
use tandem_alexnet::weights::Weights;

use super::message::{
    Attribute, Dimension, Entry, Graph, Model, Node, OperatorSet, Shape, Size, Tensor, TensorType,
    Type, ValueInfo,
};
use super::pooling::windows;

/// Before each key of what is said of a network in a model's metadata.
pub(super) const METADATA: &str = "tandem.";
/// The training mean, which no node reads: a picture is made before it comes to the graph.
const MEAN: &str = "input.mean";
/// ONNX 1.8, of 2020: every operator here is as it still is.
const OPERATORS: i64 = 13;
const IR_VERSION: i64 = 7;
const INPUT: &str = "pictures";
const OUTPUT: &str = "probabilities";
/// Protobuf's own bound, less what is not weights.
const MAX_MODEL: usize = (1 << 31) - (16 << 20);

/// What weights are stored in. They are computed with in single precision either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    #[default]
    Single,
    Half,
}

/// A network that cannot be written for another framework.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("{layer} has no like in the format")]
    NoOperator { layer: String },
    #[error("its weights take {bytes} bytes, and a model of ONNX holds up to 2 GiB")]
    TooLarge { bytes: usize },
    #[error("{name} holds {value}, which is too large for half precision")]
    NoHalf { name: String, value: f32 },
    #[error("{name}: {source}")]
    Tensor {
        name: String,
        source: Box<candle_core::Error>,
    },
    #[error("{0}")]
    Spec(#[from] SpecError),
}

/// Nodes, and the constants that they read beside the weights.
pub(super) struct Layers {
    pub nodes: Vec<Node>,
    constants: Vec<Tensor>,
}

/// The bytes of a model of `weights`.
///
/// # Errors
///
/// When a layer has no like among ONNX's operators, the model would be larger than protobuf allows, or
/// a weight has no half.
pub fn model(weights: &Weights, precision: Precision) -> Result<Vec<u8>, ExportError> {
    let spec = &weights.spec;
    let layers = layers(spec, precision)?;
    let values = weights.parameters.values().map(|t| t.elem_count());
    let bytes = values.sum::<usize>().saturating_mul(match precision {
        Precision::Single => 4,
        Precision::Half => 2,
    });
    if bytes > MAX_MODEL {
        return Err(ExportError::TooLarge { bytes });
    }
    let mut initializer = layers.constants;
    for (name, tensor) in &weights.parameters {
        initializer.push(stored(name, tensor, precision)?);
    }
    if let Some(mean) = &weights.mean {
        initializer.push(stored(MEAN, mean, Precision::Single)?);
    }
    let crop = spec.input.crop;
    let metadata = weights.metadata().into_iter();
    let model = Model {
        ir_version: IR_VERSION,
        producer_name: "tandem".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        graph: Some(Graph {
            node: layers.nodes,
            name: spec.name.clone(),
            initializer,
            input: vec![value(INPUT, &[spec.input_channels(), crop, crop])],
            output: vec![value(OUTPUT, &[spec.classes])],
        }),
        opset_import: vec![OperatorSet {
            domain: String::new(),
            version: OPERATORS,
        }],
        metadata_props: metadata
            .map(|(key, value)| Entry {
                key: format!("{METADATA}{key}"),
                value,
            })
            .collect(),
    };
    Ok(model.encode_to_vec())
}

/// A value of f32: of any number of pictures, `sizes` for one.
fn value(name: &str, sizes: &[usize]) -> ValueInfo {
    let batch = Size::Name("N".to_owned());
    let sizes = sizes.iter().map(|&size| Size::Value(size as i64));
    let dim = std::iter::once(batch).chain(sizes);
    let dim = dim.map(|size| Dimension { size: Some(size) });
    ValueInfo {
        name: name.to_owned(),
        kind: Some(Type {
            tensor: Some(TensorType {
                element: 1,
                shape: Some(Shape { dim: dim.collect() }),
            }),
        }),
    }
}

fn stored(
    name: &str,
    tensor: &candle_core::Tensor,
    precision: Precision,
) -> Result<Tensor, ExportError> {
    let values = tensor.flatten_all().and_then(|flat| flat.to_vec1::<f32>());
    let values = values.map_err(|source| ExportError::Tensor {
        name: name.to_owned(),
        source: Box::new(source),
    })?;
    let raw_data: Vec<u8> = match precision {
        Precision::Single => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Precision::Half => {
            let halves = values.iter().map(|&value| half::f16::from_f32(value));
            if let Some(place) = halves.clone().position(|half| !half.is_finite()) {
                return Err(ExportError::NoHalf {
                    name: name.to_owned(),
                    value: values[place],
                });
            }
            halves.flat_map(half::f16::to_le_bytes).collect()
        }
    };
    Ok(Tensor {
        dims: tensor.dims().iter().map(|&size| size as i64).collect(),
        data_type: match precision {
            Precision::Single => 1,
            Precision::Half => 10,
        },
        name: name.to_owned(),
        raw_data,
        ..Tensor::default()
    })
}

/// The nodes of `spec`. They follow from it alone.
pub(super) fn layers(spec: &Spec, precision: Precision) -> Result<Layers, ExportError> {
    let shapes = Shapes::of(spec)?;
    let mut writer = Writer {
        layers: Layers {
            nodes: Vec::new(),
            constants: Vec::new(),
        },
        flow: INPUT.to_owned(),
        flat: false,
        precision,
    };
    for (index, (layer, shape)) in spec.layers.iter().zip(&shapes.layers).enumerate() {
        writer.layer(layer, shape, index)?;
    }
    writer.node("Softmax", OUTPUT, &[], vec![int("axis", -1)]);
    Ok(writer.layers)
}

struct Writer {
    layers: Layers,
    /// The name of what the last node gave.
    flow: String,
    /// Whether that is features, no maps.
    flat: bool,
    precision: Precision,
}

impl Writer {
    /// A node that reads what the last gave, and `inputs`, and gives `name`.
    fn node(&mut self, op: &str, name: &str, inputs: &[&str], attribute: Vec<Attribute>) {
        let flow = std::mem::replace(&mut self.flow, name.to_owned());
        let inputs = inputs.iter().map(|&input| input.to_owned());
        self.layers.nodes.push(Node {
            input: std::iter::once(flow).chain(inputs).collect(),
            output: vec![name.to_owned()],
            name: name.to_owned(),
            op_type: op.to_owned(),
            attribute,
            domain: String::new(),
        });
    }

    fn layer(
        &mut self,
        layer: &Layer,
        shape: &LayerShape,
        index: usize,
    ) -> Result<(), ExportError> {
        // Layers without parameters may have one name more than once.
        let name = match layer.name() {
            Some(name) => name.to_owned(),
            None => format!("{}.{}", shape.name, index + 1),
        };
        match layer {
            Layer::Convolution(layer) => {
                let [weight, bias] = self.weights(&name);
                let read = shape.weight.as_ref().map_or(1, |weight| weight[1]);
                let attributes = vec![
                    ints("kernel_shape", &[layer.kernel; 2]),
                    ints("strides", &[layer.stride; 2]),
                    ints("pads", &[layer.padding; 4]),
                    int("group", (shape.input.channels / read) as i64),
                ];
                self.node("Conv", &name, &[&weight, &bias], attributes);
                self.activation(&name, layer.activation);
            }
            Layer::Linear(layer) => {
                if !std::mem::replace(&mut self.flat, true) {
                    self.node(
                        "Flatten",
                        &format!("{name}.flat"),
                        &[],
                        vec![int("axis", 1)],
                    );
                }
                let [weight, bias] = self.weights(&name);
                self.node("Gemm", &name, &[&weight, &bias], vec![int("transB", 1)]);
                self.activation(&name, layer.activation);
            }
            Layer::Lrn(layer) => self.lrn(&name, layer, shape),
            Layer::MaxPool(pool) => {
                let attributes = max_pooling(pool, shape);
                self.node("MaxPool", &name, &[], attributes);
            }
            Layer::AveragePool(pool) => {
                // Where a window hangs over, ONNX's and Tandem's divide by different numbers.
                let plain = windows(
                    &Pool {
                        rounding: Rounding::Down,
                        ..pool.clone()
                    },
                    shape.input.height,
                );
                if plain != Some(shape.output.height) {
                    return Err(ExportError::NoOperator { layer: name });
                }
                let mut attributes = pooling(pool.kernel, pool.stride, [pool.padding; 2]);
                attributes.push(int("count_include_pad", 1));
                self.node("AveragePool", &name, &[], attributes);
            }
            Layer::AdaptiveAveragePool(pool) => {
                // The input is a multiple of the output.
                let kernel = shape.input.height / pool.output;
                self.node("AveragePool", &name, &[], pooling(kernel, kernel, [0; 2]));
            }
            Layer::Dropout(dropout) => {
                if dropout.rule == DropoutRule::Paper {
                    let factor = format!("{name}.factor");
                    let kept = (1.0 - dropout.p) as f32;
                    self.layers.constants.push(Tensor {
                        data_type: 1,
                        name: factor.clone(),
                        raw_data: kept.to_le_bytes().to_vec(),
                        ..Tensor::default()
                    });
                    self.node("Mul", &name, &[&factor], vec![]);
                }
            }
        }
        Ok(())
    }

    /// The names of a layer's weight and bias in single precision.
    fn weights(&mut self, layer: &str) -> [String; 2] {
        ["weight", "bias"].map(|role| {
            let stored = format!("{layer}.{role}");
            match self.precision {
                Precision::Single => stored,
                Precision::Half => {
                    let single = format!("{stored}.single");
                    self.layers.nodes.push(Node {
                        input: vec![stored],
                        output: vec![single.clone()],
                        name: single.clone(),
                        op_type: "Cast".to_owned(),
                        attribute: vec![int("to", 1)],
                        domain: String::new(),
                    });
                    single
                }
            }
        })
    }

    fn activation(&mut self, layer: &str, activation: Activation) {
        let (op, word) = match activation {
            Activation::None => return,
            Activation::Relu => ("Relu", "relu"),
            Activation::Tanh => ("Tanh", "tanh"),
            Activation::Sigmoid => ("Sigmoid", "sigmoid"),
        };
        self.node(op, &format!("{layer}.{word}"), &[], vec![]);
    }

    fn lrn(&mut self, name: &str, layer: &Lrn, shape: &LayerShape) {
        // ONNX divides alpha by the size.
        let alpha = match layer.convention {
            AlphaConvention::DividedBySize => layer.alpha,
            AlphaConvention::Paper => layer.alpha * layer.size as f64,
        };
        let attributes = vec![
            int("size", layer.size as i64),
            float("alpha", alpha),
            float("beta", layer.beta),
            float("bias", layer.k),
        ];
        if layer.sees == Sees::Both || shape.towers == 1 {
            self.node("LRN", name, &[], attributes);
            return;
        }
        let whole = shape.input;
        let tower = shape.tower_output();
        self.reshape(
            &format!("{name}.towers"),
            [tower.channels, tower.height, tower.width],
        );
        self.node("LRN", name, &[], attributes);
        self.reshape(
            &format!("{name}.joined"),
            [whole.channels, whole.height, whole.width],
        );
    }

    fn reshape(&mut self, name: &str, sizes: [usize; 3]) {
        let shape = format!("{name}.shape");
        let sizes = sizes.map(|size| size as i64);
        let dims = std::iter::once(-1).chain(sizes);
        self.layers.constants.push(Tensor {
            dims: vec![4],
            data_type: 7,
            name: shape.clone(),
            raw_data: dims.flat_map(i64::to_le_bytes).collect(),
            ..Tensor::default()
        });
        self.node("Reshape", name, &[&shape], vec![]);
    }
}

/// `ceil_mode` where that gives the windows that Tandem's rounding gives, else padding that does.
fn max_pooling(pool: &Pool, shape: &LayerShape) -> Vec<Attribute> {
    let Pool {
        kernel,
        stride,
        padding,
        rounding,
    } = *pool;
    let (side, out) = (shape.input.height, shape.output.height);
    let room = side + 2 * padding - kernel;
    let (before, mut after, mut ceil) = (padding, padding, 0);
    if rounding == Rounding::Up {
        match room.div_ceil(stride) + 1 == out {
            true => ceil = 1,
            false => after = ((out - 1) * stride + kernel).saturating_sub(side + before),
        }
    }
    let mut attributes = pooling(kernel, stride, [before, after]);
    attributes.push(int("ceil_mode", ceil));
    attributes
}

fn pooling(kernel: usize, stride: usize, [before, after]: [usize; 2]) -> Vec<Attribute> {
    vec![
        ints("kernel_shape", &[kernel; 2]),
        ints("strides", &[stride; 2]),
        ints("pads", &[before, before, after, after]),
    ]
}

fn int(name: &str, i: i64) -> Attribute {
    Attribute {
        name: name.to_owned(),
        i,
        kind: 2,
        ..Attribute::default()
    }
}

fn float(name: &str, f: f64) -> Attribute {
    Attribute {
        name: name.to_owned(),
        f: f as f32,
        kind: 1,
        ..Attribute::default()
    }
}

fn ints(name: &str, ints: &[usize]) -> Attribute {
    Attribute {
        name: name.to_owned(),
        ints: ints.iter().map(|&int| int as i64).collect(),
        kind: 7,
        ..Attribute::default()
    }
}
