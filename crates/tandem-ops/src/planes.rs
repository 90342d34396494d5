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
                } else if sw == 2 {
                    let odd = self.at(c, at_y as usize, at_x | 1);
                    let (to_even, to_odd) = out.split_at_mut(odd);
                    let even = self.at(c, at_y as usize, at_x.next_multiple_of(2));
                    split_pairs(&row[first..end], at_x % 2, &mut to_even[even..], to_odd);
                } else {
                    for phase in 0..sw.min(end - first) {
                        let at = self.at(c, at_y as usize, at_x + phase);
                        let row = row[first + phase..end].iter().step_by(sw);
                        for (to, from) in out[at..].iter_mut().zip(row) {
                            *to = *from;
                        }
                    }
                }
            }
        }
    }
}

/// The values of even and of odd columns of a row that begins at a column of parity `first`, in a
/// form that becomes vector instructions.
#[inline(always)]
fn split_pairs<T: Copy>(row: &[T], first: usize, even: &mut [T], mut odd: &mut [T]) {
    let (head, row) = row.split_at(first.min(row.len()));
    if let [value] = head {
        odd[0] = *value;
        odd = &mut odd[1..];
    }
    let (pairs, last) = row.as_chunks::<2>();
    let n = pairs.len();
    for ((pair, even), odd) in pairs.iter().zip(&mut even[..n]).zip(&mut odd[..n]) {
        [*even, *odd] = *pair;
    }
    if let [last] = last {
        even[n] = *last;
    }
}
