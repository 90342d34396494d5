//! The order in which an epoch visits the pictures.
//!
//! Pictures that lie one by one are shuffled as a whole. A packed set lies in shards, and to read it
//! in such an order would be to read at random. There the shards are shuffled, and then the pictures
//! of [`WINDOW`] shards at a time as one. No more than a window needs to be in memory, and each shard is
//! read once an epoch.
//!
//! How well that shuffles, for ImageNet's 1.28 million pictures in shards of 1,024, themselves written
//! in a random order:
//!
//! - A picture may move from anywhere to anywhere, by a third of the set on average: its shard comes at
//!   any place, and inside its window of 16,384 pictures it does as well.
//! - A batch of 128 holds as many classes as one of a full shuffle: 120.2 of 1,000 on average.
//! - Two pictures of one batch meet in a batch of the next epoch too with a chance of 1 in 1,770; of a
//!   full shuffle it is 1 in 10,088. Those of one shard (1 pair in 16) always share a window.
//!
//! The tests count all three.

use std::ops::Range;

use crate::DataError;
use crate::random::{Purpose, shuffle, stream};

/// Shards shuffled as one: 16,384 pictures, raw and 256 × 256 pixels 3 GiB.
const WINDOW: usize = 16;

/// The pictures of an epoch, in turn: eight bytes each, 10 MB for ImageNet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) pictures: Vec<usize>,
    /// One after the other; empty for a set without shards.
    pub(crate) windows: Vec<Window>,
}

/// Shards that are read together.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) shards: Vec<usize>,
    /// The first place in the order that no longer needs them.
    pub(crate) end: usize,
}

impl Order {
    /// A permutation of `0..len`, a pure function of its arguments. `shards` is empty, or covers
    /// `0..len`.
    pub(crate) fn shuffled(len: usize, shards: &[Range<usize>], seed: u64, epoch: u64) -> Self {
        let mut rng = stream(seed, epoch, 0, Purpose::Order);
        let mut turn: Vec<usize> = (0..shards.len()).collect();
        shuffle(&mut turn, &mut rng);
        // As even as can be: a window of one shard that is left over would shuffle badly.
        let windows = shards.len().div_ceil(WINDOW);
        let bound = |window: usize| window * shards.len() / windows;
        let mut order = Self::by_windows(
            (0..windows).map(|w| turn[bound(w)..bound(w + 1)].to_vec()),
            shards,
        );
        if shards.is_empty() {
            order.pictures = (0..len).collect();
            shuffle(&mut order.pictures, &mut rng);
        }
        let mut from = 0;
        for window in &order.windows {
            shuffle(&mut order.pictures[from..window.end], &mut rng);
            from = window.end;
        }
        order
    }

    /// `0..len` as it is.
    pub(crate) fn straight(len: usize, shards: &[Range<usize>]) -> Self {
        let windows = Self::by_windows((0..shards.len()).map(|shard| vec![shard]), shards).windows;
        Self {
            pictures: (0..len).collect(),
            windows,
        }
    }

    fn by_windows(windows: impl Iterator<Item = Vec<usize>>, ranges: &[Range<usize>]) -> Self {
        let mut pictures = Vec::new();
        let windows = windows
            .map(|shards| {
                pictures.extend(shards.iter().flat_map(|&shard| ranges[shard].clone()));
                let end = pictures.len();
                Window { shards, end }
            })
            .collect();
        Self { pictures, windows }
    }

    /// Without the pictures at the end that would give some processes one more than others.
    pub(crate) fn even(mut self, share: Share) -> Self {
        let even = self.pictures.len() / share.of * share.of;
        self.pictures.truncate(even);
        self
    }

    /// What is `share`'s of it.
    pub(crate) fn share(mut self, share: Share) -> Self {
        let Share { rank, of } = share;
        self.pictures = self.pictures.into_iter().skip(rank).step_by(of).collect();
        for window in &mut self.windows {
            window.end = window.end.saturating_sub(rank).div_ceil(of);
            window.end = window.end.min(self.pictures.len());
        }
        self
    }
}

/// The part that one process of a distributed run takes of each epoch: of the epoch's order every
/// `of`-th picture, from the `rank`-th on. So batch `b` of all processes together is batch `b` of one
/// process with batches `of` times as large.
///
/// In training all processes have equally many pictures, and batches: the last `len % of` of the order,
/// other pictures each epoch, are left out. At test no picture is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    rank: usize,
    of: usize,
}

impl Share {
    /// All of it: what a process on its own takes.
    pub const WHOLE: Self = Self { rank: 0, of: 1 };

    /// What process `rank`, counted from 0, of `of` takes.
    ///
    /// # Errors
    ///
    /// [`DataError::Share`] unless `rank` is below `of`.
    pub fn new(rank: usize, of: usize) -> Result<Self, DataError> {
        if rank < of {
            Ok(Self { rank, of })
        } else {
            Err(DataError::Share { rank, of })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::ops::Range;

    use super::{Order, Share, WINDOW};

    fn shuffled(len: usize, seed: u64, epoch: u64) -> Vec<usize> {
        Order::shuffled(len, &[], seed, epoch).pictures
    }

    fn shards(len: usize, of: usize) -> Vec<Range<usize>> {
        (0..len)
            .step_by(of)
            .map(|from| from..len.min(from + of))
            .collect()
    }

    #[test]
    fn every_picture_comes_once_an_epoch_in_an_order_of_its_own() {
        for shards in [vec![], shards(1000, 16)] {
            let order = |seed, epoch| Order::shuffled(1000, &shards, seed, epoch).pictures;
            let first = order(7, 0);
            let mut sorted = first.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..1000).collect::<Vec<_>>());
            assert_eq!(first, order(7, 0));
            assert_ne!(first, order(7, 1));
            assert_ne!(first, order(8, 0));
        }
    }

    /// Runs that were begun before there were shards go on with the same pictures.
    #[test]
    fn the_order_of_a_set_without_shards_never_changes() {
        assert_eq!(shuffled(10, 7, 3), [6, 0, 5, 8, 1, 7, 3, 9, 2, 4]);
    }

    #[test]
    fn the_first_place_is_as_likely_for_every_picture() {
        let mut seen = [0; 4];
        for epoch in 0..4000 {
            seen[shuffled(4, 1, epoch)[0]] += 1;
        }
        assert!(seen.iter().all(|&n| (880..1120).contains(&n)), "{seen:?}");
    }

    #[test]
    fn a_window_holds_its_shards_and_none_is_much_smaller() {
        let shards = shards(3370, 100);
        let order = Order::shuffled(3370, &shards, 5, 2);
        assert_eq!(shards.len(), 2 * WINDOW + 2);
        let sizes: Vec<usize> = order.windows.iter().map(|w| w.shards.len()).collect();
        assert_eq!(sizes, [11, 11, 12]);
        let mut from = 0;
        for window in &order.windows {
            let of = |&picture: &usize| window.shards.contains(&(picture / 100));
            assert!(order.pictures[from..window.end].iter().all(of));
            from = window.end;
        }
        assert_eq!(from, 3370);
    }

    /// ImageNet: 1,281,167 pictures of 1,000 classes, in a random order when they were packed.
    #[test]
    fn windows_shuffle_imagenet_nearly_as_well_as_a_whole_shuffle() {
        const LEN: usize = 1_281_167;
        let packed = shuffled(LEN, 99, 0);
        let count = |shards: &[Range<usize>]| {
            let [first, second] = [0, 1].map(|e| Order::shuffled(LEN, shards, 1, e).pictures);
            let mut place = vec![0; LEN];
            second.iter().enumerate().for_each(|(at, &i)| place[i] = at);
            let (mut classes, mut met, mut moved) = (0, 0, 0);
            let batches = first.chunks_exact(128);
            let all = batches.len();
            for (number, batch) in batches.enumerate() {
                classes += distinct(batch.iter().map(|&i| packed[i] % 1000));
                // Pictures of a batch that meet again: 128 less the distinct batches they go to, near enough.
                met += 128 - distinct(batch.iter().map(|&i| place[i] / 128));
                moved += place[batch[0]].abs_diff(128 * number);
            }
            let pairs = (all * 128 * 127 / 2) as f64;
            (
                classes as f64 / all as f64,
                pairs / met as f64,
                moved as f64 / all as f64 / LEN as f64,
            )
        };
        let (whole, windows) = (count(&[]), count(&shards(LEN, 1024)));
        let near = |(c, p, m): (f64, f64, f64), chance: f64| {
            // 1,000 · (1 − 0.999¹²⁸) classes, and a third of the set to move by.
            (c - 120.2).abs() < 0.2
                && (p / chance - 1.0).abs() < 0.05
                && (m * 3.0 - 1.0).abs() < 0.1
        };
        assert!(near(whole, 10_088.0), "{whole:?}");
        assert!(near(windows, 1_770.0), "{windows:?}");
    }

    fn distinct(items: impl Iterator<Item = usize>) -> usize {
        items.collect::<HashSet<_>>().len()
    }

    #[test]
    fn shares_are_disjoint_and_cover_the_epoch_but_for_its_last_pictures() {
        for (len, of) in [(1000, 3), (1000, 7), (96, 4), (5, 8)] {
            let order = || Order::shuffled(len, &shards(len, 16), 3, 1);
            let whole = order().pictures;
            let each = len / of;
            let mut together = vec![usize::MAX; each * of];
            for rank in 0..of {
                let share = Share::new(rank, of).unwrap();
                let mine = order().even(share).share(share).pictures;
                assert_eq!(mine.len(), each);
                for (place, picture) in mine.into_iter().enumerate() {
                    together[place * of + rank] = picture;
                }
            }
            assert_eq!(together, whole[..each * of]);
        }
    }

    #[test]
    fn a_share_of_a_window_ends_where_the_next_begins() {
        let ranges = shards(1000, 16);
        for rank in 0..3 {
            let share = Share::new(rank, 3).unwrap();
            let order = Order::shuffled(1000, &ranges, 3, 1)
                .even(share)
                .share(share);
            let mut from = 0;
            for window in &order.windows {
                let of = |&picture: &usize| window.shards.contains(&(picture / 16));
                assert!(order.pictures[from..window.end].iter().all(of));
                from = window.end;
            }
            assert_eq!(from, 333);
        }
    }

    #[test]
    fn a_rank_is_below_the_number_of_processes() {
        assert_eq!(Share::new(0, 1).unwrap(), Share::WHOLE);
        for (rank, of) in [(0, 0), (2, 2), (3, 2)] {
            let said = Share::new(rank, of).unwrap_err().to_string();
            assert!(said.contains(&format!("rank {rank}")), "{said}");
        }
    }
}
