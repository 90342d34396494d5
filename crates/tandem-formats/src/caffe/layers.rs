//! From Caffe's layers, which read and write blobs by name, to layers one after another.

use tandem_alexnet::spec::{
    Activation, AdaptiveAveragePool, AlphaConvention, Convolution, Dropout, DropoutRule, Layer,
    Linear, Lrn, Pool, Rounding, Sees,
};

use super::message;
use super::{Parsed, Problem};
use crate::chain::Chain;
use crate::decimal::decimal;
use crate::refusal::Refusal;
use crate::stored::Stored;

/// How pictures are made, as the data layer says.
#[derive(Debug)]
pub(super) struct Pictures {
    pub crop: Option<usize>,
    /// Times what is left after the mean.
    pub scale: f32,
    pub mean: SaidMean,
}

/// What the file says of the mean.
#[derive(Debug)]
pub(super) enum SaidMean {
    /// It is in another file, called so where the network was trained.
    File(String),
    /// One for each channel, or for all, in the file's order.
    Values(Vec<f32>),
    /// Nothing is subtracted.
    Zero,
    /// There is no data layer.
    Unsaid,
}

/// A walk along the layers.
pub(super) struct Walk<'a> {
    chain: Chain<'a>,
    pictures: Pictures,
    /// The blobs that hold what the last layer gave; before the first layer whatever it reads.
    current: Option<Vec<String>>,
}

impl<'a> Walk<'a> {
    pub(super) fn over(net: &message::Net) -> Self {
        let shape = match net.input_dim.get(1..4) {
            Some(dim) => dim.iter().copied().map(i64::from).collect(),
            None => shape_of(&net.input_shape),
        };
        Self {
            chain: Chain::default(),
            pictures: Pictures {
                crop: square_side(&shape),
                scale: 1.0,
                mean: SaidMean::Unsaid,
            },
            current: None,
        }
    }

    pub(super) fn end(self) -> Result<(Chain<'a>, Pictures), Problem> {
        match self.chain.layers.is_empty() {
            true => Err(super::broken("there is no layer in it".to_owned())),
            false => Ok((self.chain, self.pictures)),
        }
    }

    pub(super) fn layer(&mut self, parsed: Parsed<'a>) -> Result<(), Problem> {
        let Parsed { layer, blobs } = parsed;
        let name = layer.name.clone().unwrap_or_default();
        let kind = layer.kind.as_deref().unwrap_or("no type").to_owned();
        match kind.as_str() {
            "Data" | "ImageData" | "WindowData" | "HDF5Data" | "MemoryData" | "DummyData"
            | "Input" => {
                self.source(&layer);
                return Ok(());
            }
            // Of no use for predicting. Softmax is the last; predicting computes its own.
            "Accuracy" | "Silence" | "ArgMax" | "Softmax" => return Ok(()),
            loss if loss.ends_with("Loss") => return Ok(()),
            "Split" => {
                let current = self.current.get_or_insert_with(|| layer.bottom.clone());
                if layer.bottom.iter().any(|blob| current.contains(blob)) {
                    current.extend(layer.top);
                }
                return Ok(());
            }
            _ => {}
        }
        let follows = self.follows(&layer).map_err(Refusal::from);
        let taken = follows.and_then(|()| self.compute(&kind, layer, blobs));
        taken.map_err(|refusal| refusal.of(&format!("layer `{name}` ({kind})")))
    }

    /// A data layer. Of several, one for each phase, the first says all.
    fn source(&mut self, layer: &message::Layer) {
        let pictures = &mut self.pictures;
        if let Some(input) = &layer.input {
            pictures.crop = pictures.crop.or(square_side(&shape_of(&input.shape)));
        }
        let (transform, data) = (layer.transform.as_ref(), layer.data.as_ref());
        if transform.is_none() && data.is_none() || !matches!(pictures.mean, SaidMean::Unsaid) {
            return;
        }
        let crop = transform.and_then(|t| t.crop_size);
        let crop = crop
            .or(data.and_then(|d| d.crop_size))
            .filter(|&crop| crop > 0);
        pictures.crop = pictures.crop.or(crop.map(|crop| crop as usize));
        let scale = transform
            .and_then(|t| t.scale)
            .or(data.and_then(|d| d.scale));
        pictures.scale = scale.unwrap_or(1.0);
        let file = transform.and_then(|t| t.mean_file.clone());
        let file = file.or(data.and_then(|d| d.mean_file.clone()));
        let values = transform.map_or(&[][..], |t| &t.mean_value);
        pictures.mean = match (file, values) {
            (Some(file), _) if !file.is_empty() => SaidMean::File(file),
            (_, []) => SaidMean::Zero,
            (_, values) => SaidMean::Values(values.to_vec()),
        };
    }

    /// Whether the layer reads what the one before gave; what it gives comes next.
    fn follows(&mut self, layer: &message::Layer) -> Result<(), String> {
        let ([bottom], [top]) = (layer.bottom.as_slice(), layer.top.as_slice()) else {
            return Err(format!(
                "reads {} blobs and gives {}: Tandem has networks of one layer after another",
                layer.bottom.len(),
                layer.top.len()
            ));
        };
        if let Some(current) = &self.current
            && !current.contains(bottom)
        {
            return Err(format!(
                "reads `{bottom}`, which is not what the layer before it gives: Tandem has networks of one layer after another"
            ));
        }
        self.current = Some(vec![top.clone()]);
        Ok(())
    }

    fn compute(
        &mut self,
        kind: &str,
        layer: message::Layer,
        blobs: Vec<Stored<'a>>,
    ) -> Result<(), Refusal> {
        let name = self.chain.name(layer.name.as_deref().unwrap_or(kind));
        match kind {
            "Convolution" => {
                let parameters = layer.convolution.unwrap_or_default();
                let (weight, bias) = weights(blobs, parameters.bias_term)?;
                let layer = convolution(name, &parameters)?;
                Ok(self
                    .chain
                    .weighted(Layer::Convolution(layer), weight, bias)?)
            }
            "InnerProduct" => {
                let parameters = layer.inner_product.unwrap_or_default();
                let (mut weight, bias) = weights(blobs, parameters.bias_term)?;
                // Legacy blobs have four dimensions, of which the first two are 1.
                if let [1, 1, outputs, inputs] = weight.shape[..] {
                    weight = weight.reshaped(vec![outputs, inputs])?;
                }
                let layer = inner_product(name, &parameters)?;
                Ok(self.chain.weighted(Layer::Linear(layer), weight, bias)?)
            }
            "ReLU" => {
                let slope = layer.relu.and_then(|relu| relu.negative_slope);
                if slope.unwrap_or(0.0) != 0.0 {
                    return Err("has a slope below zero, and Tandem's ReLU has none".into());
                }
                Ok(self.chain.activation(Activation::Relu)?)
            }
            "TanH" => Ok(self.chain.activation(Activation::Tanh)?),
            "Sigmoid" => Ok(self.chain.activation(Activation::Sigmoid)?),
            "LRN" => {
                self.chain.layers.push(lrn(layer.lrn.unwrap_or_default())?);
                Ok(())
            }
            "Pooling" => {
                let pooling = pooling(&layer.pooling.unwrap_or_default())?;
                self.chain.layers.push(pooling);
                Ok(())
            }
            "Dropout" => {
                // 0.5 is caffe.proto's default.
                let p = layer.dropout.and_then(|dropout| dropout.dropout_ratio);
                self.chain.layers.push(Layer::Dropout(Dropout {
                    p: decimal(p.unwrap_or(0.5)),
                    rule: DropoutRule::Inverted,
                }));
                Ok(())
            }
            // A linear layer reads maps row by row anyway.
            "Flatten" => Ok(()),
            _ => Err("Tandem has no such layer".into()),
        }
    }
}

/// Weight and bias of the blobs of a layer.
fn weights<'a>(
    blobs: Vec<Stored<'a>>,
    bias_term: Option<bool>,
) -> Result<(Stored<'a>, Option<Stored<'a>>), Refusal> {
    let wanted = if bias_term.unwrap_or(true) { 2 } else { 1 };
    let found = blobs.len();
    let mut blobs = blobs.into_iter();
    match (blobs.next(), blobs.next()) {
        (Some(weight), bias) if found == wanted => {
            // A legacy bias is a blob of 1 x 1 x 1 x outputs.
            let flat = |bias: Stored<'a>| {
                let outputs = bias.shape.iter().product();
                bias.reshaped(vec![outputs])
            };
            Ok((weight, bias.map(flat).transpose()?))
        }
        _ => Err(format!(
            "has {found} blobs in place of {wanted}: a description of a network holds none, and weights are in its .caffemodel"
        )
        .into()),
    }
}

fn convolution(name: String, said: &message::Convolution) -> Result<Convolution, Refusal> {
    let one = |what, list: &[u32], h, w, default| one_size(what, list, (h, w), default);
    let kernel = one(
        "kernel",
        &said.kernel_size,
        said.kernel_h,
        said.kernel_w,
        None,
    )?;
    let stride = one(
        "stride",
        &said.stride,
        said.stride_h,
        said.stride_w,
        Some(1),
    )?;
    let padding = one("padding", &said.pad, said.pad_h, said.pad_w, Some(0))?;
    if one("dilation", &said.dilation, None, None, Some(1))? != 1 {
        return Err("is dilated, and Tandem's convolutions are not".into());
    }
    if said.axis.unwrap_or(1) != 1 {
        return Err("is not over the channels of maps".into());
    }
    Ok(Convolution {
        name,
        channels: outputs(said.num_output)?,
        kernel,
        stride,
        padding,
        towers: 1,
        groups: said.group.unwrap_or(1) as usize,
        sees: Sees::Own,
        activation: Activation::None,
        weight_std: weight_std(said.weight_filler.as_ref()),
        bias: bias(said.bias_filler.as_ref()),
    })
}

fn inner_product(name: String, said: &message::InnerProduct) -> Result<Linear, Refusal> {
    if said.axis.unwrap_or(1) != 1 || said.transpose.unwrap_or(false) {
        return Err("has another axis than 1 or a transposed weight".into());
    }
    Ok(Linear {
        name,
        channels: Some(outputs(said.num_output)?),
        towers: 1,
        sees: Sees::Own,
        activation: Activation::None,
        weight_std: weight_std(said.weight_filler.as_ref()),
        bias: bias(said.bias_filler.as_ref()),
    })
}

fn outputs(said: Option<u32>) -> Result<usize, Refusal> {
    let said = said.ok_or("does not say how many outputs it has")?;
    Ok(said as usize)
}

/// Caffe's formula is k + (alpha / size) Σ a², and its defaults are those of caffe.proto.
fn lrn(said: message::Lrn) -> Result<Layer, Refusal> {
    if said.norm_region.unwrap_or(0) != 0 {
        return Err("normalises within channels, and Tandem's LRN across them".into());
    }
    Ok(Layer::Lrn(Lrn {
        size: said.local_size.unwrap_or(5) as usize,
        k: decimal(said.k.unwrap_or(1.0)),
        alpha: decimal(said.alpha.unwrap_or(1.0)),
        beta: decimal(said.beta.unwrap_or(0.75)),
        convention: AlphaConvention::DividedBySize,
        sees: Sees::Both,
    }))
}

fn pooling(said: &message::Pooling) -> Result<Layer, Refusal> {
    let kind = said.pool.unwrap_or(0);
    if said.global_pooling.unwrap_or(false) {
        return match kind {
            1 => Ok(Layer::AdaptiveAveragePool(AdaptiveAveragePool {
                output: 1,
            })),
            _ => Err("is a maximum over whole maps, which Tandem does not have".into()),
        };
    }
    let one =
        |what, all: Option<u32>, h, w, default| one_size(what, all.as_slice(), (h, w), default);
    let kernel = one(
        "kernel",
        said.kernel_size,
        said.kernel_h,
        said.kernel_w,
        None,
    )?;
    let stride = one("stride", said.stride, said.stride_h, said.stride_w, Some(1))?;
    let padding = one("padding", said.pad, said.pad_h, said.pad_w, Some(0))?;
    if stride > kernel {
        // Caffe then counts a window that lies outside altogether.
        return Err("skips places, since its stride is larger than its kernel".into());
    }
    let pool = Pool {
        kernel,
        stride,
        padding,
        rounding: match said.round_mode.unwrap_or(0) {
            0 => Rounding::Up,
            _ => Rounding::Down,
        },
    };
    match kind {
        0 => Ok(Layer::MaxPool(pool)),
        1 => Ok(Layer::AveragePool(pool)),
        _ => Err("is stochastic, which Tandem's pooling is not".into()),
    }
}

/// A size that Caffe has once for all axes, once an axis, or for height and width by name. Here it is
/// one.
fn one_size(
    what: &str,
    list: &[u32],
    (h, w): (Option<u32>, Option<u32>),
    default: Option<u32>,
) -> Result<usize, Refusal> {
    let sizes: Vec<u32> = match (h, w) {
        (None, None) => list.to_vec(),
        (h, w) => [h, w].map(|size| size.or(default).unwrap_or(0)).to_vec(),
    };
    let size = match (sizes.as_slice(), default) {
        ([], Some(default)) => default,
        ([], None) => return Err(format!("does not say its {what}").into()),
        ([size, rest @ ..], _) if rest.iter().all(|other| other == size) => *size,
        (sizes, _) => {
            return Err(format!("has a {what} of {sizes:?}, and Tandem's are square").into());
        }
    };
    Ok(size as usize)
}

/// The standard deviation that training from nothing starts from; the paper's where weights were not
/// drawn from a normal distribution.
fn weight_std(filler: Option<&message::Filler>) -> f64 {
    match filler {
        Some(filler) if filler.kind.as_deref() == Some("gaussian") => {
            let std = decimal(filler.std.unwrap_or(1.0));
            if std.is_finite() { std.abs() } else { 0.01 }
        }
        _ => 0.01,
    }
}

fn bias(filler: Option<&message::Filler>) -> f64 {
    let value = decimal(filler.and_then(|filler| filler.value).unwrap_or(0.0));
    if value.is_finite() { value } else { 0.0 }
}

/// Channels, height and width of the first of an input's shapes.
fn shape_of(shapes: &[message::BlobShape]) -> Vec<i64> {
    let first = shapes.first().and_then(|shape| shape.dim.get(1..4));
    first.unwrap_or_default().to_vec()
}

fn square_side(shape: &[i64]) -> Option<usize> {
    match *shape {
        [_, h, w] if h == w => usize::try_from(h).ok().filter(|&side| side > 0),
        _ => None,
    }
}
