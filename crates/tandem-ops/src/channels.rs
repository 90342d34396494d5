//! Part of the channels, in memory of their own: what one tower has of an activation of both.
//!
//! candle's own copy of a view sends the view's layout to the GPU first, from ordinary memory, and the
//! host may have to wait for all that is queued. See [`crate::upload`].

use candle_core::{Result, Tensor};

/// Channels `start..start + count` of `x (N, C, …)`: contiguous, where `x` is.
pub fn part(x: &Tensor, start: usize, count: usize) -> Result<Tensor> {
    let part = x.narrow(1, start, count)?;
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() && x.is_contiguous() && !part.is_contiguous() {
        use crate::storage::{on_cuda, with_cuda};
        let pitch = x.elem_count() / x.dim(0)?;
        let copy = with_cuda("channels", &[Some(&part)], |t| match *t {
            [Some((storage, layout))] => crate::cuda::channels::rows(storage, layout, pitch),
            _ => unreachable!("one tensor was given"),
        })?;
        return Ok(on_cuda(copy, part.shape()));
    }
    part.contiguous()
}
