//! `tandem features`: what a layer makes of pictures, in a file.

use anyhow::{Context, Result};
use tandem_alexnet::features::file as features;
use tandem_alexnet::trained::Trained;

use crate::args::Features;
use crate::failure::Failure;
use crate::output::print;
use crate::pictures::{at_test, left_out, prepare};
use crate::report::table::grouped;
use crate::weights::Found;

pub fn run(args: &Features) -> Result<()> {
    // Before anything is read: a slip in the name should not cost the computing.
    features::Format::of(&args.out).map_err(Failure::from_typing)?;
    if args.out.symlink_metadata().is_ok() {
        let what = format!(
            "{} is there already, and is not written over",
            args.out.display()
        );
        return Err(Failure::failed(what, "choose another --out, or remove it").into());
    }
    let Found { file, weights, .. } = Found::read(&args.weights)?;
    let Trained {
        network, normalise, ..
    } = Trained::new(weights, &file, &args.devices)?;
    let spec = network.spec();
    let layer = match &args.layer {
        Some(name) => spec.layer_named(name)?,
        None => spec
            .last_hidden()
            .context("the network has no hidden layer; --layer says which to take")?,
    };
    let pictures = prepare(&args.data, args.part.into(), spec)?;
    let list = left_out(&[(tandem_data::Part::from(args.part).name(), &pictures)]);
    if !list.is_empty() {
        tracing::warn!(
            "these pictures do not decode and are left out:\n{}",
            list.trim_end()
        );
    }
    let options = at_test(args.batch);
    features::write(&args.out, &network, layer, &pictures, &normalise, options)?;
    print(&format!(
        "{} vectors of {} values, {} of {}: {}\n",
        grouped(pictures.len() as u64),
        grouped(network.shapes().layers[layer].output.values() as u64),
        spec.layer_name(layer),
        spec.name,
        args.out.display()
    ))
}
