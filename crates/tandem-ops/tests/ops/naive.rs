//! The fast kernels against the naive ones, on random shapes.

use crate::common::{assert_near, gpu, noise, values};
use candle_core::{CustomOp1, CustomOp2, CustomOp3, DType, Device, Result, Tensor};
use proptest::prelude::*;
use tandem_ops::Activation;
use tandem_ops::augment::{Augment, Draw, Normalise};
use tandem_ops::avg_pool::AvgPool2d;
use tandem_ops::conv::Conv2d;
use tandem_ops::cuda::Version;
use tandem_ops::dropout::{Dropout, DropoutRule};
use tandem_ops::linear::Linear;
use tandem_ops::lrn::{AlphaConvention, Lrn};
use tandem_ops::lrn_max_pool::LrnMaxPool2d;
use tandem_ops::max_pool::MaxPool2d;
use tandem_ops::sgd::{Sgd, SgdRule};
use tandem_ops::softmax_nll::{SoftmaxNll, softmax};
use tandem_ops::window::Rounding;

/// Element types, and a rounding of each.
const TYPES: [(DType, f64); 3] = [(DType::F32, 1e-6), (DType::F16, 1e-3), (DType::BF16, 8e-3)];

/// Few and small: the emulator runs them.
fn few() -> ProptestConfig {
    ProptestConfig {
        cases: 16,
        failure_persistence: None,
        ..Default::default()
    }
}

/// On the GPU, `skipped` elements behind the start of its storage.
fn placed(tensor: &Tensor, dtype: DType, skipped: usize) -> Tensor {
    let place = || -> Result<Tensor> {
        let before = Tensor::zeros(skipped, DType::F64, &Device::Cpu)?;
        let all = Tensor::cat(&[&before, &tensor.flatten_all()?], 0)?;
        let all = all
            .to_dtype(DType::F32)?
            .to_dtype(dtype)?
            .to_device(&gpu())?;
        all.narrow(0, skipped, tensor.elem_count())?
            .reshape(tensor.shape())
    };
    place().unwrap()
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn lrn_of_five_channels(
        (n, groups, channels) in (1..3usize, 1..4usize, 1..45usize),
        (h, w) in (1..5usize, 1..6usize),
        beta in prop_oneof![3 => Just(0.75), 1 => Just(0.6)],
        skipped in 0..3usize,
    ) {
        let op = Lrn::new(5, 2.0, 0.3, beta, AlphaConvention::Paper).unwrap();
        let op = op.with_groups(groups).unwrap();
        let shape = [n, groups * channels, h, w];
        for (dtype, rounding) in TYPES {
            let x = placed(&noise(1, &shape), dtype, skipped);
            let dy = placed(&noise(2, &shape), dtype, 2 * skipped);
            let run = |version: Version| version.run(|| {
                let y = op.forward(&x).unwrap();
                let dx = op.bwd(&x, &y, &dy).unwrap().unwrap();
                [values(&y), values(&dx)]
            });
            let ([y, dx], [naive_y, naive_dx]) = (run(Version::Fast), run(Version::Naive));
            assert_near(&format!("y {shape:?} {dtype:?}"), &y, &naive_y, rounding, rounding);
            assert_near(&format!("dx {shape:?} {dtype:?}"), &dx, &naive_dx, rounding, rounding);
        }
    }

    #[test]
    fn max_pooling_of_three_by_two(
        (n, c) in (1..4usize, 1..6usize),
        (h, w) in (3..24usize, 3..24usize),
        up in any::<bool>(),
        place_of_nan in 0..1000usize,
        skipped in 0..3usize,
    ) {
        let rounding = if up { Rounding::Up } else { Rounding::Down };
        let pool = MaxPool2d::new((3, 3), (2, 2), (0, 0), rounding).unwrap();
        // Halves: many ties. The windows over the second plane's start hold nothing but -infinity.
        let mut x = values(&noise(3, &[n, c, h, w]));
        x.iter_mut().for_each(|v| *v = v.round() / 2.0);
        x.iter_mut().skip(h * w).take(3 * w).for_each(|v| *v = f64::NEG_INFINITY);
        let count = x.len();
        x[place_of_nan % count] = f64::NAN;
        let x = Tensor::from_vec(x, (n, c, h, w), &Device::Cpu).unwrap();
        for (dtype, _) in TYPES {
            let x = placed(&x, dtype, skipped);
            let run = |version: Version| version.run(|| {
                let op = pool.op();
                let y = x.apply_op1_no_bwd(&op).unwrap();
                let dy = placed(&noise(4, y.dims()), dtype, skipped);
                let dx = op.bwd(&x, &y, &dy).unwrap().unwrap();
                let bits = |t: &Tensor| values(t).into_iter().map(f64::to_bits).collect::<Vec<_>>();
                (bits(&y), bits(&dx))
            });
            assert_eq!(run(Version::Fast), run(Version::Naive), "{n} {c} {h} {w} {dtype:?}");
        }
    }

    #[test]
    fn convolutions_with_the_papers_kernels(
        (n, c, o, groups) in (1..4usize, 1..3usize, 7..9usize, 1..3usize),
        (kernel, stride) in prop_oneof![Just((3, 1)), Just((5, 1)), Just((11, 4))],
        padding in (0..4usize, 0..4usize),
        (more_h, more_w) in (0..9usize, 0..9usize),
        skipped in 0..3usize,
    ) {
        let op = Conv2d::new((stride, stride), padding, groups, Activation::Relu).unwrap();
        let x = noise(6, &[n, groups * c, kernel + more_h, kernel + more_w]);
        let w = noise(7, &[groups * o, c, kernel, kernel]);
        let b = noise(8, &[groups * o]);
        for (dtype, rounding) in TYPES {
            let (x, w) = (placed(&x, dtype, skipped), placed(&w, dtype, skipped));
            let b = placed(&b, dtype, 0);
            let run = |version: Version| version.run(|| {
                let y = op.forward(&x, &w, &b).unwrap();
                let dy = placed(&noise(9, y.dims()), dtype, skipped);
                let (dx, dw, db) = op.gradients(&x, &w, &y, &dy).unwrap();
                ([y, dx, dw].map(|t| values(&t)), values(&db))
            });
            let ((same, db), (naive_same, naive_db)) = (run(Version::Fast), run(Version::Naive));
            assert_eq!(same, naive_same, "{kernel} {padding:?} {dtype:?}");
            // Of the sums alone the order is another.
            let near = rounding * (naive_same[0].len() as f64).sqrt();
            assert_near(&format!("db {dtype:?}"), &db, &naive_db, near, rounding);
        }
    }

    #[test]
    fn linear_layers(
        (n, k, o) in (1..20usize, 1..9usize, 1..300usize),
        activation in prop_oneof![Just(Activation::None), Just(Activation::Relu)],
        skipped in 0..3usize,
    ) {
        let op = Linear::new(activation);
        let (x, w, b) = (noise(14, &[n, k]), noise(15, &[o, k]), noise(16, &[o]));
        for (dtype, _) in TYPES {
            let [x, w, b] = [&x, &w, &b].map(|t| placed(t, dtype, skipped));
            let run = |version: Version| version.run(|| {
                let y = op.forward(&x, &w, &b).unwrap();
                let dy = placed(&noise(17, y.dims()), dtype, skipped);
                let (dx, dw, db) = op.bwd(&x, &w, &b, &y, &dy).unwrap();
                [y, dx.unwrap(), dw.unwrap(), db.unwrap()].map(|t| values(&t))
            });
            assert_eq!(run(Version::Fast), run(Version::Naive), "{n} {k} {o} {dtype:?}");
        }
    }

    #[test]
    fn average_pooling_of_three_by_two(
        (n, c) in (1..4usize, 1..6usize),
        (h, w) in (3..24usize, 3..24usize),
        up in any::<bool>(),
        skipped in 0..3usize,
    ) {
        let rounding = if up { Rounding::Up } else { Rounding::Down };
        let pool = AvgPool2d::new((3, 3), (2, 2), (0, 0), rounding).unwrap();
        let x = noise(18, &[n, c, h, w]);
        for (dtype, _) in TYPES {
            let x = placed(&x, dtype, skipped);
            let run = |version: Version| version.run(|| {
                let y = pool.forward(&x).unwrap();
                let dy = placed(&noise(19, y.dims()), dtype, skipped);
                let dx = pool.bwd(&x, &y, &dy).unwrap().unwrap();
                [values(&y), values(&dx)]
            });
            assert_eq!(run(Version::Fast), run(Version::Naive), "{n} {c} {h} {w} {dtype:?}");
        }
    }

    #[test]
    fn dropout_of_one_tower_and_of_several(
        (rows, width, towers) in (1..9usize, 1..90usize, 1..4usize),
        quads in any::<bool>(),
        (seed, stream) in any::<(u64, u64)>(),
        skipped in prop_oneof![Just(0), Just(4), 0..5usize],
    ) {
        let width = if quads { 4 * width } else { width };
        let op = Dropout::new(0.4, DropoutRule::Inverted, seed, stream >> 8).unwrap();
        let x = noise(20, &[rows, towers * width]);
        for (dtype, _) in TYPES {
            let x = placed(&x, dtype, skipped);
            let run = |version: Version| {
                version.run(|| values(&op.over_towers(&x, towers).unwrap()))
            };
            assert_eq!(run(Version::Fast), run(Version::Naive), "{rows} {width} {towers} {dtype:?}");
        }
    }

    #[test]
    fn softmax_and_loss(
        (n, classes) in (1..150usize, 1..300usize),
        wide in any::<bool>(),
        skipped in 0..3usize,
    ) {
        let (n, classes) = if wide { (n / 50 + 1, 4 * classes) } else { (n, classes / 30 + 1) };
        let z = (noise(21, &[n, classes]) * 4.0).unwrap();
        let labels: Vec<u32> = (0..n).map(|i| (i * 7 % classes) as u32).collect();
        let labels = Tensor::new(labels, &gpu()).unwrap();
        for (dtype, rounding) in TYPES {
            let z = placed(&z, dtype, skipped);
            let dloss = placed(&Tensor::new(1.5f64, &Device::Cpu).unwrap(), dtype, 0);
            let run = |version: Version| version.run(|| {
                let loss = SoftmaxNll.forward(&z, &labels).unwrap();
                let (dz, _) = SoftmaxNll.bwd(&z, &labels, &loss, &dloss).unwrap();
                [loss, dz.unwrap(), softmax(&z).unwrap()].map(|t| values(&t))
            });
            let near = 4.0 * rounding;
            for (fast, naive) in run(Version::Fast).iter().zip(run(Version::Naive)) {
                assert_near(&format!("{n} {classes} {dtype:?}"), fast, &naive, near, near);
            }
        }
    }

    #[test]
    fn steps_of_sgd(
        (count, quads) in (1..3000usize, any::<bool>()),
        paper in any::<bool>(),
        skipped in prop_oneof![Just(0), Just(4), 0..5usize],
    ) {
        let count = if quads { 4 * count } else { count };
        let rule = if paper { SgdRule::Paper } else { SgdRule::Pytorch };
        let sgd = Sgd::new(rule, 0.01, 0.9, 5e-4).unwrap();
        let (slab, g) = (noise(22, &[2, count]), noise(23, &[count]));
        for (dtype, _) in TYPES {
            let g = placed(&g, dtype, skipped);
            let run = |version: Version| version.run(|| {
                let slab = placed(&slab, DType::F32, skipped);
                slab.inplace_op2(&g, &sgd).unwrap();
                values(&slab)
            });
            assert_eq!(run(Version::Fast), run(Version::Naive), "{count} {dtype:?}");
        }
    }

    #[test]
    fn augmentation(
        (pictures, views, channels) in (1..3usize, 1..4usize, 1..4usize),
        (crop, more, quads) in (1..20usize, 0..6usize, any::<bool>()),
        mean in any::<bool>(),
        drawn in proptest::collection::vec((0..6u32, 0..6u32, any::<bool>(), -20f32..20.0), 6),
    ) {
        let crop = if quads { 4 * crop } else { crop };
        let side = crop + more;
        let x: Vec<u8> = (0..pictures * side * side * channels).map(|i| (i * 89 % 256) as u8).collect();
        let constants = match mean {
            true => Normalise::Mean(placed(&noise(24, &[channels, side, side]), DType::F32, 0)),
            false => Normalise::Affine(placed(&noise(25, &[channels, 2]), DType::F32, 0)),
        };
        let draws: Vec<Draw> = drawn[..pictures * views].iter().map(|&(top, left, mirrored, shift)| Draw {
            top: top.min(more as u32),
            left: left.min(more as u32),
            mirrored,
            shift: [shift, -shift, shift / 3.0],
        }).collect();
        for (dtype, _) in TYPES {
            let op = Augment::new(crop, constants.clone(), dtype).unwrap();
            let run = |version: Version| {
                version.run(|| values(&op.forward(&x, [pictures, side, side, channels], &draws).unwrap()))
            };
            assert_eq!(run(Version::Fast), run(Version::Naive), "{crop} of {side} {channels} {dtype:?}");
        }
    }

    #[test]
    fn lrn_and_max_pooling_in_one_kernel_have_the_bits_of_two(
        (n, groups, channels) in (1..3usize, 1..3usize, 1..41usize),
        (h, w) in (3..12usize, 3..12usize),
        skipped in 0..3usize,
    ) {
        let lrn = Lrn::new(5, 2.0, 0.3, 0.75, AlphaConvention::Paper).unwrap();
        let lrn = lrn.with_groups(groups).unwrap();
        let pool = MaxPool2d::new((3, 3), (2, 2), (0, 0), Rounding::Down).unwrap();
        for (dtype, _) in TYPES {
            let x = placed(&noise(5, &[n, groups * channels, h, w]), dtype, skipped);
            let y = LrnMaxPool2d::new(lrn, pool).forward(&x).unwrap();
            let apart = pool.forward(&lrn.forward(&x).unwrap()).unwrap();
            assert_eq!(values(&y), values(&apart), "{dtype:?}");
        }
    }
}

/// So many planes, or such large ones, that a thread of a fast kernel visits several.
#[test]
fn planes_beyond_the_threads() {
    let pool = MaxPool2d::new((3, 3), (2, 2), (0, 0), Rounding::Down).unwrap();
    let x = placed(&noise(10, &[1, 540_000, 3, 3]), DType::F32, 0);
    let run = |version: Version| {
        version.run(|| {
            let op = pool.op();
            let y = x.apply_op1_no_bwd(&op).unwrap();
            let dx = op.bwd(&x, &y, &y).unwrap().unwrap();
            [values(&y), values(&dx)]
        })
    };
    assert!(run(Version::Fast) == run(Version::Naive));

    let op = Conv2d::new((1, 1), (1, 1), 1, Activation::None).unwrap();
    let x = placed(&noise(11, &[1, 3, 520, 520]), DType::F32, 0);
    let (w, b) = (noise(12, &[2, 3, 3, 3]), noise(13, &[2]));
    let (w, b) = (placed(&w, DType::F32, 0), placed(&b, DType::F32, 0));
    let run = |version: Version| version.run(|| values(&op.forward(&x, &w, &b).unwrap()));
    assert!(run(Version::Fast) == run(Version::Naive));
}
