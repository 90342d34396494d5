//! Max pooling against PyTorch, its definition and finite differences.

#[macro_use]
mod common;

use candle_core::{CustomOp1, DType, Device, Tensor};
use common::*;
use proptest::prelude::*;
use tandem_ops::max_pool::{MaxPool2d, reference};
use tandem_ops::window::Rounding;

/// The paper's overlapping pooling, Section 3.4.
fn overlapping() -> MaxPool2d {
    MaxPool2d::new((3, 3), (2, 2), (0, 0), Rounding::Down).unwrap()
}

test_devices! {
    fn it_agrees_with_pytorch(device) {
        for case in ["overlap", "ties", "ceil", "even", "stride1", "padded"] {
            let fixture = fixture(&format!("pool-{case}"));
            let square = |name| (fixture.size(name), fixture.size(name));
            let rounding = if fixture.flag("ceil_mode") { Rounding::Up } else { Rounding::Down };
            let pool =
                MaxPool2d::new(square("kernel"), square("stride"), square("padding"), rounding)?;
            for dtype in [DType::F32, DType::F64] {
                let read = |name| fixture.tensor(name, dtype, device);
                let (x, dy) = (read("x")?, read("dy")?);
                let op = pool.op();
                let y = x.apply_op1_no_bwd(&op)?;
                assert_close(&format!("{case} y"), &y, &read("y")?, fixture_tolerance(dtype));
                let dx = op.bwd(&x, &y, &dy)?.unwrap();
                assert_close(&format!("{case} dx"), &dx, &read("dx")?, fixture_tolerance(dtype));
            }
        }
        Ok(())
    }

    fn its_gradient_is_that_of_finite_differences(device) {
        for (size, padding, rounding) in
            [([7, 7], 0, Rounding::Down), ([6, 8], 0, Rounding::Up), ([5, 6], 1, Rounding::Down)]
        {
            let pool = MaxPool2d::new((3, 3), (2, 2), (padding, padding), rounding)?;
            let x = noise(1, &[1, 2, size[0], size[1]], DType::F64, device)?;
            check_gradient(&format!("{pool:?}"), &[x], |t| pool.forward(&t[0]));
        }
        Ok(())
    }

    fn of_equal_values_the_first_in_row_major_order_gets_the_gradient(device) {
        // The last column holds the maximum one row higher than the first column does.
        let x = Tensor::new(&[[[[0f32, 0., 0.], [0., 0., 5.], [5., 0., 0.]]]], device)?;
        let op = overlapping().op();
        let y = x.apply_op1_no_bwd(&op)?;
        let dx = op.bwd(&x, &y, &y.ones_like()?)?.unwrap();
        assert_eq!(values(&dx), [0., 0., 0., 0., 0., 1., 0., 0., 0.]);
        let level = Tensor::zeros((1, 1, 3, 3), DType::F32, device)?;
        let op = overlapping().op();
        let y = level.apply_op1_no_bwd(&op)?;
        let dx = op.bwd(&level, &y, &y.ones_like()?)?.unwrap();
        assert_eq!(values(&dx), [1., 0., 0., 0., 0., 0., 0., 0., 0.]);
        Ok(())
    }

    fn nan_wins_over_every_number_wherever_it_stands(device) {
        for dtype in [DType::F32, DType::F64] {
            for place in 0..9 {
                let mut plane = vec![f64::INFINITY; 9];
                plane[place] = f64::NAN;
                let x = Tensor::from_vec(plane, (1, 1, 3, 3), device)?.to_dtype(dtype)?;
                let op = overlapping().op();
                let y = x.apply_op1_no_bwd(&op)?;
                assert!(values(&y)[0].is_nan(), "NaN at {place} was lost");
                assert!(values(&overlapping().forward_without_winners(&x)?)[0].is_nan());
                let dx = op.bwd(&x, &y, &y.ones_like()?)?.unwrap();
                assert_eq!(values(&dx)[place], 1.0);
            }
        }
        Ok(())
    }

    fn minus_infinity_alone_is_a_maximum(device) {
        let x = Tensor::full(f32::NEG_INFINITY, (1, 1, 3, 3), device)?;
        assert_eq!(values(&overlapping().forward(&x)?), [f64::NEG_INFINITY]);
        assert_eq!(values(&overlapping().forward_without_winners(&x)?), [f64::NEG_INFINITY]);
        Ok(())
    }

    fn the_layout_of_its_inputs_does_not_matter(device) {
        let x = noise(3, &[2, 3, 9, 8], DType::F32, device)?;
        let (plain, moved) = (overlapping().op(), overlapping().op());
        let y = x.apply_op1_no_bwd(&plain)?;
        assert_close("y", &overlapping().forward(&scattered(&x)?)?, &y, (0.0, 0.0));
        scattered(&x)?.contiguous()?.apply_op1_no_bwd(&moved)?;
        let dy = noise(4, y.dims(), DType::F32, device)?;
        let dx = plain.bwd(&x, &y, &dy)?.unwrap();
        let from_scattered = moved.bwd(&scattered(&x)?, &y, &scattered(&dy)?)?.unwrap();
        assert_close("dx", &from_scattered, &dx, (0.0, 0.0));
        Ok(())
    }

    fn the_sizes_of_the_paper_come_out_with_either_rounding(device) {
        for rounding in [Rounding::Down, Rounding::Up] {
            let pool = MaxPool2d::new((3, 3), (2, 2), (0, 0), rounding)?;
            for (from, to) in [(55, 27), (27, 13), (13, 6)] {
                let x = Tensor::zeros((1, 1, from, from), DType::F32, device)?;
                assert_eq!(pool.forward(&x)?.dims(), [1, 1, to, to]);
            }
        }
        Ok(())
    }
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let x = noise(5, &[3, 8, 13, 13], DType::F32, &Device::Cpu).unwrap();
    assert_same_for_any_threads(|| overlapping().forward(&x));
    assert_same_for_any_threads(|| {
        let op = overlapping().op();
        let y = x.apply_op1_no_bwd(&op)?;
        Ok(op.bwd(&x, &y, &y)?.unwrap())
    });
}

#[test]
fn parameters_and_shapes_that_make_no_sense_are_named() {
    let new = |kernel, stride, padding| MaxPool2d::new(kernel, stride, padding, Rounding::Down);
    for wrong in [
        new((0, 3), (2, 2), (0, 0)),
        new((3, 3), (2, 0), (0, 0)),
        new((3, 3), (2, 2), (2, 0)),
        new((17, 16), (1, 1), (0, 0)),
    ] {
        assert!(
            wrong
                .unwrap_err()
                .to_string()
                .starts_with("max-pool2d: kernel")
        );
    }
    let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap();
    for dims in [&[1, 1, 2, 5][..], &[1, 5, 5], &[1, 1, 0, 5]] {
        let error = overlapping().forward(&zeros(dims)).unwrap_err().to_string();
        assert!(error.contains(&format!("{dims:?}")), "{error}");
    }
    // Half the kernel of padding would make room for a window where there is no picture.
    let padded = new((2, 2), (1, 1), (1, 1)).unwrap();
    let error = padded
        .forward(&zeros(&[1, 1, 0, 3]))
        .unwrap_err()
        .to_string();
    assert!(error.contains("[1, 1, 0, 3]"), "{error}");
}

#[test]
fn backward_before_forward_is_an_error() {
    let x = Tensor::zeros((1, 1, 3, 3), DType::F32, &Device::Cpu).unwrap();
    let y = Tensor::zeros((1, 1, 1, 1), DType::F32, &Device::Cpu).unwrap();
    let error = overlapping().op().bwd(&x, &y, &y).unwrap_err();
    assert!(
        error.to_string().contains("backward before its forward"),
        "{error}"
    );
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn random_windows_agree_with_the_definition(
        (n, c, extra_h, extra_w) in (1..3usize, 1..4usize, 0..12usize, 0..40usize),
        kernel in (1..6usize, 1..6usize),
        stride in (1..5usize, 1..5usize),
        padding in (0..3usize, 0..3usize),
        (up, double, ties) in any::<(bool, bool, bool)>(),
        seed in any::<u64>(),
    ) {
        let padding = (padding.0.min(kernel.0 / 2), padding.1.min(kernel.1 / 2));
        let rounding = if up { Rounding::Up } else { Rounding::Down };
        let dtype = if double { DType::F64 } else { DType::F32 };
        let pool = MaxPool2d::new(kernel, stride, padding, rounding).unwrap();
        let (h, w) = (kernel.0 + extra_h, kernel.1 + extra_w);
        let values_of = if ties { steps } else { noise };
        let x = values_of(seed, &[n, c, h, w], dtype, &Device::Cpu).unwrap();
        let op = pool.op();
        let y = x.apply_op1_no_bwd(&op).unwrap();
        let dy = noise(!seed, y.dims(), dtype, &Device::Cpu).unwrap();
        let (mut want_y, mut want_dx) = (Vec::new(), vec![0.0; n * c * h * w]);
        let (out, gradients) = (y.dims()[2] * y.dims()[3], values(&dy));
        for (plane, x) in values(&x).chunks_exact(h * w).enumerate() {
            let (best, winners) = reference(&pool, x, (h, w)).unwrap();
            for (at, winner) in winners.iter().enumerate() {
                let (i, j) = (at / y.dims()[3], at % y.dims()[3]);
                let (u, v) = (usize::from(*winner) / kernel.1, usize::from(*winner) % kernel.1);
                let row = i * stride.0 + u - padding.0;
                let column = j * stride.1 + v - padding.1;
                want_dx[(plane * h + row) * w + column] += gradients[plane * out + at];
            }
            want_y.extend(best);
        }
        assert_all_close("y", y.dims(), &values(&y), &want_y, (0.0, 0.0));
        let inference = pool.forward_without_winners(&x).unwrap();
        assert_all_close("inference", y.dims(), &values(&inference), &want_y, (0.0, 0.0));
        let dx = op.bwd(&x, &y, &dy).unwrap().unwrap();
        assert_all_close("dx", x.dims(), &values(&dx), &want_dx, reference_tolerance(dtype));
    }
}
