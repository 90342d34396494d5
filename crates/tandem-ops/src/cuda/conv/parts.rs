//! How the pictures of a batch are cut into parts, each as large as the workspace allows, and the sizes
//! that follow.

use super::OP;
use crate::conv::{self, Geometry};
use crate::cuda::element::size;
use crate::cuda::product::Product;
use candle_core::Result;

/// Few bytes in tests, so that small batches have parts.
const WORKSPACE: usize = if cfg!(test) { 64 } else { conv::WORKSPACE };

/// Values of any type that fill a multiple of 16 bytes.
const WHOLE: usize = 8;

/// One application and its parts.
#[derive(Clone, Copy)]
pub(in crate::cuda) struct Parts {
    pub(super) g: Geometry,
    pub(super) count: usize,
    /// Pictures of which each part has a multiple, but for the last.
    pub(super) unit: usize,
}

/// Into how many parts `n` pictures are cut where `fit` have room at a time, and of how many pictures
/// each has a multiple.
pub(super) fn cut(n: usize, fit: usize) -> (usize, usize) {
    let fit = fit.max(1);
    let unit = if n <= fit || fit < WHOLE { 1 } else { WHOLE };
    (n.div_ceil(fit.min(n.max(1)) / unit * unit), unit)
}

impl Parts {
    pub(super) fn of<T>(g: &Geometry) -> Self {
        let picture = g.groups * g.taps() * g.out_pixels() * size_of::<T>();
        let (count, unit) = cut(g.n, WORKSPACE / picture.max(1));
        Self { g: *g, count, unit }
    }

    /// All pictures as one part.
    #[cfg_attr(not(feature = "cudnn"), allow(dead_code, reason = "cuDNN's alone"))]
    pub(in crate::cuda) fn whole(g: &Geometry) -> Self {
        Self {
            g: *g,
            count: 1,
            unit: 1,
        }
    }

    /// First picture and number of pictures of each part: none is much smaller than another.
    pub(super) fn each(self) -> impl Iterator<Item = (usize, usize)> {
        let units = self.g.n.div_ceil(self.unit);
        let first = move |part: usize| (part * units / self.count * self.unit).min(self.g.n);
        (0..self.count).map(move |part| (first(part), first(part + 1) - first(part)))
    }

    /// Pictures of the largest part.
    pub(super) fn largest(self) -> usize {
        self.each().map(|(_, pictures)| pictures).max().unwrap_or(0)
    }

    /// Elements of an unfolded part of `pictures`.
    pub(super) fn unfolded(self, pictures: usize) -> usize {
        self.g.groups * self.g.taps() * pictures * self.g.out_pixels()
    }

    pub(in crate::cuda) fn outputs(self) -> usize {
        self.g.groups * self.g.o
    }

    /// Elements of one input picture.
    pub(in crate::cuda) fn input(self) -> usize {
        self.g.groups * self.g.in_len()
    }

    /// Elements of one output picture.
    pub(in crate::cuda) fn output(self) -> usize {
        self.outputs() * self.g.out_pixels()
    }

    /// Planes, sizes, kernel, stride and padding in the kernels' order.
    pub(super) fn arguments(self) -> Result<[i32; 11]> {
        let g = self.g;
        let _: i32 = size(OP, g.padded.0.saturating_mul(g.padded.1))?;
        let pairs = [g.size, g.out, g.kernel, g.stride, g.padding];
        let mut all = [size(OP, g.groups * g.c)?; 11];
        for (place, value) in all[1..]
            .iter_mut()
            .zip(pairs.iter().flat_map(|p| [p.0, p.1]))
        {
            *place = size(OP, value)?;
        }
        Ok(all)
    }

    /// One group's forward product, and the groups as its batch.
    pub(super) fn product(self, pictures: usize) -> Product {
        Product {
            m: self.g.o,
            n: pictures * self.g.out_pixels(),
            k: self.g.taps(),
            batch: self.g.groups,
            transpose_a: self.turns(),
            transpose_b: false,
            accumulate: false,
        }
    }

    /// Whether products take the weight by taps rather than by outputs.
    pub(super) fn turns(self) -> bool {
        !self.g.taps().is_multiple_of(WHOLE) && self.g.o.is_multiple_of(WHOLE)
    }
}
