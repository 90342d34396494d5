//! A whole network, on noise: as a training step, and forward alone.

use anyhow::Result;
use candle_core::{Device, Tensor};
use tandem_alexnet::network::{Direction, Network, Pass};
use tandem_alexnet::spec::Spec;
use tandem_ops::sgd::{Sgd, SgdRule};

use super::Stopwatch;
use crate::args::Bench;

/// Forward, loss, backward and update, dropout on.
pub fn train(spec: &Spec, args: &Bench, watch: &mut Stopwatch) -> Result<()> {
    let mut network = network(spec, args)?;
    let (x, labels) = batch(spec, args.batch.get(), &network.devices()[0])?;
    // The paper's constants, section 5; the time does not depend on them.
    let sgd = Sgd::new(SgdRule::Paper, 0.01, 0.9, 0.0005)?;
    let mut step = 0;
    watch.run(|watch| {
        let pass = Pass::Train {
            seed: 0,
            step,
            part: 0,
        };
        step += 1;
        let mut done = |layer: &str, direction| {
            watch.lap(match direction {
                Direction::Forward => format!("{layer} forward"),
                Direction::Backward => format!("{layer} backward"),
            });
        };
        let outcome = network.gradients_watched(&x, &labels, pass, &mut done)?;
        network.update(&outcome.gradients, sgd)?;
        watch.lap("update".to_owned());
        Ok(network.synchronize()?)
    })
}

/// Forward, dropout off.
pub fn infer(spec: &Spec, args: &Bench, watch: &mut Stopwatch) -> Result<()> {
    let network = network(spec, args)?;
    let (x, _) = batch(spec, args.batch.get(), &network.devices()[0])?;
    watch.run(|_| {
        network.forward(&x, Pass::Test)?;
        Ok(network.synchronize()?)
    })
}

fn network(spec: &Spec, args: &Bench) -> Result<Network> {
    let network = Network::initial(spec, &args.devices, 0)?;
    Ok(network.in_precision(args.precision.into())?)
}

/// Normal noise `(N, C, crop, crop)` and labels over all classes, on the first tower's device, as
/// the PyTorch peer makes them.
fn batch(spec: &Spec, pictures: usize, device: &Device) -> Result<(Tensor, Tensor)> {
    let crop = spec.input.crop;
    let shape = (pictures, spec.input_channels(), crop, crop);
    let x = Tensor::randn(0f32, 1f32, shape, device)?;
    let labels: Vec<u32> = (0..pictures)
        .map(|picture| (picture % spec.classes) as u32)
        .collect();
    Ok((x, Tensor::from_vec(labels, pictures, device)?))
}
