//! Matrix products for the CPU: the two register kernels behind convolution and linear layers.
//!
//! *Outer-product kernel.* `C[i][j] += Σ_k A[i][k] · B[k][j]` for a tile of C held in registers:
//! [`MAX_ROWS`] rows by two vectors of columns. Both operands are packed beforehand so that the
//! kernel reads each of them straight through: A in *tiles* (`[tile][k][rows of the tile]`), B in
//! *panels* (`[panel][k][columns of the panel]`). A convolution reads B where it lies in the padded
//! picture, so the unfolded matrix never exists.
//!
//! *Dot-product kernel.* `C[i][j] = Σ_k X[i][k] · W[j][k]`, both operands with contiguous rows, as
//! a linear layer has them: nothing is packed, so the 151 MB of fc6 are read once and not copied.
//!
//! Each element of C is summed by one task in one order, whatever the number of threads.
//!
//! Dropped: `gemm` through candle's matmul. It is level with this at convolution shapes once the
//! picture is unfolded, but it cannot pack from the picture itself, and for the linear layers it
//! packs the weights at every call (docs/performance.md has the figures).

mod dots;
mod packing;

pub use dots::Dots;
pub use packing::{Panels, Tiles, pack_panels, pack_tiles};
use pulp::{Arch, Simd, WithSimd};

use crate::real::Real;

/// Most rows of C in a register tile with 32 vector registers (half of it with 16): 12 × 2
/// accumulators, two vectors of B, and a broadcast element of A.
pub const MAX_ROWS: usize = 12;

/// Depth of one pass over the operands: a panel of 256 × 32 floats fills 32 KiB, the first cache.
pub const DEPTH: usize = 256;

/// Calls a kernel for the number of rows that a tile has: `$call` with the constant `$r`.
macro_rules! by_rows {
    ($simd:ty, $rows:expr, $r:ident => $call:expr) => {
        if <$simd>::REGISTER_COUNT >= 32 {
            by_rows!($rows, $r, $call, 1 2 3 4 5 6 7 8 9 10 11 12)
        } else {
            by_rows!($rows, $r, $call, 1 2 3 4 5 6)
        }
    };
    ($rows:expr, $r:ident, $call:expr, $($n:literal)*) => {
        match $rows {
            $($n => {
                const $r: usize = $n;
                $call
            })*
            rows => unreachable!("a tile has 1 to {MAX_ROWS} rows, not {rows}"),
        }
    };
}

/// What is in C before the product is added to it.
#[derive(Clone, Copy)]
pub enum Start<'a, T> {
    /// C is overwritten: the sum starts from zero.
    Zero,
    /// The sum starts from one value a row, as a convolution's bias.
    RowValue(&'a [T]),
    /// The product is added to what C holds.
    Accumulate,
}

/// What is done to an element of C as it is stored for the last time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    Nothing,
    Relu,
}

/// `C[rows × columns] = A · B`, or that added to what C holds, with A in tiles, B in panels and C's
/// rows `pitch` apart.
pub struct Product<'a, T> {
    pub tiles: Tiles,
    pub panels: Panels,
    pub depth: usize,
    pub left: &'a [T],
    pub right: &'a [T],
    pub out: &'a mut [T],
    pub pitch: usize,
    pub accumulate: bool,
}

impl<T: Real> Product<'_, T> {
    pub fn run(self) {
        Arch::new().dispatch(self);
    }
}

impl<T: Real> WithSimd for Product<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for p in 0..self.panels.count() {
            let (column, width, real) = self.panels.span(p);
            let right = &self.right[column * self.depth..(column + width) * self.depth];
            for t in 0..self.tiles.count() {
                let (row, rows) = self.tiles.span(t);
                let left = &self.left[row * self.depth..(row + rows) * self.depth];
                let runs = Runs::one(self.depth);
                let last = (row + rows - 1) * self.pitch + column + real;
                let out = &mut self.out[row * self.pitch + column..last];
                let store = Store {
                    out,
                    pitch: self.pitch,
                    columns: real,
                    start: match self.accumulate {
                        true => Start::Accumulate,
                        false => Start::Zero,
                    },
                    finish: Finish::Nothing,
                };
                tile(simd, (rows, width), left, right, runs, store);
            }
        }
    }
}

/// Which stretches of the packed operands a tile sums over: `count` runs of `length` steps, run
/// `r` starting `r * left_step` and `r * right_step` elements in. A plain product is one run; the
/// weight gradient of a convolution has one for each row of the output.
#[derive(Clone, Copy, Debug)]
pub struct Runs {
    pub count: usize,
    pub length: usize,
    pub left_step: usize,
    pub right_step: usize,
}

impl Runs {
    pub fn one(length: usize) -> Self {
        Self {
            count: 1,
            length,
            left_step: 0,
            right_step: 0,
        }
    }
}

/// Where a tile goes: rows of `columns` elements, `pitch` apart.
pub struct Store<'a, T> {
    pub out: &'a mut [T],
    pub pitch: usize,
    pub columns: usize,
    pub start: Start<'a, T>,
    pub finish: Finish,
}

/// The outer-product kernel for a tile of `rows` rows over a panel that is `width` columns wide, one
/// vector or two.
#[inline(always)]
pub fn tile<S: Simd, T: Real>(
    simd: S,
    (rows, width): (usize, usize),
    left: &[T],
    right: &[T],
    runs: Runs,
    store: Store<'_, T>,
) {
    if width == size_of::<T::Vector<S>>() / size_of::<T>() {
        by_rows!(S, rows, R => tile_of::<S, T, R, 1>(simd, left, right, runs, store));
    } else {
        by_rows!(S, rows, R => tile_of::<S, T, R, 2>(simd, left, right, runs, store));
    }
}

#[inline(always)]
fn tile_of<S: Simd, T: Real, const R: usize, const V: usize>(
    simd: S,
    left: &[T],
    right: &[T],
    runs: Runs,
    store: Store<'_, T>,
) {
    let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
    let mut sums = [[T::splat(simd, T::ZERO); V]; R];
    for run in 0..runs.count {
        let left = &left[run * runs.left_step..][..runs.length * R];
        let right = &right[run * runs.right_step..][..runs.length * V * lanes];
        let (left, _) = left.as_chunks::<R>();
        let (right, _) = T::as_simd::<S>(right);
        let (right, _) = right.as_chunks::<V>();
        for (a, b) in left.iter().zip(right) {
            for i in 0..R {
                let a = T::splat(simd, a[i]);
                for j in 0..V {
                    sums[i][j] = T::mul_add(simd, a, b[j], sums[i][j]);
                }
            }
        }
    }
    put(simd, sums, store);
}

/// Stores a tile that has been summed.
#[inline(always)]
fn put<S: Simd, T: Real, const R: usize, const V: usize>(
    simd: S,
    sums: [[T::Vector<S>; V]; R],
    store: Store<'_, T>,
) {
    let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
    let zero = T::splat(simd, T::ZERO);
    for (i, sums) in sums.into_iter().enumerate() {
        let row = &mut store.out[i * store.pitch..][..store.columns];
        let first = match store.start {
            Start::RowValue(values) => T::splat(simd, values[i]),
            Start::Zero | Start::Accumulate => zero,
        };
        let accumulate = matches!(store.start, Start::Accumulate);
        if row.len() == V * lanes {
            let (row, _) = T::as_mut_simd::<S>(row);
            for j in 0..V {
                let before = if accumulate { row[j] } else { first };
                let sum = T::vadd(simd, sums[j], before);
                row[j] = match store.finish {
                    Finish::Relu => T::vmax(simd, zero, sum),
                    Finish::Nothing => sum,
                };
            }
        } else {
            let mut padded = [T::ZERO; 32];
            let padded = &mut padded[..V * lanes];
            if accumulate {
                padded[..row.len()].copy_from_slice(row);
            }
            let (vectors, _) = T::as_mut_simd::<S>(padded);
            for j in 0..V {
                let before = if accumulate { vectors[j] } else { first };
                let sum = T::vadd(simd, sums[j], before);
                vectors[j] = match store.finish {
                    Finish::Relu => T::vmax(simd, zero, sum),
                    Finish::Nothing => sum,
                };
            }
            row.copy_from_slice(&padded[..row.len()]);
        }
    }
}

/// `C[rows × columns] = start + A · B` with A in tiles and B read where it lies: row `k` of B begins
/// at `right[offsets[k]]`, and beyond its last column there are two vectors of anything finite.
///
/// A convolution's B: packing it takes longer than reading it across cache lines.
pub struct ProductInPlace<'a, T> {
    pub tiles: Tiles,
    pub columns: usize,
    pub left: &'a [T],
    pub right: &'a [T],
    pub offsets: &'a [usize],
    /// Rows `pitch` apart, a multiple of two vectors and at least `columns`.
    pub out: &'a mut [T],
    pub pitch: usize,
    pub start: Start<'a, T>,
    pub finish: Finish,
}

impl<T: Real> ProductInPlace<'_, T> {
    pub fn run(self) {
        Arch::new().dispatch(self);
    }
}

impl<T: Real> WithSimd for ProductInPlace<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = 2 * size_of::<T::Vector<S>>() / size_of::<T>();
        let depth = self.offsets.len();
        for column in (0..self.columns).step_by(width) {
            for t in 0..self.tiles.count() {
                let (row, rows) = self.tiles.span(t);
                let left = &self.left[row * depth..(row + rows) * depth];
                let right = &self.right[column..];
                let last = (row + rows - 1) * self.pitch + column + width;
                let store = Store {
                    out: &mut self.out[row * self.pitch + column..last],
                    pitch: self.pitch,
                    columns: width,
                    start: match self.start {
                        Start::RowValue(values) => Start::RowValue(&values[row..row + rows]),
                        other => other,
                    },
                    finish: self.finish,
                };
                by_rows!(S, rows, R => in_place::<S, T, R>(simd, left, right, self.offsets, store));
            }
        }
    }
}

/// The outer-product kernel for a tile of `R` rows and two vectors of columns, read in place.
#[inline(always)]
fn in_place<S: Simd, T: Real, const R: usize>(
    simd: S,
    left: &[T],
    right: &[T],
    offsets: &[usize],
    store: Store<'_, T>,
) {
    let width = 2 * size_of::<T::Vector<S>>() / size_of::<T>();
    let mut sums = [[T::splat(simd, T::ZERO); 2]; R];
    for (a, offset) in left.as_chunks::<R>().0.iter().zip(offsets) {
        let b = T::as_simd::<S>(&right[*offset..][..width]).0;
        for i in 0..R {
            let a = T::splat(simd, a[i]);
            for j in 0..2 {
                sums[i][j] = T::mul_add(simd, a, b[j], sums[i][j]);
            }
        }
    }
    put(simd, sums, store);
}
