use crate::common::{Fixture, assert_golden, assert_near, config, noise, values};
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
        for dtype in [DType::F32, DType::F64] {
            let t = |name: &str| f.tensor(name, dtype);
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
