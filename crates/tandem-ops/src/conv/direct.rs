//! Convolution by its sum, as a product whose right operand, the unfolded picture, never exists: its
//! rows are read where they lie in the padded picture. Any kernel, stride and padding; forward and
//! the input gradient.

use super::{Geometry, masked, part};
use crate::planes::Planes;
use crate::product::{DEPTH, Finish, ProductInPlace, Start, Tiles, pack_tiles};
use crate::real::Real;
use rayon::prelude::*;

/// Pixels of the output that are computed together, so that they stay in the cache.
const PIXELS: usize = 512;

/// One stride-1 correlation of phase planes with packed weights; forward and input gradient alike.
struct Correlation {
    planes: Planes,
    /// Offset of each tap (a row of the unfolded picture) in the planes.
    taps: Vec<usize>,
    out: (usize, usize),
}

/// Weights in tiles, one stretch of at most DEPTH taps after the other.
struct Weights<T> {
    tiles: Tiles,
    packed: Vec<T>,
}

impl<T: Real> Weights<T> {
    fn pack(rows: usize, depth: usize, at: impl Fn(usize, usize) -> T) -> Self {
        let tiles = Tiles::new::<T>(rows);
        let mut packed = vec![T::ZERO; rows * depth];
        for (i, stretch) in packed.chunks_mut(rows * DEPTH).enumerate() {
            let k = i * DEPTH;
            pack_tiles(
                tiles,
                stretch.len() / rows,
                |row, t| at(row, k + t),
                stretch,
            );
        }
        Self { tiles, packed }
    }
}

impl Correlation {
    /// `out (rows, out.0 · out.1) = start + weights · unfolded planes`, for the rows of `weights`
    /// from `first_row` on that `out` holds.
    ///
    /// Outputs are computed in rows of the planes' width, `wide`, so that each tap reads one stretch
    /// of the planes; what comes to stand between the rows of the output is left behind.
    fn run<T: Real>(
        &self,
        planes: &[T],
        (weights, first_row): (&Weights<T>, usize),
        bias: Option<&[T]>,
        finish: Finish,
        wide: &mut Vec<T>,
        out: &mut [T],
    ) {
        let pixels = self.out.0 * self.out.1;
        let tiles = Tiles {
            rows: out.len() / pixels,
            ..weights.tiles
        };
        let all = weights.tiles.rows;
        let block = (PIXELS / self.planes.width).max(1);
        for first in (0..self.out.0).step_by(block) {
            let rows = block.min(self.out.0 - first);
            let columns = (rows - 1) * self.planes.width + self.out.1;
            let pitch = columns.next_multiple_of(2 * T::lanes());
            wide.resize(tiles.rows * pitch, T::ZERO);
            for k in (0..self.taps.len()).step_by(DEPTH) {
                let depth = DEPTH.min(self.taps.len() - k);
                let last = k + depth == self.taps.len();
                ProductInPlace {
                    tiles,
                    columns,
                    left: &weights.packed[k * all + first_row * depth..][..tiles.rows * depth],
                    right: &planes[first * self.planes.width..],
                    offsets: &self.taps[k..k + depth],
                    out: wide,
                    pitch,
                    start: match (k, bias) {
                        (0, Some(bias)) => Start::RowValue(bias),
                        (0, None) => Start::Zero,
                        _ => Start::Accumulate,
                    },
                    finish: if last { finish } else { Finish::Nothing },
                }
                .run();
            }
            for (out, wide) in out.chunks_exact_mut(pixels).zip(wide.chunks_exact(pitch)) {
                let out = out[first * self.out.1..].chunks_exact_mut(self.out.1);
                for (out, wide) in out.zip(wide.chunks(self.planes.width)).take(rows) {
                    out.copy_from_slice(&wide[..self.out.1]);
                }
            }
        }
    }
}

/// Scratch memory of one thread, kept from picture to picture.
struct Scratch<T> {
    planes: Vec<T>,
    wide: Vec<T>,
    masked: Vec<T>,
    image: Vec<T>,
}

impl<T: Real> Scratch<T> {
    fn new(planes: usize) -> Self {
        Self {
            planes: vec![T::ZERO; planes],
            wide: Vec::new(),
            masked: Vec::new(),
            image: Vec::new(),
        }
    }
}

pub(super) fn forward<T: Real>(g: &Geometry, finish: Finish, x: &[T], w: &[T], b: &[T]) -> Vec<T> {
    let planes = Planes::new(g.c, g.padded.0, g.padded.1, g.stride);
    let (kh, kw) = g.kernel;
    let taps = (0..g.taps())
        .map(|k| planes.at(k / (kh * kw), k / kw % kh, k % kw))
        .collect();
    let correlation = Correlation {
        planes,
        taps,
        out: g.out,
    };
    let weights: Vec<_> = (0..g.groups)
        .map(|group| {
            let w = &w[group * g.o * g.taps()..][..g.o * g.taps()];
            Weights::pack(g.o, g.taps(), |row, k| w[row * g.taps() + k])
        })
        .collect();
    let mut y = vec![T::ZERO; g.n * g.groups * g.out_len()];
    let (top, left) = (g.padding.0 as isize, g.padding.1 as isize);
    // Few pictures are shared out by tiles of channels too, so that no thread idles.
    let tiles = Tiles::new::<T>(g.o);
    let shares = rayon::current_num_threads().div_ceil((g.n * g.groups).max(1));
    let rows = tiles.count().div_ceil(shares) * tiles.height;
    y.par_chunks_mut(g.out_len())
        .enumerate()
        .flat_map(|(i, y)| {
            let shares = y.par_chunks_mut(rows * g.out_pixels()).enumerate();
            shares.map(move |(share, y)| (i, share * rows, y))
        })
        .for_each_init(
            || Scratch::new(planes.len() + 2 * T::lanes()),
            |scratch, (i, row, y)| {
                let group = i % g.groups;
                let picture = &x[i * g.in_len()..][..g.in_len()];
                planes.fill(picture, g.size, (top, left), &mut scratch.planes);
                let bias = &b[group * g.o + row..][..y.len() / g.out_pixels()];
                let Scratch { planes, wide, .. } = scratch;
                let weights = (&weights[group], row);
                correlation.run(planes, weights, Some(bias), finish, wide, y);
            },
        );
    y
}

/// The input gradient is a correlation of the output gradient with the kernel turned around, one
/// for each phase of the stride: `dx[c, q·s + r] = Σ_{o,t} w[o, c, t·s + r] · dy[o, q − t]`.
pub(super) fn input_gradient<T: Real>(g: &Geometry, w: &[T], y: &[T], dy: &[T]) -> Vec<T> {
    let (sh, sw) = g.stride;
    let (kh, kw) = (g.kernel.0.div_ceil(sh), g.kernel.1.div_ceil(sw));
    // Rows of the phase planes that hold pixels, not padding.
    let from = (g.padding.0 / sh, g.padding.1 / sw);
    let to = (
        (g.padding.0 + g.size.0).div_ceil(sh),
        (g.padding.1 + g.size.1).div_ceil(sw),
    );
    let out = (to.0 - from.0, to.1 - from.1);
    let planes = Planes::new(g.o, out.0 + kh - 1, out.1 + kw - 1, (1, 1));
    let correlation = Correlation {
        planes,
        taps: (0..g.o * kh * kw)
            .map(|k| planes.at(k / (kh * kw), k / kw % kh, k % kw))
            .collect(),
        out,
    };
    let weights: Vec<_> = (0..g.groups)
        .map(|group| {
            let w = &w[group * g.o * g.taps()..][..g.o * g.taps()];
            Weights::pack(g.c * sh * sw, g.o * kh * kw, |row, k| {
                let (c, ry, rx) = (row / (sh * sw), row / sw % sh, row % sw);
                let (o, ty, tx) = (k / (kh * kw), kh - 1 - k / kw % kh, kw - 1 - k % kw);
                let (u, v) = (ty * sh + ry, tx * sw + rx);
                if u < g.kernel.0 && v < g.kernel.1 {
                    w[((o * g.c + c) * g.kernel.0 + u) * g.kernel.1 + v]
                } else {
                    T::ZERO
                }
            })
        })
        .collect();
    let offset = (
        kh as isize - 1 - from.0 as isize,
        kw as isize - 1 - from.1 as isize,
    );
    let mut dx = vec![T::ZERO; g.n * g.groups * g.in_len()];
    dx.par_chunks_mut(g.in_len()).enumerate().for_each_init(
        || Scratch::new(planes.len() + 2 * T::lanes()),
        |scratch, (i, dx)| {
            let y = part(y, i, g.out_len());
            let dy = masked(y, part(dy, i, g.out_len()), &mut scratch.masked);
            planes.fill(dy, g.out, offset, &mut scratch.planes);
            let weights = (&weights[i % g.groups], 0);
            let Scratch {
                planes,
                wide,
                image,
                ..
            } = scratch;
            if g.stride == (1, 1) {
                correlation.run(planes, weights, None, Finish::Nothing, wide, dx);
                return;
            }
            image.resize(g.c * sh * sw * out.0 * out.1, T::ZERO);
            correlation.run(planes, weights, None, Finish::Nothing, wide, image);
            for c in 0..g.c {
                for row in 0..g.size.0 {
                    for column in 0..g.size.1 {
                        let (py, px) = (row + g.padding.0, column + g.padding.1);
                        let plane = (c * sh + py % sh) * sw + px % sw;
                        let at = (plane * out.0 + py / sh - from.0) * out.1 + px / sw - from.1;
                        dx[(c * g.size.0 + row) * g.size.1 + column] = image[at];
                    }
                }
            }
        },
    );
    dx
}
