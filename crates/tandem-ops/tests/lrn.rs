//! Local response normalisation against PyTorch, its definition and finite differences.

#[macro_use]
mod common;

use candle_core::{CustomOp1, DType, Device, Tensor};
use common::*;
use proptest::prelude::*;
use tandem_ops::lrn::{AlphaConvention, Lrn, reference};

const CONSTANTS: [(usize, f64, f64, f64); 4] = [
    (5, 2.0, 1e-4, 0.75),
    (3, 1.0, 0.5, 0.5),
    (5, 1.0, 0.4, 1.0),
    (9, 2.0, 0.3, 0.6),
];

test_devices! {
    fn it_agrees_with_pytorch(device) {
        for case in ["paper", "strong", "caffe", "narrow", "wide"] {
            let fixture = fixture(&format!("lrn-{case}"));
            let convention = match fixture.flag("divide_alpha_by_n") {
                true => AlphaConvention::DividedBySize,
                false => AlphaConvention::Paper,
            };
            let lrn = Lrn::new(
                fixture.size("n"),
                fixture.number("k"),
                fixture.number("alpha"),
                fixture.number("beta"),
                convention,
            )?;
            for dtype in [DType::F32, DType::F64] {
                let read = |name| fixture.tensor(name, dtype, device);
                let (x, dy) = (read("x")?, read("dy")?);
                let y = lrn.forward(&x)?;
                assert_close(&format!("{case} y"), &y, &read("y")?, fixture_tolerance(dtype));
                let dx = lrn.bwd(&x, &y, &dy)?.unwrap();
                assert_close(&format!("{case} dx"), &dx, &read("dx")?, fixture_tolerance(dtype));
            }
        }
        Ok(())
    }

    fn its_gradient_is_that_of_finite_differences(device) {
        for (size, k, alpha, beta) in CONSTANTS {
            let lrn = Lrn::new(size, k, alpha, beta, AlphaConvention::Paper)?.with_groups(2)?;
            let x = noise(1, &[2, 8, 2, 3], DType::F64, device)?;
            check_gradient(&format!("{lrn:?}"), &[x], |t| lrn.forward(&t[0]));
        }
        Ok(())
    }

    fn two_groups_are_two_towers_normalised_apart(device) {
        let lrn = Lrn::new(5, 1.0, 0.5, 0.75, AlphaConvention::Paper)?;
        let x = noise(2, &[3, 12, 5, 7], DType::F32, device)?;
        let towers = x.chunk(2, 1)?;
        let apart = Tensor::cat(&[lrn.forward(&towers[0])?, lrn.forward(&towers[1])?], 1)?;
        let together = lrn.with_groups(2)?.forward(&x)?;
        assert_close("towers", &together, &apart, (0.0, 0.0));
        // And the seam matters: windows over it give something else.
        assert_ne!(values(&lrn.forward(&x)?), values(&together));
        Ok(())
    }

    fn the_layout_of_its_inputs_does_not_matter(device) {
        let lrn = Lrn::new(5, 2.0, 0.1, 0.75, AlphaConvention::Paper)?;
        let x = noise(3, &[2, 7, 5, 4], DType::F32, device)?;
        let dy = noise(4, &[2, 7, 5, 4], DType::F32, device)?;
        let y = lrn.forward(&x)?;
        assert_close("y", &lrn.forward(&scattered(&x)?)?, &y, (0.0, 0.0));
        let dx = lrn.bwd(&x, &y, &dy)?.unwrap();
        let from_scattered = lrn.bwd(&scattered(&x)?, &y, &scattered(&dy)?)?.unwrap();
        assert_close("dx", &from_scattered, &dx, (0.0, 0.0));
        Ok(())
    }
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let lrn = Lrn::new(5, 2.0, 0.1, 0.75, AlphaConvention::Paper).unwrap();
    let x = noise(5, &[5, 16, 13, 13], DType::F32, &Device::Cpu).unwrap();
    assert_same_for_any_threads(|| lrn.forward(&x));
    assert_same_for_any_threads(|| Ok(lrn.bwd(&x, &x, &x)?.unwrap()));
}

#[test]
fn parameters_and_shapes_that_make_no_sense_are_named() {
    let new = |size, beta| Lrn::new(size, 2.0, 1e-4, beta, AlphaConvention::Paper);
    assert!(
        new(4, 0.75)
            .unwrap_err()
            .to_string()
            .contains("size 4 must be odd")
    );
    assert!(new(0, 0.75).unwrap_err().to_string().contains("size 0"));
    assert!(
        new(5, f64::NAN)
            .unwrap_err()
            .to_string()
            .contains("beta NaN")
    );
    assert!(
        new(5, 0.75)
            .unwrap()
            .with_groups(0)
            .unwrap_err()
            .to_string()
            .contains("groups")
    );
    let x = Tensor::zeros((1, 5, 2, 2), DType::F32, &Device::Cpu).unwrap();
    let error = new(5, 0.75)
        .unwrap()
        .with_groups(2)
        .unwrap()
        .forward(&x)
        .unwrap_err();
    assert!(error.to_string().contains("[1, 5, 2, 2]"), "{error}");
    let error = new(5, 0.75)
        .unwrap()
        .forward(&x.to_dtype(DType::U8).unwrap())
        .unwrap_err();
    assert!(error.to_string().contains("U8"), "{error}");
}

/// The derivative of each output for each input of its window, summed one by one.
fn plain_gradient(
    (size, k, alpha, beta): (usize, f64, f64, f64),
    (channels, positions): (usize, usize),
    x: &[f64],
    dy: &[f64],
) -> Vec<f64> {
    let mut dx = vec![0.0; x.len()];
    let at = |part: usize, c: usize, p: usize| (part * channels + c) * positions + p;
    for part in 0..x.len() / (channels * positions) {
        for (c, p) in (0..channels).flat_map(|c| (0..positions).map(move |p| (c, p))) {
            let window = (0..channels).filter(|j| j.abs_diff(c) <= size / 2);
            let sum: f64 = window.clone().map(|j| x[at(part, j, p)].powi(2)).sum();
            let (scale, i) = (k + alpha * sum, at(part, c, p));
            dx[i] += dy[i] * scale.powf(-beta);
            for j in window.map(|j| at(part, j, p)) {
                dx[j] -= dy[i] * x[i] * beta * scale.powf(-beta - 1.0) * 2.0 * alpha * x[j];
            }
        }
    }
    dx
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn random_shapes_agree_with_the_definition(
        (n, groups, channels) in (1..3usize, 1..3usize, 1..12usize),
        (h, w) in (1..12usize, 1..12usize),
        constants in prop::sample::select(&CONSTANTS[..]),
        divided in any::<bool>(),
        double in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let (size, k, alpha, beta) = constants;
        let (convention, effective) = match divided {
            true => (AlphaConvention::DividedBySize, alpha / size as f64),
            false => (AlphaConvention::Paper, alpha),
        };
        let lrn = Lrn::new(size, k, alpha, beta, convention).unwrap().with_groups(groups).unwrap();
        let dtype = if double { DType::F64 } else { DType::F32 };
        let dims = [n, groups * channels, h, w];
        let x = noise(seed, &dims, dtype, &Device::Cpu).unwrap();
        let dy = noise(!seed, &dims, dtype, &Device::Cpu).unwrap();
        let y = lrn.forward(&x).unwrap();
        let want = reference(&lrn, &values(&x), channels, h * w);
        assert_all_close("y", &dims, &values(&y), &want, reference_tolerance(dtype));
        let dx = lrn.bwd(&x, &y, &dy).unwrap().unwrap();
        let want = plain_gradient(
            (size, k, effective, beta), (channels, h * w), &values(&x), &values(&dy));
        assert_all_close("dx", &dims, &values(&dx), &want, reference_tolerance(dtype));
    }
}
