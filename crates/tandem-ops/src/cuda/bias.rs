//! Host side of `kernels/bias.cu`: what stands around the products of a convolution or a linear layer.

use super::compile::Kernels;
use super::element::{Element, size};
use super::launch::{Buffer, Grid, InPlace, launch};
use super::version::Version;
use candle_core::cuda_backend::cudarc::driver::{CudaView, CudaViewMut};
use candle_core::{CudaDevice, Result};

const OP: &str = "bias";

/// Pictures, or rows, whose gradients are added up at a time for the bias; the sums of these parts are
/// added in order.
const PICTURES: usize = 4;
const ROWS: usize = 8;

/// The plain outputs of a convolution, or their masked gradient: values are `channel` apart for the
/// next output and `picture` for the next picture, and positions lie side by side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Maps {
    pub pictures: usize,
    pub outputs: usize,
    pub positions: usize,
    pub channel: usize,
    pub picture: usize,
}

/// Sums that [`gather`] gives of each output.
pub(super) fn sums(pictures: usize) -> usize {
    pictures.div_ceil(PICTURES)
}

/// A kernel of a version: "bias_rows_f32".
fn entry<T: Element>(name: &str, version: Version) -> String {
    let version = version.of("", "naive_");
    format!("bias_{name}_{version}{}", T::SUFFIX)
}

impl Maps {
    /// Threads of a block that works on the positions of a map.
    fn threads(self) -> usize {
        self.positions.next_multiple_of(32).min(256)
    }

    /// In the kernels' order.
    fn arguments(self) -> Result<[u32; 5]> {
        Ok([
            size(OP, self.pictures)?,
            size(OP, self.outputs)?,
            size(OP, self.positions)?,
            size(OP, self.channel)?,
            size(OP, self.picture)?,
        ])
    }
}

/// Bias and ReLU on the plain outputs `m`: `y (pictures, outputs, positions)`.
pub(super) fn spread<T: Element>(
    device: &CudaDevice,
    maps: Maps,
    m: &Buffer<T>,
    mut bias: CudaView<'_, T>,
    mut y: CudaViewMut<'_, T>,
    relu: bool,
) -> Result<()> {
    let Maps {
        pictures, outputs, ..
    } = maps;
    let version = Version::serving(true);
    let grid = match version {
        Version::Fast => Grid {
            blocks: (
                size(OP, outputs)?,
                size(OP, maps.positions.div_ceil(maps.threads()))?,
                size(OP, pictures.div_ceil(PICTURES).min(65_535))?,
            ),
            threads: size(OP, maps.threads())?,
        },
        Version::Naive => Grid::of(OP, y.len())?,
    };
    let [mut n, mut o, mut p, mut channel, mut picture] = maps.arguments()?;
    launch(
        device,
        Kernels::Bias,
        &entry::<T>("spread", version),
        grid,
        &mut [
            &mut m.slice.as_view(),
            &mut bias,
            &mut y,
            &mut n,
            &mut o,
            &mut p,
            &mut channel,
            &mut picture,
            &mut i32::from(relu),
        ],
    )
}

/// The gradient `dy (pictures, outputs, positions)`, masked where `y` is given, as `maps` lie; and its
/// [`sums`] for the bias, of each output.
pub(super) fn gather<T: Element>(
    device: &CudaDevice,
    maps: Maps,
    y: Option<CudaView<'_, T>>,
    mut dy: CudaView<'_, T>,
    g: &mut Buffer<T>,
    partial: &mut CudaViewMut<'_, f32>,
) -> Result<()> {
    let mut relu = i32::from(y.is_some());
    // Without a ReLU the output is not looked at.
    let mut y = y.unwrap_or_else(|| dy.slice(..0));
    let version = Version::serving(true);
    let (columns, threads) = version.of(
        (maps.outputs, maps.threads()),
        (maps.outputs.div_ceil(256), 256),
    );
    let grid = Grid {
        blocks: (size(OP, columns)?, size(OP, sums(maps.pictures))?, 1),
        threads: size(OP, threads)?,
    };
    let [mut n, mut o, mut p, mut channel, mut picture] = maps.arguments()?;
    launch(
        device,
        Kernels::Bias,
        &entry::<T>("gather", version),
        grid,
        &mut [
            &mut y,
            &mut dy,
            g,
            partial,
            &mut n,
            &mut o,
            &mut p,
            &mut channel,
            &mut picture,
            &mut relu,
        ],
    )
}

/// Bias and ReLU on the rows of `y (rows, outputs)`, in place.
pub(super) fn rows<T: Element>(
    device: &CudaDevice,
    (rows, outputs): (usize, usize),
    y: &mut Buffer<T>,
    mut bias: CudaView<'_, T>,
    relu: bool,
) -> Result<()> {
    let version = Version::serving(true);
    let (columns, lines) = version.of(
        (outputs.div_ceil(256), rows.min(65_535)),
        ((rows * outputs).div_ceil(256), 1),
    );
    let grid = Grid {
        blocks: (size(OP, columns)?, size(OP, lines)?, 1),
        threads: 256,
    };
    launch(
        device,
        Kernels::Bias,
        &entry::<T>("rows", version),
        grid,
        &mut [
            &mut InPlace(y.slice.as_view_mut()),
            &mut bias,
            &mut size::<u32>(OP, rows)?,
            &mut size::<u32>(OP, outputs)?,
            &mut i32::from(relu),
        ],
    )
}

/// The gradient `dy (rows, outputs)`, masked where `y` is given, and the bias's gradient.
pub(super) fn mask<T: Element>(
    device: &CudaDevice,
    (rows, outputs): (usize, usize),
    y: Option<CudaView<'_, T>>,
    mut dy: CudaView<'_, T>,
) -> Result<(Buffer<T>, Buffer<T>)> {
    let parts = rows.div_ceil(ROWS);
    let mut g = Buffer::<T>::new(device, rows * outputs)?;
    let mut partial = Buffer::<f32>::new(device, parts * outputs)?;
    let mut relu = i32::from(y.is_some());
    // Without a ReLU the output is not looked at.
    let mut y = y.unwrap_or_else(|| dy.slice(..0));
    let grid = Grid {
        blocks: (size(OP, outputs.div_ceil(256))?, size(OP, parts)?, 1),
        threads: 256,
    };
    launch(
        device,
        Kernels::Bias,
        &entry::<T>("mask", Version::serving(true)),
        grid,
        &mut [
            &mut y,
            &mut dy,
            &mut g,
            &mut partial,
            &mut size::<u32>(OP, rows)?,
            &mut size::<u32>(OP, outputs)?,
            &mut relu,
        ],
    )?;
    let db = total::<T>(device, &partial, parts, outputs)?;
    Ok((g, db))
}

/// The bias's gradient from the sums of the parts; of one part, its sums rounded to the type.
pub(super) fn total<T: Element>(
    device: &CudaDevice,
    partial: &Buffer<f32>,
    parts: usize,
    outputs: usize,
) -> Result<Buffer<T>> {
    let mut db = Buffer::<T>::new(device, outputs)?;
    launch(
        device,
        Kernels::Bias,
        &format!("bias_total_{}", T::SUFFIX),
        Grid::of(OP, outputs)?,
        &mut [
            &mut partial.slice.as_view(),
            &mut db,
            &mut size::<u32>(OP, parts)?,
            &mut size::<u32>(OP, outputs)?,
        ],
    )?;
    Ok(db)
}
