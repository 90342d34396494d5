//! The weights and velocities of a network, in and out.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Result, Tensor};
use tandem_ops::sgd::Sgd;

use super::gradients::{mean_abs, pieces};
use super::{Gradients, Network};
use crate::error::NetworkError;
use crate::parameters::Parameter;
use crate::precision::Precision;

/// A parameter in one place.
pub(super) struct Share {
    /// f32 (2, …): the weight, and its velocity.
    slab: Tensor,
    /// The weight as layers read it: a view, or a copy in another precision.
    pub(super) weight: Tensor,
}

impl Share {
    fn new(slab: Tensor, precision: Precision) -> Result<Self> {
        let weight = slab.get(0)?.to_dtype(precision.dtype())?;
        Ok(Self { slab, weight })
    }

    /// The same in another precision.
    pub(super) fn in_precision(self, precision: Precision) -> Result<Self> {
        Self::new(self.slab, precision)
    }

    fn update(&mut self, gradient: &Tensor, sgd: Sgd, precision: Precision) -> Result<()> {
        self.slab.inplace_op2(gradient, &sgd)?;
        if precision != Precision::F32 {
            self.weight = self.slab.get(0)?.to_dtype(precision.dtype())?;
        }
        Ok(())
    }
}

impl Network {
    /// Sets weights and velocities (zero where absent), both canonical.
    pub fn set(
        &mut self,
        values: &BTreeMap<String, Tensor>,
        velocities: Option<&BTreeMap<String, Tensor>>,
    ) -> std::result::Result<(), NetworkError> {
        self.shares = self
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
                        let slab = Tensor::stack(&[weight, &velocity], 0)?.to_device(device)?;
                        Ok(Share::new(slab, self.precision)?)
                    })
                    .collect::<std::result::Result<Vec<_>, NetworkError>>()
            })
            .collect::<std::result::Result<_, _>>()?;
        Ok(())
    }

    /// Whether a layer of so many towers is held in shares.
    pub(super) fn splits(&self, towers: usize) -> bool {
        towers > 1 && self.devices.len() > 1
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
        let join = |(parameter, shares): (&Parameter, &Vec<Share>)| {
            let halves = shares.iter().map(|share| share.slab.get(which));
            let shares: Vec<Tensor> = halves.collect::<Result<_>>()?;
            // A copy: the slab goes on changing under a view.
            let whole = match shares.as_slice() {
                [one] => one.to_device(&Device::Cpu)?.copy()?,
                many => parameter.join(many)?,
            };
            Ok((parameter.name.clone(), whole))
        };
        self.parameters.iter().zip(&self.shares).map(join).collect()
    }

    /// One step of SGD: every share of every parameter that learns, in place. `sgd` is of the run's
    /// rate; a layer with a rate of its own takes its multiple of it.
    pub fn update(&mut self, gradients: &Gradients, sgd: Sgd) -> Result<()> {
        let both = self.parameters.iter().zip(&mut self.shares);
        for ((parameter, shares), gradients) in both.zip(&gradients.0) {
            let Some(factor) = self.tuning.factor(parameter.layer) else {
                continue;
            };
            let sgd = sgd.times(factor)?;
            for (share, gradient) in shares.iter_mut().zip(gradients) {
                share.update(gradient, sgd, self.precision)?;
            }
        }
        Ok(())
    }

    /// Mean |w| and mean |Δw| of the last update of each parameter, as cuda-convnet reported them.
    /// Under the paper's rule the velocity is Δw; under PyTorch's Δw is −rate · velocity.
    pub fn magnitudes(&self) -> Result<Vec<(String, f64, f64)>> {
        let mean = |shares: &[Share], which: usize| -> Result<f64> {
            let slabs = shares.iter().map(|share| share.slab.get(which));
            mean_abs(&slabs.collect::<Result<Vec<_>>>()?)
        };
        let both = self.parameters.iter().zip(&self.shares);
        both.map(|(p, shares)| Ok((p.name.clone(), mean(shares, 0)?, mean(shares, 1)?)))
            .collect()
    }

    /// The first parameter, in the order of the layers, whose weight or gradient is not finite.
    pub fn first_not_finite(&self, gradients: &Gradients) -> Result<Option<String>> {
        let finite = |tensor: &Tensor| -> Result<bool> {
            let mut sum = 0.0;
            for piece in pieces(tensor)? {
                let piece = piece.to_dtype(DType::F64)?.abs()?;
                sum += piece.sum_all()?.to_scalar::<f64>()?;
            }
            Ok(sum.is_finite())
        };
        let both = self.parameters.iter().zip(&self.shares);
        for ((parameter, shares), gradients) in both.zip(&gradients.0) {
            let slabs = shares.iter().map(|share| &share.slab);
            for tensor in slabs.chain(gradients) {
                if !finite(tensor)? {
                    return Ok(Some(parameter.name.clone()));
                }
            }
        }
        Ok(None)
    }
}
