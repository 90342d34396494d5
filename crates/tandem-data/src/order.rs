//! The order in which an epoch visits the training pictures.

use crate::random::{Purpose, shuffle, stream};

/// A permutation of `0..len` a pure function of (seed, epoch).
pub(crate) fn shuffled(len: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut rng = stream(seed, epoch, 0, Purpose::Order);
    let mut order: Vec<usize> = (0..len).collect();
    shuffle(&mut order, &mut rng);
    order
}

#[cfg(test)]
mod tests {
    use super::shuffled;

    #[test]
    fn every_picture_comes_once_an_epoch_in_an_order_of_its_own() {
        let first = shuffled(1000, 7, 0);
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1000).collect::<Vec<_>>());
        assert_eq!(first, shuffled(1000, 7, 0));
        assert_ne!(first, shuffled(1000, 7, 1));
        assert_ne!(first, shuffled(1000, 8, 0));
    }

    #[test]
    fn the_first_place_is_as_likely_for_every_picture() {
        let mut seen = [0; 4];
        for epoch in 0..4000 {
            seen[shuffled(4, 1, epoch)[0]] += 1;
        }
        assert!(seen.iter().all(|&n| (880..1120).contains(&n)), "{seen:?}");
    }
}
