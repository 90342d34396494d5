use crate::common::{
    Fixture, assert_golden, assert_near, assert_same_for_any_threads, config, noise, places,
    scattered, values,
};
use candle_core::{CustomOp1, DType, Tensor};
use proptest::prelude::*;
use tandem_ops::max_pool::{MaxPool2d, reference};
use tandem_ops::window::Rounding;

fn of_fixture(f: &Fixture) -> MaxPool2d {
    let square = |name: &str| (f.size(name), f.size(name));
    let rounding = match f.value("ceil_mode").as_bool().unwrap() {
        true => Rounding::Up,
        false => Rounding::Down,
    };
    MaxPool2d::new(
        square("kernel"),
        square("stride"),
        square("padding"),
        rounding,
    )
    .unwrap()
}

#[test]
fn values_and_gradients_match_pytorch_ties_included() {
    for name in ["overlap", "ties", "ceil", "even", "stride1", "padded"] {
        let f = Fixture::read(&format!("pool-{name}"));
        for place in &places() {
            let t = |name: &str| f.tensor(name, place);
            let op = of_fixture(&f).op();
            let y = t("x").apply_op1_no_bwd(&op).unwrap();
            assert_golden(&format!("{name} y"), &y, &t("y"));
            let dx = op.bwd(&t("x"), &y, &t("dy")).unwrap().unwrap();
            assert_golden(&format!("{name} dx"), &dx, &t("dx"));
        }
    }
}

proptest! {
    #![proptest_config(config())]
    #[test]
    fn any_window_equals_the_definition(
        (h, w) in (1..12usize, 1..20usize),
        kernel in (1..6usize, 1..6usize),
        stride in (1..5usize, 1..5usize),
        padding in (0..3usize, 0..3usize),
        up in any::<bool>(),
        coarse in any::<bool>(),
        nan in prop::option::of(0..200usize),
    ) {
        prop_assume!(padding.0 <= kernel.0 / 2 && padding.1 <= kernel.1 / 2);
        prop_assume!(kernel.0 <= h + 2 * padding.0 && kernel.1 <= w + 2 * padding.1);
        let rounding = if up { Rounding::Up } else { Rounding::Down };
        let pool = MaxPool2d::new(kernel, stride, padding, rounding).unwrap();
        let mut plane = values(&noise(1, &[h, w]));
        if coarse {
            // Many equal values: the first in row-major order must win.
            plane.iter_mut().for_each(|v| *v = v.round());
        }
        if let Some(i) = nan.filter(|i| *i < plane.len()) {
            plane[i] = f64::NAN;
        }
        let (best, winners) = reference(&pool, &plane, (h, w)).unwrap();
        let x = Tensor::from_vec(plane, (1, 1, h, w), &candle_core::Device::Cpu).unwrap();
        let op = pool.op();
        let y = x.apply_op1_no_bwd(&op).unwrap();
        let bits = |v: &[f64]| v.iter().map(|v| if v.is_nan() { None } else { Some(*v) }).collect::<Vec<_>>();
        prop_assert_eq!(bits(&values(&y)), bits(&best));
        // Each output's gradient lands on its winner, and sums where windows overlap.
        let dy = noise(2, y.dims());
        let dx = op.bwd(&x, &y, &dy).unwrap().unwrap();
        let mut want = vec![0.0; h * w];
        let out_width = y.dims()[3];
        for (o, (winner, dy)) in winners.iter().zip(values(&dy)).enumerate() {
            let (u, v) = (usize::from(*winner) / kernel.1, usize::from(*winner) % kernel.1);
            let (i, j) = (o / out_width, o % out_width);
            want[(i * stride.0 + u - padding.0) * w + j * stride.1 + v - padding.1] += dy;
        }
        assert_near("dx", &values(&dx), &want, 1e-12, 1e-12);
    }
}

fn overlapping() -> MaxPool2d {
    MaxPool2d::new((3, 3), (2, 2), (0, 0), Rounding::Down).unwrap()
}

#[test]
fn nan_wins_over_infinity_wherever_it_stands() {
    for place in 0..9 {
        let mut plane = vec![f32::INFINITY; 9];
        plane[place] = f32::NAN;
        let x = Tensor::from_vec(plane, (1, 1, 3, 3), &candle_core::Device::Cpu).unwrap();
        let op = overlapping().op();
        let y = x.apply_op1_no_bwd(&op).unwrap();
        assert!(values(&y)[0].is_nan(), "{place}");
        let dx = op.bwd(&x, &y, &y.ones_like().unwrap()).unwrap().unwrap();
        assert_eq!(values(&dx)[place], 1.0);
    }
}

#[test]
fn layout_and_number_of_threads_do_not_matter() {
    let x = noise(3, &[3, 5, 13, 8]).to_dtype(DType::F32).unwrap();
    let y = overlapping().forward(&x).unwrap();
    assert_eq!(
        values(&overlapping().forward(&scattered(&x)).unwrap()),
        values(&y)
    );
    let op = overlapping().op();
    x.apply_op1_no_bwd(&op).unwrap();
    let backward = |dy: &Tensor| values(&op.bwd(&x, &y, dy).unwrap().unwrap());
    assert_eq!(backward(&scattered(&y)), backward(&y));
    assert_same_for_any_threads(|| {
        let op = overlapping().op();
        let y = x.apply_op1_no_bwd(&op).unwrap();
        let dx = op.bwd(&x, &y, &y).unwrap().unwrap();
        vec![y, dx]
    });
}

#[test]
fn the_papers_sizes_come_out_with_either_rounding() {
    for rounding in [Rounding::Down, Rounding::Up] {
        let pool = MaxPool2d::new((3, 3), (2, 2), (0, 0), rounding).unwrap();
        for (from, to) in [(55, 27), (27, 13), (13, 6)] {
            let y = pool.forward(&noise(1, &[1, 1, from, from])).unwrap();
            assert_eq!(y.dims(), [1, 1, to, to]);
        }
    }
}

#[test]
fn windows_and_pictures_that_make_no_sense_are_named() {
    let new = |kernel, stride, padding| MaxPool2d::new(kernel, stride, padding, Rounding::Down);
    for wrong in [
        new((0, 3), (2, 2), (0, 0)),
        new((3, 3), (2, 0), (0, 0)),
        new((3, 3), (2, 2), (2, 0)),
        new((17, 16), (1, 1), (0, 0)),
    ] {
        let error = wrong.unwrap_err().to_string();
        assert!(error.starts_with("max-pool2d: kernel"), "{error}");
    }
    // Padding of half the kernel makes room for a window even where there is no picture.
    let padded = new((2, 2), (1, 1), (1, 1)).unwrap();
    for (pool, dims) in [
        (overlapping(), &[1, 1, 2, 5][..]),
        (overlapping(), &[1, 5, 5]),
        (padded, &[1, 1, 0, 3]),
    ] {
        let x = Tensor::zeros(dims, DType::F32, &candle_core::Device::Cpu).unwrap();
        let error = pool.forward(&x).unwrap_err().to_string();
        assert!(error.contains(&format!("{dims:?}")), "{error}");
    }
}

#[test]
fn backward_before_forward_is_an_error() {
    let (x, y) = (noise(1, &[1, 1, 3, 3]), noise(2, &[1, 1, 1, 1]));
    let error = overlapping().op().bwd(&x, &y, &y).unwrap_err().to_string();
    assert!(error.contains("backward before its forward"), "{error}");
}
