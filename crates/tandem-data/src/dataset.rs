//! What a set of pictures is.

use std::ops::Range;

use crate::{DataError, Pack, Picture};

/// Labelled pictures, in a fixed order.
pub trait Dataset: Send + Sync {
    /// How many pictures.
    fn len(&self) -> usize;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The names of the classes; a label is a place in it.
    fn classes(&self) -> &[String];
    /// The label of picture `i`. Of a [`Part::Test`] without labels no picture has one, of
    /// other parts each.
    fn label(&self, i: usize) -> Option<u32>;
    /// Reads and decodes picture `i`.
    ///
    /// # Errors
    ///
    /// If its file cannot be read or does not decode.
    fn picture(&self, i: usize) -> Result<Picture, DataError>;
    /// Where picture `i` is, so that a person can find it: a file's path; of an archive also the
    /// member's.
    fn name(&self, i: usize) -> String;
    /// What picture `i` is called inside its class: the file's name without its ending. The same
    /// picture has the same key in whatever form its set is found.
    fn key(&self, i: usize) -> String;
    /// Channels of the pictures, 1 or 3. A folder may hold grey files among coloured ones.
    fn channels(&self) -> usize;
    /// Tells this data set from others, over runs and machines: contents, labels, classes and order.
    /// Of picture folders: file names and lengths in place of contents.
    fn fingerprint(&self) -> u64;
    /// The pack that these pictures lie in, already brought to one size: its pictures are these, in this
    /// order. Labels are asked of the data set.
    fn pack(&self) -> Option<&Pack> {
        None
    }
    /// The number of the block that picture `i` is read with, where to read one picture is to read a
    /// whole block of them, as a page of parquet; blocks are numbered as they lie.
    fn block(&self, _i: usize) -> Option<u64> {
        None
    }
    /// Reads and decodes pictures of one block, `places`, in this order: reads the block once.
    fn read_block(
        &self,
        places: &[usize],
        each: &mut dyn FnMut(usize, Result<Picture, DataError>),
    ) {
        places.iter().for_each(|&i| each(i, self.picture(i)));
    }
    /// The parts of the set that lie together on the disk, one after the other, of a few hundred
    /// pictures or more. Empty where pictures lie one by one and are as well read in any order.
    ///
    /// A [`Loader`](crate::Loader) reads few shards at a time, each once an epoch.
    fn shards(&self) -> &[Range<usize>] {
        &[]
    }
    /// The pictures of a shard will soon be asked for, in any order: it is read faster in one go.
    fn expect(&self, _shard: usize) {}
    /// Gives back the memory that a shard's pictures were read into: they will not be asked for before
    /// the next epoch.
    fn release(&self, _shard: usize) {}
}

/// Which part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The pictures to train on.
    Train,
    /// The labelled pictures held out.
    Validation,
    /// The pictures to be judged on: ILSVRC's 150,000, whose labels only its keepers know. Sets whose
    /// one held-out part has labels, such as MNIST, give that for both.
    Test,
}

impl Part {
    /// Every part a set may have.
    pub const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Test];

    /// As files and reports call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}
