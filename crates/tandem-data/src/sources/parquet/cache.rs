//! Pages unpacked a moment ago: rows beside each other are often asked for one after the other, and of
//! a small set all pages are kept.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use parquet::data_type::ByteArray;

/// Most bytes of pages kept, unpacked.
const LARGEST: usize = 256 << 20;

/// The rows of a page.
pub(super) type Rows = Arc<Vec<Option<ByteArray>>>;

/// A file's place in its set, and a page's in the file.
pub(super) type Place = (usize, usize);

/// See the module.
#[derive(Debug)]
pub(super) struct Cache {
    /// Most bytes kept.
    limit: usize,
    kept: Mutex<Kept>,
    /// How often a page was read.
    #[cfg(test)]
    pub(super) reads: std::sync::atomic::AtomicUsize,
}

impl Default for Cache {
    fn default() -> Self {
        Self::of(LARGEST)
    }
}

#[derive(Debug, Default)]
struct Kept {
    pages: HashMap<Place, (Rows, usize)>,
    /// The oldest first, which goes first.
    order: VecDeque<Place>,
    bytes: usize,
}

impl Cache {
    pub(super) fn of(limit: usize) -> Self {
        Self {
            limit,
            kept: Mutex::default(),
            #[cfg(test)]
            reads: 0.into(),
        }
    }

    /// Whether pages of so many bytes are all kept once they are read.
    pub(super) fn keeps(&self, bytes: u64) -> bool {
        bytes <= self.limit as u64
    }

    /// The rows of the page at `place`, which `read` gives with the bytes they take. Two threads may
    /// read one page at once, and neither waits for the other.
    pub(super) fn get<E>(
        &self,
        place: Place,
        read: impl FnOnce() -> Result<(Vec<Option<ByteArray>>, usize), E>,
    ) -> Result<Rows, E> {
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((rows, _)) = kept().pages.get(&place) {
            return Ok(Arc::clone(rows));
        }
        #[cfg(test)]
        self.reads
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (rows, bytes) = read()?;
        let rows = Arc::new(rows);
        kept().put(place, &rows, bytes, self.limit);
        Ok(rows)
    }
}

impl Kept {
    fn put(&mut self, place: Place, rows: &Rows, bytes: usize, limit: usize) {
        if bytes > limit || self.pages.contains_key(&place) {
            return;
        }
        while self.bytes + bytes > limit {
            let oldest = self.order.pop_front().expect("what is kept has an order");
            self.bytes -= self.pages.remove(&oldest).map_or(0, |(_, bytes)| bytes);
        }
        self.pages.insert(place, (Arc::clone(rows), bytes));
        self.order.push_back(place);
        self.bytes += bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::{Cache, LARGEST};

    #[test]
    fn the_oldest_page_goes_when_the_bytes_are_too_many() {
        let cache = Cache::default();
        let read = |page: usize| {
            let mut missed = false;
            let rows = cache.get((0, page), || {
                missed = true;
                Ok::<_, ()>((vec![None; page], LARGEST / 2))
            });
            (rows.unwrap().len(), missed)
        };
        assert_eq!(
            (read(1), read(2), read(1)),
            ((1, true), (2, true), (1, false))
        );
        assert_eq!(
            (read(3), read(2), read(1)),
            ((3, true), (2, false), (1, true))
        );
        assert_eq!(cache.kept.lock().unwrap().bytes, LARGEST);
    }

    #[test]
    fn a_page_larger_than_all_that_is_kept_is_read_each_time_and_pushes_out_none() {
        let cache = Cache::default();
        cache.get((0, 0), || Ok::<_, ()>((Vec::new(), 1))).unwrap();
        for _ in 0..2 {
            let mut missed = false;
            let read = || {
                missed = true;
                Ok::<_, ()>((Vec::new(), LARGEST + 1))
            };
            cache.get((0, 1), read).unwrap();
            assert!(missed);
        }
        assert_eq!(cache.kept.lock().unwrap().bytes, 1);
    }
}
