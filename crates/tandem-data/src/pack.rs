//! Packed pictures: a set decoded, scaled and cut once, in files that training maps into memory.
//!
//! `docs/pack-format.md` describes the files for other programs. In short, a folder holds
//!
//! - `PART-NNNNN.shard`: up to [`SHARD`] pictures each, with labels, keys, checksums and the sums that
//!   the training mean is made of. PART is `train`, `validation` or `test`
//! - `PART-mean.npy`: the mean picture, `float32` (C, side, side)
//! - `pack.json`, written last: classes, shards, statistics, what was left out
//!
//! The pictures of a part lie in one random order, the same for everybody, so that neighbours are of
//! different classes: reading a few shards at a time then shuffles nearly as well as reading all.

mod description;
mod error;
mod folder;
mod make;
mod plan;
mod reader;
pub(crate) mod shard;
mod spool;
mod verify;
mod writer;

pub use description::{Description, PartDescription, Statistics};
pub use error::PackError;
pub use plan::{PackOptions, Plan, PlannedPart};
pub use reader::Pack;
pub(crate) use reader::recognises;
pub use verify::{Damage, verify};

use serde::{Deserialize, Serialize};

/// Pictures a shard, 192 MiB of raw 256 × 256 × 3; fewer in the last, or where some did not decode.
pub const SHARD: usize = 1024;

/// What describes a pack, and says that it is whole.
const DESCRIPTION: &str = "pack.json";

/// How the pictures of a pack are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Bytes (side, side, C), nothing to decode.
    Raw,
    /// JPEG of this quality, 1 to 100, colour at half the resolution (4:2:0): about a tenth of the
    /// bytes, and a decoding each time a picture is read.
    Jpeg(u8),
}

impl Encoding {
    /// Bytes that pictures of `pixels` values take: exactly for raw, roughly for JPEG.
    #[must_use]
    pub fn bytes(self, pixels: u64) -> u64 {
        match self {
            Self::Raw => pixels,
            // Photographs of 256 × 256: 11 KB at quality 75, 19 KB at 90, 33 KB at 96.
            Self::Jpeg(quality) => {
                pixels * u64::from(quality) / (110 - u64::from(quality).min(100)) / 45
            }
        }
    }
}
