//! The error of a network on labelled pictures, and its predictions.

use std::sync::Arc;

use candle_core::DType;
use serde::Serialize;
use tandem_data::{Loader, LoaderOptions, Normalise, Pictures, Views};
use tandem_ops::softmax_nll::softmax;

use crate::error::NetworkError;
use crate::input::{Feed, Input};
use crate::network::{Network, Pass};

/// What `tandem eval` prints.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    pub images: usize,
    /// Share of pictures whose class is not the likeliest, 0 to 1.
    pub top1_error: f64,
    /// Share of pictures whose class is not among the five likeliest.
    pub top5_error: f64,
    /// Mean negative log-likelihood of the right class, nats.
    pub loss: f64,
}

/// Measures `network` on every picture. With ten views their softmax is averaged (Section 4.1).
/// Pictures come in the form that suits the network's devices, whatever `options` say.
pub fn evaluate(
    network: &Network,
    pictures: &Arc<Pictures>,
    normalise: &Normalise,
    views: Views,
    options: LoaderOptions,
) -> Result<Evaluation, NetworkError> {
    let mut score = Score::default();
    predict(
        network,
        pictures,
        normalise,
        views,
        options,
        |index, row| {
            score.add(&row, label(pictures, index)?);
            Ok::<_, NetworkError>(())
        },
    )?;
    Ok(score.evaluation())
}

/// The label of picture `index`.
pub(crate) fn label(pictures: &Pictures, index: usize) -> Result<u32, NetworkError> {
    pictures
        .label(index)
        .ok_or_else(|| NetworkError::Unlabelled {
            picture: pictures.name(index),
        })
}

/// The likeliest class; of equal ones the first.
pub fn likeliest(row: &[f32]) -> usize {
    let mut best = 0;
    for (class, p) in row.iter().enumerate() {
        if *p > row[best] {
            best = class;
        }
    }
    best
}

/// Counts what predictions get wrong.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Score {
    images: usize,
    first: usize,
    fifth: usize,
    loss: f64,
}

impl Score {
    /// A picture of class `label`, with the probability of each class.
    pub(crate) fn add(&mut self, row: &[f32], label: u32) {
        let right = row[label as usize];
        // Ties count against the network: a constant answer must not look right.
        let above = row.len() - row.iter().filter(|p| **p < right).count();
        self.first += usize::from(above > 1);
        self.fifth += usize::from(above > 5);
        self.loss -= f64::from(right.max(f32::MIN_POSITIVE)).ln();
        self.images += 1;
    }

    pub(crate) fn evaluation(&self) -> Evaluation {
        let images = self.images.max(1) as f64;
        Evaluation {
            images: self.images,
            top1_error: self.first as f64 / images,
            top5_error: self.fifth as f64 / images,
            loss: self.loss / images,
        }
    }
}

/// Gives `each` picture's place and the probability of each class, picture after picture. With ten views
/// it is the mean of their softmax (Section 4.1).
///
/// # Errors
///
/// Those of the network and of the data, and what `each` returns.
pub fn predict<E: From<NetworkError>>(
    network: &Network,
    pictures: &Arc<Pictures>,
    normalise: &Normalise,
    views: Views,
    options: LoaderOptions,
    mut each: impl FnMut(usize, Vec<f32>) -> Result<(), E>,
) -> Result<(), E> {
    each_batch(
        network,
        pictures,
        normalise,
        views,
        options,
        |places, input| {
            let rows = view_means(&probabilities(network, input)?, places.len());
            let mut both = places.into_iter().zip(rows);
            both.try_for_each(|(place, row)| each(place, row))
        },
    )
}

/// Gives `each` batch of all pictures: their places, and what `network` sees of them, the views of a
/// picture one after the other.
pub(crate) fn each_batch<E: From<NetworkError>>(
    network: &Network,
    pictures: &Arc<Pictures>,
    normalise: &Normalise,
    views: Views,
    options: LoaderOptions,
    mut each: impl FnMut(Vec<usize>, Input) -> Result<(), E>,
) -> Result<(), E> {
    let crop = network.spec().input.crop;
    let feed = Feed::new(network, pictures.preprocess(), normalise)?;
    let options = LoaderOptions {
        form: feed.form(),
        ..options
    };
    let loader = Loader::test(pictures.clone(), crop, normalise.clone(), views, options);
    for batch in loader {
        let batch = batch.map_err(NetworkError::from)?;
        let input = feed.input(batch.images).map_err(NetworkError::from)?;
        each(batch.indices, input)?;
    }
    Ok(())
}

/// Softmax of pictures `(N, C, crop, crop)`, one row for each.
pub fn probabilities(
    network: &Network,
    x: impl Into<Input>,
) -> Result<Vec<Vec<f32>>, NetworkError> {
    let logits = network.forward(x, Pass::Test)?;
    Ok(softmax(&logits)?.to_dtype(DType::F32)?.to_vec2()?)
}

/// The mean over the views of each of `pictures` pictures, whose rows follow each other.
pub fn view_means(rows: &[Vec<f32>], pictures: usize) -> Vec<Vec<f32>> {
    let views = rows.len() / pictures.max(1);
    rows.chunks(views.max(1))
        .map(|views| {
            (0..views[0].len())
                .map(|class| views.iter().map(|row| row[class]).sum::<f32>() / views.len() as f32)
                .collect()
        })
        .collect()
}
