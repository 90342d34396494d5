//! Some pictures of a set.

use std::sync::Arc;

use crate::fingerprint::Fingerprint;
use crate::{DataError, Dataset, Picture};

/// Some pictures of a set, read from it one by one: of a pack too.
pub struct Subset {
    all: Arc<dyn Dataset>,
    places: Vec<usize>,
}

impl Subset {
    /// `count` pictures of `all` at the [`places`](Subset::places) that `seed` gives; `all` itself if it
    /// has no more than that.
    ///
    /// Sets stand in order of their classes, so each class keeps its share, and packs in a random
    /// order.
    #[must_use]
    pub fn spread(all: Arc<dyn Dataset>, count: usize, seed: u64) -> Arc<dyn Dataset> {
        if count >= all.len() {
            return all;
        }
        let places = Self::places(all.len(), count, seed).collect();
        Arc::new(Self { all, places })
    }

    /// `count` places of `total`, evenly apart, beginning where `seed` says; all of them if there are no
    /// more.
    pub fn places(total: usize, count: usize, seed: u64) -> impl Iterator<Item = usize> {
        let count = count.min(total);
        (0..count).map(move |i| (i * total / count + seed as usize % total) % total)
    }
}

impl Dataset for Subset {
    fn len(&self) -> usize {
        self.places.len()
    }
    fn classes(&self) -> &[String] {
        self.all.classes()
    }
    fn label(&self, i: usize) -> Option<u32> {
        self.all.label(self.places[i])
    }
    fn picture(&self, i: usize) -> Result<Picture, DataError> {
        self.all.picture(self.places[i])
    }
    fn name(&self, i: usize) -> String {
        self.all.name(self.places[i])
    }
    fn key(&self, i: usize) -> String {
        self.all.key(self.places[i])
    }
    fn channels(&self) -> usize {
        self.all.channels()
    }
    /// Of the whole set and of which of its pictures these are.
    fn fingerprint(&self) -> u64 {
        let mut print = Fingerprint::new();
        print.word(self.all.fingerprint());
        self.places
            .iter()
            .for_each(|&place| print.word(place as u64));
        print.finish()
    }
}
