//! What lies on which device and what moves between devices.

use tandem_ops::conv::WORKSPACE;

use super::{LayerShape, Shapes};
use crate::placement::Placement;
use crate::precision::Precision;

/// One tower's share of a layer's output, read by another tower. The gradient goes back the same
/// way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crossing {
    pub from_tower: usize,
    pub to_tower: usize,
    /// For one picture, forward.
    pub values: u64,
}

/// What one place of a [`Placement`] holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    /// The place's device, as `cuda:0`.
    pub device: String,
    /// Towers that live here.
    pub towers: Vec<usize>,
    pub parameters: u64,
    pub multiply_adds: u64,
    /// Values of all layers' outputs for one picture.
    pub activations: u64,
    /// Of these, what LRN gives to the pooling behind it: nothing needs it on the way back.
    pub passed_on: u64,
    /// Values that arrive from other places for one picture, forward.
    pub received: u64,
    /// Values of the layers' inputs that were joined of what was here and what arrived.
    pub joined: u64,
    /// Values of the largest layer's input and output together for one picture: gradients on their
    /// way.
    pub passing: u64,
    /// Values of the picture that the network sees.
    pub input: u64,
    /// Of the convolution that unfolds most, for one picture: values of its input with each output's
    /// window beside it, and of the gradient that is multiplied with it.
    pub unfolded: u64,
    pub multiplied: u64,
}

impl Holding {
    /// Memory that a training step of `batch` pictures needs here: weights and velocities in f32, in
    /// bf16 a copy of the weights; gradients; the pictures, as values, and as bytes with two batches
    /// on their way; every layer's output, kept for the way back, and every input that was joined of
    /// what was here and what arrived; the gradients in flight; what a convolution works in, which has
    /// a bound. The device's own share (its context, cuBLAS) comes on top.
    pub fn training_bytes(&self, batch: u64, precision: Precision) -> u64 {
        let activations = self.activations - self.passed_on;
        let kept = self.input + activations + self.joined + self.passing;
        let works_in = if cfg!(feature = "cudnn") {
            // The masked gradient of the whole batch, and the most that an algorithm may ask for.
            let whole = self.passing.saturating_mul(batch);
            let gradient = precision.bytes(whole);
            let workspace = Precision::F32.bytes(whole).saturating_add(WORKSPACE as u64);
            gradient.saturating_add(workspace)
        } else {
            let part = WORKSPACE as u64 / precision.bytes(self.unfolded).max(1);
            let part = part.clamp(1, batch.max(1));
            precision.bytes((self.unfolded + self.multiplied) * part)
        };
        // In f32 a gradient takes 4 bytes; in bf16 it and the copy of its weight take 2 each.
        (12 * self.parameters)
            .saturating_add((3 * self.input).saturating_mul(batch))
            .saturating_add(precision.bytes(kept.saturating_mul(batch)))
            .saturating_add(works_in)
    }

    /// Memory that an update over several batches needs beside [`Holding::training_bytes`]: the sum of
    /// their gradients in f32, and a gradient in f32 on its way into it.
    pub fn accumulating_bytes(&self) -> u64 {
        8 * self.parameters
    }

    /// The largest batch whose training step needs at most `bytes` here; 0 where none does.
    pub fn largest_batch(&self, bytes: u64, precision: Precision) -> u64 {
        let (mut fits, mut too_many) = (0, bytes + 1);
        while too_many - fits > 1 {
            let middle = fits + (too_many - fits) / 2;
            match self.training_bytes(middle, precision) <= bytes {
                true => fits = middle,
                false => too_many = middle,
            }
        }
        fits
    }
}

impl Shapes {
    /// What each place of `placement` holds, computes and receives.
    ///
    /// ```
    /// use tandem_alexnet::{shapes::Shapes, spec::Spec};
    ///
    /// let shapes = Shapes::of(&Spec::preset("alexnet")?)?;
    /// let places = shapes.holdings(&"cuda:0,cuda:1".parse().unwrap());
    /// // fc8 lives on the first device: 1000 x 4096 + 1000 parameters more than the second.
    /// assert_eq!(places[0].parameters - places[1].parameters, 4_097_000);
    /// # Ok::<(), tandem_alexnet::error::SpecError>(())
    /// ```
    pub fn holdings(&self, placement: &Placement) -> Vec<Holding> {
        let mut holdings: Vec<Holding> = placement
            .devices()
            .iter()
            .map(|device| Holding {
                device: device.to_string(),
                input: self.input.values() as u64,
                ..Holding::default()
            })
            .collect();
        for tower in 0..self.towers() {
            holdings[placement.place_of(tower)].towers.push(tower);
        }
        for (index, layer) in self.layers.iter().enumerate() {
            let towers = layer.towers as u64;
            let next = self.layers.get(index + 1).map(|next| next.kind);
            let apart = !layer.crossings.is_empty() && placement.places() > 1;
            let passed_on = match (layer.kind, next) {
                ("lrn", Some("max-pool")) if !apart => layer.activations() / towers,
                _ => 0,
            };
            let here = towers.min(placement.places() as u64);
            // Backward of LRN and pooling in one has what lies between them and the gradients of all three.
            let behind = match passed_on {
                0 => 0,
                _ => self.layers[index + 1].activations(),
            };
            let passing = (layer.input.values() as u64 + layer.activations() + behind) / here;
            let unfolded = unfolded(layer) / here;
            for holding in &mut holdings {
                holding.passing = holding.passing.max(passing);
                if unfolded > holding.unfolded {
                    holding.unfolded = unfolded;
                    holding.multiplied = layer.activations() / here;
                }
            }
            for tower in 0..layer.towers {
                let holding = &mut holdings[placement.place_of(tower)];
                holding.parameters += layer.parameters / towers;
                holding.multiply_adds += layer.multiply_adds / towers;
                holding.activations += layer.activations() / towers;
                holding.passed_on += passed_on;
            }
            let own = layer.input.values() as u64 / layer.input_towers as u64;
            for (place, holding) in holdings.iter_mut().enumerate() {
                let arrives = layer.crossings.iter().filter(|crossing| {
                    placement.place_of(crossing.to_tower) == place
                        && placement.place_of(crossing.from_tower) != place
                });
                let received: u64 = arrives.map(|crossing| crossing.values).sum();
                if received > 0 {
                    holding.received += received;
                    holding.joined += own + received;
                }
            }
        }
        holdings
    }

    /// Values that pass between places for one picture, forward; the backward pass moves as many.
    pub fn crossing(&self, placement: &Placement) -> u64 {
        self.holdings(placement)
            .iter()
            .map(|holding| holding.received)
            .sum()
    }
}

/// Values of a convolution's input for one picture when each output has its own window beside it.
fn unfolded(layer: &LayerShape) -> u64 {
    match layer.weight.as_deref() {
        Some(&[_, channels, height, width]) => {
            let windows = layer.output.height * layer.output.width;
            let groups = (layer.input.channels / channels).max(1);
            (groups * channels * height * width * windows) as u64
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Spec;

    #[test]
    fn the_largest_batch_that_fits_is_the_last_that_does() {
        let shapes = Shapes::of(&Spec::preset("alexnet").unwrap()).unwrap();
        for precision in [Precision::F32, Precision::Bf16] {
            for holding in shapes.holdings(&"cuda:0,cuda:1".parse().unwrap()) {
                let batch = holding.largest_batch(8 << 30, precision);
                assert!(holding.training_bytes(batch, precision) <= 8 << 30);
                assert!(holding.training_bytes(batch + 1, precision) > 8 << 30);
                assert_eq!(holding.largest_batch(1 << 20, precision), 0);
            }
        }
    }
}
