//! From `--data SPEC` to pictures prepared for a network's input.

use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use candle_core::{Device, Tensor};
use tandem_alexnet::spec::Spec;
use tandem_alexnet::trained::Trained;
use tandem_alexnet::training_data;
use tandem_data::{Dataset, Form, LoaderOptions, Part, Pictures, Share, View, view};

use crate::failure::Failure;
use crate::hub::located;

/// Opens one part of the data `named` and brings its pictures to what `spec` takes.
pub fn prepare(named: &str, part: Part, spec: &Spec) -> Result<Arc<Pictures>> {
    fit(tandem_data::open(&located(named)?, part)?, named, spec)
}

/// Brings the pictures of `dataset`, of the data `named`, to what `spec` takes.
pub fn fit(dataset: Arc<dyn Dataset>, named: &str, spec: &Spec) -> Result<Arc<Pictures>> {
    training_data::prepare(dataset, spec).with_context(|| format!("--data {named}"))
}

/// How pictures are brought to a network at test.
pub fn at_test(batch: NonZeroUsize) -> LoaderOptions {
    let threads = rayon::current_num_threads();
    LoaderOptions {
        batch: batch.get(),
        threads,
        prefetch: threads,
        seed: 0,
        form: Form::Values,
        share: Share::WHOLE,
    }
}

/// Checks that the classes `given` of the data `named` are as many as those `learned` by the network in
/// `file`; other names for them are worth a warning.
pub fn check_classes(learned: &[String], file: &Path, given: &[String], named: &str) -> Result<()> {
    let file = file.display();
    if given.len() != learned.len() {
        let what = format!(
            "{file} tells {} classes apart, and {named} has {}",
            learned.len(),
            given.len()
        );
        let hint = "take pictures of the classes it has learned";
        return Err(Failure::failed(what, hint).into());
    }
    if given != learned {
        tracing::warn!("the classes of {named} have other names than those {file} has learned");
    }
    Ok(())
}

/// What `trained` sees of the middle of a prepared picture, (1, C, crop, crop).
pub fn centre(trained: &Trained, pixels: &[u8]) -> Result<Tensor> {
    let (preprocess, crop) = (trained.preprocess, trained.network.spec().input.crop);
    let values = view(pixels, preprocess, crop, View::Centre, &trained.normalise)?;
    let shape = (1, preprocess.channels, crop, crop);
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}

/// The pictures that were left out of the parts, a line each: part, name and reason, by tabs.
pub fn left_out(parts: &[(&str, &Pictures)]) -> String {
    let mut text = String::new();
    for (part, pictures) in parts {
        for (name, reason) in pictures.bad() {
            let _ = writeln!(text, "{part}\t{name}\t{reason}");
        }
    }
    text
}
