//! Weight and bias gradients: `dg = Gᵀ [Σ (A dy Aᵀ) ⊙ (Bᵀ d B)] G`, sixteen matrix products summed
//! over the cells of all pictures.
//!
//! Each picture is first transformed into the order that the kernel reads: the output gradient as
//! `[point][tile of outputs][cell][output]`, the input as `[point][panel][cell][channel]`, where
//! the channels of the first piece come before those of the second. Then each tile of outputs at
//! each point is summed by one task.

use super::{INPUT, POINTS, Pieces, from_domain};
use crate::conv::weight_gradient::{interleave, sum_pictures, sum_rows};
use crate::conv::{Geometry, masked, part};
use crate::planes::Planes;
use crate::product::{Finish, MAX_ROWS, Panels, Runs, Start, Store, Tiles, pack_tiles, tile};
use crate::real::Real;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Pictures whose products are summed together.
const CHUNK: usize = 8;

pub fn weight_gradient<T: Real>(g: &Geometry, x: &[T], y: &[T], dy: &[T]) -> (Vec<T>, Vec<T>) {
    let layout = Layout::new::<T>(g);
    let Layout {
        tiles,
        panels,
        cells,
        ..
    } = layout;
    let (left_len, right_len) = (g.o * cells, panels.padded() * cells);
    let ordered_len = POINTS * (left_len + right_len);
    let chunk = CHUNK.min(g.n.max(1)) * g.groups;
    let mut ordered = vec![T::ZERO; chunk * ordered_len];
    let mut biases = vec![T::ZERO; g.n * g.groups * g.o];
    // [group][point][output][channel]
    let pitch = panels.padded();
    let mut sums = vec![T::ZERO; g.groups * POINTS * g.o * pitch];
    for (chunk_index, biases) in biases.chunks_mut(chunk * g.o).enumerate() {
        let first = chunk_index * chunk;
        ordered
            .par_chunks_mut(ordered_len)
            .zip(biases.par_chunks_mut(g.o))
            .enumerate()
            .for_each_init(
                || (Vec::new(), Scratch::new(&layout)),
                |(mask, scratch), (i, (ordered, db))| {
                    let i = first + i;
                    let y = part(y, i, g.out_len());
                    let dy = masked(y, part(dy, i, g.out_len()), mask);
                    sum_rows(dy, db);
                    layout.order(g, part(x, i, g.in_len()), dy, scratch);
                    let (left, right) = ordered.split_at_mut(POINTS * left_len);
                    let layout = &layout;
                    Arch::new().dispatch(TransformPicture {
                        layout,
                        scratch,
                        right,
                    });
                    Arch::new().dispatch(TransformGradient {
                        layout,
                        scratch,
                        left,
                    });
                },
            );
        let (ordered, pictures) = (&ordered, biases.len() / (g.o * g.groups));
        sums.par_chunks_mut(g.o * pitch)
            .enumerate()
            .flat_map(|(at, sums)| {
                let tile = sums.par_chunks_mut(tiles.height * pitch).enumerate();
                tile.map(move |(t, sums)| (at / POINTS, at % POINTS, t, sums))
            })
            .for_each(|(group, point, t, sums)| {
                let (first, rows) = tiles.span(t);
                let ordered = &ordered[group * ordered_len..];
                Arch::new().dispatch(SumCells {
                    rows,
                    panels,
                    left: &ordered[point * left_len + first * cells..],
                    right: &ordered[POINTS * left_len + point * right_len..],
                    runs: Runs {
                        count: pictures,
                        length: cells,
                        left_step: g.groups * ordered_len,
                        right_step: g.groups * ordered_len,
                    },
                    sums,
                });
            });
    }
    let mut dw = vec![T::ZERO; g.groups * g.o * g.taps()];
    let kernel_area = g.kernel.0 * g.kernel.1;
    dw.par_chunks_mut(g.taps()).enumerate().for_each(|(o, dw)| {
        let (group, o) = (o / g.o, o % g.o);
        for (c, dw) in dw.chunks_exact_mut(kernel_area).enumerate() {
            for piece in 0..layout.pieces.count() {
                let mut m = [T::ZERO; POINTS];
                for (point, m) in m.iter_mut().enumerate() {
                    let row = (group * POINTS + point) * g.o + o;
                    *m = sums[row * pitch + piece * layout.channels + c];
                }
                let dg = from_domain(&m);
                for (at, u, v) in layout.pieces.taps(piece) {
                    dw[u * g.kernel.1 + v] = dg[at];
                }
            }
        }
    });
    (dw, sum_pictures(&biases, g.groups * g.o))
}

/// Sizes of the operands.
struct Layout {
    pieces: Pieces,
    /// Channels of the picture, padded to whole vectors.
    channels: usize,
    lanes: usize,
    tiles: Tiles,
    panels: Panels,
    cells: usize,
    cells_across: usize,
    /// The output gradient, padded to whole cells.
    gradient: Planes,
    /// The picture, padded to the patches of these cells.
    picture: Planes,
}

impl Layout {
    fn new<T: Real>(g: &Geometry) -> Self {
        let pieces = Pieces::of(g.kernel);
        let (height, width) = (g.out.0.next_multiple_of(2), g.out.1.next_multiple_of(2));
        let channels = g.c.next_multiple_of(T::lanes());
        let (below, beside) = (3 * pieces.down - 1, 3 * pieces.across - 1);
        Self {
            pieces,
            channels,
            lanes: T::lanes(),
            tiles: Tiles::new::<T>(g.o),
            panels: Panels::new::<T>(pieces.count() * channels),
            cells: height * width / 4,
            cells_across: width / 2,
            gradient: Planes::new(g.o, height, width, (1, 1)),
            picture: Planes::new(g.c, height + below, width + beside, (1, 1)),
        }
    }

    /// The pixels of both operands side by side: the output gradient's as `[tile][pixel][output]`,
    /// the picture's as `[vector of channels][pixel][channel]`.
    fn order<T: Real>(&self, g: &Geometry, x: &[T], dy: &[T], scratch: &mut Scratch<T>) {
        let planes = &mut scratch.gradient_planes;
        self.gradient.fill(dy, g.out, (0, 0), planes);
        let area = self.gradient.area();
        let at = |o: usize, p: usize| planes[o * area + p];
        pack_tiles(self.tiles, area, at, &mut scratch.gradient);
        let corner = (g.padding.0 as isize, g.padding.1 as isize);
        let planes = &mut scratch.picture_planes;
        self.picture.fill(x, g.size, corner, planes);
        let area = self.picture.area();
        for (planes, vector) in planes
            .chunks(self.lanes * area)
            .zip(scratch.picture.chunks_exact_mut(self.lanes * area))
        {
            interleave(planes, area, self.lanes, vector);
        }
    }
}

/// One thread's buffers, kept from picture to picture.
struct Scratch<T> {
    gradient_planes: Vec<T>,
    picture_planes: Vec<T>,
    gradient: Vec<T>,
    picture: Vec<T>,
}

impl<T: Real> Scratch<T> {
    fn new(layout: &Layout) -> Self {
        Self {
            gradient_planes: vec![T::ZERO; layout.gradient.len()],
            picture_planes: vec![T::ZERO; layout.picture.len()],
            gradient: vec![T::ZERO; layout.gradient.len()],
            picture: vec![T::ZERO; layout.channels * layout.picture.area()],
        }
    }
}

/// `Bᵀ d B` of every patch of a picture, piece by piece.
struct TransformPicture<'a, T> {
    layout: &'a Layout,
    scratch: &'a Scratch<T>,
    right: &'a mut [T],
}

impl<T: Real> WithSimd for TransformPicture<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
        let Layout {
            pieces,
            channels,
            panels,
            cells,
            cells_across,
            picture,
            ..
        } = *self.layout;
        let zero = T::splat(simd, T::ZERO);
        let mut signs = [zero; 4];
        for (j, (_, _, sign)) in INPUT.into_iter().enumerate() {
            signs[j] = T::splat(simd, T::from_f64(sign));
        }
        let right_len = self.right.len() / POINTS;
        let vectors = channels / lanes;
        for vector in 0..pieces.count() * vectors {
            let (piece, from) = (vector / vectors, vector % vectors);
            let from = &self.scratch.picture[from * picture.area() * lanes..];
            let (top, left) = pieces.corner(piece);
            // Two vectors to a panel, the last perhaps alone.
            let (first, width, _) = panels.span(vector / 2);
            let within = vector * lanes - first;
            for cell in 0..cells {
                let (y, x) = (cell / cells_across * 2, cell % cells_across * 2);
                let mut d = [[zero; 4]; 4];
                for (a, d) in d.iter_mut().enumerate() {
                    let at = (top + y + a) * picture.width + left + x;
                    let row = T::as_simd::<S>(&from[at * lanes..][..4 * lanes]).0;
                    d.copy_from_slice(row);
                }
                let to = first * cells + cell * width + within;
                for (i, (plus, other, _)) in INPUT.into_iter().enumerate() {
                    let mut row = [zero; 4];
                    for b in 0..4 {
                        row[b] = T::mul_add(simd, signs[i], d[other][b], d[plus][b]);
                    }
                    for (j, (plus, other, _)) in INPUT.into_iter().enumerate() {
                        let value = T::mul_add(simd, signs[j], row[other], row[plus]);
                        let to = &mut self.right[(4 * i + j) * right_len + to..][..lanes];
                        T::as_mut_simd::<S>(to).0[0] = value;
                    }
                }
            }
        }
    }
}

/// `A dy Aᵀ` of every cell of an output gradient.
struct TransformGradient<'a, T> {
    layout: &'a Layout,
    scratch: &'a Scratch<T>,
    left: &'a mut [T],
}

impl<T: Real> WithSimd for TransformGradient<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Layout {
            tiles,
            cells,
            cells_across,
            gradient,
            ..
        } = *self.layout;
        let left_len = self.left.len() / POINTS;
        for t in 0..tiles.count() {
            let (first, rows) = tiles.span(t);
            let tile = &self.scratch.gradient[first * gradient.area()..];
            for cell in 0..cells {
                let (y, x) = (cell / cells_across * 2, cell % cells_across * 2);
                let at = (y * gradient.width + x) * rows;
                let upper = &tile[at..][..2 * rows];
                let lower = &tile[at + gradient.width * rows..][..2 * rows];
                let mut down = [T::ZERO; 2 * MAX_ROWS];
                let down = &mut down[..2 * rows];
                for i in 0..4 {
                    stretch(i, upper, lower, down);
                    let (left, right) = down.split_at(rows);
                    for j in 0..4 {
                        let to = (4 * i + j) * left_len + first * cells + cell * rows;
                        stretch(j, left, right, &mut self.left[to..to + rows]);
                    }
                }
            }
        }
    }
}

/// Row `row` of A applied to pairs of values: (1 0), (1 1), (1 −1), (0 −1).
#[inline(always)]
fn stretch<T: Real>(row: usize, a: &[T], b: &[T], to: &mut [T]) {
    let (a, b) = (&a[..to.len()], &b[..to.len()]);
    match row {
        0 => to.copy_from_slice(a),
        1 => {
            for i in 0..to.len() {
                to[i] = a[i] + b[i];
            }
        }
        2 => {
            for i in 0..to.len() {
                to[i] = a[i] - b[i];
            }
        }
        _ => {
            for i in 0..to.len() {
                to[i] = T::ZERO - b[i];
            }
        }
    }
}

/// Adds to a tile of outputs at one point the products of all cells of some pictures.
struct SumCells<'a, T> {
    rows: usize,
    panels: Panels,
    left: &'a [T],
    right: &'a [T],
    runs: Runs,
    sums: &'a mut [T],
}

impl<T: Real> WithSimd for SumCells<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (pitch, rows, runs) = (self.panels.padded(), self.rows, self.runs);
        for p in 0..self.panels.count() {
            let (first, width, _) = self.panels.span(p);
            let right = &self.right[first * runs.length..];
            let store = Store {
                out: &mut self.sums[first..first + (rows - 1) * pitch + width],
                pitch,
                columns: width,
                start: Start::Accumulate,
                finish: Finish::Nothing,
            };
            tile(simd, (rows, width), self.left, right, runs, store);
        }
    }
}
