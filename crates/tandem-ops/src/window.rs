//! Where pooling windows lie: shared by max and average pooling (Section 3.4 of the paper).

use crate::error::OpError;
use candle_core::{Result, Shape};

/// What happens to a last window that would hang over the edge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rounding {
    /// Left out.
    #[default]
    Down,
    /// Kept if it starts inside the picture or its left padding: Caffe, PyTorch's `ceil_mode`.
    Up,
}

/// Square or oblong windows, `(height, width)` each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub kernel: (usize, usize),
    pub stride: (usize, usize),
    pub padding: (usize, usize),
    pub rounding: Rounding,
}

/// A window over a picture of a given size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    pub window: Window,
    pub size: (usize, usize),
    pub out: (usize, usize),
}

impl Window {
    /// # Errors
    /// When kernel or stride is zero, the padding more than half the kernel, or the kernel has
    /// more than 256 places.
    pub fn checked(self, op: &'static str) -> std::result::Result<Self, OpError> {
        let Self {
            kernel: (kh, kw),
            stride: (sh, sw),
            padding: (ph, pw),
            ..
        } = self;
        if kh == 0 || kw == 0 || sh == 0 || sw == 0 || ph > kh / 2 || pw > kw / 2 {
            let what = format!(
                "kernel {:?} and stride {:?} must be at least 1, padding {:?} at most half the kernel",
                self.kernel, self.stride, self.padding
            );
            return Err(OpError::parameter(op, what));
        }
        if kh.saturating_mul(kw) > 256 {
            let what = format!("kernel {:?} has more than 256 places", self.kernel);
            return Err(OpError::parameter(op, what));
        }
        Ok(self)
    }

    /// Height and width of the output for pictures `(N, C, H, W)`.
    pub(crate) fn over(&self, op: &'static str, shape: &Shape) -> Result<Grid> {
        let &[_, _, h, w] = shape.dims() else {
            let dims = format!("{:?}", shape.dims());
            return Err(OpError::shape(op, "x must be (N, C, H, W)", dims).into());
        };
        let out = |size: usize, kernel: usize, stride: usize, padding: usize| {
            // Padding alone is no picture, even where a window would fit into it.
            let size = (size > 0).then_some(size)?;
            let room = (size + 2 * padding).checked_sub(kernel)?;
            Some(match self.rounding {
                Rounding::Down => room / stride + 1,
                Rounding::Up => {
                    let out = room.div_ceil(stride) + 1;
                    // The last window must start inside the picture or its left padding.
                    if (out - 1) * stride >= size + padding {
                        out - 1
                    } else {
                        out
                    }
                }
            })
        };
        let height = out(h, self.kernel.0, self.stride.0, self.padding.0);
        let width = out(w, self.kernel.1, self.stride.1, self.padding.1);
        match height.zip(width) {
            Some(out) => Ok(Grid {
                window: *self,
                size: (h, w),
                out,
            }),
            None => {
                let got = format!("x {:?}, {self:?}", shape.dims());
                Err(OpError::shape(
                    op,
                    "the picture is empty or the window larger than it with its padding",
                    got,
                )
                .into())
            }
        }
    }
}

impl Grid {
    /// The rows of the picture in window row `i`, and the kernel row of the first.
    pub fn rows(&self, i: usize) -> (std::ops::Range<usize>, usize) {
        span(
            i,
            self.window.kernel.0,
            self.window.stride.0,
            self.window.padding.0,
            self.size.0,
        )
    }

    /// The columns of the picture in window column `j`, and the kernel column of the first.
    pub fn columns(&self, j: usize) -> (std::ops::Range<usize>, usize) {
        span(
            j,
            self.window.kernel.1,
            self.window.stride.1,
            self.window.padding.1,
            self.size.1,
        )
    }
}

fn span(
    i: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    size: usize,
) -> (std::ops::Range<usize>, usize) {
    let first = (i * stride).saturating_sub(padding);
    let skipped = padding.saturating_sub(i * stride);
    let end = (i * stride + kernel - padding).min(size);
    (first..end.max(first), skipped)
}
