//! Convolutions of stride 1 by Winograd's F(2×2, 3×3): 16 products for 4 outputs of a 3×3 kernel,
//! not 36.
//!
//! Lavin, Gray, "Fast Algorithms for Convolutional Neural Networks" (CVPR 2016). A picture is cut
//! into patches of 4×4 that overlap by two; each gives a *cell* of 2×2 outputs:
//! `Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A`, with
//!
//! ```text
//! Bᵀ = 1  0 −1  0     G = 1    0   0      Aᵀ = 1  1  1  0
//!      0  1  1  0         1/2  1/2 1/2         0  1 −1 −1
//!      0 −1  1  0         1/2 −1/2 1/2
//!      0  1  0 −1         0    0   1
//! ```
//!
//! Summed over channels, ⊙ is sixteen matrix products, one for each *point* of the 4×4 domain. A
//! larger kernel is cut into 3×3 *pieces*, padded with zeros, and the pieces are summed as if they
//! were channels: 64 products for four outputs of a 5×5 kernel, not 100.
//!
//! The coefficients are halves and ones, so the result is as exact as the plain sum (the tests hold
//! both to the same bounds); an infinity in a patch makes NaN of its cell. Dropped: larger cells.
//! They save more products, but their coefficients cost digits.

mod correlation;
mod weight_gradient;

use super::Geometry;
use crate::product::Tiles;
use crate::real::Real;
use rayon::prelude::*;

pub(super) use correlation::{forward, input_gradient};
pub(super) use weight_gradient::weight_gradient;

/// Points of the domain.
const POINTS: usize = 16;

/// Rows of Bᵀ: `d[plus] + sign · d[other]`.
const INPUT: [(usize, usize, f64); 4] = [(0, 2, -1.0), (1, 2, 1.0), (2, 1, -1.0), (1, 3, -1.0)];

/// Channels a group, read and written, that make up for the transforms: with AVX2 at 13 × 13 pixels
/// 32 are slower so than by the plain sum, 48 level, 64 faster.
const MANY: usize = 48;

/// Whether the convolution gains by this: its stride allows it, the pieces are not mostly padding,
/// and there are channels enough to make up for the transforms.
pub(super) fn fits(g: &Geometry) -> bool {
    let (kh, kw) = g.kernel;
    let pieces = Pieces::of(g.kernel);
    let saves = 16 * 10 * pieces.count() <= 7 * 4 * kh * kw;
    let padding = g.padding.0 < kh && g.padding.1 < kw;
    let large = g.c >= MANY && g.o >= MANY && g.out.0 >= 3 && g.out.1 >= 3;
    g.stride == (1, 1) && saves && padding && large
}

/// The 3×3 pieces of a kernel, row-major.
#[derive(Clone, Copy)]
struct Pieces {
    kernel: (usize, usize),
    down: usize,
    across: usize,
}

impl Pieces {
    fn of(kernel: (usize, usize)) -> Self {
        Self {
            kernel,
            down: kernel.0.div_ceil(3),
            across: kernel.1.div_ceil(3),
        }
    }

    fn count(&self) -> usize {
        self.down * self.across
    }

    /// Row and column of a piece's first tap.
    fn corner(&self, piece: usize) -> (usize, usize) {
        (piece / self.across * 3, piece % self.across * 3)
    }

    /// The taps of a piece: their index in the piece, row and column in the kernel. Its padding is
    /// left out.
    fn taps(&self, piece: usize) -> impl Iterator<Item = (usize, usize, usize)> {
        let (kernel, (top, left)) = (self.kernel, self.corner(piece));
        (0..9)
            .map(move |k| (k, top + k / 3, left + k % 3))
            .filter(move |&(_, u, v)| u < kernel.0 && v < kernel.1)
    }
}

/// Kernels in the domain: `[tile of rows][point][k][row of the tile]`, `k` counting the channels of
/// the first piece, then of the second, and so on.
struct Kernels<T> {
    tiles: Tiles,
    depth: usize,
    packed: Vec<T>,
}

impl<T: Real> Kernels<T> {
    /// `G g Gᵀ` of each piece of the kernels; `tap(row, channel, u, v)` is one weight.
    fn pack(
        rows: usize,
        channels: usize,
        pieces: Pieces,
        tap: impl Fn(usize, usize, usize, usize) -> T + Sync,
    ) -> Self {
        let tiles = Tiles::new::<T>(rows);
        let depth = pieces.count() * channels;
        let mut packed = vec![T::ZERO; POINTS * rows * depth];
        packed
            .par_chunks_mut(POINTS * tiles.height * depth)
            .enumerate()
            .for_each(|(t, packed)| {
                let (first, rows) = tiles.span(t);
                for k in 0..depth {
                    for row in 0..rows {
                        let mut g = [T::ZERO; 9];
                        for (at, u, v) in pieces.taps(k / channels) {
                            g[at] = tap(first + row, k % channels, u, v);
                        }
                        for (point, u) in to_domain(&g).into_iter().enumerate() {
                            packed[(point * depth + k) * rows + row] = u;
                        }
                    }
                }
            });
        Self {
            tiles,
            depth,
            packed,
        }
    }

    /// First row, number of rows, and the operand of `point`, for tile `t`.
    fn tile(&self, t: usize, point: usize) -> (usize, usize, &[T]) {
        let (first, rows) = self.tiles.span(t);
        let at = (POINTS * first + point * rows) * self.depth;
        (first, rows, &self.packed[at..at + rows * self.depth])
    }
}

/// `G g Gᵀ`.
#[inline(always)]
fn to_domain<T: Real>(g: &[T; 9]) -> [T; POINTS] {
    let half = T::from_f64(0.5);
    let (mut rows, mut u) = ([T::ZERO; 12], [T::ZERO; POINTS]);
    for v in 0..3 {
        let (ends, middle) = ((g[v] + g[6 + v]) * half, g[3 + v] * half);
        rows[v] = g[v];
        rows[3 + v] = ends + middle;
        rows[6 + v] = ends - middle;
        rows[9 + v] = g[6 + v];
    }
    for i in 0..4 {
        let row = &rows[3 * i..3 * i + 3];
        let (ends, middle) = ((row[0] + row[2]) * half, row[1] * half);
        u[4 * i] = row[0];
        u[4 * i + 1] = ends + middle;
        u[4 * i + 2] = ends - middle;
        u[4 * i + 3] = row[2];
    }
    u
}

/// `Gᵀ m G`: the gradient of a kernel from that of its domain.
#[inline(always)]
fn from_domain<T: Real>(m: &[T; POINTS]) -> [T; 9] {
    let half = T::from_f64(0.5);
    let (mut rows, mut g) = ([T::ZERO; 12], [T::ZERO; 9]);
    for j in 0..4 {
        rows[j] = m[j] + (m[4 + j] + m[8 + j]) * half;
        rows[4 + j] = (m[4 + j] - m[8 + j]) * half;
        rows[8 + j] = (m[4 + j] + m[8 + j]) * half + m[12 + j];
    }
    for u in 0..3 {
        let row = &rows[4 * u..4 * u + 4];
        g[3 * u] = row[0] + (row[1] + row[2]) * half;
        g[3 * u + 1] = (row[1] - row[2]) * half;
        g[3 * u + 2] = (row[1] + row[2]) * half + row[3];
    }
    g
}
