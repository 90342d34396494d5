//! Scaling as Pillow does it, to the byte: `Image.resize(…, BILINEAR)`, by which torchvision's
//! `Resize` brings a picture to size, so that weights trained with it see the pictures they know.
//!
//! A pixel of the result is a weighted mean of those under a triangle as wide as two of its own, or
//! two of the picture's where that is enlarged. First along the rows, rounded to bytes, then along the
//! columns; of a picture more than twice as tall as wide that is made smaller the other way round, as
//! since Pillow 13. Weights are whole numbers of 2⁻²², so that there is one right answer.

use pulp::{Arch, Simd, WithSimd};

/// Bits of a weight behind the point: a sum of bytes by weights just fits 32.
const BITS: u32 = 22;
const HALF: i32 = 1 << (BITS - 1);

/// How one axis is scaled: what each pixel of a stretch of the result reads.
pub(crate) struct Scaling {
    /// The first pixel read.
    first: Vec<usize>,
    /// Weights of it and of those after it, as many for each pixel of the result.
    weights: Vec<i32>,
    taps: usize,
    /// Whether the result has fewer pixels than the picture.
    shrinks: bool,
}

impl Scaling {
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
        let mut scaling = Self {
            first: Vec::with_capacity(stretch.len()),
            weights: vec![0; stretch.len() * taps],
            taps,
            shrinks: scaled < length,
        };
        for (at, weights) in stretch.zip(scaling.weights.chunks_exact_mut(taps)) {
            let triangle =
                |pixel: usize| (1.0 - ((pixel as f64 - centre(at) + 0.5) / reach).abs()).max(0.0);
            let sum: f64 = read(at).map(triangle).sum();
            let first = read(at).start.min(length - taps);
            for pixel in read(at) {
                let weight = triangle(pixel) / sum;
                weights[pixel - first] = (weight * f64::from(1 << BITS) + 0.5) as i32;
            }
            scaling.first.push(first);
        }
        scaling
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
    across: &Scaling,
    down: &Scaling,
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

/// Pixels of `C` channels, which become `L`: three become four, a vector, whose last is the next
/// pixel's first and is dropped in the end.
struct Scale<'a, const C: usize, const L: usize> {
    pixels: &'a [u8],
    width: usize,
    across: &'a Scaling,
    down: &'a Scaling,
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
        let columns_first = down.shrinks && pixels.len() / (width * C) > 2 * width;
        // The rows that are read, of which the first may not be the picture's.
        let from = down.first[0];
        let end = down.first[down.first.len() - 1] + down.taps;
        let pixels = &pixels[from * width * C..end * width * C];
        let scaled = if columns_first {
            let low = columns_scaled(pixels.as_chunks::<1>().0, width * C, down);
            rows_scaled::<C, L>(low.as_flattened(), width, across)
        } else {
            let narrow = rows_scaled::<C, L>(pixels, width, across);
            columns_scaled(&narrow, across.first.len(), down)
        };
        let mut dropped = vec![0; scaled.len() * C];
        for (to, pixel) in dropped.as_chunks_mut::<C>().0.iter_mut().zip(&scaled) {
            to.copy_from_slice(&pixel[..C]);
        }
        dropped
    }
}

/// Rows of `width` pixels of `C` channels, scaled to rows of pixels of `L`.
#[inline(always)]
fn rows_scaled<const C: usize, const L: usize>(
    pixels: &[u8],
    width: usize,
    to: &Scaling,
) -> Vec<[u8; L]> {
    let row = to.first.len();
    let mut scaled = vec![[0; L]; pixels.len() / (width * C) * row];
    let mut padded = vec![0; width * C + L];
    let rows = pixels.chunks_exact(width * C);
    for (scaled, pixels) in scaled.chunks_exact_mut(row).zip(rows) {
        padded[..width * C].copy_from_slice(pixels);
        for (scaled, (first, weights)) in scaled.iter_mut().zip(to.pixels()) {
            let mut sums = [HALF; L];
            let mut pixels = &padded[first * C..];
            for weight in weights {
                let (pixel, _) = pixels.split_first_chunk::<L>().expect("padded");
                for (sum, value) in sums.iter_mut().zip(pixel) {
                    *sum += weight * i32::from(*value);
                }
                pixels = &pixels[C..];
            }
            *scaled = bytes(sums);
        }
    }
    scaled
}

/// Rows of `row` values, the first of them the first that `to` reads, scaled along the columns.
#[inline(always)]
fn columns_scaled<const N: usize>(values: &[[u8; N]], row: usize, to: &Scaling) -> Vec<[u8; N]> {
    let from = to.first[0];
    let mut scaled = vec![[0; N]; to.first.len() * row];
    let mut sums = vec![[0; N]; row];
    for (scaled, (first, weights)) in scaled.chunks_exact_mut(row).zip(to.pixels()) {
        sums.fill([HALF; N]);
        let rows = values.chunks_exact(row).skip(first - from);
        for (weight, values) in weights.iter().zip(rows) {
            for (sums, values) in sums.iter_mut().zip(values) {
                for (sum, value) in sums.iter_mut().zip(values) {
                    *sum += weight * i32::from(*value);
                }
            }
        }
        for (scaled, sums) in scaled.iter_mut().zip(&sums) {
            *scaled = bytes(*sums);
        }
    }
    scaled
}

/// Sums of bytes by weights, which are rounded by the half that they began with.
#[inline(always)]
fn bytes<const N: usize>(sums: [i32; N]) -> [u8; N] {
    let mut bytes = [0; N];
    for (byte, sum) in bytes.iter_mut().zip(sums) {
        *byte = (sum >> BITS).clamp(0, 255) as u8;
    }
    bytes
}
