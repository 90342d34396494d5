//! The weights and biases of a network under their canonical names, their initial values, and how
//! towers share them.
//!
//! Names, shapes and values are those of one network with groups, so that they do not depend on
//! where towers live: `conv1.weight` … `fc8.bias`, conv2.weight of `alexnet` (256, 48, 5, 5). The
//! first dimension counts outputs; tower `t` of `T` holds the `t`-th of `T` equal shares of it.

use candle_core::{Device, Result, Tensor};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use crate::error::SpecError;
use crate::shapes::Shapes;
use crate::spec::{Layer, Spec};

/// Values drawn from one stream of the generator: many enough to outweigh its start, few enough to
/// share among threads.
const BLOCK: usize = 1 << 16;

/// Tells the draws of initial values from every other use of the seed.
const PURPOSE: [u8; 8] = *b"initials";

/// One weight or bias of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// `conv1.weight`
    pub name: String,
    /// Index of its layer in the spec.
    pub layer: usize,
    /// Over all towers. Weights: (outputs, inputs read / groups, kernel, kernel) or (outputs,
    /// inputs); biases: (outputs).
    pub shape: Vec<usize>,
    pub towers: usize,
    pub initial: Initial,
}

/// What a parameter starts from (Section 5).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Initial {
    /// Drawn from N(0, std).
    Normal {
        std: f64,
    },
    Constant(f64),
}

/// Every parameter of `spec`, layer by layer, weight before bias.
///
/// ```
/// use tandem_alexnet::{parameters, spec::Spec};
///
/// let list = parameters::of(&Spec::preset("alexnet")?)?;
/// assert_eq!(list.iter().map(|parameter| parameter.len()).sum::<usize>(), 60_965_224);
/// assert_eq!((list[2].name.as_str(), list[2].shape.as_slice()), ("conv2.weight", &[256, 48, 5, 5][..]));
/// # Ok::<(), tandem_alexnet::error::SpecError>(())
/// ```
pub fn of(spec: &Spec) -> std::result::Result<Vec<Parameter>, SpecError> {
    let shapes = Shapes::of(spec)?;
    let mut list = Vec::new();
    for (layer, shape) in shapes.layers.into_iter().enumerate() {
        let (std, bias) = match &spec.layers[layer] {
            Layer::Convolution(layer) => (layer.weight_std, layer.bias),
            Layer::Linear(layer) => (layer.weight_std, layer.bias),
            _ => continue,
        };
        let Some(weight) = shape.weight else { continue };
        let parameter = |role: &str, size: Vec<usize>, initial| Parameter {
            name: format!("{}.{role}", shape.name),
            layer,
            shape: size,
            towers: shape.towers,
            initial,
        };
        let outputs = vec![weight[0]];
        list.push(parameter("weight", weight, Initial::Normal { std }));
        list.push(parameter("bias", outputs, Initial::Constant(bias)));
    }
    Ok(list)
}

impl Parameter {
    /// Number of values over all towers.
    #[allow(
        clippy::len_without_is_empty,
        reason = "a parameter of a checked spec is never empty"
    )]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Shape of one tower's share.
    pub fn tower_shape(&self) -> Vec<usize> {
        let mut shape = self.shape.clone();
        shape[0] /= self.towers;
        shape
    }

    /// The values to start training from: f32 on the CPU, over all towers. A pure function of the
    /// seed and the parameter's name and shape, so neither placement nor threads nor other layers
    /// change them.
    ///
    /// ```
    /// use tandem_alexnet::{parameters, spec::Spec};
    ///
    /// let list = parameters::of(&Spec::preset("alexnet")?)?;
    /// let bias = list[3].initial_values(1)?;
    /// assert_eq!(bias.to_vec1::<f32>()?, vec![1.0; 256]); // conv2.bias, Section 5
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn initial_values(&self, seed: u64) -> Result<Tensor> {
        let mut values = vec![0f32; self.len()];
        match self.initial {
            Initial::Constant(value) => values.fill(value as f32),
            Initial::Normal { std } => {
                let generator = generator(seed, &self.name);
                values
                    .par_chunks_mut(BLOCK)
                    .enumerate()
                    .for_each(|(block, values)| {
                        let mut generator = generator.clone();
                        generator.set_stream(block as u64);
                        for value in values {
                            let draw: f64 = StandardNormal.sample(&mut generator);
                            *value = (std * draw) as f32;
                        }
                    });
            }
        }
        Tensor::from_vec(values, self.shape.as_slice(), &Device::Cpu)
    }

    /// Each tower's share of a tensor of this parameter's shape, as views.
    pub fn split(&self, whole: &Tensor) -> Result<Vec<Tensor>> {
        let rows = self.shape[0] / self.towers;
        (0..self.towers)
            .map(|tower| whole.narrow(0, tower * rows, rows))
            .collect()
    }

    /// The tensor whose shares are `towers`, on the CPU: the inverse of [`Parameter::split`].
    pub fn join(&self, towers: &[Tensor]) -> Result<Tensor> {
        let here = towers
            .iter()
            .map(|share| share.to_device(&Device::Cpu))
            .collect::<Result<Vec<_>>>()?;
        Tensor::cat(&here, 0)
    }
}

/// The generator of one parameter's initial values.
fn generator(seed: u64, name: &str) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    // The epoch's place stays zero: initial values come before the first.
    key[16..24].copy_from_slice(&fnv1a(name).to_le_bytes());
    key[24..].copy_from_slice(&PURPOSE);
    ChaCha8Rng::from_seed(key)
}

/// FNV-1a: the standard library's hash may change between releases, and this one is part of what a
/// seed means.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(name: &str) -> Parameter {
        let list = of(&Spec::preset("alexnet").unwrap()).unwrap();
        list.into_iter()
            .find(|parameter| parameter.name == name)
            .unwrap()
    }

    fn bits(tensor: &Tensor) -> Vec<u32> {
        let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        values.iter().map(|value| value.to_bits()).collect()
    }

    #[test]
    fn initial_weights_have_the_papers_mean_and_deviation() {
        let values = parameter("conv3.weight").initial_values(1).unwrap();
        let values = values.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let n = values.len() as f64;
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        let deviation = (values
            .iter()
            .map(|&v| (f64::from(v) - mean).powi(2))
            .sum::<f64>()
            / n)
            .sqrt();
        // Five standard errors of 884,736 draws.
        assert!(mean.abs() < 5.0 * 0.01 / n.sqrt(), "mean {mean}");
        assert!(
            (deviation - 0.01).abs() < 5.0 * 0.01 / (2.0 * n).sqrt(),
            "deviation {deviation}"
        );
    }

    #[test]
    fn initial_values_follow_from_seed_and_name_alone() {
        let weight = parameter("conv3.weight");
        let once = bits(&weight.initial_values(7).unwrap());
        let one_thread = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .unwrap();
        assert_eq!(
            once,
            one_thread.install(|| bits(&weight.initial_values(7).unwrap()))
        );
        assert_ne!(once, bits(&weight.initial_values(8).unwrap()));
        let renamed = Parameter {
            name: "conv4.weight".to_owned(),
            ..weight
        };
        assert_ne!(once, bits(&renamed.initial_values(7).unwrap()));
    }

    #[test]
    fn blocks_of_one_parameter_do_not_repeat() {
        let values = bits(&parameter("conv3.weight").initial_values(1).unwrap());
        assert_ne!(values[..BLOCK], values[BLOCK..2 * BLOCK]);
    }

    #[test]
    fn the_first_tower_holds_the_first_half_and_joining_undoes_splitting() {
        let weight = parameter("conv2.weight");
        let whole = weight.initial_values(3).unwrap();
        let halves = weight.split(&whole).unwrap();
        assert_eq!(halves[0].dims(), weight.tower_shape());
        assert_eq!(bits(&halves[0]), bits(&whole)[..weight.len() / 2]);
        assert_eq!(bits(&weight.join(&halves).unwrap()), bits(&whole));
    }

    #[test]
    fn the_first_values_of_a_seed_stay_what_they_are() {
        let values = parameter("conv1.weight").initial_values(0).unwrap();
        let values = values.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        insta::assert_debug_snapshot!(&values[..4]);
    }
}
