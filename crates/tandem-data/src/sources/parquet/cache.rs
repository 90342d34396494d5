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
#[derive(Debug, Default)]
pub(super) struct Cache(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    pages: HashMap<Place, (Rows, usize)>,
    /// The oldest first, which goes first.
    order: VecDeque<Place>,
    bytes: usize,
}

impl Cache {
    /// The rows of the page at `place`, which `read` gives with the bytes they take. Two threads may
    /// read one page at once, and neither waits for the other.
    pub(super) fn get<E>(
        &self,
        place: Place,
        read: impl FnOnce() -> Result<(Vec<Option<ByteArray>>, usize), E>,
    ) -> Result<Rows, E> {
        let kept = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((rows, _)) = kept().pages.get(&place) {
            return Ok(Arc::clone(rows));
        }
        let (rows, bytes) = read()?;
        let rows = Arc::new(rows);
        kept().put(place, &rows, bytes);
        Ok(rows)
    }
}

impl Kept {
    fn put(&mut self, place: Place, rows: &Rows, bytes: usize) {
        if bytes > LARGEST || self.pages.contains_key(&place) {
            return;
        }
        while self.bytes + bytes > LARGEST {
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
        assert_eq!(cache.0.lock().unwrap().bytes, LARGEST);
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
        assert_eq!(cache.0.lock().unwrap().bytes, 1);
    }
}
