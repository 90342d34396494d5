//! 3×3 convolutions of stride 1 by Winograd's F(2×2, 3×3): 16 products for 4 outputs, not 36.
//!
//! Lavin, Gray, "Fast Algorithms for Convolutional Neural Networks" (CVPR 2016). A picture is cut
//! into patches of 4×4 that overlap by two; each gives 2×2 outputs, a *cell*:
//! `Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A`, with
//!
//! ```text
//! Bᵀ = 1  0 −1  0     G = 1    0   0      Aᵀ = 1  1  1  0
//!      0  1  1  0         1/2  1/2 1/2         0  1 −1 −1
//!      0 −1  1  0         1/2 −1/2 1/2
//!      0  1  0 −1         0    0   1
//! ```
//!
//! Summed over channels, ⊙ is sixteen matrix products, one for each *point* of the 4×4 domain. The
//! coefficients are halves and ones, so the result is as exact as the sum itself (tested against
//! f64); an infinity in a patch makes NaN of its cell. Larger tiles save more products but lose
//! digits. conv3 to conv5 of the paper take half the time of `direct` this way.

use super::weight_gradient::{block_channels, sum_pictures, sum_rows};
use super::{Geometry, masked, part};
use crate::planes::Planes;
use crate::product::{Finish, Panels, Runs, Start, Store, Tiles, pack_tiles, tile_of_rows};
use crate::real::Real;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

const POINTS: usize = 16;

/// Rows of Bᵀ: `d[plus] + sign · d[other]`.
const INPUT: [(usize, usize, f64); 4] = [(0, 2, -1.0), (1, 2, 1.0), (2, 1, -1.0), (1, 3, -1.0)];

/// Cells multiplied together: enough for the products to be long, few enough for the caches.
const CELLS: usize = 512;
/// Cells of one task.
const STRIP: usize = 128;

/// Whether the convolution is one of these, and large enough to gain.
pub(super) fn fits(g: &Geometry) -> bool {
    let padded_little = g.padding.0 <= 2 && g.padding.1 <= 2;
    let large = g.c >= 8 && g.o >= 8 && g.out.0 >= 3 && g.out.1 >= 3;
    g.kernel == (3, 3) && g.stride == (1, 1) && padded_little && large
}

/// Kernels in the domain of the products: `[tile of rows][point][k][row of the tile]`.
struct Kernels<T> {
    tiles: Tiles,
    depth: usize,
    packed: Vec<T>,
}

impl<T: Real> Kernels<T> {
    /// `G g Gᵀ` of each kernel `g = at(row, k)`, row-major.
    fn pack(rows: usize, depth: usize, at: impl Fn(usize, usize) -> [T; 9] + Sync) -> Self {
        let tiles = Tiles::new::<T>(rows);
        let half = T::from_f64(0.5);
        let mut packed = vec![T::ZERO; POINTS * rows * depth];
        packed
            .par_chunks_mut(POINTS * tiles.height * depth)
            .enumerate()
            .for_each(|(t, packed)| {
                let (first, rows) = tiles.span(t);
                // One row of G g, or of G (G g)ᵀ.
                let stretch = |[a, b, c]: [T; 3]| {
                    let (ends, middle) = ((a + c) * half, b * half);
                    [a, ends + middle, ends - middle, c]
                };
                for k in 0..depth {
                    for row in 0..rows {
                        let g = at(first + row, k);
                        let columns = [0, 1, 2].map(|v| stretch([g[v], g[3 + v], g[6 + v]]));
                        for i in 0..4 {
                            for (j, u) in stretch(columns.map(|c| c[i])).into_iter().enumerate() {
                                packed[((4 * i + j) * depth + k) * rows + row] = u;
                            }
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

/// A correlation of pictures with kernels, forward and input gradient alike.
struct Correlation {
    groups: usize,
    outputs: usize,
    size: (usize, usize),
    out: (usize, usize),
    corner: (isize, isize),
    /// Cells down and across.
    cells: (usize, usize),
    /// The patches' phases: entry (a, b) of all patches in a row of cells is one run of memory.
    phases: Planes,
}

impl Correlation {
    fn new(
        groups: usize,
        (inputs, outputs): (usize, usize),
        (size, out): ((usize, usize), (usize, usize)),
        padding: (usize, usize),
    ) -> Self {
        let cells = (out.0.div_ceil(2), out.1.div_ceil(2));
        Self {
            groups,
            outputs,
            size,
            out,
            corner: (padding.0 as isize, padding.1 as isize),
            cells,
            phases: Planes::new(inputs, 2 * cells.0 + 2, 2 * cells.1 + 2, (2, 2)),
        }
    }

    fn cells_a_picture(&self) -> usize {
        self.cells.0 * self.cells.1
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
        let groups = self.groups;
        let in_len = self.phases.channels * self.size.0 * self.size.1;
        let pixels = self.out.0 * self.out.1;
        let n = x.len() / (in_len * groups);
        let pictures = (CELLS / self.cells_a_picture()).clamp(1, n.max(1));
        let mut phases = vec![T::ZERO; pictures * groups * self.phases.len() + T::lanes()];
        let mut products = Vec::new();
        let mut out = vec![T::ZERO; n * groups * self.outputs * pixels];
        for (chunk, out) in out
            .chunks_mut(pictures * groups * self.outputs * pixels)
            .enumerate()
        {
            let first = chunk * pictures * groups;
            let here = out.len() / (self.outputs * pixels);
            phases
                .par_chunks_exact_mut(self.phases.len())
                .take(here)
                .enumerate()
                .for_each_init(Vec::new, |scratch, (i, phases)| {
                    let y = part(y, first + i, in_len);
                    let x = masked(y, part(x, first + i, in_len), scratch);
                    self.phases.fill(x, self.size, self.corner, phases);
                });
            let strips = Strips::new::<T>(self.outputs, here / groups * self.cells_a_picture());
            products.resize(groups * strips.len(), T::ZERO);
            let phases = &phases;
            products
                .par_chunks_mut(strips.len())
                .enumerate()
                .flat_map(|(group, products)| {
                    let strips = products.par_chunks_mut(POINTS * self.outputs * STRIP);
                    strips.enumerate().flat_map(move |(strip, products)| {
                        let rows = products.par_chunks_mut(products.len() / 4);
                        rows.enumerate()
                            .map(move |(row, products)| (group, strip, row, products))
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
                |outputs, (plane, out)| {
                    let (i, channel) = (plane / self.outputs, plane % self.outputs);
                    let group = i % groups;
                    Arch::new().dispatch(Outputs {
                        correlation: self,
                        strips,
                        products: &products[group * strips.len()..],
                        picture: i / groups,
                        channel,
                        bias: part(bias, group * self.outputs + channel, 1),
                        finish,
                        outputs,
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

    /// Where the products of an output at `point` for `cell` lie, and how many of them follow.
    fn at(&self, point: usize, output: usize, cell: usize) -> (usize, usize) {
        let strip = cell / STRIP;
        let pitch = STRIP.min(self.padded - strip * STRIP);
        let first = POINTS * self.outputs * strip * STRIP;
        let within = cell - strip * STRIP;
        let at = first + (point * self.outputs + output) * pitch + within;
        (at, self.span(strip).len() - within)
    }
}

/// The products of four points, a row of the domain, for a strip of cells: transforms the patches
/// and multiplies them with the kernels.
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
    /// Writes `Bᵀ d B` of this row into panels, `[point][panel][channel][cell]`, and says how far
    /// apart points are.
    #[inline(always)]
    fn transform<S: Simd>(&mut self, simd: S, panels: Panels) -> usize {
        let Correlation {
            groups,
            cells: (_, across),
            phases: planes,
            ..
        } = self.correlation;
        let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
        let (channels, area) = (planes.channels, planes.area());
        // Runs are written in whole vectors; what is written past a run's end is written again by
        // the run that comes there. The last has a vector of slack.
        let pitch = panels.padded() * channels + lanes;
        self.patches.resize(4 * pitch, T::ZERO);
        let (plus, other, sign) = INPUT[self.row];
        let row_sign = T::splat(simd, T::from_f64(sign));
        let signs = INPUT.map(|(_, _, sign)| T::splat(simd, T::from_f64(sign)));
        // Where entry (a, b) of a patch lies from the patch's start.
        let entry = |a: usize, b: usize| (a % 2 * 2 + b % 2) * area + a / 2 * planes.width + b / 2;
        let entries: [[usize; 2]; 4] = std::array::from_fn(|b| [entry(plus, b), entry(other, b)]);
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for p in 0..panels.count() {
            let (column, width, real) = panels.span(p);
            runs.clear();
            let mut at = 0;
            while at < real {
                let cell = self.cells.start + column + at;
                let picture = cell / self.correlation.cells_a_picture();
                let cell = cell % self.correlation.cells_a_picture();
                let run = (across - cell % across).min(real - at);
                let from = (picture * groups + self.group) * planes.len()
                    + cell / across * planes.width
                    + cell % across;
                runs.extend((0..run).step_by(lanes).map(|s| (at + s, from + s)));
                at += run;
            }
            for channel in 0..channels {
                for &(at, from) in &runs {
                    let patch = &self.phases[from + channel * 4 * area..];
                    let load = |at: usize| T::as_simd::<S>(&patch[at..at + lanes]).0[0];
                    let rows = entries
                        .map(|[plus, other]| T::mul_add(simd, row_sign, load(other), load(plus)));
                    for (j, (plus, other, _)) in INPUT.into_iter().enumerate() {
                        let value = T::mul_add(simd, signs[j], rows[other], rows[plus]);
                        let to = j * pitch + column * channels + channel * width + at;
                        T::as_mut_simd::<S>(&mut self.patches[to..to + lanes]).0[0] = value;
                    }
                }
            }
        }
        pitch
    }
}

impl<T: Real> WithSimd for PointsOfARow<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
        let panels = Panels::new::<T>(self.cells.len());
        let pitch = self.transform(simd, panels);
        let Kernels { tiles, depth, .. } = *self.kernels;
        for (j, products) in self
            .products
            .chunks_exact_mut(tiles.rows * panels.padded())
            .enumerate()
        {
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
                    if width == lanes {
                        tile_of_rows::<S, T, 1>(simd, rows, left, right, runs, store);
                    } else {
                        tile_of_rows::<S, T, 2>(simd, rows, left, right, runs, store);
                    }
                }
            }
        }
    }
}

/// One plane of the output from its products: `Aᵀ M A`, bias and ReLU.
struct Outputs<'a, T> {
    correlation: &'a Correlation,
    strips: Strips,
    products: &'a [T],
    picture: usize,
    channel: usize,
    /// One value, or none.
    bias: &'a [T],
    finish: Finish,
    /// The four outputs of the cells, a quarter each.
    outputs: &'a mut [T],
    out: &'a mut [T],
}

impl<T: Real> WithSimd for Outputs<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let cells = self.correlation.cells_a_picture();
        let bias = self.bias.first().copied().unwrap_or(T::ZERO);
        let (upper, lower) = self.outputs.split_at_mut(2 * cells);
        let (y00, y01) = upper.split_at_mut(cells);
        let (y10, y11) = lower.split_at_mut(cells);
        let mut done = 0;
        while done < cells {
            let cell = self.picture * cells + done;
            let run = self.strips.at(0, self.channel, cell).1.min(cells - done);
            let m: [&[T]; POINTS] = std::array::from_fn(|point| {
                &self.products[self.strips.at(point, self.channel, cell).0..][..run]
            });
            let (y00, y01) = (&mut y00[done..][..run], &mut y01[done..][..run]);
            let (y10, y11) = (&mut y10[done..][..run], &mut y11[done..][..run]);
            for t in 0..run {
                let upper: [T; 4] = std::array::from_fn(|j| m[j][t] + m[4 + j][t] + m[8 + j][t]);
                let lower: [T; 4] =
                    std::array::from_fn(|j| m[4 + j][t] - m[8 + j][t] - m[12 + j][t]);
                y00[t] = upper[0] + upper[1] + upper[2] + bias;
                y01[t] = upper[1] - upper[2] - upper[3] + bias;
                y10[t] = lower[0] + lower[1] + lower[2] + bias;
                y11[t] = lower[1] - lower[2] - lower[3] + bias;
            }
            done += run;
        }
        if self.finish == Finish::Relu {
            for y in self.outputs.iter_mut() {
                // NaN stays NaN.
                *y = if *y < T::ZERO { T::ZERO } else { *y };
            }
        }
        let (width, across) = (self.correlation.out.1, self.correlation.cells.1);
        for (row, out) in self.out.chunks_exact_mut(width).enumerate() {
            let half = &self.outputs[row % 2 * 2 * cells..][..2 * cells];
            let (left, right) = half.split_at(cells);
            let first = row / 2 * across;
            let (pairs, last) = out.as_chunks_mut::<2>();
            for ((pair, left), right) in pairs.iter_mut().zip(&left[first..]).zip(&right[first..]) {
                *pair = [*left, *right];
            }
            if let [last] = last {
                *last = left[first + across - 1];
            }
        }
    }
}

pub(super) fn forward<T: Real>(g: &Geometry, finish: Finish, x: &[T], w: &[T], b: &[T]) -> Vec<T> {
    let kernels: Vec<_> = (0..g.groups)
        .map(|group| {
            let w = w[group * g.o * g.taps()..].as_chunks::<9>().0;
            Kernels::pack(g.o, g.c, |o, c| w[o * g.c + c])
        })
        .collect();
    Correlation::new(g.groups, (g.c, g.o), (g.size, g.out), g.padding).run(
        &kernels,
        &[],
        x,
        b,
        finish,
    )
}

/// The output gradient correlated with the kernels turned around.
pub(super) fn input_gradient<T: Real>(g: &Geometry, w: &[T], y: &[T], dy: &[T]) -> Vec<T> {
    let kernels: Vec<_> = (0..g.groups)
        .map(|group| {
            let w = w[group * g.o * g.taps()..].as_chunks::<9>().0;
            Kernels::pack(g.c, g.o, |c, o| {
                let mut kernel = w[o * g.c + c];
                kernel.reverse();
                kernel
            })
        })
        .collect();
    let padding = (2 - g.padding.0, 2 - g.padding.1);
    Correlation::new(g.groups, (g.o, g.c), (g.out, g.size), padding).run(
        &kernels,
        y,
        dy,
        &[],
        Finish::Nothing,
    )
}

/// Pictures whose products are summed together for the weight gradient.
const CHUNK: usize = 8;

/// `dg = Gᵀ [Σ (A dy Aᵀ) ⊙ (Bᵀ d B)] G`: sixteen matrix products summed over the cells.
///
/// Each picture is first transformed in the order the kernel reads, the output gradient as
/// `[point][tile of outputs][cell][output]`, the input as `[point][block][cell][channel]`.
pub(super) fn weight_gradient<T: Real>(
    g: &Geometry,
    x: &[T],
    y: &[T],
    dy: &[T],
) -> (Vec<T>, Vec<T>) {
    let across = g.out.1.div_ceil(2);
    let cells = g.out.0.div_ceil(2) * across;
    let gradient = Planes::new(g.o, g.out.0.next_multiple_of(2), 2 * across, (1, 1));
    let picture = Planes::new(g.c, gradient.height + 2, gradient.width + 2, (1, 1));
    let (tiles, blocks) = (Tiles::new::<T>(g.o), Panels::new::<T>(g.c));
    let (left_len, right_len) = (g.o * cells, blocks.padded() * cells);
    let ordered_len = POINTS * (left_len + right_len);
    let chunk = CHUNK.min(g.n.max(1)) * g.groups;
    let mut ordered = vec![T::ZERO; chunk * ordered_len];
    let mut biases = vec![T::ZERO; g.n * g.groups * g.o];
    // [group][point][output][channel]
    let pitch = blocks.padded();
    let mut sums = vec![T::ZERO; g.groups * POINTS * g.o * pitch];
    for (chunk_index, biases) in biases.chunks_mut(chunk * g.o).enumerate() {
        let first = chunk_index * chunk;
        let pictures = biases.len() / (g.o * g.groups);
        ordered
            .par_chunks_mut(ordered_len)
            .zip(biases.par_chunks_mut(g.o))
            .enumerate()
            .for_each_init(
                || {
                    let planes = [gradient.len(), picture.len()].map(|len| vec![T::ZERO; len]);
                    let orders = [gradient.len(), blocks.padded() * picture.area()];
                    (planes, orders.map(|len| vec![T::ZERO; len]), Vec::new())
                },
                |([gradients, pixels], [rows, columns], scratch), (i, (ordered, db))| {
                    let i = first + i;
                    let y = part(y, i, g.out_len());
                    let dy = masked(y, part(dy, i, g.out_len()), scratch);
                    sum_rows(dy, db);
                    gradient.fill(dy, g.out, (0, 0), gradients);
                    let area = gradient.area();
                    pack_tiles(tiles, area, |o, p| gradients[o * area + p], rows);
                    let corner = (g.padding.0 as isize, g.padding.1 as isize);
                    picture.fill(part(x, i, g.in_len()), g.size, corner, pixels);
                    block_channels(&picture, blocks, pixels, columns);
                    let (left, right) = ordered.split_at_mut(POINTS * left_len);
                    Arch::new().dispatch(TransformPicture {
                        tiles,
                        blocks,
                        widths: (gradient.width, picture.width),
                        cells: (cells / across, across),
                        rows,
                        columns,
                        left,
                        right,
                    });
                },
            );
        let ordered = &ordered;
        sums.par_chunks_mut(g.o * pitch)
            .enumerate()
            .flat_map(|(at, sums)| {
                let tile = sums.par_chunks_mut(tiles.height * pitch).enumerate();
                tile.map(move |(t, sums)| (at / POINTS, at % POINTS, t, sums))
            })
            .for_each(|(group, point, t, sums)| {
                let (first, rows) = tiles.span(t);
                let at = group * ordered_len;
                Arch::new().dispatch(SumCells {
                    rows,
                    blocks,
                    left: &ordered[at + point * left_len + first * cells..],
                    right: &ordered[at + POINTS * left_len + point * right_len..],
                    pictures,
                    cells,
                    step: g.groups * ordered_len,
                    sums,
                });
            });
    }
    let mut dw = vec![T::ZERO; g.groups * g.o * g.taps()];
    dw.par_chunks_mut(g.taps()).enumerate().for_each(|(o, dw)| {
        let (group, o) = (o / g.o, o % g.o);
        let at = |point: usize, c: usize| ((group * POINTS + point) * g.o + o) * pitch + c;
        let half = T::from_f64(0.5);
        // One row of Gᵀ m.
        let shrink = |[a, b, c, d]: [T; 4]| {
            let (sum, difference) = ((b + c) * half, (b - c) * half);
            [a + sum, difference, sum + d]
        };
        for (c, dw) in dw.as_chunks_mut::<9>().0.iter_mut().enumerate() {
            let columns: [[T; 3]; 4] =
                std::array::from_fn(|j| shrink(std::array::from_fn(|i| sums[at(4 * i + j, c)])));
            for u in 0..3 {
                let row = shrink(columns.map(|column| column[u]));
                dw[3 * u..3 * u + 3].copy_from_slice(&row);
            }
        }
    });
    (dw, sum_pictures(&biases, g.groups * g.o))
}

/// Both operands of the weight gradient's products for one picture.
struct TransformPicture<'a, T> {
    tiles: Tiles,
    blocks: Panels,
    /// Of the padded output gradient and the padded picture.
    widths: (usize, usize),
    cells: (usize, usize),
    /// `[tile][pixel][output]`
    rows: &'a [T],
    /// `[block][pixel][channel]`
    columns: &'a [T],
    left: &'a mut [T],
    right: &'a mut [T],
}

impl<T: Real> WithSimd for TransformPicture<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
        let cells = self.cells.0 * self.cells.1;
        let signs = INPUT.map(|(_, _, sign)| T::splat(simd, T::from_f64(sign)));
        let right_len = self.right.len() / POINTS;
        let area = self.columns.len() / self.blocks.padded();
        for p in 0..self.blocks.count() {
            let (first, width, _) = self.blocks.span(p);
            let block = &self.columns[first * area..(first + width) * area];
            for cell in 0..cells {
                let (y, x) = (cell / self.cells.1 * 2, cell % self.cells.1 * 2);
                for at in (0..width).step_by(lanes) {
                    let d: [[T::Vector<S>; 4]; 4] = std::array::from_fn(|a| {
                        std::array::from_fn(|b| {
                            let from = ((y + a) * self.widths.1 + x + b) * width + at;
                            T::as_simd::<S>(&block[from..from + lanes]).0[0]
                        })
                    });
                    for (i, (plus, other, _)) in INPUT.into_iter().enumerate() {
                        let row: [T::Vector<S>; 4] = std::array::from_fn(|b| {
                            T::mul_add(simd, signs[i], d[other][b], d[plus][b])
                        });
                        for (j, (plus, other, _)) in INPUT.into_iter().enumerate() {
                            let value = T::mul_add(simd, signs[j], row[other], row[plus]);
                            let to = (4 * i + j) * right_len + first * cells + cell * width + at;
                            T::as_mut_simd::<S>(&mut self.right[to..to + lanes]).0[0] = value;
                        }
                    }
                }
            }
        }
        let left_len = self.left.len() / POINTS;
        let area = self.rows.len() / self.tiles.rows;
        for t in 0..self.tiles.count() {
            let (first, rows) = self.tiles.span(t);
            let tile = &self.rows[first * area..(first + rows) * area];
            for cell in 0..cells {
                let (y, x) = (cell / self.cells.1 * 2, cell % self.cells.1 * 2);
                let pixel =
                    |a: usize, b: usize| &tile[((y + a) * self.widths.0 + x + b) * rows..][..rows];
                let (d00, d01, d10, d11) = (pixel(0, 0), pixel(0, 1), pixel(1, 0), pixel(1, 1));
                for r in 0..rows {
                    // Rows of A: the value, the sum, the difference, minus the last.
                    let stretch = |a: T, b: T| [a, a + b, a - b, T::ZERO - b];
                    let (left, right) = (stretch(d00[r], d10[r]), stretch(d01[r], d11[r]));
                    for i in 0..4 {
                        for (j, value) in stretch(left[i], right[i]).into_iter().enumerate() {
                            let at = (4 * i + j) * left_len + first * cells + cell * rows + r;
                            self.left[at] = value;
                        }
                    }
                }
            }
        }
    }
}

/// Adds to a tile of outputs at one point the products of all cells of some pictures.
struct SumCells<'a, T> {
    rows: usize,
    blocks: Panels,
    left: &'a [T],
    right: &'a [T],
    pictures: usize,
    cells: usize,
    /// From one picture to the next, in both operands.
    step: usize,
    sums: &'a mut [T],
}

impl<T: Real> WithSimd for SumCells<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
        let pitch = self.blocks.padded();
        let runs = Runs {
            count: self.pictures,
            length: self.cells,
            left_step: self.step,
            right_step: self.step,
        };
        for p in 0..self.blocks.count() {
            let (first, width, _) = self.blocks.span(p);
            let right = &self.right[first * self.cells..];
            let store = Store {
                out: &mut self.sums[first..first + (self.rows - 1) * pitch + width],
                pitch,
                columns: width,
                start: Start::Accumulate,
                finish: Finish::Nothing,
            };
            if width == lanes {
                tile_of_rows::<S, T, 1>(simd, self.rows, self.left, right, runs, store);
            } else {
                tile_of_rows::<S, T, 2>(simd, self.rows, self.left, right, runs, store);
            }
        }
    }
}
