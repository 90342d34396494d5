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

/// A kernel in the version asked for: "bias_rows_f32".
fn entry<T: Element>(name: &str) -> String {
    let version = Version::serving(true).of("", "naive_");
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
    let grid = match Version::serving(true) {
        Version::Fast => Grid {
            blocks: (
                size(OP, outputs)?,
                size(OP, maps.positions.div_ceil(maps.threads()))?,
                size(OP, pictures.div_ceil(PICTURES).min(65_535))?,
            ),
            threads: size(OP, maps.threads())?,
        },
        Version::Naive => Grid {
            blocks: (size(OP, y.len().div_ceil(256))?, 1, 1),
            threads: 256,
        },
    };
    let [mut n, mut o, mut p, mut channel, mut picture] = maps.arguments()?;
    launch(
        device,
        Kernels::Bias,
        &entry::<T>("spread"),
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
    let (columns, threads) = Version::serving(true).of(
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
        &entry::<T>("gather"),
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
    let (columns, lines) = Version::serving(true).of(
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
        &entry::<T>("rows"),
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
        &entry::<T>("mask"),
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
    let grid = Grid {
        blocks: (size(OP, outputs.div_ceil(256))?, 1, 1),
        threads: 256,
    };
    launch(
        device,
        Kernels::Bias,
        &format!("bias_total_{}", T::SUFFIX),
        grid,
        &mut [
            &mut partial.slice.as_view(),
            &mut db,
            &mut size::<u32>(OP, parts)?,
            &mut size::<u32>(OP, outputs)?,
        ],
    )?;
    Ok(db)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    /// Six pictures of three outputs at five positions, as a product a group leaves them, and as
    /// cuDNN does.
    const CHANNELS_FIRST: Maps = Maps {
        pictures: 6,
        outputs: 3,
        positions: 5,
        channel: 30,
        picture: 5,
    };
    const PICTURES_FIRST: Maps = Maps {
        channel: 5,
        picture: 15,
        ..CHANNELS_FIRST
    };

    /// Planes of five, `columns` in a row, in the order of the columns.
    fn turned(planes: &[f32], columns: usize) -> Vec<f32> {
        let rows = planes.len() / 5 / columns;
        let places = (0..columns).flat_map(|c| (0..rows).map(move |r| r * columns + c));
        places
            .flat_map(|at| planes[at * 5..][..5].to_vec())
            .collect()
    }

    /// cuDNN's order of planes is one that no test on the emulator reaches through a convolution.
    #[test]
    fn bias_and_mask_are_the_same_in_either_order_of_planes() -> Result<()> {
        let Device::Cuda(device) = crate::cuda::device::open(0).expect("a GPU") else {
            panic!("a GPU was opened")
        };
        let noise = |seed: usize| -> Vec<f32> {
            let byte = |i| crate::random::philox([seed as u32, 1], [i, 0, 0, 0])[0] >> 24;
            (0..90).map(|i| byte(i) as f32 - 128.0).collect()
        };
        let up = |slice: &[f32]| -> Result<Buffer<f32>> {
            let slice = device.clone_htod(slice)?;
            Ok(Buffer { slice })
        };
        let (m, y, dy) = (noise(1), up(&noise(2))?, up(&noise(3))?);
        let bias = up(&[1.0, -2.0, 0.5])?;
        let run = |maps, m: &[f32]| -> Result<[Vec<f32>; 3]> {
            let mut out = Buffer::<f32>::new(&device, 90)?;
            let (bias, all) = (bias.slice.as_view(), out.slice.as_view_mut());
            spread(&device, maps, &up(m)?, bias, all, true)?;
            let mut g = Buffer::<f32>::new(&device, 90)?;
            let mut sums = Buffer::<f32>::new(&device, 6)?;
            let (y, dy) = (Some(y.slice.as_view()), dy.slice.as_view());
            gather(&device, maps, y, dy, &mut g, &mut sums.slice.as_view_mut())?;
            let down = |buffer: Buffer<f32>| device.clone_dtoh(&buffer.slice);
            Ok([down(out)?, down(g)?, down(sums)?])
        };
        for version in Version::ALL {
            let run = |maps, m: &[f32]| version.run(|| run(maps, m));
            let [want, g, sums] = run(CHANNELS_FIRST, &turned(&m, 3))?;
            assert_eq!(run(PICTURES_FIRST, &m)?, [want, turned(&g, 6), sums]);
        }
        Ok(())
    }
}
