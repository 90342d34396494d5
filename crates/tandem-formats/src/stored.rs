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
    /// Of no use as a weight: integers, truth values, what a format has besides. Its name for
    /// messages, and bytes of one value.
    Other(&'static str, usize),
}

impl Element {
    /// Bytes of one value.
    pub fn size(self) -> usize {
        match self {
            Self::F16 | Self::Bf16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
            Self::Other(_, size) => size,
        }
    }

    /// Whether it can be a weight.
    pub fn is_float(self) -> bool {
        !matches!(self, Self::Other(..))
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::F32 => "F32",
            Self::F64 => "F64",
            Self::Other(name, _) => name,
        })
    }
}

/// A tensor of a file, its values little endian.
#[derive(Clone, Debug)]
pub struct Stored<'a> {
    /// As the file calls it.
    pub name: String,
    pub shape: Vec<usize>,
    pub element: Element,
    /// How the values are gone through: a size and a stride in values for each dimension, as many
    /// values as `shape` has.
    walk: Vec<(usize, usize)>,
    /// From the first value on.
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
        let needed = count(&shape).and_then(|n| n.checked_mul(element.size()));
        if element.is_float() && needed != Some(bytes.len()) {
            let what = format!("{} bytes cannot be {element} of {shape:?}", bytes.len());
            return Err(problem(name, what));
        }
        let mut strides = vec![1; shape.len()];
        for i in (1..shape.len()).rev() {
            strides[i - 1] = shape[i].saturating_mul(strides[i]);
        }
        Ok(Self {
            name: name.to_owned(),
            walk: shape.iter().copied().zip(strides).collect(),
            shape,
            element,
            bytes,
        })
    }

    /// A tensor within the `storage` of itself and others: its first value is the storage's
    /// `offset`-th, and one step along a dimension is a stride of values.
    ///
    /// # Errors
    ///
    /// [`Problem::Tensor`] if a value would lie beyond the storage.
    pub fn strided(
        name: &str,
        shape: Vec<usize>,
        strides: Vec<usize>,
        offset: usize,
        element: Element,
        storage: &'a [u8],
    ) -> Result<Self, Problem> {
        let held = storage.len() / element.size().max(1);
        let last = shape
            .iter()
            .zip(&strides)
            .try_fold(offset, |last, (&size, &stride)| {
                last.checked_add(size.saturating_sub(1).checked_mul(stride)?)
            });
        let empty = shape.contains(&0);
        let inside = empty || last.is_some_and(|last| last < held);
        if shape.len() != strides.len() || count(&shape).is_none() || !inside {
            let what = format!(
                "of {shape:?} with strides {strides:?} from value {offset} on is more than its storage of {held} values holds"
            );
            return Err(problem(name, what));
        }
        let start = if empty { 0 } else { offset * element.size() };
        Ok(Self {
            name: name.to_owned(),
            walk: shape.iter().copied().zip(strides).collect(),
            shape,
            element,
            bytes: Cow::Borrowed(&storage[start..]),
        })
    }

    /// The same under another name.
    pub fn called(&self, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..self.clone()
        }
    }

    /// The matrix with rows and columns exchanged, its values where they are.
    ///
    /// # Errors
    ///
    /// [`Problem::Tensor`] if it is no matrix.
    pub fn transposed(self) -> Result<Self, Problem> {
        if self.shape.len() != 2 {
            let what = format!("{:?} is no matrix", self.shape);
            return Err(problem(&self.name, what));
        }
        Ok(self.permuted(&[1, 0]))
    }

    /// The same values, one after another, in another shape.
    ///
    /// # Errors
    ///
    /// [`Problem::Tensor`] if it has another number of them, or they lie otherwise.
    pub fn reshaped(self, shape: Vec<usize>) -> Result<Self, Problem> {
        let mut step = 1;
        let in_order = self.walk.iter().rev().all(|&(size, stride)| {
            let fits = stride == step;
            step = step.saturating_mul(size);
            fits
        });
        if !in_order {
            let what = "its values do not lie in the order of its shape".to_owned();
            return Err(problem(&self.name, what));
        }
        Self::contiguous(&self.name, shape, self.element, self.bytes)
    }

    /// The same with its dimensions in another order: `order` lists them, from 0.
    pub fn permuted(self, order: &[usize]) -> Self {
        Self {
            shape: order.iter().map(|&from| self.shape[from]).collect(),
            walk: order.iter().map(|&from| self.walk[from]).collect(),
            ..self
        }
    }

    /// A linear layer's weights (outputs, side · side · channels) that read a map row by row, column by
    /// column, channel by channel, as they read it channel by channel, row by row, column by column.
    pub fn channels_first(self, side: usize, channels: usize) -> Self {
        let [outputs, (_, step)] = *self.walk.as_slice() else {
            unreachable!("weights of a linear layer have two dimensions")
        };
        let rows = (side, side * channels * step);
        let walk = vec![outputs, (channels, step), rows, (side, channels * step)];
        Self { walk, ..self }
    }

    /// How many values it has.
    pub fn values(&self) -> usize {
        count(&self.shape).expect("checked when it was made")
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
            Element::Other(name, _) => {
                let what = format!("holds {name}, and weights are floating-point numbers");
                return Err(problem(&self.name, what));
            }
        };
        Tensor::from_vec(values, self.shape.as_slice(), &Device::Cpu)
            .map_err(|error| problem(&self.name, error.to_string()))
    }

    /// The values in the order of their indices.
    fn gather<const N: usize>(&self, value: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        let values = self.bytes.as_chunks::<N>().0;
        let total = self.values();
        let mut gathered = Vec::with_capacity(total);
        let Some((&(run, step), outer)) = self.walk.split_last() else {
            return values.iter().take(1).copied().map(value).collect();
        };
        let mut index = vec![0; outer.len()];
        while gathered.len() < total {
            let start: usize = index.iter().zip(outer).map(|(i, (_, step))| i * step).sum();
            gathered.extend((0..run).map(|i| value(values[start + i * step])));
            // The next index, the last dimension fastest, as an odometer turns.
            for (place, &(size, _)) in index.iter_mut().zip(outer).rev() {
                *place += 1;
                if *place < size {
                    break;
                }
                *place = 0;
            }
        }
        gathered
    }
}

/// Values of a tensor of that shape.
fn count(shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1usize, |n, &size| n.checked_mul(size))
}

fn problem(name: &str, what: String) -> Problem {
    Problem::Tensor {
        name: name.to_owned(),
        what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(values: &[f32]) -> Vec<u8> {
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    }

    fn read(stored: &Stored) -> Vec<f32> {
        stored
            .to_tensor()
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1()
            .unwrap()
    }

    #[test]
    fn strides_and_offset_choose_the_values() {
        // torch.arange(12.).view(3, 4).t()[1:3]: (2, 3) with strides (1, 4) from 1 on.
        let storage = bytes(&(0..12).map(|i| i as f32).collect::<Vec<_>>());
        let tensor =
            Stored::strided("t", vec![2, 3], vec![1, 4], 1, Element::F32, &storage).unwrap();
        assert_eq!(read(&tensor), [1.0, 5.0, 9.0, 2.0, 6.0, 10.0]);
        let scalar = Stored::strided("s", vec![], vec![], 7, Element::F32, &storage).unwrap();
        assert_eq!(read(&scalar), [7.0]);
        let repeated = Stored::strided("r", vec![3], vec![0], 2, Element::F32, &storage).unwrap();
        assert_eq!(read(&repeated), [2.0; 3]);
        let empty =
            Stored::strided("e", vec![0, 4], vec![4, 1], 99, Element::F32, &storage).unwrap();
        assert!(read(&empty).is_empty());
    }

    #[test]
    fn half_bfloat16_and_double_become_f32() {
        let values = [1.5, -0.375];
        let of = |element, bytes: Vec<u8>| {
            read(&Stored::contiguous("x", vec![2], element, bytes).unwrap())
        };
        let half = values
            .iter()
            .flat_map(|&v| f16::from_f32(v).to_le_bytes())
            .collect();
        let bfloat = values
            .iter()
            .flat_map(|&v| bf16::from_f32(v).to_le_bytes())
            .collect();
        let double = values
            .iter()
            .flat_map(|&v| f64::from(v).to_le_bytes())
            .collect();
        assert_eq!(of(Element::F16, half), values);
        assert_eq!(of(Element::Bf16, bfloat), values);
        assert_eq!(of(Element::F64, double), values);
    }

    #[test]
    fn a_tensor_beyond_its_storage_is_refused() {
        let storage = bytes(&[0.0; 12]);
        for (shape, strides, offset) in [
            (vec![3, 4], vec![4, 1], 1),
            (vec![13], vec![1], 0),
            (vec![2], vec![usize::MAX], 0),
            (vec![2], vec![1], usize::MAX),
            (vec![usize::MAX, usize::MAX], vec![0, 0], 0),
            (vec![2], vec![], 0),
        ] {
            let made = Stored::strided(
                "conv1.weight",
                shape,
                strides,
                offset,
                Element::F32,
                &storage,
            );
            let error = made.unwrap_err().to_string();
            assert!(error.starts_with("conv1.weight: of ["), "{error}");
        }
        let error =
            Stored::contiguous("b", vec![1 << 40, 1 << 40], Element::F32, storage).unwrap_err();
        assert!(
            error.to_string().contains("48 bytes cannot be F32"),
            "{error}"
        );
    }
}
