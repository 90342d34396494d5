//! The operations of one kind in a network, each on its own: forward, and backward as training runs
//! it.

use anyhow::Result;
use candle_core::{CustomOp1, CustomOp2, CustomOp3, DType, Device, Tensor};
use tandem_alexnet::shapes::{LayerShape, Shape, Shapes};
use tandem_alexnet::spec::{self, Layer, Sees, Spec};
use tandem_ops::Activation;
use tandem_ops::augment::{Augment, Draw, Normalise};
use tandem_ops::avg_pool::AvgPool2d;
use tandem_ops::conv::Conv2d;
use tandem_ops::dropout::{Dropout, DropoutRule};
use tandem_ops::linear::Linear;
use tandem_ops::lrn::{AlphaConvention, Lrn};
use tandem_ops::lrn_max_pool::LrnMaxPool2d;
use tandem_ops::max_pool::MaxPool2d;
use tandem_ops::sgd::{Sgd, SgdRule};
use tandem_ops::softmax_nll::SoftmaxNll;
use tandem_ops::window::Rounding;

use super::Stopwatch;
use super::kernels::{self, OnGpu};
use crate::args::{Bench, BenchMode};
use crate::failure::Failure;

/// One pass of an operation over tensors made before anything is timed.
pub struct Work {
    /// "conv1/lrn forward".
    pub name: String,
    run: Box<dyn Fn() -> candle_core::Result<()>>,
}

impl Work {
    fn new<T>(name: String, run: impl Fn() -> candle_core::Result<T> + 'static) -> Self {
        let run = Box::new(move || run().map(drop));
        Self { name, run }
    }

    pub fn run(&self) -> candle_core::Result<()> {
        (self.run)()
    }
}

/// Times every operation of `args.mode`'s kind in `spec`, one step being all of them; on a GPU each
/// kernel as well.
pub fn time(
    spec: &Spec,
    shapes: &Shapes,
    args: &Bench,
    watch: &mut Stopwatch,
) -> Result<Option<OnGpu>> {
    let maker = Maker {
        device: args.devices.open()?.swap_remove(0),
        dtype: args.dtype.dtype(),
        batch: args.batch.get(),
    };
    if maker.device.is_cpu() && maker.dtype != DType::F32 {
        let what = format!("--dtype {} on the CPU", args.dtype.name());
        return Err(Failure::usage(what, "the CPU computes in f32; give --devices cuda:0").into());
    }
    if maker.device.is_cpu() && args.mode == BenchMode::Augment {
        let hint = "there the loader does it, a stage of --mode data; give --devices cuda:0";
        return Err(Failure::usage("--mode augment on the CPU", hint).into());
    }
    let all = maker.all(args.mode, spec, shapes)?;
    if all.is_empty() {
        let what = format!("{} has no layer for --mode {}", spec.name, args.mode.name());
        let hint = format!("`tandem info --model {}` lists its layers", args.model);
        return Err(Failure::usage(what, hint).into());
    }
    watch.run(|watch| {
        for work in &all {
            match &maker.device {
                Device::Cpu => watch.part(&work.name, || work.run())?,
                // It only queues; `kernels` asks the GPU for the parts.
                _ => work.run()?,
            }
        }
        tandem_ops::readback::synchronize(&maker.device)?;
        Ok(())
    })?;
    kernels::time(&maker.device, &all, args)
}

/// Makes tensors, and with them the work.
struct Maker {
    device: Device,
    dtype: DType,
    batch: usize,
}

impl Maker {
    fn all(&self, mode: BenchMode, spec: &Spec, shapes: &Shapes) -> Result<Vec<Work>> {
        let mut all = Vec::new();
        for (index, (layer, shape)) in spec.layers.iter().zip(&shapes.layers).enumerate() {
            all.extend(match (mode, layer) {
                (BenchMode::Conv, Layer::Convolution(conv)) => {
                    self.convolution(conv, shape, index > 0)?
                }
                (BenchMode::Linear, Layer::Linear(linear)) => self.linear(linear, shape)?,
                (BenchMode::Lrn, Layer::Lrn(layer)) => self.lrn(layer, shape)?,
                (BenchMode::Pool, Layer::MaxPool(pool)) => self.max_pool(pool, shape)?,
                (BenchMode::Pool, Layer::AveragePool(pool)) => self.average_pool(pool, shape)?,
                (BenchMode::Dropout, Layer::Dropout(dropout)) => self.dropout(dropout, shape)?,
                (BenchMode::LrnPool, Layer::Lrn(layer)) => {
                    match (spec.layers.get(index + 1), shapes.layers.get(index + 1)) {
                        (Some(Layer::MaxPool(pool)), Some(next)) => {
                            self.lrn_and_pool((layer, shape), (pool, next))?
                        }
                        _ => vec![],
                    }
                }
                (BenchMode::Sgd, _) => self.update(shape)?,
                _ => vec![],
            });
        }
        match mode {
            BenchMode::Softmax => all = self.loss(spec.classes)?,
            BenchMode::Augment => all = vec![self.augment(&spec.input, shapes)?],
            _ => {}
        }
        Ok(all)
    }

    /// Both towers as the groups of one convolution, as a network on one device has them. The
    /// picture needs no gradient.
    fn convolution(
        &self,
        conv: &spec::Convolution,
        shape: &LayerShape,
        wants_input: bool,
    ) -> Result<Vec<Work>> {
        let weight = shape.weight.as_deref().unwrap_or_default();
        let groups = shape.input.channels / weight[1];
        let (stride, padding) = ((conv.stride, conv.stride), (conv.padding, conv.padding));
        let op = Conv2d::new(stride, padding, groups, activation(conv.activation))?;
        let (x, dy) = self.maps(shape)?;
        let w = (self.noise(weight)? * conv.weight_std)?;
        let b = self.noise(&[conv.channels])?;
        let y = x.apply_op3_no_bwd(&w, &b, &op)?;
        let (x2, w2) = (x.clone(), w.clone());
        let forward = move || x2.apply_op3_no_bwd(&w2, &b, &op);
        Ok(passes(&shape.name, forward, move || {
            match wants_input {
                true => drop(op.gradients(&x, &w, &y, &dy)?),
                false => drop(op.weight_gradient(&x, w.shape(), &y, &dy)?),
            }
            Ok(())
        }))
    }

    fn linear(&self, linear: &spec::Linear, shape: &LayerShape) -> Result<Vec<Work>> {
        let op = Linear::new(activation(linear.activation));
        let (x, dy) = self.maps(shape)?;
        let (x, dy) = (x.flatten_from(1)?, dy.flatten_from(1)?);
        let weight = shape.weight.as_deref().unwrap_or_default();
        let w = (self.noise(weight)? * linear.weight_std)?;
        let b = self.noise(&[weight[0]])?;
        let y = x.apply_op3_no_bwd(&w, &b, &op)?;
        let (x2, w2, b2) = (x.clone(), w.clone(), b.clone());
        let forward = move || x2.apply_op3_no_bwd(&w2, &b2, &op);
        Ok(passes(&shape.name, forward, move || {
            op.bwd(&x, &w, &b, &y, &dy)
        }))
    }

    fn lrn(&self, layer: &spec::Lrn, shape: &LayerShape) -> Result<Vec<Work>> {
        let op = lrn(layer, shape.towers)?;
        let (x, dy) = self.maps(shape)?;
        let x2 = x.clone();
        let forward = move || x2.apply_op1_no_bwd(&op);
        // Its backward does not look at the output.
        Ok(passes(&shape.name, forward, move || op.bwd(&x, &dy, &dy)))
    }

    fn max_pool(&self, pool: &spec::Pool, shape: &LayerShape) -> Result<Vec<Work>> {
        let pool = max_pool(pool)?;
        let (x, dy) = self.maps(shape)?;
        // Remembers where its maxima were.
        let op = pool.op();
        x.apply_op1_no_bwd(&op)?;
        let x2 = x.clone();
        let forward = move || x2.apply_op1_no_bwd(&pool.op());
        Ok(passes(&shape.name, forward, move || op.bwd(&x, &dy, &dy)))
    }

    fn lrn_and_pool(
        &self,
        (layer, shape): (&spec::Lrn, &LayerShape),
        (pool, next): (&spec::Pool, &LayerShape),
    ) -> Result<Vec<Work>> {
        let both = LrnMaxPool2d::new(lrn(layer, shape.towers)?, max_pool(pool)?);
        let ((x, _), (_, dy)) = (self.maps(shape)?, self.maps(next)?);
        let op = both.op();
        x.apply_op1_no_bwd(&op)?;
        let x2 = x.clone();
        let forward = move || x2.apply_op1_no_bwd(&both.op());
        let name = format!("{} and pooling", shape.name);
        Ok(passes(&name, forward, move || op.bwd(&x, &dy, &dy)))
    }

    fn average_pool(&self, pool: &spec::Pool, shape: &LayerShape) -> Result<Vec<Work>> {
        let (kernel, stride, padding) = window(pool);
        let op = AvgPool2d::new(kernel, stride, padding, rounding(pool))?;
        let (x, dy) = self.maps(shape)?;
        let x2 = x.clone();
        let forward = move || x2.apply_op1_no_bwd(&op);
        Ok(passes(&shape.name, forward, move || op.bwd(&x, &dy, &dy)))
    }

    fn dropout(&self, dropout: &spec::Dropout, shape: &LayerShape) -> Result<Vec<Work>> {
        let rule = match dropout.rule {
            spec::DropoutRule::Inverted => DropoutRule::Inverted,
            spec::DropoutRule::Paper => DropoutRule::Paper,
        };
        let op = Dropout::new(dropout.p, rule, 0, 0)?;
        let (x, dy) = self.maps(shape)?;
        let forward = move || x.apply_op1_no_bwd(&op);
        Ok(passes(&shape.name, forward, move || op.bwd(&dy, &dy, &dy)))
    }

    /// The step over a layer's weight and over its bias, with master weights in f32.
    fn update(&self, shape: &LayerShape) -> Result<Vec<Work>> {
        // The paper's constants, section 5; the time does not depend on them.
        let sgd = Sgd::new(SgdRule::Paper, 0.01, 0.9, 0.0005)?;
        let Some(weight) = shape.weight.as_deref() else {
            return Ok(vec![]);
        };
        let parameters = [("weight", weight), ("bias", &weight[..1])];
        let work = parameters.into_iter().map(|(which, dims)| {
            let gradient = self.noise(dims)?;
            let both: Vec<usize> = [2].iter().chain(dims).copied().collect();
            let slab = self.noise(&both)?.to_dtype(DType::F32)?;
            let name = format!("{} {which} update", shape.name);
            Ok(Work::new(name, move || slab.inplace_op2(&gradient, &sgd)))
        });
        work.collect()
    }

    fn loss(&self, classes: usize) -> Result<Vec<Work>> {
        let z = self.noise(&[self.batch, classes])?;
        let labels: Vec<u32> = (0..self.batch).map(|n| (n % classes) as u32).collect();
        let labels = Tensor::from_vec(labels, self.batch, &self.device)?;
        let loss = z.apply_op2_no_bwd(&labels, &SoftmaxNll)?;
        let dloss = loss.ones_like()?;
        let (z2, labels2) = (z.clone(), labels.clone());
        let forward = move || z2.apply_op2_no_bwd(&labels2, &SoftmaxNll);
        let backward = move || SoftmaxNll.bwd(&z, &labels, &loss, &dloss);
        Ok(passes("loss", forward, backward))
    }

    /// A batch from the host's bytes, as training has it: crops of many places, half of them mirrored,
    /// and their colours shifted.
    fn augment(&self, input: &spec::Input, shapes: &Shapes) -> Result<Work> {
        let spec::Input { side, crop, .. } = *input;
        let channels = shapes.layers[0].input.channels;
        let noise = |shape: &[usize]| Tensor::randn(0f32, 1f32, shape, &self.device);
        let normalise = match input.normalise {
            spec::Normalise::Mean => Normalise::Mean(noise(&[channels, side, side])?),
            spec::Normalise::Torchvision => Normalise::Affine(noise(&[channels, 2])?),
        };
        let op = Augment::new(crop, normalise, self.dtype)?;
        let shape = [self.batch, side, side, channels];
        let bytes: Vec<u8> = (0..shape.iter().product()).map(|i| i as u8).collect();
        let places = (side - crop + 1) as u32;
        let draw = |n: u32| Draw {
            top: n % places,
            left: n * 7 % places,
            mirrored: n.is_multiple_of(2),
            shift: [1.0, -2.0, 0.5],
        };
        let draws: Vec<Draw> = (0..self.batch as u32).map(draw).collect();
        let run = move || op.forward(&bytes, shape, &draws);
        Ok(Work::new("augmentation".to_owned(), run))
    }

    /// A layer's input, and its output's gradient.
    fn maps(&self, shape: &LayerShape) -> Result<(Tensor, Tensor)> {
        let of =
            |shape: Shape| self.noise(&[self.batch, shape.channels, shape.height, shape.width]);
        Ok((of(shape.input)?, of(shape.output)?))
    }

    /// Normal noise, as the PyTorch peer's `torch.randn`.
    fn noise(&self, shape: &[usize]) -> Result<Tensor> {
        let noise = Tensor::randn(0f32, 1f32, shape, &self.device)?;
        Ok(noise.to_dtype(self.dtype)?)
    }
}

/// Forward and backward, straight to the operation and without candle's record of how: the trainer
/// keeps its own.
fn passes<T, U>(
    name: &str,
    forward: impl Fn() -> candle_core::Result<T> + 'static,
    backward: impl Fn() -> candle_core::Result<U> + 'static,
) -> Vec<Work> {
    vec![
        Work::new(format!("{name} forward"), forward),
        Work::new(format!("{name} backward"), backward),
    ]
}

/// Inside each tower where it sees its own, as the paper has it, though both lie in one tensor.
fn lrn(layer: &spec::Lrn, towers: usize) -> Result<Lrn> {
    let convention = match layer.convention {
        spec::AlphaConvention::Paper => AlphaConvention::Paper,
        spec::AlphaConvention::DividedBySize => AlphaConvention::DividedBySize,
    };
    let lrn = Lrn::new(layer.size, layer.k, layer.alpha, layer.beta, convention)?;
    Ok(match layer.sees {
        Sees::Own => lrn.with_groups(towers)?,
        Sees::Both => lrn,
    })
}

fn max_pool(pool: &spec::Pool) -> Result<MaxPool2d> {
    let (kernel, stride, padding) = window(pool);
    Ok(MaxPool2d::new(kernel, stride, padding, rounding(pool))?)
}

fn activation(activation: spec::Activation) -> Activation {
    match activation {
        spec::Activation::Relu => Activation::Relu,
        _ => Activation::None,
    }
}

type Pair = (usize, usize);

/// Kernel, stride and padding.
fn window(pool: &spec::Pool) -> (Pair, Pair, Pair) {
    let square = |size: usize| (size, size);
    (
        square(pool.kernel),
        square(pool.stride),
        square(pool.padding),
    )
}

fn rounding(pool: &spec::Pool) -> Rounding {
    match pool.rounding {
        spec::Rounding::Down => Rounding::Down,
        spec::Rounding::Up => Rounding::Up,
    }
}
