//! Weight and bias gradients of a convolution by their sums.
//!
//! `dw[o, c, u, v] = Σ_{n,i,j} dy[n, o, i, j] · x[n, c, i·s + u, j·s + v]`, `db[o] = Σ dy`.
//!
//! Both operands are first brought into an order that the outer-product kernel reads straight
//! through: the picture as `[block of channels][row][column][channel]`, the output gradient as
//! `[tile of outputs][pixel][output]`. The sum then runs along the pixels of an output row. Each
//! tile of outputs is summed by one task, over the pictures in their order, so the result does not
//! depend on the number of threads.

use super::{Geometry, masked, part};
use crate::planes::Planes;
use crate::product::{Dots, Finish, Panels, Runs, Start, Store, Tiles, pack_tiles, tile};
use crate::real::Real;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// One picture unfolded, `(c · kh · kw, h' · w')`: row `k` is what tap `k` sees of it.
fn unfold<T: Real>(g: &Geometry, picture: &[T], unfolded: &mut [T]) {
    let (kh, kw) = g.kernel;
    for (tap, unfolded) in unfolded.chunks_exact_mut(g.out_pixels()).enumerate() {
        let (c, u, v) = (tap / (kh * kw), tap % (kh * kw) / kw, tap % kw);
        let plane = &picture[c * g.size.0 * g.size.1..][..g.size.0 * g.size.1];
        // Columns of the output whose tap falls on the picture: the first, and the one after the last.
        let from = g.padding.1.saturating_sub(v).div_ceil(g.stride.1);
        let end = (g.size.1 + g.padding.1).saturating_sub(v);
        let end = end.div_ceil(g.stride.1).min(g.out.1);
        for (row, unfolded) in unfolded.chunks_exact_mut(g.out.1).enumerate() {
            unfolded.fill(T::ZERO);
            let y = (row * g.stride.0 + u).wrapping_sub(g.padding.0);
            if y >= g.size.0 || from >= end {
                continue;
            }
            let x = from * g.stride.1 + v - g.padding.1;
            let seen = &plane[y * g.size.1 + x..(y + 1) * g.size.1];
            if g.stride.1 == 1 {
                unfolded[from..end].copy_from_slice(&seen[..end - from]);
            } else {
                let seen = seen.iter().step_by(g.stride.1);
                for (value, seen) in unfolded[from..end].iter_mut().zip(seen) {
                    *value = *seen;
                }
            }
        }
    }
}

/// For pictures of so few channels that most of a vector of channels would be padding: the sum runs
/// along the pixels of the unfolded picture instead.
fn of_few_channels<T: Real>(g: &Geometry, x: &[T], y: &[T], dy: &[T]) -> (Vec<T>, Vec<T>) {
    let pixels = g.out_pixels();
    let len = g.o * g.taps();
    let mut sums = vec![T::ZERO; g.n * g.groups * len];
    let mut biases = vec![T::ZERO; g.n * g.groups * g.o];
    sums.par_chunks_mut(len)
        .zip(biases.par_chunks_mut(g.o))
        .enumerate()
        .for_each_init(
            || (vec![T::ZERO; g.taps() * pixels], Vec::new()),
            |(unfolded, scratch), (i, (sums, db))| {
                unfold(g, part(x, i, g.in_len()), unfolded);
                let dy = masked(part(y, i, g.out_len()), part(dy, i, g.out_len()), scratch);
                sum_rows(dy, db);
                Dots {
                    x: dy,
                    x_rows: g.o,
                    x_pitch: pixels,
                    w: unfolded,
                    w_rows: g.taps(),
                    w_pitch: pixels,
                    depth: pixels,
                    out: sums,
                    out_pitch: g.taps(),
                }
                .run();
            },
        );
    (
        sum_pictures(&sums, g.groups * len),
        sum_pictures(&biases, g.groups * g.o),
    )
}

/// Pictures brought into order before their products are summed: few enough to stay in the caches.
const CHUNK: usize = 16;

pub(super) fn weight_gradient<T: Real>(
    g: &Geometry,
    x: &[T],
    y: &[T],
    dy: &[T],
) -> (Vec<T>, Vec<T>) {
    let planes = Planes::new(g.c, g.padded.0, g.padded.1, g.stride);
    if planes.count() < T::lanes() / 2 {
        return of_few_channels(g, x, y, dy);
    }
    // The last taps of the last phases reach beyond the picture; they are not part of the kernel.
    let kernel = (
        g.kernel.0.div_ceil(g.stride.0),
        g.kernel.1.div_ceil(g.stride.1),
    );
    let (tiles, blocks) = (Tiles::new::<T>(g.o), Panels::new::<T>(planes.count()));
    let (left_len, right_len) = (g.out_len(), blocks.padded() * planes.area());
    let chunk = CHUNK.min(g.n.max(1)) * g.groups;
    let mut ordered = vec![T::ZERO; chunk * (left_len + right_len)];
    let mut biases = vec![T::ZERO; g.n * g.groups * g.o];
    // [group][tile of outputs][tap][output of the tile][channel]
    let row = kernel.0 * kernel.1 * blocks.padded();
    let mut sums = vec![T::ZERO; g.groups * g.o * row];
    for (chunk_index, biases) in biases.chunks_mut(chunk * g.o).enumerate() {
        let first = chunk_index * chunk;
        ordered
            .par_chunks_mut(left_len + right_len)
            .zip(biases.par_chunks_mut(g.o))
            .enumerate()
            .for_each_init(
                || (vec![T::ZERO; planes.len()], Vec::new()),
                |(picture, scratch), (i, (ordered, db))| {
                    let i = first + i;
                    let (left, right) = ordered.split_at_mut(left_len);
                    let corner = (g.padding.0 as isize, g.padding.1 as isize);
                    planes.fill(part(x, i, g.in_len()), g.size, corner, picture);
                    for p in 0..blocks.count() {
                        let (block, width, real) = blocks.span(p);
                        let area = planes.area();
                        let to = &mut right[block * area..(block + width) * area];
                        interleave(&picture[block * area..][..real * area], area, width, to);
                    }
                    let dy = masked(part(y, i, g.out_len()), part(dy, i, g.out_len()), scratch);
                    sum_rows(dy, db);
                    let pixels = g.out_pixels();
                    pack_tiles(tiles, pixels, |o, p| dy[o * pixels + p], left);
                },
            );
        let pictures = biases.len() / g.o;
        sums.par_chunks_mut(g.o * row)
            .enumerate()
            .flat_map(|(group, sums)| {
                let tile = sums.par_chunks_mut(tiles.height * row).enumerate();
                tile.map(move |(t, sums)| (group, t, sums))
            })
            .for_each(|(group, t, sums)| {
                Arch::new().dispatch(SumTaps {
                    tile: tiles.span(t),
                    blocks,
                    kernel,
                    planes,
                    out: g.out,
                    ordered: ordered
                        .chunks_exact(left_len + right_len)
                        .take(pictures)
                        .skip(group)
                        .step_by(g.groups),
                    left_len,
                    sums,
                });
            });
    }
    let mut dw = vec![T::ZERO; g.groups * g.o * g.taps()];
    dw.par_chunks_mut(g.taps()).enumerate().for_each(|(o, dw)| {
        let (group, o) = (o / g.o, o % g.o);
        let (t, within) = (o / tiles.height, o % tiles.height);
        let rows = tiles.span(t).1;
        let sums = &sums[(group * g.o + t * tiles.height) * row..];
        let kernel_area = g.kernel.0 * g.kernel.1;
        for (c, dw) in dw.chunks_exact_mut(kernel_area).enumerate() {
            for (k, dw) in dw.iter_mut().enumerate() {
                let (u, v) = (k / g.kernel.1, k % g.kernel.1);
                let (sh, sw) = g.stride;
                let tap = u / sh * kernel.1 + v / sw;
                let channel = (c * sh + u % sh) * sw + v % sw;
                *dw = sums[(tap * rows + within) * blocks.padded() + channel];
            }
        }
    });
    (dw, sum_pictures(&biases, g.groups * g.o))
}

/// The sum of each channel's output gradient, one picture. Sixteen sums side by side, added up at
/// the end: one after the other they would wait for each other.
pub(super) fn sum_rows<T: Real>(dy: &[T], db: &mut [T]) {
    let pixels = dy.len() / db.len();
    for (db, dy) in db.iter_mut().zip(dy.chunks_exact(pixels)) {
        let (whole, rest) = dy.as_chunks::<16>();
        let mut sums = [T::ZERO; 16];
        for values in whole {
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum += *value;
            }
        }
        *db = sums.iter().chain(rest).fold(T::ZERO, |sum, v| sum + *v);
    }
}

/// Adds up what was found in each picture, in their order.
pub(super) fn sum_pictures<T: Real>(biases: &[T], channels: usize) -> Vec<T> {
    let mut db = vec![T::ZERO; channels];
    for biases in biases.chunks_exact(channels) {
        for (db, bias) in db.iter_mut().zip(biases) {
            *db += *bias;
        }
    }
    db
}

/// Some planes of `area` pixels side by side, pixel by pixel: `[plane][pixel]` to `[pixel][plane]`,
/// `width` planes to a pixel. Where there are fewer, the rest keeps its value.
pub(super) fn interleave<T: Real>(planes: &[T], area: usize, width: usize, to: &mut [T]) {
    for (lane, plane) in planes.chunks_exact(area).enumerate() {
        for (pixel, value) in to.chunks_exact_mut(width).zip(plane) {
            pixel[lane] = *value;
        }
    }
}

/// Adds to one tile of outputs what the pictures of a chunk contribute.
struct SumTaps<'a, T, I> {
    /// First output and number of outputs.
    tile: (usize, usize),
    blocks: Panels,
    kernel: (usize, usize),
    planes: Planes,
    out: (usize, usize),
    /// The output gradient in tiles, then the picture in blocks, for each picture.
    ordered: I,
    left_len: usize,
    /// `[tap][output of the tile][channel]`
    sums: &'a mut [T],
}

impl<'a, T: Real, I: Iterator<Item = &'a [T]> + Clone> WithSimd for SumTaps<'_, T, I> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let area = self.planes.area();
        let pixels = self.out.0 * self.out.1;
        let pitch = self.blocks.padded();
        let (row, rows) = self.tile;
        for p in 0..self.blocks.count() {
            let (first, width, _) = self.blocks.span(p);
            let runs = Runs {
                count: self.out.0,
                length: self.out.1,
                left_step: self.out.1 * rows,
                right_step: self.planes.width * width,
            };
            for ordered in self.ordered.clone() {
                let (left, right) = ordered.split_at(self.left_len);
                let left = &left[row * pixels..(row + rows) * pixels];
                let block = &right[first * area..(first + width) * area];
                for tap in 0..self.kernel.0 * self.kernel.1 {
                    let (u, v) = (tap / self.kernel.1, tap % self.kernel.1);
                    let right = &block[(u * self.planes.width + v) * width..];
                    let at = tap * rows * pitch + first;
                    let store = Store {
                        out: &mut self.sums[at..at + (rows - 1) * pitch + width],
                        pitch,
                        columns: width,
                        start: Start::Accumulate,
                        finish: Finish::Nothing,
                    };
                    tile(simd, (rows, width), left, right, runs, store);
                }
            }
        }
    }
}
