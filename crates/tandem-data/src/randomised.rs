//! The randomisation tests of Zhang, Bengio, Hardt, Recht and Vinyals, "Understanding deep learning
//! requires rethinking generalization" (ICLR 2017), section 2.1: true labels, partially corrupted
//! labels, random labels, shuffled pixels, random pixels.

use std::sync::Arc;

use rand_chacha::rand_core::RngCore;

use crate::fingerprint::Fingerprint;
use crate::random::{Purpose, below, shuffle, stream};
use crate::{DataError, Dataset, Pack, Part, Picture};

/// How the pixels of a [`Randomised`] picture are placed. The channels of a pixel stay together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PixelOrder {
    /// As they are.
    Original,
    /// By one permutation for all pictures of all parts.
    Shuffled,
    /// By a permutation of its own for each picture.
    Random,
}

/// What is random in a [`Randomised`] set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Randomisation {
    /// The probability, 0 to 1, that a picture's label is replaced by a class drawn uniformly; as in
    /// the paper that may be the true one, so that of C classes a share of p (1 − 1/C) is wrong. Labels
    /// replaced at one probability are replaced by the same at every higher one.
    pub label_probability: f64,
    /// Where the pixels go.
    pub pixels: PixelOrder,
    /// What all draws come from.
    pub seed: u64,
}

/// A set with random labels or pixels, each draw a pure function of seed, part and place.
///
/// The pixels are those of the set, before it is brought to the network's size: where the two differ,
/// scaling blends neighbours that were none. A pack of the network's side needs no scaling.
pub struct Randomised {
    all: Arc<dyn Dataset>,
    part: Part,
    how: Randomisation,
    /// Height and width that all pictures have; unless the pixels stay.
    size: [usize; 2],
    /// Where each pixel of a shuffled picture comes from.
    order: Vec<usize>,
}

impl Randomised {
    /// Randomises `all`, which is the pictures of `part`.
    ///
    /// # Errors
    ///
    /// [`DataError::Probability`] if the probability is not 0 to 1.
    pub fn new(all: Arc<dyn Dataset>, part: Part, how: Randomisation) -> Result<Self, DataError> {
        if !(0.0..=1.0).contains(&how.label_probability) {
            return Err(DataError::Probability {
                found: how.label_probability,
            });
        }
        let mut size = [0; 2];
        if how.pixels != PixelOrder::Original {
            // Where no picture decodes there is none to place either.
            let first = (0..all.len()).find_map(|i| all.picture(i).ok());
            size = first.map_or(size, |first| [first.height, first.width]);
        }
        let order = match how.pixels {
            PixelOrder::Shuffled => permutation(size, how.seed, 0, 0, Purpose::ShuffledPixels),
            PixelOrder::Original | PixelOrder::Random => Vec::new(),
        };
        Ok(Self {
            all,
            part,
            how,
            size,
            order,
        })
    }

    /// The pixels of `picture`, the `i`th, in their new places.
    fn place(&self, picture: &mut Picture, i: usize) -> Result<(), DataError> {
        let own;
        let order = match self.how.pixels {
            PixelOrder::Original => return Ok(()),
            PixelOrder::Shuffled => &self.order,
            PixelOrder::Random => {
                let (seed, part) = (self.how.seed, self.part as u64);
                own = permutation(self.size, seed, part, i as u64, Purpose::RandomPixels);
                &own
            }
        };
        let size = [picture.height, picture.width];
        if size != self.size {
            return Err(DataError::Sizes {
                name: self.all.name(i),
                found: size,
                wanted: self.size,
            });
        }
        let channels = picture.channels;
        let from = |&pixel: &usize| &picture.pixels[pixel * channels..][..channels];
        picture.pixels = order.iter().flat_map(from).copied().collect();
        Ok(())
    }
}

/// All places of a picture of `size`, in random order.
fn permutation(size: [usize; 2], seed: u64, part: u64, i: u64, purpose: Purpose) -> Vec<usize> {
    let mut order: Vec<usize> = (0..size[0] * size[1]).collect();
    shuffle(&mut order, &mut stream(seed, part, i, purpose));
    order
}

impl Dataset for Randomised {
    fn len(&self) -> usize {
        self.all.len()
    }
    fn classes(&self) -> &[String] {
        self.all.classes()
    }
    fn label(&self, i: usize) -> Option<u32> {
        let label = self.all.label(i)?;
        let (seed, part) = (self.how.seed, self.part as u64);
        let mut draws = stream(seed, part, i as u64, Purpose::Label);
        // The upper 53 bits, as a number from 0 to just below 1.
        let replaced = (draws.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        let class = below(&mut draws, self.classes().len()) as u32;
        Some(if replaced < self.how.label_probability {
            class
        } else {
            label
        })
    }
    fn picture(&self, i: usize) -> Result<Picture, DataError> {
        let mut picture = self.all.picture(i)?;
        self.place(&mut picture, i)?;
        Ok(picture)
    }
    fn name(&self, i: usize) -> String {
        self.all.name(i)
    }
    fn key(&self, i: usize) -> String {
        self.all.key(i)
    }
    fn channels(&self) -> usize {
        self.all.channels()
    }
    fn fingerprint(&self) -> u64 {
        let mut print = Fingerprint::new();
        print.word(self.all.fingerprint());
        print.word(self.part as u64);
        print.word(self.how.label_probability.to_bits());
        print.word(self.how.pixels as u64);
        print.word(self.how.seed);
        print.finish()
    }
    /// Only while the pixels are the pack's.
    fn pack(&self) -> Option<&Pack> {
        match self.how.pixels {
            PixelOrder::Original => self.all.pack(),
            PixelOrder::Shuffled | PixelOrder::Random => None,
        }
    }
    fn shards(&self) -> &[std::ops::Range<usize>] {
        self.all.shards()
    }
    fn expect(&self, shard: usize) {
        self.all.expect(shard);
    }
    fn release(&self, shard: usize) {
        self.all.release(shard);
    }
}
