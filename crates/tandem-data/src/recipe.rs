//! A batch, and how one is made: what it holds depends on its number alone.

use std::ops::Range;
use std::sync::Arc;

use crate::augment::write;
use crate::buffer::{Buffer, Pool};
use crate::order::{Order, Window};
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
        values: Buffer<f32>,
        /// (N, C, crop, crop). With ten views N is ten times the number of pictures, the view running
        /// fastest.
        shape: [usize; 4],
    },
    /// Whole pictures, from which whoever takes the batch makes the same values.
    Bytes {
        bytes: Buffer<u8>,
        /// (N, side, side, C).
        shape: [usize; 4],
        /// What is seen of them: equally many a picture, those of the first picture first.
        draws: Vec<Draw>,
    },
    /// No pictures: what would be seen of them, for whoever has it already.
    Draws(Vec<Draw>),
}

/// How a batch's pictures are handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Values: the loader's threads crop, mirror, shift and normalise.
    Values,
    /// Bytes and draws, for a GPU that does it: a picture of 256 × 256 takes 192 KiB, its crop of
    /// 224 × 224 as values 588 KiB, and ten views of it ten times that.
    Bytes,
    /// Draws alone; no picture is read.
    Draws,
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

    /// What is seen of a picture of `side × side`, for a crop no larger than that.
    pub(crate) fn draws(self, side: usize, crop: usize) -> Vec<Draw> {
        match self {
            Self::Centre => vec![View::Centre.draw(side, crop)],
            Self::Ten => ten_views().map(|view| view.draw(side, crop)).into(),
        }
    }
}

/// All that a batch depends on.
#[derive(Debug)]
pub(crate) struct Recipe {
    pub(crate) pictures: Arc<Pictures>,
    pub(crate) order: Order,
    pub(crate) look: Look,
    pub(crate) batch: usize,
    pub(crate) memory: Memory,
}

/// Where batches of a [`Form`] are made.
#[derive(Debug)]
pub(crate) enum Memory {
    Values(Pool<f32>),
    Bytes(Pool<u8>),
    Draws,
}

impl Memory {
    /// With `spare` buffers kept at most.
    pub(crate) fn of(form: Form, spare: usize) -> Self {
        match form {
            Form::Values => Self::Values(Pool::new(spare)),
            Form::Bytes => Self::Bytes(Pool::new(spare)),
            Form::Draws => Self::Draws,
        }
    }
}

#[derive(Debug)]
pub(crate) enum Look {
    Train {
        augment: Augment,
        seed: u64,
        epoch: u64,
    },
    /// The same of every picture.
    Fixed {
        crop: usize,
        normalise: Normalise,
        draws: Vec<Draw>,
    },
}

impl Recipe {
    pub(crate) fn batches(&self) -> usize {
        self.order.pictures.len().div_ceil(self.batch)
    }

    /// How many windows of the order are over when batch `batch` begins.
    pub(crate) fn windows_before(&self, batch: usize) -> usize {
        let place = batch.min(self.batches()) * self.batch;
        let windows = &self.order.windows;
        windows.partition_point(|window| window.end <= place)
    }

    /// How many windows have begun before batch `batch` does.
    pub(crate) fn windows_begun_before(&self, batch: usize) -> usize {
        self.order.windows.len().min(self.windows_before(batch) + 1)
    }

    /// How many shards are over when batch `batch` begins.
    pub(crate) fn shards_before(&self, batch: usize) -> usize {
        shards(&self.order.windows[..self.windows_before(batch)])
    }

    /// How many shards, counted in the order's turn, are to be on their way from the disk when batch
    /// `batch` is made: those of its window, and of the next as large a part as it has left behind.
    pub(crate) fn shards_wanted(&self, batch: usize) -> usize {
        let windows = &self.order.windows;
        // Of its last picture.
        let place = (batch + 1) * self.batch - 1;
        let over = windows.partition_point(|window| window.end <= place);
        let Some(next) = windows.get(over + 1) else {
            return shards(windows);
        };
        let from = over.checked_sub(1).map_or(0, |last| windows[last].end);
        let (done, len) = (place - from, windows[over].end - from);
        shards(&windows[..=over]) + (next.shards.len() * done).div_ceil(len)
    }

    /// Has these shards, counted in the order's turn, read from the disk.
    pub(crate) fn expect(&self, shards: Range<usize>) {
        if matches!(self.memory, Memory::Draws) {
            return;
        }
        let turn = self.order.windows.iter().flat_map(|w| &w.shards);
        let shards = turn.skip(shards.start).take(shards.len());
        shards.for_each(|&shard| self.pictures.expect(shard));
    }

    /// Gives back the memory of these windows' pictures.
    pub(crate) fn release(&self, windows: Range<usize>) {
        let shards = self.order.windows[windows].iter().flat_map(|w| &w.shards);
        shards.for_each(|&shard| self.pictures.release(shard));
    }

    /// Makes batch number `batch`; what it holds depends on nothing else.
    pub(crate) fn make(&self, batch: usize) -> Result<Batch, DataError> {
        let from = batch * self.batch;
        let order = &self.order.pictures;
        let indices = order[from..order.len().min(from + self.batch)].to_vec();
        let images = match &self.memory {
            Memory::Values(pool) => self.values(&indices, pool)?,
            Memory::Bytes(pool) => self.bytes(&indices, pool)?,
            Memory::Draws => Images::Draws(self.draws(&indices)),
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

    fn values(&self, indices: &[usize], pool: &Pool<f32>) -> Result<Images, DataError> {
        let preprocess = self.pictures.preprocess();
        let (crop, normalise) = match &self.look {
            Look::Train { augment, .. } => (augment.crop, &augment.normalise),
            Look::Fixed {
                crop, normalise, ..
            } => (*crop, normalise),
        };
        let views = self.views();
        let size = preprocess.channels * crop * crop;
        let shape = [indices.len() * views, preprocess.channels, crop, crop];
        let mut values = pool.take(shape[0] * size);
        let outs = values.as_mut_slice().chunks_exact_mut(views * size);
        for (&index, out) in indices.iter().zip(outs) {
            let pixels = self.pictures.picture(index)?;
            for (view, out) in out.chunks_exact_mut(size).enumerate() {
                let draw = self.draw(index, view);
                write(&pixels, preprocess, crop, &draw, normalise, out);
            }
        }
        Ok(Images::Values { values, shape })
    }

    fn bytes(&self, indices: &[usize], pool: &Pool<u8>) -> Result<Images, DataError> {
        let preprocess = self.pictures.preprocess();
        let Preprocess { side, channels } = preprocess;
        let mut bytes = pool.take(indices.len() * preprocess.len());
        let outs = bytes.as_mut_slice().chunks_exact_mut(preprocess.len());
        for (&index, out) in indices.iter().zip(outs) {
            out.copy_from_slice(&self.pictures.picture(index)?);
        }
        Ok(Images::Bytes {
            bytes,
            shape: [indices.len(), side, side, channels],
            draws: self.draws(indices),
        })
    }

    fn draws(&self, indices: &[usize]) -> Vec<Draw> {
        let of_each = |&index: &usize| (0..self.views()).map(move |view| self.draw(index, view));
        indices.iter().flat_map(of_each).collect()
    }

    /// Views a picture.
    fn views(&self) -> usize {
        match &self.look {
            Look::Train { .. } => 1,
            Look::Fixed { draws, .. } => draws.len(),
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
            Look::Fixed { draws, .. } => draws[view],
        }
    }
}

fn shards(windows: &[Window]) -> usize {
    windows.iter().map(|window| window.shards.len()).sum()
}
