//! Files of which the footer and the page headers say what is not so.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::panic::Location;

use crate::fuzzing::{self, tests::mutate};

/// Most memory that one of the seeds, each of a few thousand bytes, may take mutated. A page of a
/// thousand bytes may claim a million unpacked, of that a dictionary's entries another eight.
const LARGEST: usize = 64 << 20;

thread_local! {
    /// Bytes this thread has asked for and not given back, and the most there were.
    static HELD: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: every call goes to the system's allocator unchanged; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = HELD.try_with(|held| {
            let (now, most) = held.get();
            let now = now.saturating_add(layout.size());
            held.set((now, most.max(now)));
        });
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        let _ = HELD.try_with(|held| {
            let (now, most) = held.get();
            held.set((now.saturating_sub(layout.size()), most));
        });
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

macro_rules! seed {
    ($name:literal) => {
        include_bytes!(concat!("../../../../../fuzz/seeds/parquet/", $name)).to_vec()
    };
}

#[test]
fn a_mutated_file_is_read_or_refused_in_little_memory() {
    let seeds = [
        seed!("plain"),
        seed!("dictionary"),
        seed!("version-2"),
        seed!("lz4"),
        seed!("gzip"),
    ];
    for seed in &seeds {
        assert_eq!(fuzzing::parquet(seed), Some(4));
    }
    // Caught panics of the crate go unsaid: there are many.
    let say = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let ours = |at: &Location| at.file().contains("tandem-data");
        if panic.location().is_none_or(ours) {
            say(panic);
        }
    }));
    let before = HELD.get().0;
    HELD.set((before, before));
    let kept = mutate(&seeds, fuzzing::parquet);
    let most = HELD.get().1 - before;
    assert!(0 < kept && kept < 100_000, "{kept}");
    assert!(most < LARGEST, "{most} bytes");
}
