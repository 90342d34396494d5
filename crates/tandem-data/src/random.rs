//! Random numbers as a pure function of (seed, epoch, index, purpose).

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// What a stream of random numbers is for. The numbers are part of every run: never change them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    /// The order of an epoch.
    Order = 1,
    /// Crop, mirror and colour of a picture.
    Augment = 2,
    /// The order of a pack.
    Pack = 3,
    /// Whether a label is replaced, and by which.
    Label = 4,
    /// The one order of the pixels of all pictures.
    ShuffledPixels = 5,
    /// The order of the pixels of a picture.
    RandomPixels = 6,
}

/// The stream for (seed, epoch, index, purpose): ChaCha8 keyed with the four as little-endian `u64`.
pub(crate) fn stream(seed: u64, epoch: u64, index: u64, purpose: Purpose) -> ChaCha8Rng {
    let mut key = [0; 32];
    for (slot, word) in key
        .chunks_exact_mut(8)
        .zip([seed, epoch, index, purpose as u64])
    {
        slot.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

/// A number from 0 to `bound − 1`. Written out here because a library may change how it draws one,
/// and a resumed run must not notice. The bias is below `bound / 2⁶⁴`.
pub(crate) fn below(rng: &mut ChaCha8Rng, bound: usize) -> usize {
    ((u128::from(rng.next_u64()) * bound as u128) >> 64) as usize
}

/// Fisher and Yates.
pub(crate) fn shuffle(order: &mut [usize], rng: &mut ChaCha8Rng) {
    for last in (1..order.len()).rev() {
        order.swap(last, below(rng, last + 1));
    }
}
