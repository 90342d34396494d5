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
        1 => Arch::new().dispatch(Scale::<1> {
            pixels,
            width,
            across,
            down,
        }),
        3 => Arch::new().dispatch(Scale::<3> {
            pixels,
            width,
            across,
            down,
        }),
        other => panic!("a picture of {other} channels"),
    }
}

/// Pixels of `C` channels.
struct Scale<'a, const C: usize> {
    pixels: &'a [u8],
    width: usize,
    across: &'a Scaling,
    down: &'a Scaling,
}

impl<const C: usize> WithSimd for Scale<'_, C> {
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
        if columns_first {
            let low = columns_scaled(pixels, width * C, down);
            rows_scaled::<C>(&low, width, across)
        } else {
            let narrow = rows_scaled::<C>(pixels, width, across);
            columns_scaled(&narrow, across.first.len() * C, down)
        }
    }
}

/// Rows that are scaled along themselves at once, and values of a row that are along the columns: enough to
/// fill vectors, few enough to stay in registers.
const ROWS: usize = 16;
const BLOCK: usize = 64;

/// Pixels of a row that are turned at once, to stay in the nearest cache.
const STRETCH: usize = 64;

/// Rows of `width` pixels of `C` channels, scaled along the rows: some at a time, turned so that a vector
/// holds the same place of each.
#[inline(always)]
fn rows_scaled<const C: usize>(pixels: &[u8], width: usize, to: &Scaling) -> Vec<u8> {
    let row = to.first.len();
    let mut scaled = vec![0; pixels.len() / width * row];
    let mut turned = vec![[[0; C]; ROWS]; width];
    let rows = pixels.chunks(ROWS * width * C);
    for (scaled, rows) in scaled.chunks_mut(ROWS * row * C).zip(rows) {
        let rows = rows.as_chunks().0;
        for (turned, from) in turned.chunks_mut(STRETCH).zip((0..).step_by(STRETCH)) {
            for (at, row) in rows.chunks_exact(width).enumerate() {
                for (turned, pixel) in turned.iter_mut().zip(&row[from..]) {
                    turned[at] = *pixel;
                }
            }
        }
        for ((first, weights), x) in to.pixels().zip((0..).step_by(C)) {
            let mut sums = [[HALF; C]; ROWS];
            for (pixels, weight) in turned[first..].iter().zip(weights) {
                for (sums, pixel) in sums.iter_mut().zip(pixels) {
                    for (sum, value) in sums.iter_mut().zip(pixel) {
                        *sum += weight * i32::from(*value);
                    }
                }
            }
            let pixels = sums.map(|sums| sums.map(rounded));
            for (scaled, pixel) in scaled.chunks_exact_mut(row * C).zip(pixels) {
                scaled[x..x + C].copy_from_slice(&pixel);
            }
        }
    }
    scaled
}

/// Rows of `row` values, the first of them the first that `to` reads, scaled along the columns.
#[inline(always)]
fn columns_scaled(values: &[u8], row: usize, to: &Scaling) -> Vec<u8> {
    let from = to.first[0];
    let mut scaled = vec![0; to.first.len() * row];
    for (scaled, (first, weights)) in scaled.chunks_exact_mut(row).zip(to.pixels()) {
        let values = &values[(first - from) * row..];
        let (blocks, rest) = scaled.as_chunks_mut::<BLOCK>();
        let whole = blocks.as_flattened().len();
        for (block, at) in blocks.iter_mut().zip((0..).step_by(BLOCK)) {
            *block = below_each_other(&values[at..], row, weights);
        }
        for (value, at) in rest.iter_mut().zip(whole..) {
            [*value] = below_each_other(&values[at..], row, weights);
        }
    }
    scaled
}

/// The first `N` values of as many rows as there are weights, summed by them.
#[inline(always)]
fn below_each_other<const N: usize>(values: &[u8], row: usize, weights: &[i32]) -> [u8; N] {
    let mut sums = [HALF; N];
    for (weight, at) in weights.iter().zip((0..).step_by(row)) {
        for (sum, value) in sums.iter_mut().zip(&values[at..at + N]) {
            *sum += weight * i32::from(*value);
        }
    }
    sums.map(rounded)
}

/// A sum of bytes by weights as a byte; the half that it began with rounds it.
#[inline(always)]
fn rounded(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}
