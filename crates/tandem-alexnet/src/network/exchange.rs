//! Pictures to every tower, activations from all towers to one, and their gradient from one to all.

use std::ops::Range;

use candle_core::{Device, Result, Tensor};
use tandem_ops::channels;

use super::Network;
use crate::input::Input;

impl Network {
    /// The pictures on the device of each of the first `places`: every tower sees the whole.
    pub(super) fn show(&self, x: &Input, places: usize) -> Result<Vec<Tensor>> {
        let devices = self.devices[..places].iter();
        devices
            .map(|device| {
                let x = self.transfer.send(x.nearest(device), device)?;
                x.to_dtype(self.precision.dtype())
            })
            .collect()
    }

    /// What the first layers gave for pictures, in the `shares` that the next layers read.
    pub(super) fn resume(&self, x: &Input, shares: usize) -> Result<Vec<Tensor>> {
        let whole = x.nearest(&self.devices[0]);
        self.scatter(&whole.to_dtype(self.precision.dtype())?, shares)
    }

    /// Every tower's share on the device of `place`, joined along channels. Only the others' move.
    pub(super) fn gather(&self, values: &[Tensor], place: usize) -> Result<Tensor> {
        let device = &self.devices[place];
        match values {
            [one] => self.transfer.send(one, device),
            many => {
                let here: Vec<_> = many
                    .iter()
                    .map(|v| self.transfer.send(v, device))
                    .collect::<Result<_>>()?;
                Tensor::cat(&here, 1)
            }
        }
    }

    /// [`Network::gather`] to each of the first `places`.
    pub(super) fn gather_all(&self, values: &[Tensor], places: usize) -> Result<Vec<Tensor>> {
        (0..places)
            .map(|place| self.gather(values, place))
            .collect()
    }

    /// To each place the channels that its LRN reads, counted over all towers: its own, and from the
    /// others those beside them.
    pub(super) fn gather_reaches(
        &self,
        values: &[Tensor],
        reaches: &[Range<usize>],
    ) -> Result<Vec<Tensor>> {
        let width = values[0].dim(1)?;
        let gather = |(device, reach): (&Device, &Range<usize>)| {
            let mut here = Vec::with_capacity(values.len());
            for (tower, value) in values.iter().enumerate() {
                let wanted = overlap(reach, &(tower * width..(tower + 1) * width));
                if wanted.is_empty() {
                    continue;
                }
                let part = match wanted.len() == width {
                    true => value.clone(),
                    false => channels::part(value, wanted.start - tower * width, wanted.len())?,
                };
                here.push(self.transfer.send(&part, device)?);
            }
            Tensor::cat(&here, 1)
        };
        self.devices.iter().zip(reaches).map(gather).collect()
    }

    /// The way back of [`Network::gather_reaches`]: each tower's gradient is the sum of its channels'
    /// at every place that read some, in their order.
    pub(super) fn scatter_reaches(
        &self,
        gradients: &[Tensor],
        reaches: &[Range<usize>],
    ) -> Result<Vec<Tensor>> {
        let channels = reaches.iter().map(|reach| reach.end).max().unwrap_or(0);
        let width = channels / reaches.len();
        let scatter = |(tower, device): (usize, &Device)| {
            let own = tower * width..(tower + 1) * width;
            let mut sum: Option<Tensor> = None;
            for (gradient, reach) in gradients.iter().zip(reaches) {
                let read = overlap(reach, &own);
                if read.is_empty() {
                    continue;
                }
                let part = channels::part(gradient, read.start - reach.start, read.len())?;
                let part = self.transfer.send(&part, device)?.pad_with_zeros(
                    1,
                    read.start - own.start,
                    own.end - read.end,
                )?;
                sum = Some(match sum {
                    Some(sum) => (sum + part)?,
                    None => part,
                });
            }
            sum.ok_or_else(|| candle_core::Error::msg("a tower reads its own channels"))
        };
        let towers = self.devices.iter().take(reaches.len()).enumerate();
        towers.map(scatter).collect()
    }

    /// The way back of [`Network::gather_all`]: from the gradient at each place those of its
    /// `sources`. Each is the sum of its part at every place, in their order.
    pub(super) fn scatter_all(&self, gradients: &[Tensor], sources: usize) -> Result<Vec<Tensor>> {
        let mut sums: Vec<Option<Tensor>> = vec![None; sources];
        for gradient in gradients {
            for (sum, part) in sums.iter_mut().zip(self.scatter(gradient, sources)?) {
                *sum = Some(match sum.take() {
                    Some(sum) => (sum + part)?,
                    None => part,
                });
            }
        }
        Ok(sums.into_iter().flatten().collect())
    }

    /// Equal parts along channels, each on the device of its tower.
    pub(super) fn scatter(&self, whole: &Tensor, parts: usize) -> Result<Vec<Tensor>> {
        if parts == 1 {
            return Ok(vec![self.transfer.send(whole, &self.devices[0])?]);
        }
        let width = whole.dim(1)? / parts;
        (0..parts)
            .map(|part| {
                let part_here = channels::part(whole, part * width, width)?;
                self.transfer.send(&part_here, &self.devices[part])
            })
            .collect()
    }
}

/// What is in both.
fn overlap(a: &Range<usize>, b: &Range<usize>) -> Range<usize> {
    a.start.max(b.start)..a.end.min(b.end)
}
