//! The network on its devices: forward, backward and update.
//!
//! With one device the towers are computed together, as one network whose convolutions are grouped.
//! With one device a tower, each holds its own share of every layer, and only a layer that sees
//! both towers moves activations: the other towers' share, from device to device, and its gradient
//! back (the paper's Section 3.2 and Figure 2).
//!
//! The backward pass calls the operations' own `bwd` in reverse. candle's autograd would do the
//! same, but fills a gradient with zeros and adds to it before it hands it on; the weights of fc6
//! alone are 151 MB. That both give the same gradients is tested.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Result, Tensor};
use tandem_ops::sgd::Sgd;
use tandem_ops::softmax_nll::SoftmaxNll;

use crate::error::NetworkError;
use crate::parameters::{self, Parameter};
use crate::placement::Placement;
use crate::shapes::Shapes;
use crate::spec::{Layer, Sees, Spec};
use crate::step::{Applied, Operation};
use crate::transfer::Transfer;

/// A network with its weights and velocities on its devices.
pub struct Network {
    spec: Spec,
    shapes: Shapes,
    parameters: Vec<Parameter>,
    /// For each parameter its shares, one a place it lives in. A share is a slab (2, …): the
    /// weight, and its velocity.
    slabs: Vec<Vec<Tensor>>,
    devices: Vec<Device>,
    transfer: Transfer,
}

/// Which random choices a forward pass makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Dropout is on; its masks follow from the seed, the step and the part of an accumulated step.
    Train { seed: u64, step: u64, part: u64 },
    /// Dropout is off.
    Test,
}

/// The way through the layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Forward,
    Backward,
}

/// Told when a layer is done: its name and the direction. On a GPU its work is then queued, not
/// finished.
pub type LayerDone<'a> = &'a mut dyn FnMut(&str, Direction);

/// A gradient for each share of each parameter, in the order of [`parameters::of`].
pub struct Gradients(Vec<Vec<Tensor>>);

impl Gradients {
    /// Adds another batch's gradients, for an update over several batches.
    pub fn plus(self, other: Self) -> Result<Self> {
        let pairs = self.0.into_iter().zip(other.0);
        let sums = pairs.map(|(a, b)| a.iter().zip(&b).map(|(a, b)| a + b).collect());
        Ok(Self(sums.collect::<Result<_>>()?))
    }

    /// Every gradient times `factor`.
    pub fn scale(self, factor: f64) -> Result<Self> {
        let scaled = self
            .0
            .iter()
            .map(|shares| shares.iter().map(|g| g * factor).collect());
        Ok(Self(scaled.collect::<Result<_>>()?))
    }
}

/// The result of a training pass over one batch.
pub struct Outcome {
    /// Mean negative log-likelihood, a scalar still on the device.
    pub loss: Tensor,
    /// (N, classes)
    pub logits: Tensor,
    pub gradients: Gradients,
}

impl Network {
    /// Puts `values` (canonical names and shapes, see [`parameters::of`]) on the devices of
    /// `placement`, with velocities of zero.
    pub fn new(
        spec: &Spec,
        placement: &Placement,
        values: &BTreeMap<String, Tensor>,
    ) -> std::result::Result<Self, NetworkError> {
        let shapes = Shapes::of(spec)?;
        placement.check(shapes.towers())?;
        let devices = placement.open()?;
        let parameters = parameters::of(spec)?;
        let mut network = Self {
            spec: spec.clone(),
            shapes,
            parameters,
            slabs: Vec::new(),
            transfer: Transfer::between(&devices)?,
            devices,
        };
        network.set(values, None)?;
        Ok(network)
    }

    /// A network with its initial values.
    pub fn initial(
        spec: &Spec,
        placement: &Placement,
        seed: u64,
    ) -> std::result::Result<Self, NetworkError> {
        let mut values = BTreeMap::new();
        for parameter in parameters::of(spec)? {
            values.insert(parameter.name.clone(), parameter.initial_values(seed)?);
        }
        Self::new(spec, placement, &values)
    }

    /// Sets weights and velocities (zero where absent), both canonical.
    pub fn set(
        &mut self,
        values: &BTreeMap<String, Tensor>,
        velocities: Option<&BTreeMap<String, Tensor>>,
    ) -> std::result::Result<(), NetworkError> {
        self.slabs = self
            .parameters
            .iter()
            .map(|parameter| {
                let find = |map: &BTreeMap<String, Tensor>| {
                    map.get(&parameter.name)
                        .filter(|tensor| tensor.dims() == parameter.shape)
                        .cloned()
                        .ok_or_else(|| NetworkError::Parameter {
                            name: parameter.name.clone(),
                            shape: parameter.shape.clone(),
                        })
                };
                let weight = find(values)?;
                let velocity = match velocities {
                    Some(velocities) => find(velocities)?,
                    None => weight.zeros_like()?,
                };
                let shares = |whole: &Tensor| match self.splits(parameter.towers) {
                    true => parameter.split(whole),
                    false => Ok(vec![whole.clone()]),
                };
                shares(&weight)?
                    .iter()
                    .zip(shares(&velocity)?)
                    .zip(&self.devices)
                    .map(|((weight, velocity), device)| {
                        Ok(Tensor::stack(&[weight, &velocity], 0)?.to_device(device)?)
                    })
                    .collect::<std::result::Result<Vec<_>, NetworkError>>()
            })
            .collect::<std::result::Result<_, _>>()?;
        Ok(())
    }

    /// Whether a layer of so many towers is held in shares.
    fn splits(&self, towers: usize) -> bool {
        towers > 1 && self.devices.len() > 1
    }

    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// How activations go from tower to tower.
    pub fn transfer(&self) -> Transfer {
        self.transfer
    }

    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The weights by canonical name, on the CPU.
    pub fn weights(&self) -> Result<BTreeMap<String, Tensor>> {
        self.canonical(0)
    }

    /// The velocities by canonical name, on the CPU.
    pub fn velocities(&self) -> Result<BTreeMap<String, Tensor>> {
        self.canonical(1)
    }

    fn canonical(&self, which: usize) -> Result<BTreeMap<String, Tensor>> {
        let join = |(parameter, slabs): (&Parameter, &Vec<Tensor>)| {
            let shares: Vec<Tensor> = slabs.iter().map(|s| s.get(which)).collect::<Result<_>>()?;
            // A copy: the slab goes on changing under a view.
            let whole = match shares.as_slice() {
                [one] => one.to_device(&Device::Cpu)?.copy()?,
                many => parameter.join(many)?,
            };
            Ok((parameter.name.clone(), whole))
        };
        self.parameters.iter().zip(&self.slabs).map(join).collect()
    }

    /// Joins gradients into canonical tensors on the CPU.
    pub fn canonical_gradients(&self, gradients: &Gradients) -> Result<BTreeMap<String, Tensor>> {
        let join = |(parameter, shares): (&Parameter, &Vec<Tensor>)| {
            Ok((parameter.name.clone(), parameter.join(shares)?))
        };
        self.parameters.iter().zip(&gradients.0).map(join).collect()
    }

    /// Logits `(N, classes)` of pictures `(N, C, crop, crop)`, without a trace of how.
    pub fn forward(&self, x: &Tensor, pass: Pass) -> Result<Tensor> {
        self.run(x, pass, |_| (), &mut |_, _| ())
    }

    /// Loss and gradients of a batch: pictures `(N, C, crop, crop)`, labels u32 `(N,)`.
    pub fn gradients(&self, x: &Tensor, labels: &Tensor, pass: Pass) -> Result<Outcome> {
        self.gradients_watched(x, labels, pass, &mut |_, _| ())
    }

    /// The same, telling `done` of each layer on the way, and of the loss.
    pub fn gradients_watched(
        &self,
        x: &Tensor,
        labels: &Tensor,
        pass: Pass,
        done: LayerDone<'_>,
    ) -> Result<Outcome> {
        let mut tape = Vec::new();
        let logits = self.run(x, pass, |trace| tape.push(trace), done)?;
        let nll = SoftmaxNll;
        let labels = &labels.to_device(logits.device())?;
        let loss = logits.apply_op2_no_bwd(labels, &nll)?;
        let one = Tensor::ones((), logits.dtype(), logits.device())?;
        use candle_core::CustomOp2;
        let (dlogits, _) = nll.bwd(&logits, labels, &loss, &one)?;
        let dlogits = dlogits.ok_or_else(|| candle_core::Error::msg("the loss has a gradient"))?;
        done("loss", Direction::Backward);
        let gradients = self.backward(tape, dlogits, done)?;
        Ok(Outcome {
            loss,
            logits,
            gradients,
        })
    }

    /// One step of SGD: every share of every parameter in place.
    pub fn update(&mut self, gradients: &Gradients, sgd: Sgd) -> Result<()> {
        for (slabs, gradients) in self.slabs.iter().zip(&gradients.0) {
            for (slab, gradient) in slabs.iter().zip(gradients) {
                slab.inplace_op2(gradient, &sgd)?;
            }
        }
        Ok(())
    }

    /// Mean |w| and mean |Δw| of the last update of each parameter, as cuda-convnet reported them.
    /// Under the paper's rule the velocity is Δw; under PyTorch's Δw is −rate · velocity.
    pub fn magnitudes(&self) -> Result<Vec<(String, f64, f64)>> {
        let mean = |shares: &[Tensor], which: usize| -> Result<f64> {
            let means = shares.iter().map(|slab| {
                slab.get(which)?
                    .abs()?
                    .mean_all()?
                    .to_dtype(DType::F64)?
                    .to_scalar::<f64>()
            });
            Ok(means.sum::<Result<f64>>()? / shares.len() as f64)
        };
        let both = self.parameters.iter().zip(&self.slabs);
        both.map(|(p, slabs)| Ok((p.name.clone(), mean(slabs, 0)?, mean(slabs, 1)?)))
            .collect()
    }

    /// The first parameter, in the order of the layers, whose weight or gradient is not finite.
    pub fn first_not_finite(&self, gradients: &Gradients) -> Result<Option<String>> {
        let finite = |tensor: &Tensor| -> Result<bool> {
            let sum = tensor
                .to_dtype(DType::F64)?
                .abs()?
                .sum_all()?
                .to_scalar::<f64>()?;
            Ok(sum.is_finite())
        };
        for ((parameter, slabs), gradients) in
            self.parameters.iter().zip(&self.slabs).zip(&gradients.0)
        {
            for tensor in slabs.iter().chain(gradients) {
                if !finite(tensor)? {
                    return Ok(Some(parameter.name.clone()));
                }
            }
        }
        Ok(None)
    }

    fn run(
        &self,
        x: &Tensor,
        pass: Pass,
        mut record: impl FnMut(Trace),
        done: LayerDone<'_>,
    ) -> Result<Tensor> {
        let mut values = vec![x.to_device(&self.devices[0])?];
        let mut parameter = 0;
        for (index, layer) in self.spec.layers.iter().enumerate() {
            let shape = &self.shapes.layers[index];
            let shares = if self.splits(shape.towers) {
                shape.towers
            } else {
                1
            };
            let weighted = layer.name().is_some();
            let sees = match layer {
                Layer::Convolution(layer) => layer.sees,
                Layer::Linear(layer) => layer.sees,
                _ => Sees::Own,
            };
            let joins = weighted && (sees == Sees::Both || values.len() != shares);
            let mut outputs = Vec::with_capacity(shares);
            for share in 0..shares {
                let x = if joins {
                    self.gather(&values, share)?
                } else {
                    values[share].clone()
                };
                let operations = Operation::of_layer(layer, shape, index, shares, share, pass)?;
                let mut applied = Vec::with_capacity(operations.len());
                let mut value = x;
                for operation in operations {
                    let (weight, bias) = match weighted {
                        true => (
                            Some(self.slabs[parameter][share].get(0)?),
                            Some(self.slabs[parameter + 1][share].get(0)?),
                        ),
                        false => (None, None),
                    };
                    let step = operation.apply(value, weight, bias)?;
                    value = step.y.clone();
                    applied.push(step);
                }
                outputs.push(value);
                record(Trace {
                    applied,
                    layer: index,
                    parameter: weighted.then_some(parameter),
                    share,
                    sources: if joins { values.len() } else { 1 },
                    joins,
                });
            }
            values = outputs;
            if weighted {
                parameter += 2;
            }
            done(&shape.name, Direction::Forward);
        }
        self.gather(&values, 0)
    }

    /// Every tower's share on the device of `place`, joined along channels. Only the others' move.
    fn gather(&self, values: &[Tensor], place: usize) -> Result<Tensor> {
        let device = &self.devices[place];
        match values {
            [one] => self.transfer.send(one, device),
            many => {
                let here: Vec<_> = many
                    .iter()
                    .map(|v| self.transfer.send(v, device))
                    .collect::<Result<_>>()?;
                Tensor::cat(&here, 1)
            }
        }
    }

    fn backward(
        &self,
        mut tape: Vec<Trace>,
        dlogits: Tensor,
        done: LayerDone<'_>,
    ) -> Result<Gradients> {
        let mut gradients: Vec<Vec<Option<Tensor>>> = self
            .slabs
            .iter()
            .map(|shares| vec![None; shares.len()])
            .collect();
        let shares = tape.last().map_or(1, |trace| trace.share + 1);
        let mut incoming = match shares {
            1 => vec![dlogits],
            many => self.scatter(&dlogits, many)?,
        };
        while let Some(shares) = tape.last().map(|trace| trace.share + 1) {
            let first = tape.len() == shares;
            let layer: Vec<Trace> = tape.drain(tape.len() - shares..).collect();
            let index = layer[0].layer;
            let mut outgoing: Vec<Option<Tensor>> = Vec::new();
            for (trace, mut gradient) in layer.into_iter().zip(incoming) {
                let Trace {
                    applied,
                    layer: _,
                    parameter,
                    share,
                    sources,
                    joins,
                } = trace;
                let mut applied = applied;
                let mut input = None;
                while let Some(step) = applied.pop() {
                    let wanted = !(first && applied.is_empty());
                    let back = step.backward(&gradient, wanted)?;
                    if let (Some(parameter), Some((dw, db))) = (parameter, back.parameters) {
                        gradients[parameter][share] = Some(dw);
                        gradients[parameter + 1][share] = Some(db);
                    }
                    match back.input {
                        Some(dx) => {
                            gradient = dx.clone();
                            input = Some(dx);
                        }
                        None => input = None,
                    }
                }
                let Some(dx) = input else { continue };
                if !joins {
                    outgoing.push(Some(dx));
                    continue;
                }
                // This share read every source: each gets its part of the gradient, summed over
                // the shares in their order.
                let parts = match sources {
                    1 => vec![self.transfer.send(&dx, &self.devices[0])?],
                    many => self.scatter(&dx, many)?,
                };
                outgoing.resize(sources, None);
                for (sum, part) in outgoing.iter_mut().zip(parts) {
                    *sum = Some(match sum.take() {
                        Some(sum) => (sum + part)?,
                        None => part,
                    });
                }
            }
            incoming = outgoing.into_iter().flatten().collect();
            done(&self.shapes.layers[index].name, Direction::Backward);
        }
        let complete = gradients
            .into_iter()
            .zip(&self.parameters)
            .map(|(shares, parameter)| {
                let shares: Option<Vec<Tensor>> = shares.into_iter().collect();
                shares.ok_or_else(|| {
                    candle_core::Error::msg(format!("no gradient reached {}", parameter.name))
                })
            });
        Ok(Gradients(complete.collect::<Result<_>>()?))
    }

    /// Equal parts along channels, each on the device of its tower.
    fn scatter(&self, whole: &Tensor, parts: usize) -> Result<Vec<Tensor>> {
        let width = whole.dim(1)? / parts;
        (0..parts)
            .map(|part| {
                let part_here = whole.narrow(1, part * width, width)?.contiguous()?;
                self.transfer.send(&part_here, &self.devices[part])
            })
            .collect()
    }
}

/// What one share of one layer did, for the way back.
struct Trace {
    applied: Vec<Applied>,
    /// Its index in the spec.
    layer: usize,
    /// Index of its weight; the bias follows.
    parameter: Option<usize>,
    share: usize,
    /// Shares it read.
    sources: usize,
    /// Whether it read them all joined, rather than its own.
    joins: bool,
}
