//! A padded picture cut into its stride phases, so that a strided convolution becomes a plain one.
//!
//! With stride `s`, output row `o` and kernel row `k` meet at input row `o·s + k`. Input row
//! `y = q·s + r` is kept as row `q` of phase plane `r`; then `o·s + k` is row `o + k / s` of plane
//! `k mod s`, and every run of outputs reads a contiguous run of inputs.

use crate::real::Real;

/// The shape of `(channels · s_h · s_w)` planes of `height × width`.
#[derive(Clone, Copy, Debug)]
pub struct Planes {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
    pub stride: (usize, usize),
}

impl Planes {
    /// Planes that hold a padded picture of `height × width` pixels.
    pub fn new(channels: usize, height: usize, width: usize, stride: (usize, usize)) -> Self {
        Self {
            channels,
            height: height.div_ceil(stride.0),
            width: width.div_ceil(stride.1),
            stride,
        }
    }

    pub fn count(&self) -> usize {
        self.channels * self.stride.0 * self.stride.1
    }

    /// Values a plane.
    pub fn area(&self) -> usize {
        self.height * self.width
    }

    pub fn len(&self) -> usize {
        self.count() * self.area()
    }

    /// Where padded pixel `(y, x)` of channel `c` lies.
    pub fn at(&self, c: usize, y: usize, x: usize) -> usize {
        let (sh, sw) = self.stride;
        let plane = (c * sh + y % sh) * sw + x % sw;
        (plane * self.height + y / sh) * self.width + x / sw
    }

    /// Copies a picture `(channels, height, width)` in, its pixel (0, 0) at padded pixel
    /// `(top, left)`. What falls outside is dropped; what is not covered keeps its value.
    #[inline(always)]
    pub fn fill<T: Real>(
        &self,
        picture: &[T],
        (height, width): (usize, usize),
        (top, left): (isize, isize),
        out: &mut [T],
    ) {
        let (sh, sw) = self.stride;
        let padded = ((self.height * sh) as isize, (self.width * sw) as isize);
        let first = (-left).max(0) as usize;
        let end = (padded.1 - left).clamp(0, width as isize) as usize;
        for c in 0..self.channels {
            for y in 0..height {
                let at_y = y as isize + top;
                if at_y < 0 || at_y >= padded.0 || first >= end {
                    continue;
                }
                let row = &picture[(c * height + y) * width..][..width];
                let at_x = (first as isize + left) as usize;
                if sw == 1 {
                    let at = self.at(c, at_y as usize, at_x);
                    out[at..at + end - first].copy_from_slice(&row[first..end]);
                } else {
                    for phase in 0..sw.min(end - first) {
                        let at = self.at(c, at_y as usize, at_x + phase);
                        let row = &row[first + phase..end];
                        if sw == 2 {
                            copy_every_other(row, &mut out[at..]);
                        } else {
                            for (to, from) in out[at..].iter_mut().zip(row.iter().step_by(sw)) {
                                *to = *from;
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Values 0, 2, 4, … of a row, in a form that becomes vector instructions.
#[inline(always)]
fn copy_every_other<T: Copy>(row: &[T], out: &mut [T]) {
    let (pairs, last) = row.as_chunks::<2>();
    for (to, [from, _]) in out.iter_mut().zip(pairs) {
        *to = *from;
    }
    if let [last] = last {
        out[pairs.len()] = *last;
    }
}
