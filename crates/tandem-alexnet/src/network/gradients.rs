//! Gradients of the parameters.

use std::collections::BTreeMap;

use candle_core::{DType, Result, Tensor};

use super::Network;
use crate::parameters::Parameter;

/// A gradient for each share of each parameter, in the order of [`crate::parameters::of`]; of a frozen
/// one none.
pub struct Gradients(pub(super) Vec<Vec<Tensor>>);

impl Gradients {
    /// Adds another batch's gradients, for an update over several batches.
    pub fn plus(self, other: Self) -> Result<Self> {
        let pairs = self.0.into_iter().zip(other.0);
        let sums = pairs.map(|(a, b)| a.iter().zip(&b).map(|(a, b)| a + b).collect());
        Ok(Self(sums.collect::<Result<_>>()?))
    }

    /// Every gradient times `factor`, in f32: sums of many batches follow.
    pub fn scale(self, factor: f64) -> Result<Self> {
        let scale = |gradient: &Tensor| gradient.to_dtype(DType::F32)? * factor;
        let scaled = self
            .0
            .iter()
            .map(|shares| shares.iter().map(scale).collect());
        Ok(Self(scaled.collect::<Result<_>>()?))
    }
}

impl Network {
    /// Joins gradients into canonical tensors, f32 on the CPU; frozen parameters have none.
    pub fn canonical_gradients(&self, gradients: &Gradients) -> Result<BTreeMap<String, Tensor>> {
        let join = |(parameter, shares): (&Parameter, &Vec<Tensor>)| {
            let whole = parameter.join(shares)?.to_dtype(DType::F32)?;
            Ok((parameter.name.clone(), whole))
        };
        let both = self.parameters.iter().zip(&gradients.0);
        both.filter(|(_, shares)| !shares.is_empty())
            .map(join)
            .collect()
    }

    /// The mean of |gradient| of each parameter, in their order: 0 of a frozen one.
    pub fn gradient_magnitudes(&self, gradients: &Gradients) -> Result<Vec<f64>> {
        gradients.0.iter().map(|shares| mean_abs(shares)).collect()
    }
}

/// The mean of |value| over shares of one size.
pub(super) fn mean_abs(shares: &[Tensor]) -> Result<f64> {
    if shares.is_empty() {
        return Ok(0.0);
    }
    let means = shares.iter().map(|share| {
        let mean = share.to_dtype(DType::F32)?.abs()?.mean_all()?;
        mean.to_dtype(DType::F64)?.to_scalar::<f64>()
    });
    Ok(means.sum::<Result<f64>>()? / shares.len() as f64)
}
