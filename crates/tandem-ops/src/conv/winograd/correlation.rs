//! Forward and the input gradient: pictures correlated with kernels in the domain.
//!
//! Three passes over a chunk of pictures, each shared among threads: pictures into phases; patches
//! transformed and multiplied, a strip of cells and a row of four points a task; products into
//! outputs, a plane a task.

use super::{INPUT, Kernels, POINTS, Pieces};
use crate::conv::{Geometry, masked, part};
use crate::planes::Planes;
use crate::product::{Finish, Panels, Runs, Start, Store, tile};
use crate::real::Real;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Cells multiplied together: enough for the products to be long, few enough for the caches.
const CELLS: usize = 1024;
/// Cells of one task.
const STRIP: usize = 128;

pub fn forward<T: Real>(g: &Geometry, finish: Finish, x: &[T], w: &[T], b: &[T]) -> Vec<T> {
    let (kh, kw) = g.kernel;
    let pieces = Pieces::of(g.kernel);
    let kernels: Vec<_> = w
        .chunks_exact(g.o * g.taps())
        .map(|w| {
            let tap = |o, c, u, v| w[((o * g.c + c) * kh + u) * kw + v];
            Kernels::pack(g.o, g.c, pieces, tap)
        })
        .collect();
    let correlation = Correlation {
        groups: g.groups,
        outputs: g.o,
        size: g.size,
        out: g.out,
        corner: (g.padding.0 as isize, g.padding.1 as isize),
        pieces,
        phases: phases(g.c, g.out, pieces),
    };
    correlation.run(&kernels, &[], x, b, finish)
}

/// The output gradient correlated with the kernels turned around.
pub fn input_gradient<T: Real>(g: &Geometry, w: &[T], y: &[T], dy: &[T]) -> Vec<T> {
    let (kh, kw) = g.kernel;
    let pieces = Pieces::of(g.kernel);
    let kernels: Vec<_> = w
        .chunks_exact(g.o * g.taps())
        .map(|w| {
            let tap = |c, o, u, v| w[((o * g.c + c) * kh + kh - 1 - u) * kw + kw - 1 - v];
            Kernels::pack(g.c, g.o, pieces, tap)
        })
        .collect();
    let corner = (kh - 1 - g.padding.0, kw - 1 - g.padding.1);
    let correlation = Correlation {
        groups: g.groups,
        outputs: g.c,
        size: g.out,
        out: g.size,
        corner: (corner.0 as isize, corner.1 as isize),
        pieces,
        phases: phases(g.o, g.size, pieces),
    };
    correlation.run(&kernels, y, dy, &[], Finish::Nothing)
}

/// A correlation of pictures with kernels.
struct Correlation {
    groups: usize,
    outputs: usize,
    size: (usize, usize),
    out: (usize, usize),
    corner: (isize, isize),
    pieces: Pieces,
    phases: Planes,
}

/// The phases of the patches: entry (a, b) of all patches in a row of cells is one run of memory.
fn phases(channels: usize, out: (usize, usize), pieces: Pieces) -> Planes {
    let side = |out: usize, pieces: usize| out.next_multiple_of(2) + 2 + 3 * (pieces - 1);
    let (height, width) = (side(out.0, pieces.down), side(out.1, pieces.across));
    Planes::new(channels, height, width, (2, 2))
}

impl Correlation {
    fn cells_across(&self) -> usize {
        self.out.1.div_ceil(2)
    }

    fn cells_a_picture(&self) -> usize {
        self.out.0.div_ceil(2) * self.cells_across()
    }

    /// Correlates `x`, masked where `y` is not positive.
    fn run<T: Real>(
        &self,
        kernels: &[Kernels<T>],
        y: &[T],
        x: &[T],
        bias: &[T],
        finish: Finish,
    ) -> Vec<T> {
        let (groups, outputs) = (self.groups, self.outputs);
        let in_len = self.phases.channels * self.size.0 * self.size.1;
        let pixels = self.out.0 * self.out.1;
        let n = x.len() / (in_len * groups);
        let pictures = (CELLS / self.cells_a_picture()).clamp(1, n.max(1));
        let mut phases = vec![T::ZERO; pictures * groups * self.phases.len() + T::lanes()];
        let mut products = Vec::new();
        let mut out = vec![T::ZERO; n * groups * outputs * pixels];
        let chunk_len = pictures * groups * outputs * pixels;
        for (chunk, out) in out.chunks_mut(chunk_len).enumerate() {
            let first = chunk * pictures * groups;
            let here = out.len() / (outputs * pixels);
            phases
                .par_chunks_exact_mut(self.phases.len())
                .take(here)
                .enumerate()
                .for_each_init(Vec::new, |scratch, (i, phases)| {
                    let y = part(y, first + i, in_len);
                    let x = masked(y, part(x, first + i, in_len), scratch);
                    self.phases.fill(x, self.size, self.corner, phases);
                });
            let strips = Strips::new::<T>(outputs, here / groups * self.cells_a_picture());
            products.resize(groups * strips.len(), T::ZERO);
            let phases = &phases;
            products
                .par_chunks_mut(strips.len())
                .enumerate()
                .flat_map(|(group, products)| {
                    let strips = products.par_chunks_mut(POINTS * outputs * STRIP);
                    strips.enumerate().flat_map(move |(strip, products)| {
                        let rows = products.par_chunks_mut(products.len() / 4).enumerate();
                        rows.map(move |(row, products)| (group, strip, row, products))
                    })
                })
                .for_each_init(Vec::new, |patches, (group, strip, row, products)| {
                    Arch::new().dispatch(PointsOfARow {
                        correlation: self,
                        kernels: &kernels[group],
                        phases,
                        group,
                        cells: strips.span(strip),
                        row,
                        patches,
                        products,
                    });
                });
            let products = &products;
            out.par_chunks_exact_mut(pixels).enumerate().for_each_init(
                || vec![T::ZERO; 4 * self.cells_a_picture()],
                |cells, (plane, out)| {
                    let (i, output) = (plane / outputs, plane % outputs);
                    let group = i % groups;
                    Arch::new().dispatch(OutputPlane {
                        correlation: self,
                        strips,
                        products: &products[group * strips.len()..],
                        picture: i / groups,
                        output,
                        bias: bias.get(group * outputs + output).copied(),
                        finish,
                        cells,
                        out,
                    });
                },
            );
        }
        out
    }
}

/// How the cells of a chunk of pictures are shared among tasks.
#[derive(Clone, Copy)]
struct Strips {
    outputs: usize,
    cells: usize,
    padded: usize,
}

impl Strips {
    fn new<T: Real>(outputs: usize, cells: usize) -> Self {
        let padded = Panels::new::<T>(cells).padded();
        Self {
            outputs,
            cells,
            padded,
        }
    }

    /// Values of the products of one group: `[strip][point][output][cell]`.
    fn len(&self) -> usize {
        POINTS * self.outputs * self.padded
    }

    /// The cells of strip `s`.
    fn span(&self, s: usize) -> std::ops::Range<usize> {
        s * STRIP..((s + 1) * STRIP).min(self.cells)
    }

    /// Where the products of an output at `point` for `cell` lie, and how many cells follow there.
    fn at(&self, point: usize, output: usize, cell: usize) -> (usize, usize) {
        let strip = cell / STRIP;
        let pitch = STRIP.min(self.padded - strip * STRIP);
        let first = POINTS * self.outputs * strip * STRIP;
        let within = cell - strip * STRIP;
        let at = first + (point * self.outputs + output) * pitch + within;
        (at, self.span(strip).len() - within)
    }
}

/// The products of four points, a row of the domain, for a strip of cells.
struct PointsOfARow<'a, T> {
    correlation: &'a Correlation,
    kernels: &'a Kernels<T>,
    phases: &'a [T],
    group: usize,
    cells: std::ops::Range<usize>,
    row: usize,
    patches: &'a mut Vec<T>,
    products: &'a mut [T],
}

impl<T: Real> PointsOfARow<'_, T> {
    /// Writes `Bᵀ d B` of this row into panels, `[point][panel][k][cell]`, and says how far apart
    /// points are.
    #[inline(always)]
    fn transform<S: Simd>(&mut self, simd: S, panels: Panels) -> usize {
        let planes = self.correlation.phases;
        let depth = self.kernels.depth;
        let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
        // Runs are written in whole vectors; what is written past a run's end is written again by
        // the run that comes there. The last has a vector of slack.
        let pitch = panels.padded() * depth + lanes;
        self.patches.resize(4 * pitch, T::ZERO);
        let (plus, other, sign) = INPUT[self.row];
        let row_sign = T::splat(simd, T::from_f64(sign));
        let mut signs = [row_sign; 4];
        for (j, (_, _, sign)) in INPUT.into_iter().enumerate() {
            signs[j] = T::splat(simd, T::from_f64(sign));
        }
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for p in 0..panels.count() {
            let (column, width, real) = panels.span(p);
            self.find_runs(column..column + real, lanes, &mut runs);
            for piece in 0..self.correlation.pieces.count() {
                // Where the entries of a patch that this row takes lie from the patch's start.
                let (top, left) = self.correlation.pieces.corner(piece);
                let mut entries = [[0; 2]; 4];
                for (b, entry) in entries.iter_mut().enumerate() {
                    let at = |a: usize| planes.at(0, top + a, left + b);
                    *entry = [at(plus), at(other)];
                }
                for channel in 0..planes.channels {
                    let k = piece * planes.channels + channel;
                    for &(at, from) in &runs {
                        let patch = &self.phases[from + channel * 4 * planes.area()..];
                        let mut row = [row_sign; 4];
                        for b in 0..4 {
                            let plus = T::as_simd::<S>(&patch[entries[b][0]..][..lanes]).0[0];
                            let other = T::as_simd::<S>(&patch[entries[b][1]..][..lanes]).0[0];
                            row[b] = T::mul_add(simd, row_sign, other, plus);
                        }
                        let to = column * depth + k * width + at;
                        for (j, (plus, other, _)) in INPUT.into_iter().enumerate() {
                            let to = &mut self.patches[j * pitch + to..][..lanes];
                            let value = T::mul_add(simd, signs[j], row[other], row[plus]);
                            T::as_mut_simd::<S>(to).0[0] = value;
                        }
                    }
                }
            }
        }
        pitch
    }

    /// Cells `columns` of the strip as runs along their rows, at most a vector each: the column in
    /// the panel, and where the first patch starts.
    fn find_runs(
        &self,
        columns: std::ops::Range<usize>,
        lanes: usize,
        runs: &mut Vec<(usize, usize)>,
    ) {
        let Correlation { groups, phases, .. } = *self.correlation;
        let across = self.correlation.cells_across();
        let cells = self.correlation.cells_a_picture();
        runs.clear();
        let mut at = 0;
        while at < columns.len() {
            let cell = self.cells.start + columns.start + at;
            let (picture, row) = (cell / cells, cell % cells / across);
            let column = cell % cells % across;
            let run = (across - column).min(columns.len() - at).min(lanes);
            let picture = (picture * groups + self.group) * phases.len();
            runs.push((at, picture + row * phases.width + column));
            at += run;
        }
    }
}

impl<T: Real> WithSimd for PointsOfARow<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let panels = Panels::new::<T>(self.cells.len());
        let pitch = self.transform(simd, panels);
        let Kernels { tiles, depth, .. } = *self.kernels;
        let products = self.products.chunks_exact_mut(tiles.rows * panels.padded());
        for (j, products) in products.enumerate() {
            for p in 0..panels.count() {
                let (column, width, _) = panels.span(p);
                let right = &self.patches[j * pitch + column * depth..][..width * depth];
                for t in 0..tiles.count() {
                    let (first, rows, left) = self.kernels.tile(t, 4 * self.row + j);
                    let at = first * panels.padded() + column;
                    let store = Store {
                        out: &mut products[at..at + (rows - 1) * panels.padded() + width],
                        pitch: panels.padded(),
                        columns: width,
                        start: Start::Zero,
                        finish: Finish::Nothing,
                    };
                    let runs = Runs::one(depth);
                    tile(simd, (rows, width), left, right, runs, store);
                }
            }
        }
    }
}

/// One plane of the output from its products: `Aᵀ M A`, bias and ReLU.
struct OutputPlane<'a, T> {
    correlation: &'a Correlation,
    strips: Strips,
    products: &'a [T],
    picture: usize,
    output: usize,
    bias: Option<T>,
    finish: Finish,
    /// The four outputs of all cells, a quarter each.
    cells: &'a mut [T],
    out: &'a mut [T],
}

impl<T: Real> WithSimd for OutputPlane<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let cells = self.correlation.cells_a_picture();
        let bias = self.bias.unwrap_or(T::ZERO);
        let (upper, lower) = self.cells.split_at_mut(2 * cells);
        let (y00, y01) = upper.split_at_mut(cells);
        let (y10, y11) = lower.split_at_mut(cells);
        let mut done = 0;
        while done < cells {
            let cell = self.picture * cells + done;
            let run = self.strips.at(0, self.output, cell).1.min(cells - done);
            let mut m: [&[T]; POINTS] = [&[]; POINTS];
            for (point, m) in m.iter_mut().enumerate() {
                *m = &self.products[self.strips.at(point, self.output, cell).0..][..run];
            }
            let (y00, y01) = (&mut y00[done..][..run], &mut y01[done..][..run]);
            let (y10, y11) = (&mut y10[done..][..run], &mut y11[done..][..run]);
            for t in 0..run {
                let (mut upper, mut lower) = ([bias; 4], [bias; 4]);
                for j in 0..4 {
                    upper[j] = m[j][t] + m[4 + j][t] + m[8 + j][t];
                    lower[j] = m[4 + j][t] - m[8 + j][t] - m[12 + j][t];
                }
                y00[t] = upper[0] + upper[1] + upper[2] + bias;
                y01[t] = upper[1] - upper[2] - upper[3] + bias;
                y10[t] = lower[0] + lower[1] + lower[2] + bias;
                y11[t] = lower[1] - lower[2] - lower[3] + bias;
            }
            done += run;
        }
        if self.finish == Finish::Relu {
            for y in self.cells.iter_mut() {
                // NaN stays NaN.
                *y = if *y < T::ZERO { T::ZERO } else { *y };
            }
        }
        let (width, across) = (self.correlation.out.1, self.correlation.cells_across());
        for (row, out) in self.out.chunks_exact_mut(width).enumerate() {
            let half = &self.cells[row % 2 * 2 * cells..][..2 * cells];
            let (left, right) = half.split_at(cells);
            let (left, right) = (&left[row / 2 * across..], &right[row / 2 * across..]);
            let (pairs, last) = out.as_chunks_mut::<2>();
            for (i, pair) in pairs.iter_mut().enumerate() {
                *pair = [left[i], right[i]];
            }
            if let [last] = last {
                *last = left[across - 1];
            }
        }
    }
}
