//! Convolutions of [`super::dnn`], on tensors in device memory. Summed in f32, term by term.

use std::ops::Range;

use super::CuDevicePtr;
use super::product::{Element, Number};
use crate::driver::{Call, Status, driver};

/// A tensor `(N, C, H, W)`, or a filter `(O, C, H, W)`, without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tensor {
    pub element: Element,
    pub sizes: [usize; 4],
}

impl Tensor {
    fn count(&self) -> usize {
        self.sizes.iter().product()
    }

    fn bytes(&self) -> usize {
        self.count() * self.element.bytes()
    }

    fn read(&self, address: CuDevicePtr) -> Result<Vec<f32>, Status> {
        let mut bytes = vec![0; self.bytes()];
        driver().read(address, &mut bytes)?;
        let values = bytes.chunks_exact(self.element.bytes());
        Ok(values.map(|b| f32::decode(self.element, b)).collect())
    }

    fn write(&self, address: CuDevicePtr, values: &[f32]) -> Result<(), Status> {
        let mut bytes = vec![0; self.bytes()];
        let places = bytes.chunks_exact_mut(self.element.bytes());
        for (value, place) in values.iter().zip(places) {
            value.encode(self.element, place);
        }
        driver().write(address, &bytes)
    }
}

/// How a filter meets its input, height before width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Convolution {
    pub padding: [usize; 2],
    pub stride: [usize; 2],
    pub groups: usize,
}

/// One application: all tensors of one element type, their sizes fit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Application {
    pub x: Tensor,
    pub w: Tensor,
    pub y: Tensor,
    pub how: Convolution,
}

/// Which of the three is computed of the two others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    Forward,
    Data,
    Filter,
}

impl Pass {
    pub(super) fn name(self) -> &'static str {
        match self {
            Pass::Forward => "cudnnConvolutionForward",
            Pass::Data => "cudnnConvolutionBackwardData",
            Pass::Filter => "cudnnConvolutionBackwardFilter",
        }
    }

    /// The two that it computes from and the one it computes, as x, w and y.
    pub(super) fn in_order<T>(self, [from, and, to]: [T; 3]) -> [T; 3] {
        match self {
            Pass::Forward => [from, and, to],
            Pass::Data => [to, from, and],
            Pass::Filter => [from, to, and],
        }
    }

    /// Algorithms that are emulated, by their numbers: those that are products of matrices and add in a
    /// fixed order.
    pub(super) fn algorithms(self) -> &'static [i32] {
        match self {
            // IMPLICIT_GEMM, IMPLICIT_PRECOMP_GEMM
            Pass::Forward => &[0, 1],
            // ALGO_1
            Pass::Data | Pass::Filter => &[1],
        }
    }
}

impl Application {
    /// Whether the sizes fit.
    pub(super) fn fits(&self) -> bool {
        let [n, c, ..] = self.x.sizes;
        let [o, taps, ..] = self.w.sizes;
        let Convolution {
            padding,
            stride,
            groups,
        } = self.how;
        let out = |axis: usize| {
            let padded = self.x.sizes[2 + axis] + 2 * padding[axis];
            let room = padded.checked_sub(self.w.sizes[2 + axis])?;
            Some(room / stride[axis] + 1)
        };
        let elements = [self.x, self.w, self.y].map(|t| t.element);
        elements.iter().all(|e| *e == elements[0])
            && c == taps * groups
            && o % groups == 0
            && [Some(n), Some(o), out(0), out(1)] == self.y.sizes.map(Some)
    }

    /// What an algorithm needs beside its tensors: one unfolded picture, or nothing.
    pub(super) fn workspace(&self, algorithm: i32) -> usize {
        let [_, c, h, w] = self.w.sizes;
        match algorithm {
            0 => 0,
            _ => c * h * w * self.how.groups * self.y.sizes[2] * self.y.sizes[3] * 4,
        }
    }

    /// `f` of the places in y, x and w of each product.
    fn each(&self, mut f: impl FnMut(usize, usize, usize)) {
        let [pictures, channels, height, width] = self.x.sizes;
        let [outputs, taps, high, wide] = self.w.sizes;
        let [.., rows, columns] = self.y.sizes;
        let Convolution {
            padding,
            stride,
            groups,
        } = self.how;
        for n in 0..pictures {
            for (o, c) in (0..outputs).flat_map(|o| (0..taps).map(move |c| (o, c))) {
                let channel = o / (outputs / groups) * taps + c;
                for (a, b) in (0..high).flat_map(|a| (0..wide).map(move |b| (a, b))) {
                    let at_w = ((o * taps + c) * high + a) * wide + b;
                    for i in inside(a, padding[0], stride[0], height, rows) {
                        let row = i * stride[0] + a - padding[0];
                        let at_y = ((n * outputs + o) * rows + i) * columns;
                        let at_x = ((n * channels + channel) * height + row) * width;
                        for j in inside(b, padding[1], stride[1], width, columns) {
                            f(at_y + j, at_x + j * stride[1] + b - padding[1], at_w);
                        }
                    }
                }
            }
        }
    }

    /// Computes one of x, w and y, at their addresses, as `alpha` times it and `beta` times what was there.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn run(
        &self,
        pass: Pass,
        stream: u64,
        [x, w, y]: [CuDevicePtr; 3],
        [alpha, beta]: [f32; 2],
        workspace: (CuDevicePtr, usize),
    ) -> Result<(), Status> {
        let (tensor, to) = match pass {
            Pass::Forward => (self.y, y),
            Pass::Data => (self.x, x),
            Pass::Filter => (self.w, w),
        };
        driver().trace(Call::Launch(driver().owner(to)?, pass.name()));
        let _turn = driver().turn([to; 2]);
        let work = driver().queue(stream, pass.name())?;
        for (tensor, address) in [(self.x, x), (self.w, w), (self.y, y)] {
            driver().uses_own(&work, address, tensor.bytes() as u64, address == to)?;
        }
        if workspace.1 > 0 {
            driver().uses_own(&work, workspace.0, workspace.1 as u64, true)?;
            driver().write(workspace.0, &vec![0xff; workspace.1])?;
        }
        let read = |tensor: Tensor, address: CuDevicePtr| match address == to {
            true => Ok(vec![0.0; tensor.count()]),
            false => tensor.read(address),
        };
        let (mut xs, mut ws, mut ys) = (read(self.x, x)?, read(self.w, w)?, read(self.y, y)?);
        match pass {
            Pass::Forward => self.each(|y, x, w| ys[y] += xs[x] * ws[w]),
            Pass::Data => self.each(|y, x, w| xs[x] += ys[y] * ws[w]),
            Pass::Filter => self.each(|y, x, w| ws[w] += ys[y] * xs[x]),
        }
        let mut made = match pass {
            Pass::Forward => ys,
            Pass::Data => xs,
            Pass::Filter => ws,
        };
        if beta != 0.0 {
            for (value, before) in made.iter_mut().zip(tensor.read(to)?) {
                *value = alpha * *value + beta * before;
            }
        } else {
            made.iter_mut().for_each(|value| *value *= alpha);
        }
        tensor.write(to, &made)
    }
}

/// The outputs of a row that a tap of the filter meets inside the input.
fn inside(tap: usize, padding: usize, stride: usize, size: usize, outputs: usize) -> Range<usize> {
    let first = padding.saturating_sub(tap).div_ceil(stride);
    let end = (size + padding).saturating_sub(tap).div_ceil(stride);
    first..end.min(outputs)
}
