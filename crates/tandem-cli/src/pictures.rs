//! From `--data SPEC` to pictures prepared for a network's input.

use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::sync::Arc;

use anyhow::{Context, Result};
use tandem_alexnet::spec::Spec;
use tandem_alexnet::training_data;
use tandem_data::{Dataset, Form, LoaderOptions, Part, Pictures, Share};

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
