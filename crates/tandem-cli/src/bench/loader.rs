//! The way from files to batches, stage by stage and as a whole, with nothing else to do.

use std::hint::black_box;
use std::sync::Arc;

use anyhow::{Context, Result};
use rayon::prelude::*;
use serde::Serialize;
use tandem_alexnet::placement::DeviceName;
use tandem_alexnet::spec::Spec;
use tandem_data::{
    Augment, Colour, CropPlace, Form, Loader, LoaderOptions, Mirror, Normalise, Part, Picture,
    Pictures, Share, Subset,
};

use super::Stopwatch;
use crate::args::Bench;
use crate::failure::Failure;
use crate::hub::located;
use crate::pictures::{fit, prepare};

/// Pictures, evenly apart, that stand for the set in the single stages: 576 MiB of 256 × 256 × 3, which
/// are kept in memory.
const FEW: usize = 3072;

/// How fast all threads together are at one stage.
#[derive(Debug, Serialize)]
pub struct Stage {
    pub stage: &'static str,
    pub images_per_second: f64,
}

/// Times what is done to the pictures of `args.data` for the input of `spec`. The steps of `watch` are
/// batches of the whole way.
pub fn time(spec: &Spec, args: &Bench, watch: &mut Stopwatch) -> Result<Vec<Stage>> {
    let batch = args.batch.get();
    let dataset = tandem_data::open(&located(&args.data)?, Part::Train)?;
    let few = Subset::spread(dataset, FEW.max(batch), 0);
    let prepared = fit(few.clone(), &args.data, spec)?;
    if prepared.len() < batch {
        let what = format!(
            "{} has {} pictures, fewer than a batch of {batch}",
            args.data,
            prepared.len()
        );
        return Err(Failure::usage(what, "give a smaller --batch").into());
    }
    let mut stages = Vec::new();
    let mut stage = |stage, step: &mut dyn FnMut() -> Result<()>| -> Result<()> {
        let mut watch = Stopwatch::new(args.warmup, args.steps.get());
        watch.run(|_| step())?;
        stages.push(Stage {
            stage,
            images_per_second: batch as f64 / watch.mean(),
        });
        Ok(())
    };

    let mut next = (0..few.len()).cycle();
    let mut decoded = Vec::new();
    stage("read and decode", &mut || {
        let places: Vec<usize> = next.by_ref().take(batch).collect();
        // What does not decode takes its time too.
        let pictures = places.into_par_iter().filter_map(|i| few.picture(i).ok());
        decoded = pictures.collect::<Vec<Picture>>();
        Ok(())
    })?;
    stage("scale and cut", &mut || {
        decoded.par_iter().for_each(|picture| {
            black_box(prepared.preprocess().apply(picture));
        });
        Ok(())
    })?;
    for (name, form) in [
        ("augment to f32", Form::Values),
        ("bytes and draws", Form::Bytes),
    ] {
        let mut batches = Batches::new(prepared.clone(), spec, batch, form)?;
        stage(name, &mut || batches.next())?;
    }

    let pictures = prepare(&args.data, Part::Train, spec)?;
    let on_gpus = args.devices.devices().iter().all(|d| *d != DeviceName::Cpu);
    let form = if on_gpus { Form::Bytes } else { Form::Values };
    let mut batches = Batches::new(pictures, spec, batch, form)?;
    watch.run(|_| batches.next())?;
    Ok(stages)
}

/// The whole batches of one epoch after the other.
struct Batches {
    pictures: Arc<Pictures>,
    augment: Augment,
    options: LoaderOptions,
    epoch: u64,
    batches: std::iter::Take<Loader>,
}

impl Batches {
    /// Begun so far that their memory is used again: the first batches wait for new memory.
    fn new(pictures: Arc<Pictures>, spec: &Spec, batch: usize, form: Form) -> Result<Self> {
        let augment = Augment {
            crop: spec.input.crop,
            place: CropPlace::Random,
            mirror: Mirror::On,
            colour: Colour::Convnet,
            normalise: Normalise::Mean(Arc::from(pictures.mean())),
        };
        let threads = rayon::current_num_threads();
        let options = LoaderOptions {
            batch,
            threads,
            prefetch: 2 * threads,
            seed: 0,
            form,
            share: Share::WHOLE,
        };
        let batches = epoch(&pictures, &augment, options, 0);
        let mut begun = Self {
            pictures,
            augment,
            options,
            epoch: 0,
            batches,
        };
        (0..options.prefetch + 2).try_for_each(|_| begun.next())?;
        Ok(begun)
    }

    fn next(&mut self) -> Result<()> {
        let batch = match self.batches.next() {
            Some(batch) => batch,
            None => {
                self.epoch += 1;
                self.batches = epoch(&self.pictures, &self.augment, self.options, self.epoch);
                self.batches.next().context("an epoch without a batch")?
            }
        };
        batch?;
        Ok(())
    }
}

fn epoch(
    pictures: &Arc<Pictures>,
    augment: &Augment,
    options: LoaderOptions,
    epoch: u64,
) -> std::iter::Take<Loader> {
    let whole = pictures.len() / options.batch;
    Loader::train(pictures.clone(), augment.clone(), options, epoch, 0).take(whole)
}
