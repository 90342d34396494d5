//! Average pooling against PyTorch, its definition and finite differences.

#[macro_use]
mod common;

use candle_core::{CustomOp1, DType, Device, Tensor};
use common::*;
use proptest::prelude::*;
use tandem_ops::avg_pool::AvgPool2d;
use tandem_ops::window::Rounding;

test_devices! {
    fn it_agrees_with_pytorch(device) {
        let fixture = fixture("pool-average");
        let square = |name| (fixture.size(name), fixture.size(name));
        let pool =
            AvgPool2d::new(square("kernel"), square("stride"), square("padding"), Rounding::Down)?;
        for dtype in [DType::F32, DType::F64] {
            let read = |name| fixture.tensor(name, dtype, device);
            let (x, dy) = (read("x")?, read("dy")?);
            let y = pool.forward(&x)?;
            assert_close("y", &y, &read("y")?, fixture_tolerance(dtype));
            let dx = pool.bwd(&x, &y, &dy)?.unwrap();
            assert_close("dx", &dx, &read("dx")?, fixture_tolerance(dtype));
        }
        Ok(())
    }

    fn its_gradient_is_that_of_finite_differences(device) {
        for (padding, rounding) in [(0, Rounding::Down), (1, Rounding::Up)] {
            let pool = AvgPool2d::new((3, 3), (2, 2), (padding, padding), rounding)?;
            let x = noise(1, &[1, 2, 6, 8], DType::F64, device)?;
            check_gradient(&format!("{pool:?}"), &[x], |t| pool.forward(&t[0]));
        }
        Ok(())
    }

    /// torch.nn.functional.avg_pool2d(torch.ones(1, 1, 4, 4), 3, 2, 1, ceil_mode=True)
    fn padding_counts_and_what_hangs_over_it_does_not(device) {
        let pool = AvgPool2d::new((3, 3), (2, 2), (1, 1), Rounding::Up)?;
        let y = pool.forward(&Tensor::ones((1, 1, 4, 4), DType::F64, device)?)?;
        let (ninth, sixth) = (1.0 / 9.0, 1.0 / 6.0);
        let want = [
            4.0 * ninth, 6.0 * ninth, 2.0 * sixth,
            6.0 * ninth, 1.0, 3.0 * sixth,
            2.0 * sixth, 3.0 * sixth, 0.25,
        ];
        assert_all_close("y", &[3, 3], &values(&y), &want, (1e-12, 0.0));
        Ok(())
    }

    fn the_layout_of_its_inputs_does_not_matter(device) {
        let pool = AvgPool2d::new((3, 2), (2, 1), (1, 0), Rounding::Down)?;
        let x = noise(3, &[2, 3, 9, 8], DType::F32, device)?;
        let y = pool.forward(&x)?;
        assert_close("y", &pool.forward(&scattered(&x)?)?, &y, (0.0, 0.0));
        let dx = pool.bwd(&x, &y, &y)?.unwrap();
        let from_scattered = pool.bwd(&x, &y, &scattered(&y)?)?.unwrap();
        assert_close("dx", &from_scattered, &dx, (0.0, 0.0));
        Ok(())
    }
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let pool = AvgPool2d::new((3, 3), (2, 2), (0, 0), Rounding::Down).unwrap();
    let x = noise(5, &[3, 8, 13, 13], DType::F32, &Device::Cpu).unwrap();
    assert_same_for_any_threads(|| pool.forward(&x));
    assert_same_for_any_threads(|| Ok(pool.bwd(&x, &x, &pool.forward(&x)?)?.unwrap()));
}

#[test]
fn parameters_that_make_no_sense_are_named() {
    let error = AvgPool2d::new((3, 3), (0, 1), (0, 0), Rounding::Down).unwrap_err();
    assert!(
        error.to_string().starts_with("avg-pool2d: kernel"),
        "{error}"
    );
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn random_windows_agree_with_the_definition(
        (n, c, extra_h, extra_w) in (1..3usize, 1..4usize, 0..12usize, 0..12usize),
        kernel in (1..6usize, 1..6usize),
        stride in (1..5usize, 1..5usize),
        padding in (0..3usize, 0..3usize),
        (up, double) in any::<(bool, bool)>(),
        seed in any::<u64>(),
    ) {
        let padding = (padding.0.min(kernel.0 / 2), padding.1.min(kernel.1 / 2));
        let rounding = if up { Rounding::Up } else { Rounding::Down };
        let dtype = if double { DType::F64 } else { DType::F32 };
        let pool = AvgPool2d::new(kernel, stride, padding, rounding).unwrap();
        let (h, w) = (kernel.0 + extra_h, kernel.1 + extra_w);
        let x = noise(seed, &[n, c, h, w], dtype, &Device::Cpu).unwrap();
        let y = pool.forward(&x).unwrap();
        let dy = noise(!seed, y.dims(), dtype, &Device::Cpu).unwrap();
        let dx = pool.bwd(&x, &y, &dy).unwrap().unwrap();
        let (xs, dys) = (values(&x), values(&dy));
        let (mut want_y, mut want_dx) = (vec![0.0; dys.len()], vec![0.0; xs.len()]);
        let (out_h, out_w) = (y.dims()[2], y.dims()[3]);
        for at in 0..dys.len() {
            let (plane, i, j) = (at / (out_h * out_w), at / out_w % out_h, at % out_w);
            // Rows and columns count from the corner of the padding.
            let rows = i * stride.0..(i * stride.0 + kernel.0).min(h + 2 * padding.0);
            let columns = j * stride.1..(j * stride.1 + kernel.1).min(w + 2 * padding.1);
            let places = (rows.len() * columns.len()) as f64;
            for (row, column) in rows.flat_map(|r| columns.clone().map(move |c| (r, c))) {
                let (row, column) = (row.wrapping_sub(padding.0), column.wrapping_sub(padding.1));
                if row < h && column < w {
                    want_y[at] += xs[(plane * h + row) * w + column] / places;
                    want_dx[(plane * h + row) * w + column] += dys[at] / places;
                }
            }
        }
        assert_all_close("y", y.dims(), &values(&y), &want_y, reference_tolerance(dtype));
        assert_all_close("dx", x.dims(), &values(&dx), &want_dx, reference_tolerance(dtype));
    }
}
