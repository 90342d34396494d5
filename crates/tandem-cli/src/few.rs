//! A few pictures that stand for a set.

use std::sync::Arc;

use tandem_data::{DataError, Dataset, Picture};

/// `count` places of `total`, evenly apart, beginning where `seed` says.
pub fn places(total: usize, count: usize, seed: u64) -> impl Iterator<Item = usize> {
    let count = count.min(total);
    (0..count).map(move |i| (i * total / count + seed as usize % total) % total)
}

/// Some pictures of a set, read from it one by one: of a pack too.
pub struct Few {
    all: Arc<dyn Dataset>,
    places: Vec<usize>,
}

impl Few {
    /// `count` of `all`, evenly apart, beginning where `seed` says.
    pub fn spread(all: Arc<dyn Dataset>, count: usize, seed: u64) -> Self {
        let places = places(all.len(), count, seed).collect();
        Self { all, places }
    }
}

impl Dataset for Few {
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
    fn fingerprint(&self) -> u64 {
        self.all.fingerprint()
    }
}

#[cfg(test)]
mod tests {
    use super::places;

    #[test]
    fn places_are_apart_and_inside() {
        let of = |total, count, seed| places(total, count, seed).collect::<Vec<_>>();
        assert_eq!(of(100, 4, 0), [0, 25, 50, 75]);
        assert_eq!(of(100, 4, 130), [30, 55, 80, 5]);
        assert_eq!(of(2, 5, 0), [0, 1]);
    }
}
