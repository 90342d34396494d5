use crate::common::{
    Fixture, assert_golden, assert_near, check_gradient, config, noise, places, values,
};
use candle_core::CustomOp1;
use proptest::prelude::*;
use tandem_ops::avg_pool::AvgPool2d;
use tandem_ops::window::Rounding;

#[test]
fn overlapping_averages_match_pytorch() {
    let f = Fixture::read("pool-average");
    let square = |name: &str| (f.size(name), f.size(name));
    let pool = AvgPool2d::new(
        square("kernel"),
        square("stride"),
        square("padding"),
        Rounding::Down,
    )
    .unwrap();
    for place in &places() {
        let t = |name: &str| f.tensor(name, place);
        let y = pool.forward(&t("x")).unwrap();
        assert_golden("y", &y, &t("y"));
        assert_golden(
            "dx",
            &pool.bwd(&t("x"), &y, &t("dy")).unwrap().unwrap(),
            &t("dx"),
        );
    }
}

#[test]
fn the_gradient_is_that_of_finite_differences() {
    for rounding in [Rounding::Down, Rounding::Up] {
        let pool = AvgPool2d::new((3, 2), (2, 3), (1, 1), rounding).unwrap();
        let x = noise(1, &[2, 2, 6, 7]);
        let y = pool.forward(&x).unwrap();
        let dy = noise(2, y.dims());
        let dx = pool.bwd(&x, &y, &dy).unwrap().unwrap();
        check_gradient("x", &x, &dy, &dx, |x| pool.forward(x));
    }
}

proptest! {
    #![proptest_config(config())]
    /// The definition over a picture with its padding written out.
    #[test]
    fn any_window_equals_the_definition(
        (h, w) in (1..12usize, 1..12usize),
        (k, s, p) in (1..5usize, 1..4usize, 0..3usize),
        up in any::<bool>(),
    ) {
        prop_assume!(p <= k / 2 && k <= h + 2 * p && k <= w + 2 * p);
        let rounding = if up { Rounding::Up } else { Rounding::Down };
        let pool = AvgPool2d::new((k, k), (s, s), (p, p), rounding).unwrap();
        let x = noise(1, &[1, 1, h, w]);
        let y = pool.forward(&x).unwrap();
        let plane = values(&x);
        let mut want = Vec::new();
        for i in 0..y.dims()[2] {
            for j in 0..y.dims()[3] {
                let (mut sum, mut places) = (0.0, 0.0);
                for row in i * s..(i * s + k).min(h + 2 * p) {
                    for column in j * s..(j * s + k).min(w + 2 * p) {
                        places += 1.0;
                        let inside = (p..h + p).contains(&row) && (p..w + p).contains(&column);
                        sum += if inside { plane[(row - p) * w + column - p] } else { 0.0 };
                    }
                }
                want.push(sum / places);
            }
        }
        assert_near("y", &values(&y), &want, 1e-12, 1e-12);
    }
}
