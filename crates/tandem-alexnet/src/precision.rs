//! What numbers a network computes with.

use std::fmt;

use candle_core::DType;
use serde::{Deserialize, Serialize};

use crate::error::PlacementError;
use crate::placement::{DeviceName, Placement};

/// The element type of activations and of gradients.
///
/// Weights and velocities, the loss and the softmax are f32 in either, and so is what is saved.
/// There is no f16: its gradients need a loss scaled up, or they vanish.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    #[default]
    F32,
    /// Half the bytes, on GPUs. Each layer reads a copy of its weights in bf16, made once an
    /// update; sums are in f32.
    Bf16,
}

impl Precision {
    pub fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::Bf16 => DType::BF16,
        }
    }

    /// What so many values take.
    pub fn bytes(self, values: u64) -> u64 {
        values.saturating_mul(self.dtype().size_in_bytes() as u64)
    }

    /// Whether all of `placement` computes in it.
    ///
    /// # Errors
    /// [`PlacementError::Precision`] for bf16 on the CPU.
    pub fn check(self, placement: &Placement) -> Result<(), PlacementError> {
        match self == Self::Bf16 && placement.devices().contains(&DeviceName::Cpu) {
            true => Err(PlacementError::Precision),
            false => Ok(()),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.dtype().as_str())
    }
}
