//! A batch, and how one is made: what it holds depends on its number alone.

use std::sync::Arc;

use crate::augment::write;
use crate::view::ten_views;
use crate::{Augment, DataError, Draw, Normalise, Pictures, Preprocess, View};

/// Pictures and their labels, ready for a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    pub images: Images,
    /// The label of each picture; empty where the pictures have none.
    pub labels: Vec<u32>,
    /// The place of each picture in its [`Pictures`].
    pub indices: Vec<usize>,
}

/// The pictures of a batch, in the [`Form`] that the loader was asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Images {
    /// What a network sees.
    Values {
        values: Vec<f32>,
        /// (N, C, crop, crop). With ten views N is ten times the number of pictures, the view running
        /// fastest.
        shape: [usize; 4],
    },
    /// Whole pictures, from which whoever takes the batch makes the same values.
    Bytes {
        bytes: Vec<u8>,
        /// (N, side, side, C).
        shape: [usize; 4],
        /// What is seen of them: equally many a picture, those of the first picture first.
        draws: Vec<Draw>,
    },
}

/// How a batch's pictures are handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Values: the loader's threads crop, mirror, shift and normalise.
    Values,
    /// Bytes and draws, for a GPU that does it: a picture of 256 × 256 takes 192 KiB, its crop of
    /// 224 × 224 as values 588 KiB, and ten views of it ten times that.
    Bytes,
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
    pub(crate) form: Form,
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
        let images = match self.form {
            Form::Values => self.values(&indices)?,
            Form::Bytes => self.bytes(&indices)?,
        };
        let labels = indices
            .iter()
            .filter_map(|&index| self.pictures.label(index))
            .collect();
        Ok(Batch {
            images,
            labels,
            indices,
        })
    }

    fn values(&self, indices: &[usize]) -> Result<Images, DataError> {
        let preprocess = self.pictures.preprocess();
        let (crop, normalise) = match &self.look {
            Look::Train { augment, .. } => (augment.crop, &augment.normalise),
            Look::Test {
                crop, normalise, ..
            } => (*crop, normalise),
        };
        let views = self.views();
        let size = preprocess.channels * crop * crop;
        let shape = [indices.len() * views, preprocess.channels, crop, crop];
        let mut values = vec![0.0; shape[0] * size];
        for (&index, out) in indices.iter().zip(values.chunks_exact_mut(views * size)) {
            let pixels = self.pictures.picture(index)?;
            for (view, out) in out.chunks_exact_mut(size).enumerate() {
                let draw = self.draw(index, view);
                write(&pixels, preprocess, crop, &draw, normalise, out);
            }
        }
        Ok(Images::Values { values, shape })
    }

    fn bytes(&self, indices: &[usize]) -> Result<Images, DataError> {
        let Preprocess { side, channels } = self.pictures.preprocess();
        let mut bytes = Vec::with_capacity(indices.len() * side * side * channels);
        let mut draws = Vec::with_capacity(indices.len() * self.views());
        for &index in indices {
            bytes.extend_from_slice(&self.pictures.picture(index)?);
            draws.extend((0..self.views()).map(|view| self.draw(index, view)));
        }
        Ok(Images::Bytes {
            bytes,
            shape: [indices.len(), side, side, channels],
            draws,
        })
    }

    /// Views a picture.
    fn views(&self) -> usize {
        match &self.look {
            Look::Train { .. } => 1,
            Look::Test { views, .. } => views.count(),
        }
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
