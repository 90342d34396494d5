//! Scaling as Pillow does it, to the byte: `Image.resize(…, BILINEAR)`, by which torchvision's
//! `Resize` brings a picture to size, so that weights trained with it see the pictures they know.
//!
//! A pixel of the result is a weighted mean of those under a triangle as wide as two of its own, or
//! two of the picture's where that is enlarged. First along the rows, rounded to bytes, then along the
//! columns. Weights are whole numbers of 2⁻²², so that there is one right answer.

use pulp::{Arch, Simd, WithSimd};

/// Bits of a weight behind the point: a sum of bytes by weights just fits 32.
const BITS: u32 = 22;
const HALF: i32 = 1 << (BITS - 1);

/// How one axis is scaled: what each pixel of a stretch of the result reads.
pub(crate) struct Axis {
    /// The first pixel read.
    first: Vec<usize>,
    /// Weights of it and of those after it, as many for each pixel of the result.
    weights: Vec<i32>,
    taps: usize,
}

impl Axis {
    /// From `length` pixels to `scaled`, of which those of `stretch` are wanted.
    pub fn new(length: usize, scaled: usize, stretch: std::ops::Range<usize>) -> Self {
        let step = length as f64 / scaled as f64;
        let reach = step.max(1.0);
        let centre = |at: usize| (at as f64 + 0.5) * step;
        let read = |at: usize| {
            let from = (centre(at) - reach + 0.5) as usize;
            from..((centre(at) + reach + 0.5) as usize).min(length)
        };
        let taps = stretch.clone().map(|at| read(at).len()).max().unwrap_or(0);
        let mut axis = Self {
            first: Vec::with_capacity(stretch.len()),
            weights: vec![0; stretch.len() * taps],
            taps,
        };
        for (at, weights) in stretch.zip(axis.weights.chunks_exact_mut(taps)) {
            let triangle =
                |pixel: usize| (1.0 - ((pixel as f64 - centre(at) + 0.5) / reach).abs()).max(0.0);
            let sum: f64 = read(at).map(triangle).sum();
            let first = read(at).start.min(length - taps);
            for pixel in read(at) {
                let weight = triangle(pixel) / sum;
                weights[pixel - first] = (weight * f64::from(1 << BITS) + 0.5) as i32;
            }
            axis.first.push(first);
        }
        axis
    }

    fn pixels(&self) -> impl Iterator<Item = (usize, &[i32])> {
        let weights = self.weights.chunks_exact(self.taps);
        self.first.iter().copied().zip(weights)
    }
}

/// A picture of `channels` interleaved channels, `width` pixels a row, scaled along both axes.
pub(crate) fn scale(
    pixels: &[u8],
    (width, channels): (usize, usize),
    across: &Axis,
    down: &Axis,
) -> Vec<u8> {
    match channels {
        1 => Arch::new().dispatch(Scale::<1, 1> {
            pixels,
            width,
            across,
            down,
        }),
        3 => Arch::new().dispatch(Scale::<3, 4> {
            pixels,
            width,
            across,
            down,
        }),
        other => panic!("a picture of {other} channels"),
    }
}

/// Pixels of `C` channels, which are summed as `L`: three as four, a vector, whose last is the next
/// pixel's first and is dropped in the end.
struct Scale<'a, const C: usize, const L: usize> {
    pixels: &'a [u8],
    width: usize,
    across: &'a Axis,
    down: &'a Axis,
}

impl<const C: usize, const L: usize> WithSimd for Scale<'_, C, L> {
    type Output = Vec<u8>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Vec<u8> {
        let Self {
            pixels,
            width,
            across,
            down,
        } = self;
        let columns = across.first.len();
        // The rows that are read, of which the first may not be the picture's.
        let from = down.first[0];
        let end = down.first[down.first.len() - 1] + down.taps;
        let mut narrow = vec![[0; L]; (end - from) * columns];
        let rows = pixels.chunks_exact(width * C).skip(from);
        let mut padded = vec![0; width * C + L];
        for (narrow, pixels) in narrow.chunks_exact_mut(columns).zip(rows) {
            padded[..width * C].copy_from_slice(pixels);
            for (narrow, (first, weights)) in narrow.iter_mut().zip(across.pixels()) {
                let mut sums = [HALF; L];
                let mut pixels = &padded[first * C..];
                for weight in weights {
                    let (pixel, _) = pixels.split_first_chunk::<L>().expect("padded");
                    for (sum, value) in sums.iter_mut().zip(pixel) {
                        *sum += weight * i32::from(*value);
                    }
                    pixels = &pixels[C..];
                }
                *narrow = bytes(sums);
            }
        }
        let mut scaled = vec![0; down.first.len() * columns * C];
        let mut sums = vec![[0; L]; columns];
        for (scaled, (first, weights)) in scaled.chunks_exact_mut(columns * C).zip(down.pixels()) {
            sums.fill([HALF; L]);
            let rows = narrow.chunks_exact(columns).skip(first - from);
            for (weight, narrow) in weights.iter().zip(rows) {
                for (sums, values) in sums.iter_mut().zip(narrow) {
                    for (sum, value) in sums.iter_mut().zip(values) {
                        *sum += weight * i32::from(*value);
                    }
                }
            }
            for (scaled, sums) in scaled.as_chunks_mut::<C>().0.iter_mut().zip(&sums) {
                scaled.copy_from_slice(&bytes(*sums)[..C]);
            }
        }
        scaled
    }
}

/// Sums of bytes by weights, which are rounded by the half that they began with.
#[inline(always)]
fn bytes<const L: usize>(sums: [i32; L]) -> [u8; L] {
    let mut bytes = [0; L];
    for (byte, sum) in bytes.iter_mut().zip(sums) {
        *byte = (sum >> BITS).clamp(0, 255) as u8;
    }
    bytes
}
