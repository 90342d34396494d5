//! The weights and velocities of a network, in and out.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Result, Tensor};
use tandem_ops::sgd::Sgd;

use super::{Gradients, Network};
use crate::error::NetworkError;
use crate::parameters::Parameter;

impl Network {
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
}
