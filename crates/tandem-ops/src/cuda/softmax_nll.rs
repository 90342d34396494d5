//! Host side of `kernels/softmax_nll.cu`.

use super::compile::Kernels;
use super::element::{Element, for_element, size, view};
use super::launch::{Buffer, Grid, launch};
use super::version::Version;
use candle_core::{CudaStorage, Layout, Result, Shape};

const OP: &str = "softmax-nll";

/// How kernels are called in the version to run, its grid over the rows, and that of the mean.
fn over_rows(rows: usize) -> Result<(&'static str, Grid, Grid)> {
    let version = Version::serving(true);
    let grid = Grid {
        blocks: (size(OP, version.of(rows, rows.div_ceil(128)))?, 1, 1),
        threads: 128,
    };
    let mean = Grid {
        blocks: (1, 1, 1),
        threads: version.of(256, 1),
    };
    Ok((version.of("block", "naive"), grid, mean))
}

/// The mean loss of logits `(rows, classes)`, both at least 1. The labels stay on the device and are
/// not checked: one that is no class makes the loss NaN.
pub(crate) fn loss(
    (rows, classes): (usize, usize),
    z: &CudaStorage,
    zl: &Layout,
    labels: &CudaStorage,
    ll: &Layout,
) -> Result<(CudaStorage, Shape)> {
    for_element!(OP, z, T => {
        let mut losses = Buffer::<f32>::new(&z.device, rows)?;
        let mut loss = Buffer::<T>::new(&z.device, 1)?;
        let mut rows_u: u32 = size(OP, rows)?;
        let (name, grid, mean) = over_rows(rows)?;
        launch(
            &z.device,
            Kernels::SoftmaxNll,
            &format!("nll_rows_{name}_{}", <T as Element>::SUFFIX),
            grid,
            &mut [
                &mut view::<T>(OP, z, zl)?,
                &mut view::<u32>(OP, labels, ll)?,
                &mut losses,
                &mut rows_u,
                &mut size::<u32>(OP, classes)?,
            ],
        )?;
        launch(
            &z.device,
            Kernels::SoftmaxNll,
            &format!("nll_mean_{name}_{}", <T as Element>::SUFFIX),
            mean,
            &mut [&mut losses.slice.as_view(), &mut loss, &mut rows_u],
        )?;
        Ok((loss.into_storage(&z.device), Shape::from(())))
    })
}

/// The gradient for the logits, times the loss's own, which is read on the device.
pub(crate) fn backward(
    (rows, classes): (usize, usize),
    (z, zl): (&CudaStorage, &Layout),
    (labels, ll): (&CudaStorage, &Layout),
    (dloss, dl): (&CudaStorage, &Layout),
) -> Result<(CudaStorage, Shape)> {
    for_element!(OP, z, T => {
        let mut dz = Buffer::<T>::new(&z.device, rows * classes)?;
        let (name, grid, _) = over_rows(rows)?;
        launch(
            &z.device,
            Kernels::SoftmaxNll,
            &format!("nll_backward_{name}_{}", <T as Element>::SUFFIX),
            grid,
            &mut [
                &mut view::<T>(OP, z, zl)?,
                &mut view::<u32>(OP, labels, ll)?,
                &mut view::<T>(OP, dloss, dl)?,
                &mut dz,
                &mut size::<u32>(OP, rows)?,
                &mut size::<u32>(OP, classes)?,
            ],
        )?;
        Ok((dz.into_storage(&z.device), Shape::from((rows, classes))))
    })
}

/// The probabilities of logits `(rows, classes)`.
pub(crate) fn softmax(
    (rows, classes): (usize, usize),
    z: &CudaStorage,
    zl: &Layout,
) -> Result<(CudaStorage, Shape)> {
    for_element!("softmax", z, T => {
        let mut p = Buffer::<T>::new(&z.device, rows * classes)?;
        if rows > 0 {
            let (name, grid, _) = over_rows(rows)?;
            launch(
                &z.device,
                Kernels::SoftmaxNll,
                &format!("softmax_{name}_{}", <T as Element>::SUFFIX),
                grid,
                &mut [
                    &mut view::<T>("softmax", z, zl)?,
                    &mut p,
                    &mut size::<u32>(OP, rows)?,
                    &mut size::<u32>(OP, classes)?,
                ],
            )?;
        }
        Ok((p.into_storage(&z.device), Shape::from((rows, classes))))
    })
}
