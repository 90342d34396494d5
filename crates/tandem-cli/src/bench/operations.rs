//! The layers of one kind in a network, each on its own: forward, and backward as training runs it.

use anyhow::Result;
use candle_core::{Device, Tensor};
use tandem_alexnet::shapes::{LayerShape, Shape, Shapes};
use tandem_alexnet::spec::{self, Layer, Spec};
use tandem_ops::Activation;
use tandem_ops::conv::Conv2d;

use super::Stopwatch;
use crate::args::{Bench, BenchMode};
use crate::failure::Failure;

/// A layer with inputs and an output gradient made before anything is timed.
struct Prepared {
    name: String,
    x: Tensor,
    dy: Tensor,
    operation: Operation,
}

enum Operation {
    Convolution {
        op: Conv2d,
        w: Tensor,
        b: Tensor,
        input: Input,
    },
}

/// Whether a layer's input needs a gradient: the picture does not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Input {
    Picture,
    Maps,
}

/// Times every layer of `args.mode`'s kind in `spec`, one step being all of them.
pub fn time(spec: &Spec, shapes: &Shapes, args: &Bench, watch: &mut Stopwatch) -> Result<()> {
    let device = args.devices.open()?.swap_remove(0);
    let layers: Vec<Prepared> = spec
        .layers
        .iter()
        .zip(&shapes.layers)
        .enumerate()
        .filter_map(|(index, (layer, shape))| {
            let input = if index == 0 {
                Input::Picture
            } else {
                Input::Maps
            };
            prepare(args.mode, layer, shape, args.batch.get(), input, &device).transpose()
        })
        .collect::<Result<_>>()?;
    if layers.is_empty() {
        let what = format!("{} has no layer for --mode {}", spec.name, args.mode.name());
        let hint = format!("`tandem info --model {}` lists its layers", args.model);
        return Err(Failure::usage(what, hint).into());
    }
    watch.run(|watch| {
        for layer in &layers {
            let y = watch.part(&format!("{} forward", layer.name), || layer.forward())?;
            watch.part(&format!("{} backward", layer.name), || layer.backward(&y))?;
        }
        device.synchronize()?;
        Ok(())
    })
}

/// The layer, if it is of the kind that `mode` times.
fn prepare(
    mode: BenchMode,
    layer: &Layer,
    shape: &LayerShape,
    batch: usize,
    input: Input,
    device: &Device,
) -> Result<Option<Prepared>> {
    let operation = match (mode, layer) {
        (BenchMode::Conv, Layer::Convolution(conv)) => convolution(conv, shape, input, device)?,
        _ => return Ok(None),
    };
    Ok(Some(Prepared {
        name: shape.name.clone(),
        x: noise(&dimensions(batch, shape.input), device)?,
        dy: noise(&dimensions(batch, shape.output), device)?,
        operation,
    }))
}

/// Both towers as the groups of one convolution, as a network on one device has them.
fn convolution(
    conv: &spec::Convolution,
    shape: &LayerShape,
    input: Input,
    device: &Device,
) -> Result<Operation> {
    let weight = shape.weight.as_deref().unwrap_or_default();
    let groups = shape.input.channels / weight[1];
    let activation = match conv.activation {
        spec::Activation::Relu => Activation::Relu,
        _ => Activation::None,
    };
    let (stride, padding) = ((conv.stride, conv.stride), (conv.padding, conv.padding));
    Ok(Operation::Convolution {
        op: Conv2d::new(stride, padding, groups, activation)?,
        w: (noise(weight, device)? * conv.weight_std)?,
        b: noise(&[conv.channels], device)?,
        input,
    })
}

impl Prepared {
    fn forward(&self) -> Result<Tensor> {
        let y = match &self.operation {
            Operation::Convolution { op, w, b, .. } => op.forward(&self.x, w, b)?,
        };
        Ok(y)
    }

    fn backward(&self, y: &Tensor) -> Result<()> {
        match &self.operation {
            Operation::Convolution { op, w, input, .. } => {
                op.weight_gradient(&self.x, w.shape(), y, &self.dy)?;
                if *input == Input::Maps {
                    op.input_gradient(self.x.shape(), w, y, &self.dy)?;
                }
            }
        }
        Ok(())
    }
}

fn dimensions(batch: usize, shape: Shape) -> [usize; 4] {
    [batch, shape.channels, shape.height, shape.width]
}

/// Normal noise, as the PyTorch peer's `torch.randn`.
fn noise(shape: &[usize], device: &Device) -> Result<Tensor> {
    Ok(Tensor::randn(0f32, 1f32, shape, device)?)
}
