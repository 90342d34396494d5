use crate::common::{Fixture, assert_golden, assert_near, check_gradient, config, noise, values};
use candle_core::{CustomOp1, DType};
use proptest::prelude::*;
use tandem_ops::lrn::{AlphaConvention, Lrn, reference};

fn convention(divide: bool) -> AlphaConvention {
    if divide {
        AlphaConvention::DividedBySize
    } else {
        AlphaConvention::Paper
    }
}

#[test]
fn both_conventions_match_pytorch() {
    for name in ["paper", "strong", "caffe", "narrow", "wide"] {
        let f = Fixture::read(&format!("lrn-{name}"));
        let divide = f.value("divide_alpha_by_n").as_bool().unwrap();
        let (k, alpha, beta) = (f.number("k"), f.number("alpha"), f.number("beta"));
        let op = Lrn::new(f.size("n"), k, alpha, beta, convention(divide)).unwrap();
        for dtype in [DType::F32, DType::F64] {
            let t = |name: &str| f.tensor(name, dtype);
            let y = op.forward(&t("x")).unwrap();
            assert_golden(&format!("{name} y"), &y, &t("y"));
            let dx = op.bwd(&t("x"), &y, &t("dy")).unwrap().unwrap();
            assert_golden(&format!("{name} dx"), &dx, &t("dx"));
        }
    }
}

#[test]
fn the_gradient_is_that_of_finite_differences() {
    for (size, beta, groups) in [(5, 0.75, 1), (3, 0.5, 2), (7, 1.0, 1), (5, 0.6, 2)] {
        let op = Lrn::new(size, 1.5, 0.3, beta, AlphaConvention::Paper).unwrap();
        let op = op.with_groups(groups).unwrap();
        let x = noise(1, &[2, 8, 3, 3]);
        let y = op.forward(&x).unwrap();
        let dy = noise(2, y.dims());
        let dx = op.bwd(&x, &y, &dy).unwrap().unwrap();
        check_gradient("x", &x, &dy, &dx, |x| op.forward(x));
    }
}

proptest! {
    #![proptest_config(config())]
    #[test]
    fn any_shape_equals_the_definition(
        (n, c, h, w) in (1..3usize, 1..12usize, 1..10usize, 1..14usize),
        half in 0..5usize,
        beta in prop_oneof![Just(0.75), Just(0.5), Just(1.0), 0.1..2.0f64],
        groups in 1..3usize,
    ) {
        let op = Lrn::new(2 * half + 1, 2.0, 0.2, beta, AlphaConvention::Paper).unwrap();
        let op = op.with_groups(groups).unwrap();
        let x = noise(1, &[n, c * groups, h, w]);
        let want = reference(&op, &values(&x), c, h * w);
        assert_near("f64", &values(&op.forward(&x).unwrap()), &want, 1e-12, 1e-12);
        let single = op.forward(&x.to_dtype(DType::F32).unwrap()).unwrap();
        assert_near("f32", &values(&single), &want, 1e-5, 1e-5);
    }
}

#[test]
fn a_window_of_even_size_is_refused() {
    let error = Lrn::new(4, 2.0, 1e-4, 0.75, AlphaConvention::Paper)
        .unwrap_err()
        .to_string();
    assert!(error.contains("size 4 must be odd"), "{error}");
}
