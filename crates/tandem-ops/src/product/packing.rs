//! Operands packed so that the outer-product kernel reads them straight through: tiles of rows, panels
//! of columns.

use super::MAX_ROWS;
use crate::real::Real;

/// How the rows of a matrix are cut into register tiles, as evenly as can be.
#[derive(Clone, Copy, Debug)]
pub struct Tiles {
    pub rows: usize,
    /// Rows in each tile but perhaps the last.
    pub height: usize,
}

impl Tiles {
    pub fn new<T: Real>(rows: usize) -> Self {
        let most = if T::registers() >= 32 {
            MAX_ROWS
        } else {
            MAX_ROWS / 2
        };
        let height = rows.div_ceil(rows.div_ceil(most).max(1)).max(1);
        Self { rows, height }
    }

    pub fn count(&self) -> usize {
        self.rows.div_ceil(self.height)
    }

    /// First row of tile `t` and the number of its rows.
    pub fn span(&self, t: usize) -> (usize, usize) {
        let first = t * self.height;
        (first, self.height.min(self.rows - first))
    }
}

/// How the columns of a matrix are cut into panels of two vectors, the last of one where that is
/// enough. A panel that is not full is padded with zeros.
#[derive(Clone, Copy, Debug)]
pub struct Panels {
    pub columns: usize,
    lanes: usize,
}

impl Panels {
    pub fn new<T: Real>(columns: usize) -> Self {
        Self {
            columns,
            lanes: T::lanes(),
        }
    }

    pub fn count(&self) -> usize {
        self.columns.div_ceil(2 * self.lanes)
    }

    /// First column of panel `p`, its stored width and the columns of it that are real.
    pub fn span(&self, p: usize) -> (usize, usize, usize) {
        let first = p * 2 * self.lanes;
        let real = (2 * self.lanes).min(self.columns - first);
        (first, real.next_multiple_of(self.lanes), real)
    }

    /// Columns stored, padding included.
    pub fn padded(&self) -> usize {
        self.columns.next_multiple_of(self.lanes)
    }
}

/// Packs `rows × depth` of a matrix given by `at(row, k)` into tiles: `[tile][k][row of the tile]`.
#[inline(always)]
pub fn pack_tiles<T: Real>(
    tiles: Tiles,
    depth: usize,
    at: impl Fn(usize, usize) -> T,
    out: &mut [T],
) {
    for t in 0..tiles.count() {
        let (first, rows) = tiles.span(t);
        let tile = &mut out[first * depth..(first + rows) * depth];
        for (k, column) in tile.chunks_exact_mut(rows).enumerate() {
            for (row, value) in column.iter_mut().enumerate() {
                *value = at(first + row, k);
            }
        }
    }
}

/// Packs rows of B, each of `panels.columns` contiguous elements, into panels.
pub fn pack_panels<'a, T: Real>(
    panels: Panels,
    depth: usize,
    row: impl Fn(usize) -> &'a [T],
    out: &mut Vec<T>,
) {
    out.clear();
    out.resize(panels.padded() * depth, T::ZERO);
    for k in 0..depth {
        let row = &row(k)[..panels.columns];
        for p in 0..panels.count() {
            let (first, width, real) = panels.span(p);
            let at = first * depth + k * width;
            out[at..at + real].copy_from_slice(&row[first..first + real]);
        }
    }
}
