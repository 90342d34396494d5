use crate::common::{
    Fixture, assert_golden, assert_near, check_gradient, config, noise, scattered, values,
};
use candle_core::{CustomOp3, DType, Tensor};
use proptest::prelude::*;
use tandem_ops::Activation;
use tandem_ops::conv::{Conv2d, reference};

#[test]
fn convolutions_match_pytorch() {
    for name in ["conv1", "grouped", "same", "ragged"] {
        let f = Fixture::read(&format!("conv-{name}"));
        let (s, p) = (f.size("stride"), f.size("padding"));
        let op = Conv2d::new((s, s), (p, p), f.size("groups"), Activation::None).unwrap();
        for dtype in [DType::F32, DType::F64] {
            let t = |name: &str| f.tensor(name, dtype);
            let y = op.forward(&t("x"), &t("w"), &t("b")).unwrap();
            assert_golden(&format!("{name} y"), &y, &t("y"));
            let (dx, dw, db) = op.bwd(&t("x"), &t("w"), &t("b"), &y, &t("dy")).unwrap();
            assert_golden(&format!("{name} dx"), &dx.unwrap(), &t("dx"));
            assert_golden(&format!("{name} dw"), &dw.unwrap(), &t("dw"));
            assert_golden(&format!("{name} db"), &db.unwrap(), &t("db"));
        }
    }
}

#[test]
fn every_gradient_is_that_of_finite_differences() {
    for (stride, padding, groups, activation) in [
        ((1, 1), (1, 1), 2, Activation::None),
        ((2, 3), (1, 2), 1, Activation::Relu),
        ((4, 1), (0, 1), 2, Activation::Relu),
    ] {
        let op = Conv2d::new(stride, padding, groups, activation).unwrap();
        let (x, w, b) = (
            noise(1, &[2, 4, 7, 6]),
            noise(2, &[6, 4 / groups, 3, 4]),
            noise(3, &[6]),
        );
        let y = op.forward(&x, &w, &b).unwrap();
        let dy = noise(4, y.dims());
        let (dx, dw, db) = op.bwd(&x, &w, &b, &y, &dy).unwrap();
        check_gradient("x", &x, &dy, &dx.unwrap(), |x| op.forward(x, &w, &b));
        check_gradient("w", &w, &dy, &dw.unwrap(), |w| op.forward(&x, w, &b));
        check_gradient("b", &b, &dy, &db.unwrap(), |b| op.forward(&x, &w, b));
    }
}

proptest! {
    #![proptest_config(config())]
    #[test]
    fn any_shape_equals_the_definition(
        (n, c, o, groups) in (1..4usize, 1..5usize, 1..20usize, 1..4usize),
        (h, w) in (1..14usize, 1..40usize),
        (kh, kw) in (1..6usize, 1..6usize),
        stride in (1..5usize, 1..5usize),
        padding in (0..4usize, 0..4usize),
        relu in any::<bool>(),
    ) {
        prop_assume!(kh <= h + 2 * padding.0 && kw <= w + 2 * padding.1);
        let activation = if relu { Activation::Relu } else { Activation::None };
        let op = Conv2d::new(stride, padding, groups, activation).unwrap();
        let x = noise(1, &[n, c * groups, h, w]);
        let weight = noise(2, &[o * groups, c, kh, kw]);
        let b = noise(3, &[o * groups]);
        let want = values(&reference(&op, &x, &weight, &b).unwrap());
        let got = op.forward(&x, &weight, &b).unwrap();
        assert_near("f64", &values(&got), &want, 1e-10, 1e-10);
        let single = |t: &candle_core::Tensor| t.to_dtype(DType::F32).unwrap();
        let got = op.forward(&single(&x), &single(&weight), &single(&b)).unwrap();
        assert_near("f32", &values(&got), &want, 2e-4, 1e-4);
        // Backward: the same shapes as the inputs, and linear in dy, so <dx, x> relates to <dy, y>.
        if activation == Activation::None {
            let dy = noise(4, got.dims());
            let zero = b.zeros_like().unwrap();
            let y = op.forward(&x, &weight, &zero).unwrap();
            let (dx, dw, _) = op.bwd(&x, &weight, &zero, &y, &dy).unwrap();
            let dot = |a: &candle_core::Tensor, b: &candle_core::Tensor| -> f64 {
                values(a).iter().zip(values(b)).map(|(a, b)| a * b).sum()
            };
            let whole = dot(&dy, &y);
            assert_near("<dx, x> and <dw, w>", &[dot(&dx.unwrap(), &x), dot(&dw.unwrap(), &weight)], &[whole; 2], 1e-8, 1e-8);
        }
    }
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let op = Conv2d::new((1, 1), (1, 1), 2, Activation::Relu).unwrap();
    let single = |seed, shape: &[usize]| noise(seed, shape).to_dtype(DType::F32).unwrap();
    let (x, w, b) = (
        single(1, &[5, 8, 9, 9]),
        single(2, &[12, 4, 3, 3]),
        single(3, &[12]),
    );
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let y = op.forward(&x, &w, &b).unwrap();
            let (dx, dw, db) = op.bwd(&x, &w, &b, &y, &y).unwrap();
            [Some(y), dx, dw, db].map(|t| values(&t.unwrap()))
        })
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn nan_stays_nan_through_the_fused_relu() {
    let op = Conv2d::new((1, 1), (0, 0), 1, Activation::Relu).unwrap();
    let x = (noise(1, &[1, 1, 1, 3]) * f64::NAN)
        .unwrap()
        .to_dtype(DType::F32)
        .unwrap();
    let one = x.ones_like().unwrap().narrow(3, 0, 1).unwrap();
    let y = op.forward(&x, &one, &one.flatten_all().unwrap()).unwrap();
    assert!(values(&y).iter().all(|v| v.is_nan()));
}

#[test]
fn shapes_that_do_not_fit_are_named() {
    let op = Conv2d::new((1, 1), (0, 0), 2, Activation::None).unwrap();
    let error = op.forward(
        &noise(1, &[1, 3, 5, 5]),
        &noise(2, &[4, 2, 3, 3]),
        &noise(3, &[4]),
    );
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("conv2d") && error.contains("[1, 3, 5, 5]"),
        "{error}"
    );
    assert!(Conv2d::new((0, 1), (0, 0), 1, Activation::None).is_err());
}

#[test]
fn the_layout_of_its_inputs_does_not_matter() {
    let op = Conv2d::new((2, 1), (1, 2), 2, Activation::Relu).unwrap();
    let (x, w, b) = (
        noise(1, &[2, 4, 9, 7]),
        noise(2, &[6, 2, 3, 4]),
        noise(3, &[6]),
    );
    let run = |x: &Tensor, w: &Tensor, b: &Tensor| {
        let y = op.forward(x, w, b).unwrap();
        let (dx, dw, db) = op.bwd(x, w, b, &y, &scattered(&y)).unwrap();
        [Some(y), dx, dw, db].map(|t| values(&t.unwrap()))
    };
    let moved = run(&scattered(&x), &scattered(&w), &scattered(&b));
    assert_eq!(moved, run(&x, &w, &b));
}

proptest! {
    #![proptest_config(config())]
    #[test]
    fn the_gradients_of_any_shape_equal_the_products_summed_one_by_one(
        (n, c, o, groups) in (1..3usize, 1..4usize, 1..12usize, 1..3usize),
        (h, w) in (1..10usize, 1..24usize),
        (kh, kw) in (1..5usize, 1..5usize),
        (sh, sw) in (1..5usize, 1..5usize),
        (ph, pw) in (0..3usize, 0..3usize),
        relu in any::<bool>(),
    ) {
        prop_assume!(kh <= h + 2 * ph && kw <= w + 2 * pw);
        let activation = if relu { Activation::Relu } else { Activation::None };
        let op = Conv2d::new((sh, sw), (ph, pw), groups, activation).unwrap();
        let x = noise(1, &[n, c * groups, h, w]);
        let (weight, b) = (noise(2, &[o * groups, c, kh, kw]), noise(3, &[o * groups]));
        let y = op.forward(&x, &weight, &b).unwrap();
        let dy = noise(4, y.dims());
        let (xs, ws, ys, dys) = (values(&x), values(&weight), values(&y), values(&dy));
        let (mut dx, mut dw) = (vec![0.0; xs.len()], vec![0.0; ws.len()]);
        let mut db = vec![0.0; o * groups];
        let (oh, ow) = (y.dims()[2], y.dims()[3]);
        for at in (0..ys.len()).filter(|at| !relu || ys[*at] > 0.0) {
            let (picture, out) = (at / (oh * ow) / (o * groups), at / (oh * ow) % (o * groups));
            let (i, j) = (at / ow % oh, at % ow);
            db[out] += dys[at];
            for tap in 0..c * kh * kw {
                let (channel, u, v) = (tap / (kh * kw), tap / kw % kh, tap % kw);
                let row = (i * sh + u).wrapping_sub(ph);
                let column = (j * sw + v).wrapping_sub(pw);
                if row < h && column < w {
                    let plane = picture * c * groups + out / o * c + channel;
                    let from = (plane * h + row) * w + column;
                    dx[from] += dys[at] * ws[out * c * kh * kw + tap];
                    dw[out * c * kh * kw + tap] += dys[at] * xs[from];
                }
            }
        }
        let got = op.bwd(&x, &weight, &b, &y, &dy).unwrap();
        for (what, got, want) in [("dx", got.0, dx), ("dw", got.1, dw), ("db", got.2, db)] {
            assert_near(what, &values(&got.unwrap()), &want, 1e-10, 1e-10);
        }
    }
}
