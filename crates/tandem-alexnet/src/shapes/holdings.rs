//! What lies on which device and what moves between devices.

use super::Shapes;
use crate::placement::Placement;

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
    /// Values that arrive from other places for one picture, forward.
    pub received: u64,
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
                ..Holding::default()
            })
            .collect();
        for tower in 0..self.towers() {
            holdings[placement.place_of(tower)].towers.push(tower);
        }
        for layer in &self.layers {
            let towers = layer.towers as u64;
            for tower in 0..layer.towers {
                let holding = &mut holdings[placement.place_of(tower)];
                holding.parameters += layer.parameters / towers;
                holding.multiply_adds += layer.multiply_adds / towers;
                holding.activations += layer.activations() / towers;
            }
            for crossing in &layer.crossings {
                let to = placement.place_of(crossing.to_tower);
                if to != placement.place_of(crossing.from_tower) {
                    holdings[to].received += crossing.values;
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
