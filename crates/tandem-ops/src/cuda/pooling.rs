//! What the host sides of max and average pooling share: the grid over planes, and the window as the
//! kernels take it.

use super::element::size;
use super::launch::Grid;
use super::lrn::ENOUGH;
use crate::window::{self, Window};
use candle_core::Result;

/// Planes a thread visits, so that its place is worked out once for several.
const PLANES: usize = 4;

/// Planes that threads are numbered through, `places` of them in each: a thread visits every so-manieth
/// plane, so that its place is worked out once for several, but enough threads are left.
pub(super) fn lines(planes: usize, places: usize) -> usize {
    let enough = ENOUGH.div_ceil(places.max(1));
    planes.div_ceil(PLANES).max(enough).min(planes)
}

/// Threads over the places of a plane, blocks over the planes.
pub(super) fn over_planes(op: &'static str, places: usize, planes: usize) -> Result<Grid> {
    let threads = places.next_multiple_of(32).min(256);
    Ok(Grid {
        blocks: (
            size(op, places.div_ceil(threads))?,
            size(op, planes.div_ceil(PLANES).min(65_535))?,
            1,
        ),
        threads: size(op, threads)?,
    })
}

/// Whether each window is the paper's and lies in the picture.
pub(super) fn is_three_by_two(grid: &window::Grid) -> bool {
    let Window {
        kernel,
        stride,
        padding,
        ..
    } = grid.window;
    let inside = |out: usize, size: usize| (out - 1) * 2 + 3 <= size;
    (kernel, stride, padding) == ((3, 3), (2, 2), (0, 0))
        && inside(grid.out.0, grid.size.0)
        && inside(grid.out.1, grid.size.1)
}

/// Height, width, rows, columns, kernel, stride and padding, in the kernels' order.
pub(super) fn window_arguments(op: &'static str, grid: &window::Grid) -> Result<[i32; 10]> {
    let Window {
        kernel,
        stride,
        padding,
        ..
    } = grid.window;
    let pairs = [grid.size, grid.out, kernel, stride, padding];
    // A plane is indexed in 32 bits.
    let _: i32 = size(
        op,
        (grid.size.0 + 2 * padding.0).saturating_mul(grid.size.1 + 2 * padding.1),
    )?;
    let mut all = [0; 10];
    for (place, value) in all.iter_mut().zip(pairs.iter().flat_map(|p| [p.0, p.1])) {
        *place = size(op, value)?;
    }
    Ok(all)
}
