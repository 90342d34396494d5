//! Every operation on a GPU (or the emulator) against itself on the CPU, in f32, f16 and bf16.

use crate::common::{assert_near, gpu, noise, values};
use crate::recorded::record;
use candle_core::{CustomOp1, CustomOp2, CustomOp3, DType, Device, Result, Tensor};
use tandem_ops::Activation;
use tandem_ops::avg_pool::AvgPool2d;
use tandem_ops::conv::Conv2d;
use tandem_ops::dropout::{Dropout, DropoutRule};
use tandem_ops::linear::Linear;
use tandem_ops::lrn::{AlphaConvention, Lrn};
use tandem_ops::lrn_max_pool::LrnMaxPool2d;
use tandem_ops::max_pool::MaxPool2d;
use tandem_ops::sgd::{Sgd, SgdRule};
use tandem_ops::softmax_nll::{SoftmaxNll, softmax};
use tandem_ops::window::Rounding;

/// Element types, and how far a result may be from the CPU's in f32: a rounding of the type.
const TYPES: [(DType, f64); 3] = [(DType::F32, 2e-6), (DType::F16, 1e-3), (DType::BF16, 8e-3)];

/// The values rounded to a type: as f32 on the CPU, and as they are on the GPU.
fn both(tensor: &Tensor, dtype: DType) -> (Tensor, Tensor) {
    let rounded = tensor
        .to_dtype(DType::F32)
        .unwrap()
        .to_dtype(dtype)
        .unwrap();
    let cpu = rounded.to_dtype(DType::F32).unwrap();
    (cpu, rounded.to_device(&gpu()).unwrap())
}

/// What one operation gives: outputs and gradients with their names.
type Given = Vec<(&'static str, Tensor)>;

/// Runs `f` on the CPU in f32 and on the GPU in each type; `sum` is how many terms a value sums.
fn same(what: &str, inputs: &[&Tensor], sum: f64, f: impl Fn(&[Tensor]) -> Result<Given>) {
    for (dtype, rounding) in TYPES {
        let (cpu, cuda): (Vec<_>, Vec<_>) = inputs.iter().map(|t| both(t, dtype)).unzip();
        let (want, got) = (f(&cpu).unwrap(), f(&cuda).unwrap());
        for ((name, want), (_, got)) in want.iter().zip(&got) {
            assert_eq!(
                (got.dtype(), got.dims()),
                (dtype, want.dims()),
                "{what} {name}"
            );
            let near = rounding * sum.sqrt();
            let what = format!("{what} {name}");
            record(&what, got, near, 2.0 * rounding);
            let what = format!("{what} {dtype:?}");
            assert_near(&what, &values(got), &values(want), near, 2.0 * rounding);
        }
    }
}

#[test]
fn lrn_of_any_size_and_beta() {
    for (size, beta, groups, [n, c, h, w]) in [
        (5, 0.75, 1, [2, 7, 3, 5]),
        (5, 0.75, 2, [1, 96, 9, 9]),
        (5, 0.75, 1, [3, 2, 1, 1]),
        (5, 0.6, 2, [1, 40, 4, 3]),
        (3, 0.75, 1, [2, 6, 5, 3]),
        (9, 1.0, 2, [1, 8, 3, 3]),
        (1, 0.5, 1, [1, 3, 2, 2]),
    ] {
        let op = Lrn::new(size, 2.0, 0.2, beta, AlphaConvention::Paper).unwrap();
        let op = op.with_groups(groups).unwrap();
        let (x, dy) = (noise(1, &[n, c, h, w]), noise(2, &[n, c, h, w]));
        same("lrn", &[&x, &dy], 1.0, |t| {
            let y = op.forward(&t[0])?;
            let dx = op.bwd(&t[0], &y, &t[1])?.unwrap();
            Ok(vec![("y", y), ("dx", dx)])
        });
    }
}

/// Its gradient is not the CPU's in 16 bits, where a rounding may turn a tie.
#[test]
fn lrn_and_max_pooling_in_one() {
    let lrn = Lrn::new(5, 2.0, 0.2, 0.75, AlphaConvention::Paper).unwrap();
    let pool = MaxPool2d::new((3, 3), (2, 2), (0, 0), Rounding::Down).unwrap();
    for (groups, shape) in [(1, [2, 7, 9, 11]), (2, [1, 96, 13, 13])] {
        let op = LrnMaxPool2d::new(lrn.with_groups(groups).unwrap(), pool);
        same("lrn and max pooling", &[&noise(25, &shape)], 1.0, |t| {
            Ok(vec![("y", op.forward(&t[0])?)])
        });
    }
}

type Pair = (usize, usize);

/// Kernel, stride, padding, rounding.
const WINDOWS: [(Pair, Pair, Pair, Rounding); 6] = [
    ((3, 3), (2, 2), (0, 0), Rounding::Down),
    ((3, 3), (2, 2), (1, 1), Rounding::Up),
    ((2, 2), (2, 2), (0, 0), Rounding::Up),
    ((3, 2), (1, 3), (1, 0), Rounding::Down),
    ((5, 1), (2, 1), (2, 0), Rounding::Up),
    ((1, 4), (3, 2), (0, 2), Rounding::Down),
];

#[test]
fn max_pooling_with_ties_and_not_a_number() {
    for (kernel, stride, padding, rounding) in WINDOWS {
        let pool = MaxPool2d::new(kernel, stride, padding, rounding).unwrap();
        // Halves: many ties.
        let mut x = values(&noise(3, &[2, 3, 11, 13]))
            .into_iter()
            .map(|v| v.round() / 2.0)
            .collect::<Vec<_>>();
        x[100] = f64::NAN;
        x[101] = f64::NEG_INFINITY;
        let x = Tensor::from_vec(x, (2, 3, 11, 13), &Device::Cpu).unwrap();
        for (dtype, _) in TYPES {
            let (cpu, cuda) = both(&x, dtype);
            let run = |x: &Tensor, dy: Option<Tensor>| {
                let op = pool.op();
                let y = x.apply_op1_no_bwd(&op).unwrap();
                let dy = dy.unwrap_or_else(|| noise(4, y.dims()));
                let (cpu, cuda) = both(&dy, dtype);
                let dy = if x.device().is_cpu() { cpu } else { cuda };
                (op.bwd(x, &y, &dy).unwrap().unwrap(), y)
            };
            let ((want_dx, want), (dx, y)) = (run(&cpu, None), run(&cuda, None));
            let bits = |t: &Tensor| values(t).into_iter().map(f64::to_bits).collect::<Vec<_>>();
            let numbers = |t: &Tensor| {
                let values = values(t).into_iter();
                values
                    .map(|v| if v.is_nan() { u64::MAX } else { v.to_bits() })
                    .collect::<Vec<_>>()
            };
            record("max pooling y", &y, 0.0, 0.0);
            record(
                "max pooling dx",
                &dx,
                0.0,
                if dtype == DType::F32 { 0.0 } else { 8e-3 },
            );
            assert_eq!(numbers(&y), numbers(&want), "{kernel:?} {dtype:?}");
            match dtype {
                // The sums are taken in the CPU's order.
                DType::F32 => assert_eq!(bits(&dx), bits(&want_dx), "{kernel:?}"),
                _ => assert_near("dx", &values(&dx), &values(&want_dx), 0.0, 8e-3),
            }
        }
    }
}

#[test]
fn average_pooling() {
    for (kernel, stride, padding, rounding) in WINDOWS {
        let pool = AvgPool2d::new(kernel, stride, padding, rounding).unwrap();
        let x = noise(5, &[2, 9, 11, 13]);
        let dy = noise(6, pool.forward(&x).unwrap().dims());
        same("average pooling", &[&x, &dy], 2.0, |t| {
            let y = pool.forward(&t[0])?;
            let dx = pool.bwd(&t[0], &y, &t[1])?.unwrap();
            Ok(vec![("y", y), ("dx", dx)])
        });
    }
}

#[test]
fn dropout_has_the_cpus_mask_bit_for_bit() {
    for (p, rule, seed, stream) in [
        (0.5, DropoutRule::Paper, 1, 2),
        (0.3, DropoutRule::Inverted, u64::MAX - 5, 1 << 40),
        (0.0, DropoutRule::Inverted, 0, 0),
    ] {
        let op = Dropout::new(p, rule, seed, stream).unwrap();
        let (cpu, cuda) = both(&noise(7, &[4099]), DType::F32);
        let bits = |t: Tensor| {
            let values = t.to_device(&Device::Cpu).unwrap().to_vec1::<f32>().unwrap();
            values.into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };
        assert_eq!(
            bits(op.forward(&cuda).unwrap()),
            bits(op.forward(&cpu).unwrap())
        );
        for (c, towers) in [(16, 2), (10, 2), (9, 3)] {
            let (cpu, cuda) = both(&noise(7, &[5, c, 3]), DType::F32);
            let bits = |t: &Tensor| values(&op.over_towers(t, towers).unwrap());
            assert_eq!(bits(&cuda), bits(&cpu), "{towers} towers of {c}");
        }
        same("dropout", &[&noise(8, &[3, 5, 7])], 1.0, |t| {
            let y = op.forward(&t[0])?;
            let dx = op.bwd(&t[0], &y, &t[0])?.unwrap();
            Ok(vec![("y", y), ("dx", dx)])
        });
    }
}

#[test]
fn loss_and_probabilities() {
    for (n, c) in [(1, 1), (5, 10), (3, 1000), (300, 7)] {
        let z = (noise(9, &[n, c]) * 4.0).unwrap();
        let labels: Vec<u32> = (0..n as u32).map(|i| i * 7 % c as u32).collect();
        let dloss = Tensor::new(1.5f64, &Device::Cpu).unwrap();
        same("loss", &[&z, &dloss], 8.0, |t| {
            let labels = Tensor::new(labels.as_slice(), t[0].device())?;
            let loss = SoftmaxNll.forward(&t[0], &labels)?;
            let (dz, _) = SoftmaxNll.bwd(&t[0], &labels, &loss, &t[1])?;
            let p = softmax(&t[0])?;
            Ok(vec![("loss", loss), ("dz", dz.unwrap()), ("p", p)])
        });
    }
}

#[test]
fn logits_of_minus_infinity_add_nothing() {
    let z = Tensor::new(&[[f32::NEG_INFINITY, 0.0, 0.0]], &gpu()).unwrap();
    let p = values(&softmax(&z).unwrap());
    assert_near("p", &p, &[0.0, 0.5, 0.5], 1e-7, 0.0);
}

#[test]
fn a_label_that_is_no_class_gives_a_loss_that_is_not_a_number() {
    let z = Tensor::new(&[[1f32, 2.0]], &gpu()).unwrap();
    let labels = Tensor::new(&[2u32], &gpu()).unwrap();
    assert!(values(&SoftmaxNll.forward(&z, &labels).unwrap())[0].is_nan());
}

#[test]
fn a_step_of_sgd_has_the_cpus_bits() {
    for rule in [SgdRule::Paper, SgdRule::Pytorch] {
        let sgd = Sgd::new(rule, 0.01, 0.9, 5e-4).unwrap();
        let slab = noise(10, &[2, 3, 111]);
        let (cpu, cuda) = both(&slab, DType::F32);
        let (g, g_cuda) = both(&noise(11, &[3, 111]), DType::F32);
        for _ in 0..3 {
            cpu.inplace_op2(&g, &sgd).unwrap();
            cuda.inplace_op2(&g_cuda, &sgd).unwrap();
        }
        assert_eq!(values(&cuda), values(&cpu));
        // A gradient in a shorter type steps the same weights.
        let (g, g_cuda) = both(&noise(12, &[3, 111]), DType::BF16);
        cpu.inplace_op2(&g, &sgd).unwrap();
        cuda.inplace_op2(&g_cuda, &sgd).unwrap();
        record("sgd weights and velocities", &cuda, 0.0, 0.0);
        assert_eq!(values(&cuda), values(&cpu));
    }
}

#[test]
fn convolution_with_stride_padding_and_groups() {
    for ([n, c, h, w], o, kernel, stride, padding, groups, activation) in [
        (
            [2, 3, 9, 11],
            4,
            (3, 3),
            (1, 1),
            (1, 1),
            1,
            Activation::None,
        ),
        ([3, 4, 8, 7], 6, (3, 2), (2, 3), (1, 0), 2, Activation::Relu),
        (
            [2, 3, 19, 19],
            8,
            (11, 11),
            (4, 4),
            (2, 2),
            1,
            Activation::Relu,
        ),
        ([1, 8, 5, 5], 8, (5, 5), (1, 1), (2, 2), 4, Activation::Relu),
        ([5, 2, 1, 1], 2, (1, 1), (1, 1), (0, 0), 2, Activation::None),
    ] {
        let op = Conv2d::new(stride, padding, groups, activation).unwrap();
        let x = noise(13, &[n, c, h, w]);
        let weight = noise(14, &[o, c / groups, kernel.0, kernel.1]);
        let b = noise(15, &[o]);
        let y = op.forward(&x, &weight, &b).unwrap();
        let dy = noise(16, y.dims());
        let taps = c / groups * kernel.0 * kernel.1;
        let sum = 8.0 * taps.max(n * y.dims()[2] * y.dims()[3]) as f64;
        // The CPU's own output goes to backward: near zero a ReLU may fall either way.
        same("convolution", &[&x, &weight, &b, &y, &dy], sum, |t| {
            let y = op.forward(&t[0], &t[1], &t[2])?;
            let (dx, dw, db) = op.bwd(&t[0], &t[1], &t[2], &t[3], &t[4])?;
            let (dx, dw, db) = (dx.unwrap(), dw.unwrap(), db.unwrap());
            Ok(vec![("y", y), ("dx", dx), ("dw", dw), ("db", db)])
        });
    }
}

#[test]
fn linear_layers() {
    for (n, k, o, activation) in [
        (1, 1, 1, Activation::None),
        (5, 33, 17, Activation::Relu),
        (19, 7, 300, Activation::Relu),
    ] {
        let op = Linear::new(activation);
        let (x, w, b) = (noise(17, &[n, k]), noise(18, &[o, k]), noise(19, &[o]));
        let y = op.forward(&x, &w, &b).unwrap();
        let dy = noise(20, y.dims());
        same(
            "linear",
            &[&x, &w, &b, &y, &dy],
            8.0 * k.max(n).max(o) as f64,
            |t| {
                let y = op.forward(&t[0], &t[1], &t[2])?;
                let (dx, dw, db) = op.bwd(&t[0], &t[1], &t[2], &t[3], &t[4])?;
                let (dx, dw, db) = (dx.unwrap(), dw.unwrap(), db.unwrap());
                let alone = op.input_gradient(&t[1], &t[3], &t[4])?;
                let (weight, bias) = op.weight_gradient(&t[0], t[1].shape(), &t[3], &t[4])?;
                Ok(vec![
                    ("y", y),
                    ("dx", dx),
                    ("dw", dw),
                    ("db", db),
                    ("dx alone", alone),
                    ("dw alone", weight),
                    ("db alone", bias),
                ])
            },
        );
    }
}

/// The others would pass as well if cuBLAS computed all of them.
#[cfg(feature = "cudnn")]
#[test]
fn convolutions_are_cudnns() {
    let op = Conv2d::new((1, 1), (2, 2), 2, Activation::Relu).unwrap();
    let mut meter = tandem_ops::cuda::timing::Meter::new(&gpu()).unwrap();
    for (dtype, _) in TYPES {
        let inputs = [
            noise(26, &[3, 4, 9, 9]),
            noise(27, &[8, 2, 5, 5]),
            noise(28, &[8]),
        ];
        let [x, w, b] = inputs.map(|t| both(&t, dtype).1);
        let timed = meter.time(|| {
            let y = op.forward(&x, &w, &b)?;
            op.gradients(&x, &w, &y, &y).map(drop)
        });
        let names: Vec<_> = timed.unwrap().into_iter().map(|t| t.name).collect();
        for pass in ["forward", "input_gradient", "weight_gradient"] {
            assert!(
                names.contains(&format!("cudnn_{pass}")),
                "{dtype:?}: {names:?}"
            );
        }
        assert!(
            !names.contains(&"product".to_owned()),
            "{dtype:?}: {names:?}"
        );
    }
}

#[test]
fn the_same_twice_has_the_same_bits() {
    let op = Conv2d::new((2, 1), (1, 1), 2, Activation::Relu).unwrap();
    let inputs = [
        noise(21, &[9, 4, 6, 6]),
        noise(22, &[6, 2, 3, 3]),
        noise(23, &[6]),
    ];
    let [x, w, b] = inputs.map(|t| both(&t, DType::F32).1);
    let run = || {
        let y = op.forward(&x, &w, &b).unwrap();
        let (dx, dw, db) = op.bwd(&x, &w, &b, &y, &y).unwrap();
        let all = [y, dx.unwrap(), dw.unwrap(), db.unwrap()];
        all.iter()
            .flat_map(values)
            .map(f64::to_bits)
            .collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn what_a_gpu_cannot_compute_is_refused() {
    let x = noise(24, &[1, 2, 3, 3]).to_device(&gpu()).unwrap();
    let op = Lrn::new(5, 2.0, 1e-4, 0.75, AlphaConvention::Paper).unwrap();
    let error = op.forward(&x).unwrap_err().to_string();
    assert!(error.contains("lrn: element type F64"), "{error}");
}
