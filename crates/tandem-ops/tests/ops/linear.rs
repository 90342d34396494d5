use crate::common::{
    assert_near, assert_same_for_any_threads, check_gradient, config, noise, scattered, values,
};
use candle_core::{CustomOp3, DType, Tensor};
use proptest::prelude::*;
use tandem_ops::Activation;
use tandem_ops::linear::{Linear, reference};

#[test]
fn every_gradient_is_that_of_finite_differences() {
    for activation in [Activation::None, Activation::Relu] {
        let op = Linear::new(activation);
        let (x, w, b) = (noise(1, &[5, 19]), noise(2, &[7, 19]), noise(3, &[7]));
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
    fn any_shape_equals_the_definition(n in 1..18usize, k in 1..70usize, o in 1..60usize) {
        let op = Linear::new(Activation::Relu);
        let (x, w, b) = (noise(1, &[n, k]), noise(2, &[o, k]), noise(3, &[o]));
        let want = values(&reference(&op, &x, &w, &b).unwrap());
        let got = op.forward(&x, &w, &b).unwrap();
        assert_near("f64", &values(&got), &want, 1e-10, 1e-10);
        let single = |t: &candle_core::Tensor| t.to_dtype(DType::F32).unwrap();
        let got = op.forward(&single(&x), &single(&w), &single(&b)).unwrap();
        assert_near("f32", &values(&got), &want, 2e-4, 1e-4);
    }
}

/// The blocks of the gradients are 256 × 512; these shapes cross their edges.
#[test]
fn gradients_of_large_layers_equal_candles_matmul() {
    let (x, w, b) = (
        noise(1, &[13, 1100]),
        noise(2, &[300, 1100]),
        noise(3, &[300]),
    );
    let op = Linear::new(Activation::None);
    let y = op.forward(&x, &w, &b).unwrap();
    let dy = noise(4, y.dims());
    let (dx, dw, db) = op.bwd(&x, &w, &b, &y, &dy).unwrap();
    let check = |what, got: Option<candle_core::Tensor>, want: candle_core::Tensor| {
        assert_near(what, &values(&got.unwrap()), &values(&want), 1e-9, 1e-9);
    };
    check(
        "y",
        Some(y),
        x.matmul(&w.t().unwrap())
            .unwrap()
            .broadcast_add(&b)
            .unwrap(),
    );
    check("dx", dx, dy.matmul(&w).unwrap());
    check("dw", dw, dy.t().unwrap().matmul(&x).unwrap());
    check("db", db, dy.sum(0).unwrap());
}

proptest! {
    #![proptest_config(config())]
    #[test]
    fn the_gradients_of_any_shape_are_candles_products_behind_the_relu(
        n in 1..18usize, k in 1..70usize, o in 1..60usize,
    ) {
        let op = Linear::new(Activation::Relu);
        let (x, w, b) = (noise(1, &[n, k]), noise(2, &[o, k]), noise(3, &[o]));
        let y = op.forward(&x, &w, &b).unwrap();
        let dy = noise(4, y.dims());
        let open = y.gt(0.0).unwrap().to_dtype(DType::F64).unwrap();
        let g = (&dy * open).unwrap();
        let (dx, dw, db) = op.bwd(&x, &w, &b, &y, &dy).unwrap();
        for (what, got, want) in [
            ("dx", dx, g.matmul(&w).unwrap()),
            ("dw", dw, g.t().unwrap().matmul(&x).unwrap()),
            ("db", db, g.sum(0).unwrap()),
        ] {
            assert_near(what, &values(&got.unwrap()), &values(&want), 1e-10, 1e-10);
        }
    }
}

#[test]
fn each_gradient_alone_has_the_bits_it_has_beside_the_others() {
    for activation in [Activation::None, Activation::Relu] {
        let op = Linear::new(activation);
        let (x, w, b) = (noise(1, &[5, 19]), noise(2, &[7, 19]), noise(3, &[7]));
        let y = op.forward(&x, &w, &b).unwrap();
        let dy = noise(4, y.dims());
        let (dx, dw, db) = op.bwd(&x, &w, &b, &y, &dy).unwrap();
        let alone = op.input_gradient(&w, &y, &dy).unwrap();
        assert_eq!(values(&alone), values(&dx.unwrap()));
        let (weight, bias) = op.weight_gradient(&x, w.shape(), &y, &dy).unwrap();
        assert_eq!(values(&weight), values(&dw.unwrap()));
        assert_eq!(values(&bias), values(&db.unwrap()));
        let refused = op.input_gradient(&w, &y, &noise(5, &[5, 8])).unwrap_err();
        assert!(refused.to_string().contains("linear"), "{refused}");
    }
}

#[test]
fn layout_and_number_of_threads_do_not_matter() {
    let op = Linear::new(Activation::Relu);
    let single = |seed, dims: &[usize]| noise(seed, dims).to_dtype(DType::F32).unwrap();
    let (x, w, b) = (
        single(1, &[5, 600]),
        single(2, &[300, 600]),
        single(3, &[300]),
    );
    let run = |x: &Tensor, w: &Tensor, b: &Tensor| {
        let y = op.forward(x, w, b).unwrap();
        let (dx, dw, db) = op.bwd(x, w, b, &y, &y).unwrap();
        [Some(y), dx, dw, db].map(|t| t.unwrap()).to_vec()
    };
    let all = |tensors: Vec<Tensor>| tensors.iter().flat_map(values).collect::<Vec<_>>();
    let moved = run(&scattered(&x), &scattered(&w), &scattered(&b));
    assert!(all(moved) == all(run(&x, &w, &b)));
    assert_same_for_any_threads(|| run(&x, &w, &b));
}
