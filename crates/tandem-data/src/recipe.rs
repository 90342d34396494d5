//! A batch, and how one is made: what it holds depends on its number alone.

use std::sync::Arc;

use crate::augment::write;
use crate::view::ten_views;
use crate::{Augment, DataError, Draw, Normalise, Pictures, View};

/// Pictures and their labels, ready for a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Values, (N, C, H, W).
    pub images: Vec<f32>,
    /// (N, C, H, W). With ten views N is ten times the number of pictures, the view running fastest.
    pub shape: [usize; 4],
    /// The label of each picture.
    pub labels: Vec<u32>,
    /// The place of each picture in its [`Pictures`].
    pub indices: Vec<usize>,
}

/// What is seen of each picture at test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Views {
    /// The centre crop.
    Centre,
    /// The [`ten_views`](crate::ten_views), whose predictions are to be averaged.
    Ten,
}

impl Views {
    /// Views a picture.
    #[must_use]
    pub fn count(self) -> usize {
        match self {
            Self::Centre => 1,
            Self::Ten => 10,
        }
    }
}

/// All that a batch depends on.
pub(crate) struct Recipe {
    pub(crate) pictures: Arc<Pictures>,
    pub(crate) order: Vec<usize>,
    pub(crate) look: Look,
    pub(crate) batch: usize,
}

pub(crate) enum Look {
    Train {
        augment: Augment,
        seed: u64,
        epoch: u64,
    },
    Test {
        crop: usize,
        normalise: Normalise,
        views: Views,
    },
}

impl Recipe {
    /// Makes batch number `batch`; what it holds depends on nothing else.
    pub(crate) fn make(&self, batch: usize) -> Result<Batch, DataError> {
        let from = batch * self.batch;
        let indices = self.order[from..self.order.len().min(from + self.batch)].to_vec();
        let preprocess = self.pictures.preprocess();
        let (crop, normalise) = match &self.look {
            Look::Train { augment, .. } => (augment.crop, &augment.normalise),
            Look::Test {
                crop, normalise, ..
            } => (*crop, normalise),
        };
        let views = match &self.look {
            Look::Train { .. } => 1,
            Look::Test { views, .. } => views.count(),
        };

        let size = preprocess.channels * crop * crop;
        let shape = [indices.len() * views, preprocess.channels, crop, crop];
        let mut images = vec![0.0; shape[0] * size];
        for (&index, out) in indices.iter().zip(images.chunks_exact_mut(views * size)) {
            let pixels = self.pictures.picture(index)?;
            for (view, out) in out.chunks_exact_mut(size).enumerate() {
                let draw = self.draw(index, view);
                write(&pixels, preprocess, crop, &draw, normalise, out);
            }
        }
        let labels = indices
            .iter()
            .map(|&index| self.pictures.label(index))
            .collect();
        Ok(Batch {
            images,
            shape,
            labels,
            indices,
        })
    }

    fn draw(&self, index: usize, view: usize) -> Draw {
        let side = self.pictures.preprocess().side;
        match &self.look {
            Look::Train {
                augment,
                seed,
                epoch,
            } => augment.draw(*seed, *epoch, index, side, self.pictures.colour_basis()),
            Look::Test {
                crop,
                views: Views::Centre,
                ..
            } => View::Centre.draw(side, *crop),
            Look::Test {
                crop,
                views: Views::Ten,
                ..
            } => ten_views()[view].draw(side, *crop),
        }
    }
}
