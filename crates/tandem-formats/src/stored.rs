//! A tensor where it lies in a file: its shape and the bytes that hold its values, checked against
//! each other before it is made.

use std::borrow::Cow;
use std::fmt;

use candle_core::{Device, Tensor};
use half::{bf16, f16};

use crate::error::Problem;

/// What one value of a tensor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    F16,
    Bf16,
    F32,
    F64,
    /// Of no use as a weight: integers, truth values, what a format has besides. A name for messages.
    Other(&'static str),
}

impl Element {
    /// Bytes of one value; nothing for what is never read.
    pub fn size(self) -> Option<usize> {
        match self {
            Self::F16 | Self::Bf16 => Some(2),
            Self::F32 => Some(4),
            Self::F64 => Some(8),
            Self::Other(_) => None,
        }
    }
}

/// Strides of values that lie one after another, the last dimension fastest.
fn in_order(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1usize; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i].saturating_mul(shape[i]);
    }
    strides
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::F32 => "F32",
            Self::F64 => "F64",
            Self::Other(name) => name,
        })
    }
}

/// A tensor of a file, little endian.
#[derive(Clone, Debug)]
pub struct Stored<'a> {
    /// As the file calls it.
    pub name: String,
    pub shape: Vec<usize>,
    pub element: Element,
    /// Values from one index to the next, for each dimension.
    strides: Vec<usize>,
    bytes: Cow<'a, [u8]>,
}

impl<'a> Stored<'a> {
    /// A tensor whose values lie one after another, the last dimension fastest, and fill `bytes`.
    ///
    /// # Errors
    ///
    /// [`Problem::Tensor`] if they do not.
    pub fn contiguous(
        name: &str,
        shape: Vec<usize>,
        element: Element,
        bytes: impl Into<Cow<'a, [u8]>>,
    ) -> Result<Self, Problem> {
        let bytes = bytes.into();
        let values = shape
            .iter()
            .try_fold(1usize, |n, &size| n.checked_mul(size));
        let needed = values.and_then(|n| n.checked_mul(element.size().unwrap_or(0)));
        if element.size().is_some() && needed != Some(bytes.len()) {
            return Err(Problem::Tensor {
                name: name.to_owned(),
                what: format!("{} bytes cannot be {element} of {shape:?}", bytes.len()),
            });
        }
        Ok(Self {
            name: name.to_owned(),
            strides: in_order(&shape),
            shape,
            element,
            bytes,
        })
    }

    /// The matrix with rows and columns exchanged, its values where they are.
    ///
    /// # Errors
    ///
    /// [`Problem::Tensor`] if it is no matrix.
    pub fn transposed(mut self) -> Result<Self, Problem> {
        if self.shape.len() != 2 {
            return Err(self.problem(format!("{:?} is no matrix", self.shape)));
        }
        self.shape.reverse();
        self.strides.reverse();
        Ok(self)
    }

    /// The same values, one after another, in another shape.
    ///
    /// # Errors
    ///
    /// [`Problem::Tensor`] if it has another number of them, or they lie otherwise.
    pub fn reshaped(self, shape: Vec<usize>) -> Result<Self, Problem> {
        if self.strides != in_order(&self.shape) {
            return Err(self.problem("its values do not lie in the order of its shape".to_owned()));
        }
        Self::contiguous(&self.name, shape, self.element, self.bytes)
    }

    /// The values as f32 on the CPU.
    ///
    /// # Errors
    ///
    /// [`Problem::Tensor`] if they are no floating-point numbers.
    pub fn to_tensor(&self) -> Result<Tensor, Problem> {
        let values = match self.element {
            Element::F16 => self.gather(|b| f16::from_le_bytes(b).to_f32()),
            Element::Bf16 => self.gather(|b| bf16::from_le_bytes(b).to_f32()),
            Element::F32 => self.gather(f32::from_le_bytes),
            Element::F64 => self.gather(|b| f64::from_le_bytes(b) as f32),
            Element::Other(name) => {
                return Err(self.problem(format!("holds {name}, and weights are floating-point")));
            }
        };
        Tensor::from_vec(values, self.shape.as_slice(), &Device::Cpu)
            .map_err(|error| self.problem(error.to_string()))
    }

    fn problem(&self, what: String) -> Problem {
        Problem::Tensor {
            name: self.name.clone(),
            what,
        }
    }

    /// The values in the order of their indices.
    fn gather<const N: usize>(&self, value: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        let values = self.bytes.as_chunks::<N>().0;
        let total = self.shape.iter().product();
        let mut gathered = Vec::with_capacity(total);
        if total == 0 {
            return gathered;
        }
        let Some((&run, outer)) = self.shape.split_last() else {
            return values.iter().copied().map(value).collect();
        };
        let step = self.strides[outer.len()];
        let mut index = vec![0; outer.len()];
        loop {
            let start: usize = index.iter().zip(&self.strides).map(|(i, s)| i * s).sum();
            gathered.extend((0..run).map(|i| value(values[start + i * step])));
            // The next index, the last dimension fastest, as an odometer turns.
            let Some(turned) = (0..outer.len()).rev().find(|&d| index[d] + 1 < outer[d]) else {
                return gathered;
            };
            index[turned] += 1;
            index[turned + 1..].fill(0);
        }
    }
}
