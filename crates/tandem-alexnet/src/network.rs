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

mod exchange;
mod gradients;
mod passes;
mod shares;

use std::collections::BTreeMap;

use candle_core::{CustomOp2, DType, Device, Result, Tensor};
pub use gradients::Gradients;
use shares::Share;
use tandem_ops::readback::{Readback, Scalar};
use tandem_ops::softmax_nll::SoftmaxNll;
use tandem_ops::upload::Upload;

use crate::class_weights::{weighted_gradient, weighted_loss};
use crate::error::NetworkError;
use crate::input::Input;
use crate::parameters::{self, Parameter};
use crate::placement::Placement;
use crate::precision::Precision;
use crate::shapes::Shapes;
use crate::spec::Spec;
use crate::transfer::Transfer;
use crate::tuning::Tuning;

/// A network with its weights and velocities on its devices.
pub struct Network {
    spec: Spec,
    shapes: Shapes,
    parameters: Vec<Parameter>,
    /// For each parameter its shares, one a place it lives in.
    shares: Vec<Vec<Share>>,
    tuning: Tuning,
    precision: Precision,
    placement: Placement,
    devices: Vec<Device>,
    transfer: Transfer,
    /// On the first device, where the loss is: how labels get there, how it is read, and its gradient
    /// for itself.
    labels: Upload,
    readback: Readback,
    one: Tensor,
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

/// The result of a training pass over one batch.
pub struct Outcome {
    /// Mean negative log-likelihood. It can be read while the way back is still computed.
    pub loss: Scalar,
    /// (N, classes), f32
    pub logits: Tensor,
    pub gradients: Gradients,
}

/// As at test: pictures `(N, C, crop, crop)` to scores `(N, classes)`. candle's autograd sees a
/// constant in it; gradients are asked of [`Network::gradients`].
impl candle_core::Module for Network {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Network::forward(self, x, Pass::Test)
    }
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
            tuning: Tuning::everything(spec),
            shapes,
            parameters,
            shares: Vec::new(),
            precision: Precision::F32,
            placement: placement.clone(),
            transfer: Transfer::between(&devices)?,
            labels: Upload::to(&devices[0])?,
            readback: Readback::of(&devices[0])?,
            one: Tensor::ones((), DType::F32, &devices[0])?,
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

    /// The same network, computing in `precision`.
    ///
    /// # Errors
    /// When a device does not.
    pub fn in_precision(self, precision: Precision) -> std::result::Result<Self, NetworkError> {
        precision.check(&self.placement)?;
        let shares = self.shares.into_iter().map(|shares| {
            let shares = shares.into_iter();
            shares.map(|share| share.in_precision(precision)).collect()
        });
        Ok(Self {
            shares: shares.collect::<Result<_>>()?,
            precision,
            ..self
        })
    }

    /// The same network, whose layers learn as `tuning`, of its spec, says: not all, or not equally
    /// fast.
    pub fn tuned(self, tuning: Tuning) -> Self {
        Self { tuning, ..self }
    }

    /// How its layers learn.
    pub fn tuning(&self) -> &Tuning {
        &self.tuning
    }

    /// The device of each place.
    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// Waits until the devices have done what is queued.
    pub fn synchronize(&self) -> Result<()> {
        self.devices
            .iter()
            .try_for_each(tandem_ops::readback::synchronize)
    }

    /// What it computes in.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    pub fn shapes(&self) -> &Shapes {
        &self.shapes
    }

    /// How activations go from tower to tower.
    pub fn transfer(&self) -> Transfer {
        self.transfer
    }

    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Logits `(N, classes)` f32, of pictures `(N, C, crop, crop)`, without a trace of how.
    pub fn forward(&self, x: impl Into<Input>, pass: Pass) -> Result<Tensor> {
        self.forward_to(x, self.last(), pass)
    }

    /// What layer `layer` of the spec (its place, from 0) gives for pictures `(N, C, crop, crop)`, after
    /// its activation function: maps `(N, C, H, W)` or features `(N, F)`, f32. On every placement tower
    /// 0 has the first channels, tower 1 the next.
    ///
    /// # Panics
    /// If there is no such layer, or `x` has been through it; [`Spec::layer_named`] gives places that
    /// are there.
    pub fn forward_to(&self, x: impl Into<Input>, layer: usize, pass: Pass) -> Result<Tensor> {
        self.run(&x.into(), layer, pass, |_| (), &mut |_, _| ())
    }

    fn last(&self) -> usize {
        self.spec.layers.len() - 1
    }

    /// Loss and gradients of a batch: pictures `(N, C, crop, crop)`, labels u32 `(N,)`.
    pub fn gradients(&self, x: impl Into<Input>, labels: &Tensor, pass: Pass) -> Result<Outcome> {
        self.gradients_watched(x, labels, pass, &mut |_, _| ())
    }

    /// The same, telling `done` of each layer on the way, and of the loss.
    pub fn gradients_watched(
        &self,
        x: impl Into<Input>,
        labels: &Tensor,
        pass: Pass,
        done: LayerDone<'_>,
    ) -> Result<Outcome> {
        self.outcome(&x.into(), labels, None, pass, done)
    }

    /// The same where pictures count differently: `weights` f32 `(N,)`. The loss is their weighted sum
    /// over N.
    pub fn gradients_weighted(
        &self,
        x: impl Into<Input>,
        labels: &Tensor,
        weights: &Tensor,
        pass: Pass,
    ) -> Result<Outcome> {
        self.outcome(&x.into(), labels, Some(weights), pass, &mut |_, _| ())
    }

    fn outcome(
        &self,
        x: &Input,
        labels: &Tensor,
        weights: Option<&Tensor>,
        pass: Pass,
        done: LayerDone<'_>,
    ) -> Result<Outcome> {
        let mut tape = Vec::new();
        let labels = &self.labels.tensor(labels)?;
        let weights = weights.map(|weights| weights.to_device(&self.devices[0]));
        let weights = weights.transpose()?;
        let record = |trace| tape.push(trace);
        let logits = self.run(x, self.last(), pass, record, done)?;
        let nll = SoftmaxNll;
        let loss = match &weights {
            None => logits.apply_op2_no_bwd(labels, &nll)?,
            Some(weights) => weighted_loss(&logits, labels, weights)?,
        };
        let loss = self.readback.scalar(loss)?;
        let (dlogits, _) = nll.bwd(&logits, labels, loss.tensor(), &self.one)?;
        let dlogits = dlogits.ok_or_else(|| candle_core::Error::msg("the loss has a gradient"))?;
        let dlogits = match &weights {
            None => dlogits,
            Some(weights) => weighted_gradient(&dlogits, weights)?,
        };
        done("loss", Direction::Backward);
        let gradients = self.backward(tape, dlogits.to_dtype(self.precision.dtype())?, done)?;
        Ok(Outcome {
            loss,
            logits,
            gradients,
        })
    }
}
