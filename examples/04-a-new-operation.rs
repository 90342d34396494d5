//! An operation that neither candle nor Tandem has, from its formula to a trained network, in the order
//! of Tandem's own: formula and shapes, parameters checked once, a plain reference, the CPU path, the
//! backward pass, and tests against reference and finite differences.
//!
//! Maxout (Goodfellow et al., 2013): the largest of `pieces` neighbouring channels,
//! `y[n, c, p] = max_k x[n, c · pieces + k, p]`. x `(N, C · pieces, …)`, y `(N, C, …)`. The gradient goes
//! to the first largest.
//!
//! For GPUs, `cuda_fwd` would launch a kernel; the files of `kernels/` and `tandem-ops/src/cuda` are
//! examples, one of each an operation.

use anyhow::{Result, bail};
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Module, Shape, Tensor};
use candle_nn::{Optimizer, VarBuilder, VarMap};

/// The operation's parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Maxout {
    pieces: usize,
}

impl Maxout {
    /// Checks here what nothing after this checks again.
    fn new(pieces: usize) -> Result<Self> {
        if pieces < 2 {
            bail!("maxout takes the largest of 2 channels or more, not of {pieces}");
        }
        Ok(Self { pieces })
    }

    /// Outer size, channels of the output, and positions, of an input of shape `x`.
    fn sizes(&self, x: &Shape) -> candle_core::Result<(usize, usize, usize)> {
        match x.dims() {
            [n, channels, rest @ ..] if channels.is_multiple_of(self.pieces) => {
                Ok((*n, channels / self.pieces, rest.iter().product()))
            }
            other => candle_core::bail!(
                "maxout: (N, C, …) with C a multiple of {} is wanted, and {other:?} came",
                self.pieces
            ),
        }
    }

    fn output(&self, x: &Shape) -> candle_core::Result<Shape> {
        let (_, channels, _) = self.sizes(x)?;
        let mut dims = x.dims().to_vec();
        dims[1] = channels;
        Ok(dims.into())
    }
}

/// By its definition, from candle's own operations.
#[cfg(test)]
fn reference(op: Maxout, x: &Tensor) -> candle_core::Result<Tensor> {
    let (n, channels, positions) = op.sizes(x.shape())?;
    let apart = x.reshape((n, channels, op.pieces, positions))?;
    apart.max(2)?.reshape(op.output(x.shape())?)
}

/// For each output the place of the first largest input.
fn winners(op: Maxout, x: &[f32], (n, channels, positions): (usize, usize, usize)) -> Vec<usize> {
    let mut places = Vec::with_capacity(n * channels * positions);
    for block in 0..n * channels {
        for position in 0..positions {
            let place = |piece| (block * op.pieces + piece) * positions + position;
            let mut best = place(0);
            for piece in 1..op.pieces {
                if x[place(piece)] > x[best] {
                    best = place(piece);
                }
            }
            places.push(best);
        }
    }
    places
}

impl CustomOp1 for Maxout {
    fn name(&self) -> &'static str {
        "maxout"
    }

    fn cpu_fwd(&self, x: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let Some((start, end)) = l.contiguous_offsets() else {
            candle_core::bail!("maxout: the input must be contiguous")
        };
        let CpuStorage::F32(x) = x else {
            candle_core::bail!("maxout: f32 is wanted, and {:?} came", x.dtype())
        };
        let x = &x[start..end];
        let places = winners(*self, x, self.sizes(l.shape())?);
        let y = places.into_iter().map(|place| x[place]).collect();
        Ok((CpuStorage::F32(y), self.output(l.shape())?))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let values = x.flatten_all()?.to_vec1::<f32>()?;
        let places = winners(*self, &values, self.sizes(x.shape())?);
        let mut dx = vec![0f32; values.len()];
        for (place, dy) in places.into_iter().zip(dy.flatten_all()?.to_vec1::<f32>()?) {
            dx[place] = dy;
        }
        Tensor::from_vec(dx, x.shape(), x.device()).map(Some)
    }
}

/// So that it stands in any candle network.
impl Module for Maxout {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        x.contiguous()?.apply_op1(*self)
    }
}

/// Points of the square from −1 to 1: class 1 inside the circle of half its area.
fn points(device: &Device) -> Result<(Tensor, Tensor)> {
    let grid = (0..400).map(|i| ((i / 20) as f32 / 9.5 - 1.0, (i % 20) as f32 / 9.5 - 1.0));
    let points: Vec<_> = grid.collect();
    let inside = points.iter().map(|(x, y)| u32::from(x * x + y * y < 0.64));
    let labels = Tensor::from_iter(inside, device)?;
    let flat = points.iter().flat_map(|&(x, y)| [x, y]);
    Ok((Tensor::from_iter(flat, device)?.reshape((400, 2))?, labels))
}

fn main() -> Result<()> {
    let device = &Device::Cpu;
    let variables = VarMap::new();
    let vb = VarBuilder::from_varmap(&variables, DType::F32, device);
    // Of two coordinates 24 linear functions, of each four the largest: convex pieces.
    let network = candle_nn::seq()
        .add(candle_nn::linear(2, 24, vb.pp("fc1"))?)
        .add(Maxout::new(4)?)
        .add(candle_nn::linear(6, 2, vb.pp("fc2"))?);
    let (points, labels) = points(device)?;
    let mut adam = candle_nn::AdamW::new_lr(variables.all_vars(), 0.05)?;
    for _ in 0..300 {
        let loss = candle_nn::loss::cross_entropy(&network.forward(&points)?, &labels)?;
        adam.backward_step(&loss)?;
    }
    let right = network.forward(&points)?.argmax(1)?.eq(&labels)?;
    let right = right.to_dtype(DType::F32)?.mean_all()?.to_scalar::<f32>()?;
    println!(
        "a circle from six maxout units: {:.1} % right",
        100.0 * right
    );
    assert!(
        right > 0.75,
        "linear functions alone would come to half: {right}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use candle_core::Var;

    use super::*;

    /// Values far enough apart that a small step changes no winner.
    fn scattered(shape: &[usize]) -> Tensor {
        let count: usize = shape.iter().product();
        let values = (0..count).map(|i| (i * 7 % count) as f32 * 0.25 - 3.0);
        let flat = Tensor::from_iter(values, &Device::Cpu).unwrap();
        flat.reshape(shape).unwrap()
    }

    #[test]
    fn it_is_what_its_definition_says() {
        for (shape, pieces) in [(&[2, 6][..], 2), (&[3, 6, 5], 3), (&[1, 8, 2, 3], 4)] {
            let (op, x) = (Maxout::new(pieces).unwrap(), scattered(shape));
            let (got, want) = (op.forward(&x).unwrap(), reference(op, &x).unwrap());
            assert_eq!(got.dims(), want.dims());
            let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(flat(&got), flat(&want));
        }
    }

    #[test]
    fn its_gradient_is_that_of_finite_differences() {
        let op = Maxout::new(3).unwrap();
        let x = Var::from_tensor(&scattered(&[2, 6, 2])).unwrap();
        // A loss that weighs each output differently.
        let loss = |x: &Tensor| {
            let y = op.forward(x).unwrap().flatten_all().unwrap();
            let weights = Tensor::arange(1f32, 9.0, &Device::Cpu).unwrap();
            (y * weights).unwrap().sum_all().unwrap()
        };
        let gradients = loss(&x).backward().unwrap();
        let got = gradients.get(&x).unwrap().flatten_all().unwrap();
        let start = x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (i, got) in got.to_vec1::<f32>().unwrap().into_iter().enumerate() {
            let moved = |by: f32| {
                let mut values = start.clone();
                values[i] += by;
                let x = Tensor::from_vec(values, (2, 6, 2), &Device::Cpu).unwrap();
                loss(&x).to_scalar::<f32>().unwrap()
            };
            let want = (moved(0.0625) - moved(-0.0625)) / 0.125;
            assert!((got - want).abs() < 1e-3, "{i}: {got} {want}");
        }
    }

    #[test]
    fn what_it_cannot_take_is_named() {
        assert!(Maxout::new(1).unwrap_err().to_string().contains("not of 1"));
        let error = Maxout::new(4).unwrap().forward(&scattered(&[2, 6]));
        assert!(error.unwrap_err().to_string().contains("[2, 6]"));
    }

    #[test]
    fn a_network_learns_with_it() {
        main().unwrap();
    }
}
