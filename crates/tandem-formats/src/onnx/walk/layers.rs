//! Nodes that are layers.

use tandem_alexnet::spec::{
    Activation, AdaptiveAveragePool, AlphaConvention, Convolution, Dropout, DropoutRule, Layer,
    Linear, Lrn, Sees,
};

use super::flow::Flow;
use super::{Step, Walk};
use crate::decimal::decimal;
use crate::error::Problem;
use crate::onnx::attributes::Attributes;
use crate::onnx::{message, pooling};
use crate::stored::Stored;

impl<'a> Walk<'a> {
    /// The name of the next layer with weights: counted as in the paper, conv1 to fc8.
    fn next(&self, kind: &str) -> String {
        let before = self
            .chain
            .layers
            .iter()
            .filter(|layer| layer.name().is_some());
        self.chain.name(&format!("{kind}{}", before.count() + 1))
    }

    pub(super) fn convolution(
        &mut self,
        node: &message::Node,
        attributes: &Attributes,
    ) -> Step<()> {
        let (_, side) = self.maps()?;
        let weight = self.numbers(node, 1)?.ok_or("has no weight")?;
        let bias = self.numbers(node, 2)?;
        let [channels, _, h, w] = weight.shape[..] else {
            return Err(format!("has a weight of {:?}", weight.shape).into());
        };
        let kernel = attributes.square("kernel_shape")?;
        if h != w || kernel.is_some_and(|kernel| kernel != h) {
            return Err(format!("has a kernel of {h}x{w}, and Tandem's are square").into());
        }
        let padding = attributes.padding()?;
        let padding = padding.even().ok_or("pads its sides unevenly")?;
        if attributes.square("dilations")?.unwrap_or(1) != 1 {
            return Err("is dilated, and Tandem's convolutions are not".into());
        }
        let stride = attributes.square("strides")?.unwrap_or(1).max(1);
        let groups = attributes.int("group")?.unwrap_or(1);
        let groups = usize::try_from(groups).map_err(|_| "has no groups")?;
        let room = padding.saturating_mul(2).saturating_add(side);
        let room = room
            .checked_sub(h)
            .ok_or("has a kernel larger than its maps")?;
        let name = self.next("conv");
        if bias.is_none() {
            self.unbiased = Some(name.clone());
        }
        let layer = Layer::Convolution(Convolution {
            name,
            channels,
            kernel: h,
            stride,
            padding,
            towers: 1,
            groups,
            sees: Sees::Own,
            activation: Activation::None,
            weight_std: 0.01,
            bias: 0.0,
        });
        self.chain.weighted(layer, weight, bias)?;
        self.flow = Flow::Maps {
            channels,
            side: (room / stride).saturating_add(1),
        };
        Ok(())
    }

    /// alpha A B + beta C, B transposed or not.
    pub(super) fn gemm(&mut self, node: &message::Node, attributes: &Attributes) -> Step<()> {
        self.features()?;
        if attributes.int("transA")?.unwrap_or(0) != 0 {
            return Err("transposes what flows through the network".into());
        }
        let mut weight = self.numbers(node, 1)?.ok_or("has no weight")?;
        if attributes.int("transB")?.unwrap_or(0) == 0 {
            weight = weight.transposed()?;
        }
        let bias = self.numbers(node, 2)?.map(flat).transpose()?;
        let name = self.linear(weight, bias)?;
        for (attribute, role) in [("alpha", "weight"), ("beta", "bias")] {
            let factor = decimal(attributes.float(attribute)?.unwrap_or(1.0));
            if factor != 1.0 {
                self.factors.push((format!("{name}.{role}"), factor));
            }
        }
        Ok(())
    }

    pub(super) fn mat_mul(&mut self, node: &message::Node) -> Step<()> {
        self.features()?;
        let weight = self.numbers(node, 1)?.ok_or("has no weight")?;
        self.linear(weight.transposed()?, None)?;
        Ok(())
    }

    fn linear(&mut self, weight: Stored<'a>, bias: Option<Stored<'a>>) -> Step<String> {
        let [outputs, _] = weight.shape[..] else {
            return Err(format!("has a weight of {:?}", weight.shape).into());
        };
        let name = self.next("fc");
        if bias.is_none() {
            self.unbiased = Some(name.clone());
        }
        let layer = Layer::Linear(Linear {
            name: name.clone(),
            channels: Some(outputs),
            towers: 1,
            sees: Sees::Own,
            activation: Activation::None,
            weight_std: 0.01,
            bias: 0.0,
        });
        self.chain.weighted(layer, weight, bias)?;
        self.flow = Flow::Features(outputs);
        Ok(name)
    }

    /// The bias of the layer before, on its own.
    pub(super) fn add(&mut self, node: &message::Node, unbiased: Option<String>) -> Step<()> {
        let name = unbiased.ok_or("adds to what is not a layer without a bias")?;
        let place = usize::from(node.input.first().is_some_and(|n| self.current.contains(n)));
        let bias = flat(self.numbers(node, place)?.ok_or("adds nothing")?)?;
        self.chain.tensors.insert(format!("{name}.bias"), bias);
        Ok(())
    }

    /// ONNX's formula is a / (bias + alpha / size Σ a²)^beta.
    pub(super) fn lrn(&mut self, attributes: &Attributes) -> Step<()> {
        let sees = match self.flow {
            Flow::Maps { .. } => Sees::Both,
            Flow::Apart { groups, .. } => {
                let before = self.chain.lrn_groups.replace(groups);
                if before.is_some_and(|before| before != groups) {
                    return Err("is in another number of groups than the one before".into());
                }
                Sees::Own
            }
            _ => return Err("comes where there are no maps".into()),
        };
        let size = attributes.int("size")?.ok_or("does not say its size")?;
        let constant = |name, default: f32| -> Step<f64> {
            Ok(decimal(attributes.float(name)?.unwrap_or(default)))
        };
        self.chain.layers.push(Layer::Lrn(Lrn {
            size: usize::try_from(size).map_err(|_| "has no size")?,
            k: constant("bias", 1.0)?,
            alpha: constant("alpha", 0.0001)?,
            beta: constant("beta", 0.75)?,
            convention: AlphaConvention::DividedBySize,
            sees,
        }));
        Ok(())
    }

    pub(super) fn pool(&mut self, node: &message::Node, attributes: &Attributes) -> Step<()> {
        let (channels, side) = self.maps()?;
        let (layer, side) = pooling::layer(&node.op_type, attributes, side)?;
        self.chain.layers.push(layer);
        self.flow = Flow::Maps { channels, side };
        Ok(())
    }

    pub(super) fn global_pool(&mut self) -> Step<()> {
        let (channels, _) = self.maps()?;
        let layer = AdaptiveAveragePool { output: 1 };
        self.chain.layers.push(Layer::AdaptiveAveragePool(layer));
        self.flow = Flow::Maps { channels, side: 1 };
        Ok(())
    }

    /// The probability was an attribute until opset 12 made it an input.
    pub(super) fn dropout(&mut self, node: &message::Node, attributes: &Attributes) -> Step<()> {
        let ratio = match self.numbers(node, 1)? {
            Some(ratio) => scalar(&ratio)?,
            None => attributes.float("ratio")?,
        };
        self.chain.layers.push(Layer::Dropout(Dropout {
            p: decimal(ratio.unwrap_or(0.5)),
            rule: DropoutRule::Inverted,
        }));
        Ok(())
    }

    /// Outputs times a number below 1: the paper's dropout at test.
    pub(super) fn factor(&mut self, node: &message::Node) -> Step<()> {
        let factor = self.numbers(node, 1)?.ok_or("has no factor")?;
        match scalar(&factor)? {
            Some(kept) if kept > 0.0 && kept <= 1.0 => {
                self.chain.layers.push(Layer::Dropout(Dropout {
                    p: 1.0 - decimal(kept),
                    rule: DropoutRule::Paper,
                }));
                Ok(())
            }
            _ => Err("multiplies by what is not one number up to 1".into()),
        }
    }
}

/// The only value of a constant.
fn scalar(stored: &Stored) -> Step<Option<f32>> {
    let values = stored.to_tensor()?.flatten_all().and_then(|t| t.to_vec1());
    let values: Vec<f32> = values.map_err(|error| error.to_string())?;
    match values[..] {
        [value] => Ok(Some(value)),
        _ => Ok(None),
    }
}

/// A bias of one dimension, however many of size 1 it has beside.
fn flat(bias: Stored<'_>) -> Result<Stored<'_>, Problem> {
    let values = bias.shape.iter().product();
    bias.reshaped(vec![values])
}
