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

/// Values looked at in one piece, so that a statistic of fc6 needs no second fc6.
const PIECE: usize = 1 << 20;

/// The mean of |value| over shares of one size.
pub(super) fn mean_abs(shares: &[Tensor]) -> Result<f64> {
    let count = shares.iter().map(Tensor::elem_count).sum::<usize>();
    let mut mean = 0.0;
    for share in shares {
        for piece in pieces(share)? {
            let part = piece.to_dtype(DType::F32)?.abs()?.mean_all()?;
            let weight = piece.elem_count() as f64 / count as f64;
            mean += part.to_dtype(DType::F64)?.to_scalar::<f64>()? * weight;
        }
    }
    Ok(mean)
}

/// A contiguous tensor in pieces of [`PIECE`] values.
pub(super) fn pieces(tensor: &Tensor) -> Result<Vec<Tensor>> {
    let flat = tensor.flatten_all()?;
    let starts = (0..flat.elem_count()).step_by(PIECE);
    starts
        .map(|start| flat.narrow(0, start, PIECE.min(flat.elem_count() - start)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn the_mean_over_pieces_is_the_mean_of_all() -> Result<()> {
        let values = |count: usize| (0..count).map(|i| if i % 2 == 0 { -3f32 } else { 1.0 });
        let tensor = |count| Tensor::from_iter(values(count), &Device::Cpu);
        assert_eq!(mean_abs(&[])?, 0.0);
        assert_eq!(mean_abs(&[tensor(10)?])?, 2.0);
        let (long, short) = (tensor(2 * PIECE + 2)?, tensor(2)?.affine(5.0, 0.0)?);
        assert_eq!(pieces(&long)?.len(), 3);
        let want = (2.0 * long.elem_count() as f64 + 10.0 * 2.0) / (long.elem_count() + 2) as f64;
        assert!((mean_abs(&[long, short])? - want).abs() < 1e-9);
        Ok(())
    }
}
