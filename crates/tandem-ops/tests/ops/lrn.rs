use crate::common::{
    Fixture, assert_golden, assert_near, assert_same_for_any_threads, check_gradient, config,
    noise, places, scattered, values,
};
use candle_core::{CustomOp1, DType, Tensor};
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
        for place in &places() {
            let t = |name: &str| f.tensor(name, place);
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

#[test]
fn two_groups_are_two_towers_normalised_apart() {
    let op = Lrn::new(5, 1.0, 0.5, 0.75, AlphaConvention::Paper).unwrap();
    let x = noise(2, &[3, 12, 5, 7]);
    let towers = x.chunk(2, 1).unwrap();
    let apart = towers.iter().map(|x| op.forward(x).unwrap());
    let apart = Tensor::cat(&apart.collect::<Vec<_>>(), 1).unwrap();
    let together = op.with_groups(2).unwrap().forward(&x).unwrap();
    assert_eq!(values(&together), values(&apart));
    // And the seam matters: windows over it give something else.
    assert_ne!(values(&op.forward(&x).unwrap()), values(&together));
}

#[test]
fn layout_and_number_of_threads_do_not_matter() {
    let op = Lrn::new(5, 2.0, 0.1, 0.75, AlphaConvention::Paper).unwrap();
    let x = noise(3, &[3, 7, 9, 13]).to_dtype(DType::F32).unwrap();
    let run = |x: &Tensor| {
        let y = op.forward(x).unwrap();
        let dx = op.bwd(x, &y, x).unwrap().unwrap();
        vec![y, dx]
    };
    let all = |tensors: Vec<Tensor>| tensors.iter().flat_map(values).collect::<Vec<_>>();
    assert_eq!(all(run(&scattered(&x))), all(run(&x)));
    assert_same_for_any_threads(|| run(&x));
}

/// The derivative of each output for each input of its window, summed one by one: size 5, k 2,
/// alpha 0.2.
fn plain_gradient(beta: f64, c: usize, positions: usize, x: &[f64], dy: &[f64]) -> Vec<f64> {
    let mut dx = vec![0.0; x.len()];
    for (i, dy) in dy.iter().enumerate() {
        let (channel, base) = (i / positions % c, i - i / positions % c * positions);
        let window = (0..c).filter(|j| j.abs_diff(channel) <= 2);
        let window = window.map(|j| base + j * positions);
        let scale = 2.0 + 0.2 * window.clone().map(|j| x[j].powi(2)).sum::<f64>();
        dx[i] += dy * scale.powf(-beta);
        for j in window {
            dx[j] -= dy * x[i] * beta * scale.powf(-beta - 1.0) * 2.0 * 0.2 * x[j];
        }
    }
    dx
}

proptest! {
    #![proptest_config(config())]
    #[test]
    fn the_gradient_of_any_shape_equals_the_derivatives_summed_one_by_one(
        (n, c, h, w) in (1..3usize, 1..12usize, 1..10usize, 1..14usize),
        beta in prop_oneof![Just(0.75), Just(0.5), Just(1.0), 0.1..2.0f64],
        groups in 1..3usize,
    ) {
        let op = Lrn::new(5, 2.0, 0.2, beta, AlphaConvention::Paper).unwrap();
        let op = op.with_groups(groups).unwrap();
        let (x, dy) = (noise(1, &[n, c * groups, h, w]), noise(2, &[n, c * groups, h, w]));
        let want = plain_gradient(beta, c, h * w, &values(&x), &values(&dy));
        let dx = op.bwd(&x, &x, &dy).unwrap().unwrap();
        assert_near("f64", &values(&dx), &want, 1e-12, 1e-12);
        let single = |t: &Tensor| t.to_dtype(DType::F32).unwrap();
        let dx = op.bwd(&single(&x), &single(&x), &single(&dy)).unwrap().unwrap();
        assert_near("f32", &values(&dx), &want, 1e-5, 1e-5);
    }
}
