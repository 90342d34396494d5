//! The loader on its own: decode, crop, mirror, colour and mean, with nothing else to do.

use std::sync::Arc;

use anyhow::{Context, Result};
use tandem_alexnet::spec::Spec;
use tandem_data::{Augment, Colour, Form, Loader, LoaderOptions, Mirror, Normalise, Part, Share};

use super::Stopwatch;
use crate::args::Bench;
use crate::failure::Failure;
use crate::pictures::prepare;

/// Times whole batches of `args.data` for the input of `spec`.
pub fn time(spec: &Spec, args: &Bench, watch: &mut Stopwatch) -> Result<()> {
    let pictures = prepare(&args.data, Part::Train, spec)?;
    let batch = args.batch.get();
    let whole = pictures.len() / batch;
    if whole == 0 {
        let what = format!(
            "{} has {} pictures, fewer than a batch of {batch}",
            args.data,
            pictures.len()
        );
        return Err(Failure::usage(what, "give a smaller --batch").into());
    }
    let augment = Augment {
        crop: spec.input.crop,
        mirror: Mirror::On,
        colour: Colour::Convnet,
        normalise: Normalise::Mean(Arc::from(pictures.mean())),
    };
    // As few batches ahead as can be: one made before the clock started would not count.
    let options = LoaderOptions {
        batch,
        threads: rayon::current_num_threads(),
        prefetch: 1,
        seed: 0,
        form: Form::Values,
        share: Share::WHOLE,
    };
    let mut epoch = 0;
    let mut batches =
        Loader::train(pictures.clone(), augment.clone(), options, epoch, 0).take(whole);
    watch.run(|_| {
        let next = match batches.next() {
            Some(next) => next,
            None => {
                epoch += 1;
                batches =
                    Loader::train(pictures.clone(), augment.clone(), options, epoch, 0).take(whole);
                batches.next().context("an epoch without a batch")?
            }
        };
        next?;
        Ok(())
    })
}
