//! Files of which the footer and the page headers say what is not so.

use std::panic::Location;

use crate::counted::most;
use crate::fuzzing::{self, tests::mutate};

/// Most memory that one of the seeds, each of a few thousand bytes, may take mutated. A page of a
/// thousand bytes may claim a million unpacked, of that a dictionary's entries another eight.
const LARGEST: usize = 64 << 20;

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
    let (kept, most) = most(|| mutate(&seeds, fuzzing::parquet));
    assert!(0 < kept && kept < 100_000, "{kept}");
    assert!(most < LARGEST, "{most} bytes");
}
