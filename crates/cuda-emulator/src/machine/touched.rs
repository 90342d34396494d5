//! Which allocations a launch touched, and whether it wrote them: a note an allocation, not an access.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use super::region::Region;
use super::shadow::Access;

/// The number of the launch that last read, and last wrote, a region.
#[derive(Default)]
pub struct Marks {
    read: AtomicU64,
    written: AtomicU64,
}

/// An allocation that a launch touched.
#[derive(Debug, Clone, Copy)]
pub struct Touch {
    /// Address of its first byte.
    pub base: u64,
    /// In bytes.
    pub size: u64,
    /// Whether it was written.
    pub writes: bool,
}

/// What one launch touched.
pub(super) struct Touched {
    launch: u64,
    touches: Mutex<Vec<Touch>>,
}

impl Touched {
    /// Of a launch that begins.
    pub fn new() -> Touched {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Touched {
            launch: NEXT.fetch_add(1, Relaxed),
            touches: Mutex::default(),
        }
    }

    /// Notes an access.
    #[inline(always)]
    pub fn note(&self, region: &Region, access: Access) {
        let writes = access != Access::Read;
        let mark = match writes {
            true => &region.marks.written,
            false => &region.marks.read,
        };
        if mark.load(Relaxed) != self.launch && mark.swap(self.launch, Relaxed) != self.launch {
            let mut touches = self.touches.lock().unwrap_or_else(PoisonError::into_inner);
            let &Region { base, size, .. } = region;
            touches.push(Touch { base, size, writes });
        }
    }

    /// What was noted.
    pub fn all(self) -> Vec<Touch> {
        self.touches
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
