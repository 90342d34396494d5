use crate::common::{
    Fixture, assert_golden, assert_near, assert_same_for_any_threads, check_gradient, config,
    noise, places, scattered, values,
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
        for place in &places() {
            let t = |name: &str| f.tensor(name, place);
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
    let few = (2, 6, (3, 4));
    let sums = (8, 6, (3, 4));
    let narrow = (4, 6, (3, 4));
    let square = (16, 16, (3, 3));
    let wide = (16, 16, (5, 5));
    for ((c, o, kernel), stride, padding, groups, activation) in [
        (few, (1, 1), (1, 1), 2, Activation::None),
        (few, (1, 3), (2, 1), 1, Activation::Relu),
        (sums, (1, 1), (1, 1), 2, Activation::None),
        (sums, (2, 3), (1, 2), 1, Activation::Relu),
        (sums, (4, 1), (0, 1), 2, Activation::Relu),
        (narrow, (1, 1), (1, 1), 2, Activation::None),
        (narrow, (2, 3), (1, 2), 1, Activation::Relu),
        (narrow, (4, 1), (0, 1), 2, Activation::Relu),
        (square, (1, 1), (1, 2), 2, Activation::Relu),
        (square, (1, 1), (0, 1), 1, Activation::None),
        (wide, (1, 1), (2, 2), 2, Activation::Relu),
    ] {
        let op = Conv2d::new(stride, padding, groups, activation).unwrap();
        let (x, w, b) = (
            noise(1, &[2, c, 7, 6]),
            noise(2, &[o, c / groups, kernel.0, kernel.1]),
            noise(3, &[o]),
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
    // By the sums, for a few channels and for more, and by Winograd's products.
    for channels in [2, 4, 8, 48] {
        let x = single(1, &[50, 2 * channels, 9, 9]);
        let (w, b) = (single(2, &[96, channels, 3, 3]), single(3, &[96]));
        assert_same_for_any_threads(|| {
            let y = op.forward(&x, &w, &b).unwrap();
            let (dx, dw, db) = op.bwd(&x, &w, &b, &y, &y).unwrap();
            vec![y, dx.unwrap(), dw.unwrap(), db.unwrap()]
        });
    }
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

/// A convolution of any shape, with its inputs.
#[derive(Debug)]
struct Case {
    op: Conv2d,
    x: Tensor,
    w: Tensor,
    b: Tensor,
    relu: bool,
}

impl Case {
    /// Channels are those of a group.
    fn new(
        (n, c, o, groups): (usize, usize, usize, usize),
        (h, w): (usize, usize),
        (kh, kw): (usize, usize),
        (stride, padding): ((usize, usize), (usize, usize)),
        relu: bool,
    ) -> Self {
        let activation = match relu {
            true => Activation::Relu,
            false => Activation::None,
        };
        Self {
            op: Conv2d::new(stride, padding, groups, activation).unwrap(),
            x: noise(1, &[n, c * groups, h, w]),
            w: noise(2, &[o * groups, c, kh, kw]),
            b: noise(3, &[o * groups]),
            relu,
        }
    }

    fn forward(&self, dtype: DType) -> Tensor {
        let [x, w, b] = [&self.x, &self.w, &self.b].map(|t| t.to_dtype(dtype).unwrap());
        self.op.forward(&x, &w, &b).unwrap()
    }

    /// dx, dw and db for a fixed dy equal the products summed one by one.
    fn assert_gradients(&self, (stride, padding): ((usize, usize), (usize, usize))) {
        let Self { op, x, w, b, relu } = self;
        let (&[_, channels, h, width], &[outputs, c, kh, kw]) = (x.dims(), w.dims()) else {
            unreachable!()
        };
        let o = outputs / (channels / c);
        let y = op.forward(x, w, b).unwrap();
        let dy = noise(4, y.dims());
        let (xs, ws, ys, dys) = (values(x), values(w), values(&y), values(&dy));
        let (mut dx, mut dw) = (vec![0.0; xs.len()], vec![0.0; ws.len()]);
        let mut db = vec![0.0; outputs];
        let (oh, ow) = (y.dims()[2], y.dims()[3]);
        for at in (0..ys.len()).filter(|at| !relu || ys[*at] > 0.0) {
            let (picture, out) = (at / (oh * ow) / outputs, at / (oh * ow) % outputs);
            let (i, j) = (at / ow % oh, at % ow);
            db[out] += dys[at];
            for tap in 0..c * kh * kw {
                let (channel, u, v) = (tap / (kh * kw), tap / kw % kh, tap % kw);
                let row = (i * stride.0 + u).wrapping_sub(padding.0);
                let column = (j * stride.1 + v).wrapping_sub(padding.1);
                if row < h && column < width {
                    let plane = picture * channels + out / o * c + channel;
                    let from = (plane * h + row) * width + column;
                    dx[from] += dys[at] * ws[out * c * kh * kw + tap];
                    dw[out * c * kh * kw + tap] += dys[at] * xs[from];
                }
            }
        }
        let got = op.bwd(x, w, b, &y, &dy).unwrap();
        for (what, got, want) in [("dx", got.0, dx), ("dw", got.1, dw), ("db", got.2, db)] {
            assert_near(what, &values(&got.unwrap()), &want, 1e-10, 1e-10);
        }
    }
}

proptest! {
    #![proptest_config(config())]
    #[test]
    fn the_gradients_of_any_shape_equal_the_products_summed_one_by_one(
        sizes in (1..3usize, 1..4usize, 1..12usize, 1..3usize),
        (h, w) in (1..10usize, 1..24usize),
        (kh, kw) in (1..5usize, 1..5usize),
        steps in ((1..5usize, 1..5usize), (0..3usize, 0..3usize)),
        relu in any::<bool>(),
    ) {
        prop_assume!(kh <= h + 2 * steps.1.0 && kw <= w + 2 * steps.1.1);
        Case::new(sizes, (h, w), (kh, kw), steps, relu).assert_gradients(steps);
    }
}

/// Kernels of 3 × 3, 5 × 5 and others, with their padding.
fn kernels() -> impl Strategy<Value = ((usize, usize), (usize, usize))> {
    prop_oneof![
        2 => (Just((3, 3)), (0..3usize, 0..3usize)),
        1 => (Just((5, 5)), (0..5usize, 0..5usize)),
        1 => ((3..8usize, 3..8usize), (0..3usize, 0..3usize)),
    ]
}

/// A convolution of stride 1 is its definition forward and back; larger kernels than the picture
/// are passed over.
fn assert_definition(
    sizes: (usize, usize, usize, usize),
    size: (usize, usize),
    (kernel, padding): ((usize, usize), (usize, usize)),
    relu: bool,
) -> Result<(), TestCaseError> {
    prop_assume!(kernel.0 <= size.0 + 2 * padding.0 && kernel.1 <= size.1 + 2 * padding.1);
    let steps = ((1, 1), padding);
    let case = Case::new(sizes, size, kernel, steps, relu);
    let want = values(&reference(&case.op, &case.x, &case.w, &case.b).unwrap());
    assert_near(
        "f64",
        &values(&case.forward(DType::F64)),
        &want,
        1e-10,
        1e-10,
    );
    assert_near("f32", &values(&case.forward(DType::F32)), &want, 2e-4, 1e-4);
    case.assert_gradients(steps);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, ..config() })]
    #[test]
    fn some_channels_equal_the_definition_forward_and_back(
        sizes in (1..4usize, 7..20usize, 7..40usize, 1..3usize),
        size in (3..12usize, 3..20usize),
        kernel in kernels(),
        relu in any::<bool>(),
    ) {
        assert_definition(sizes, size, kernel, relu)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..config() })]
    /// The sizes that go by Winograd's products, whole kernels and pieces, and those that just
    /// miss them.
    #[test]
    fn kernels_cut_into_pieces_equal_the_definition_forward_and_back(
        sizes in (1..3usize, 47..52usize, 47..60usize, 1..3usize),
        size in (3..8usize, 3..12usize),
        kernel in kernels(),
        relu in any::<bool>(),
    ) {
        assert_definition(sizes, size, kernel, relu)?;
    }
}

#[test]
fn a_batch_of_more_than_one_chunk_equals_the_definition() {
    // Winograd's 23 × 49 cells, in chunks of 10 pictures for the products and 8 for the weight
    // gradient; by the sums 23 pictures in chunks of 16 for the latter.
    let steps = ((1, 1), (1, 1));
    for sizes in [(23, 48, 49, 1), (23, 8, 9, 2)] {
        let case = Case::new(sizes, (13, 13), (3, 3), steps, true);
        let want = values(&reference(&case.op, &case.x, &case.w, &case.b).unwrap());
        assert_near("y", &values(&case.forward(DType::F64)), &want, 1e-10, 1e-10);
        case.assert_gradients(steps);
    }
}
