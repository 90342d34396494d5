//! Rows out of longer rows; see [`crate::channels`].

use super::element::for_element;
use super::launch::Buffer;
use candle_core::{CudaStorage, Layout, Result};

/// The rows of `layout`, whose first elements are `pitch` apart, close together.
pub(crate) fn rows(x: &CudaStorage, layout: &Layout, pitch: usize) -> Result<CudaStorage> {
    let (rows, count) = (layout.dims()[0], layout.shape().elem_count());
    let width = count / rows;
    for_element!("channels", x, T => {
        let mut y = Buffer::<T>::new(&x.device, count)?.into_storage(&x.device);
        x.copy2d(&mut y, rows, width, pitch, width, layout.start_offset(), 0)?;
        Ok(y)
    })
}
