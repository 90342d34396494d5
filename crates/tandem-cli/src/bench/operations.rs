//! The layers of one kind in a network, each on its own: forward, and backward as training runs it.

use anyhow::Result;
use candle_core::{CustomOp1, Device, Tensor};
use tandem_alexnet::shapes::{LayerShape, Shape, Shapes};
use tandem_alexnet::spec::{self, Layer, Spec};
use tandem_ops::Activation;
use tandem_ops::conv::Conv2d;
use tandem_ops::lrn::{AlphaConvention, Lrn};
use tandem_ops::max_pool::MaxPool2d;
use tandem_ops::window::Rounding;

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
    Lrn(Lrn),
    MaxPool(MaxPool2d),
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
            layer.step(watch)?;
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
        (BenchMode::Lrn, Layer::Lrn(layer)) => Operation::Lrn(lrn(layer, shape.towers)?),
        (BenchMode::Pool, Layer::MaxPool(pool)) => Operation::MaxPool(max_pool(pool)?),
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

/// Inside each tower, as the paper has it, though both lie in one tensor.
fn lrn(layer: &spec::Lrn, towers: usize) -> Result<Lrn> {
    let convention = match layer.convention {
        spec::AlphaConvention::Paper => AlphaConvention::Paper,
        spec::AlphaConvention::DividedBySize => AlphaConvention::DividedBySize,
    };
    let lrn = Lrn::new(layer.size, layer.k, layer.alpha, layer.beta, convention)?;
    Ok(lrn.with_groups(towers)?)
}

fn max_pool(pool: &spec::Pool) -> Result<MaxPool2d> {
    let rounding = match pool.rounding {
        spec::Rounding::Down => Rounding::Down,
        spec::Rounding::Up => Rounding::Up,
    };
    let square = |size: usize| (size, size);
    let (kernel, stride, padding) = (
        square(pool.kernel),
        square(pool.stride),
        square(pool.padding),
    );
    Ok(MaxPool2d::new(kernel, stride, padding, rounding)?)
}

impl Prepared {
    /// Forward and backward, straight to the operation and without candle's record of how: the
    /// trainer keeps its own.
    fn step(&self, watch: &mut Stopwatch) -> Result<()> {
        let (x, dy) = (&self.x, &self.dy);
        let forward = format!("{} forward", self.name);
        let backward = format!("{} backward", self.name);
        match &self.operation {
            Operation::Convolution { op, w, b, input } => {
                let y = watch.part(&forward, || x.apply_op3_no_bwd(w, b, op))?;
                watch.part(&backward, || -> Result<()> {
                    op.weight_gradient(x, w.shape(), &y, dy)?;
                    if *input == Input::Maps {
                        op.input_gradient(x.shape(), w, &y, dy)?;
                    }
                    Ok(())
                })
            }
            Operation::Lrn(op) => {
                let y = watch.part(&forward, || x.apply_op1_no_bwd(op))?;
                watch.part(&backward, || op.bwd(x, &y, dy))?;
                Ok(())
            }
            Operation::MaxPool(pool) => {
                // Remembers where its maxima were, for one application.
                let op = pool.op();
                let y = watch.part(&forward, || x.apply_op1_no_bwd(&op))?;
                watch.part(&backward, || op.bwd(x, &y, dy))?;
                Ok(())
            }
        }
    }
}

fn dimensions(batch: usize, shape: Shape) -> [usize; 4] {
    [batch, shape.channels, shape.height, shape.width]
}

/// Normal noise, as the PyTorch peer's `torch.randn`.
fn noise(shape: &[usize], device: &Device) -> Result<Tensor> {
    Ok(Tensor::randn(0f32, 1f32, shape, device)?)
}
