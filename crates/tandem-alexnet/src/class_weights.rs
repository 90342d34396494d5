//! What a picture of each class counts in the loss, so that a class of few pictures is heard.
//!
//! `balanced` weighs a picture of class c by `N / (C · n_c)`: N pictures, C classes, n_c of this one.
//! Every class then counts the same, and the weights of all pictures have the mean 1, so that rates
//! suit as before. The weighted loss is divided by the pictures of a batch, not by their weights: a
//! picture counts the same whatever others it comes with.

use candle_core::{D, Result, Tensor};
use serde::{Deserialize, Serialize};

/// How classes are weighed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassWeights {
    /// Every picture counts one.
    #[default]
    Equal,
    /// Every class counts the same.
    Balanced,
}

/// A class that cannot be weighed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no training picture is of class `{class}`: balanced class weights need one of each; leave the class out, or say \
     class_weights=equal"
)]
pub struct EmptyClass {
    pub class: String,
}

impl ClassWeights {
    /// The weight of each of `classes` for training pictures of these `labels`; none where all count
    /// one.
    ///
    /// # Errors
    /// When balanced weights are asked for and a class has no picture.
    pub fn of(
        self,
        classes: &[String],
        labels: impl Iterator<Item = u32>,
    ) -> std::result::Result<Option<Vec<f32>>, EmptyClass> {
        match self {
            Self::Equal => Ok(None),
            Self::Balanced => balanced(classes, labels).map(Some),
        }
    }
}

fn balanced(
    classes: &[String],
    labels: impl Iterator<Item = u32>,
) -> std::result::Result<Vec<f32>, EmptyClass> {
    let mut counts = vec![0u64; classes.len()];
    labels.for_each(|label| counts[label as usize] += 1);
    let all: u64 = counts.iter().sum();
    let weigh = |(&count, class): (&u64, &String)| match count {
        0 => Err(EmptyClass {
            class: class.clone(),
        }),
        _ => Ok((all as f64 / (classes.len() as f64 * count as f64)) as f32),
    };
    counts.iter().zip(classes).map(weigh).collect()
}

/// The weighted loss of logits `(N, C)` f32, `1/N Σ_n w_n (log Σ_c exp z[n, c] − z[n, label_n])`, for
/// labels u32 `(N,)` and the pictures' weights f32 `(N,)`.
pub(crate) fn weighted_loss(logits: &Tensor, labels: &Tensor, weights: &Tensor) -> Result<Tensor> {
    let right = candle_nn::ops::log_softmax(logits, D::Minus1)?
        .gather(&labels.unsqueeze(1)?, 1)?
        .squeeze(1)?;
    (right * weights)?.mean_all()?.neg()
}

/// The gradient of [`weighted_loss`] from that of the unweighted one, row by row.
pub(crate) fn weighted_gradient(dlogits: &Tensor, weights: &Tensor) -> Result<Tensor> {
    dlogits.broadcast_mul(&weights.unsqueeze(1)?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|class| format!("class {class}")).collect()
    }

    #[test]
    fn balanced_weights_are_those_worked_out_by_hand() {
        // 6 pictures in 3 classes: 3, 2 and 1 of them. 6 / (3 · n): 2/3, 1, 2.
        let labels = [0, 1, 0, 2, 0, 1];
        let weights = ClassWeights::Balanced.of(&names(3), labels.into_iter());
        let weights = weights.unwrap().unwrap();
        assert_eq!(weights, [2.0 / 3.0, 1.0, 2.0]);
        let mean = labels.iter().map(|&l| weights[l as usize]).sum::<f32>() / 6.0;
        assert!((mean - 1.0).abs() < 1e-6);
        let equal = ClassWeights::Equal.of(&names(3), labels.into_iter());
        assert_eq!(equal.unwrap(), None);
    }

    #[test]
    fn a_class_without_pictures_is_named() {
        let error = ClassWeights::Balanced.of(&names(3), [0, 1].into_iter());
        assert!(error.unwrap_err().to_string().contains("`class 2`"));
    }

    #[test]
    fn the_weighted_loss_and_its_gradient_are_those_worked_out_by_hand() -> Result<()> {
        let cpu = &Device::Cpu;
        // Rows of equal scores: each class has probability 1/2, so −log p is log 2.
        let logits = Tensor::new(&[[0f32, 0.0], [3.0, 3.0]], cpu)?;
        let labels = Tensor::new(&[0u32, 1], cpu)?;
        let weights = Tensor::new(&[0.5f32, 3.0], cpu)?;
        let loss = weighted_loss(&logits, &labels, &weights)?.to_scalar::<f32>()?;
        let by_hand = (0.5 + 3.0) * 2f32.ln() / 2.0;
        assert!((loss - by_hand).abs() < 1e-6, "{loss} {by_hand}");
        // (softmax − onehot) / N, then times the weight.
        let unweighted = Tensor::new(&[[-0.25f32, 0.25], [0.25, -0.25]], cpu)?;
        let gradient = weighted_gradient(&unweighted, &weights)?.to_vec2::<f32>()?;
        assert_eq!(gradient, [[-0.125, 0.125], [0.75, -0.75]]);
        Ok(())
    }
}
