//! Prepares every picture of a folder on all cores, as packing does: decode, the shorter side to 256,
//! the centre 256 × 256. Prints how many there were and how long it took.
//!
//! `cargo run --release -p tandem-data --example prepare -- FOLDER [PASSES]`

use std::time::Instant;

use rayon::prelude::*;
use tandem_data::{Part, Preprocess};

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().expect("a folder with train/ and val/");
    let passes: usize = arguments.next().map_or(Ok(1), |n| n.parse())?;
    let paper = Preprocess {
        side: 256,
        channels: 3,
    };
    let data = tandem_data::open(&folder, Part::Train)?;
    let start = Instant::now();
    for _ in 0..passes {
        (0..data.len()).into_par_iter().try_for_each(|i| {
            std::hint::black_box(paper.apply(&data.picture(i)?));
            Ok::<_, tandem_data::DataError>(())
        })?;
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{} pictures in {seconds:.3} s", passes * data.len());
    Ok(())
}
