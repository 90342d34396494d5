//! Parts of a batch, which no convolution of the other tests reaches.

use super::parts::cut;
use super::*;
use crate::Activation;
use crate::conv::Conv2d;
use crate::cuda::device;
use candle_core::{CustomOp3, DType, Device, Tensor};

fn flat(tensor: &Tensor) -> Vec<f32> {
    let run = || -> Result<_> {
        let tensor = tensor.to_dtype(DType::F32)?.to_device(&Device::Cpu)?;
        tensor.flatten_all()?.to_vec1()
    };
    run().unwrap()
}

#[test]
fn parts_are_whole_and_about_as_large_as_one_another() {
    // Conv1 of the paper in bf16: 122 pictures have room.
    for (n, fit, want) in [
        (128, 122, &[64, 64][..]),
        (300, 122, &[96, 104, 100]),
        (122, 122, &[122]),
        (123, 122, &[64, 59]),
        (10, 7, &[5, 5]),
        (3, 0, &[1, 1, 1]),
        (0, 9, &[]),
    ] {
        let (count, unit) = cut(n, fit);
        let g = Geometry { n, ..SIX };
        let parts = Parts { g, count, unit };
        let sizes: Vec<usize> = parts.each().map(|(_, pictures)| pictures).collect();
        assert_eq!(sizes, want, "{n} {fit}");
        assert!(parts.largest() <= fit.max(1));
    }
}

#[test]
fn the_parts_of_a_batch_give_what_the_whole_gives() {
    // With eight outputs a group the weight is turned over, with three it is not.
    parts_give_what_the_whole_gives(3);
    parts_give_what_the_whole_gives(8);
}

fn parts_give_what_the_whole_gives(outputs: usize) {
    let op = Conv2d::new((2, 1), (1, 1), 2, Activation::Relu).unwrap();
    let noise = |shape: &[usize]| Tensor::randn(0f32, 1f32, shape, &Device::Cpu).unwrap();
    let (x, w) = (noise(&[7, 4, 5, 4]), noise(&[2 * outputs, 2, 3, 3]));
    let b = noise(&[2 * outputs]);
    let y = op.forward(&x, &w, &b).unwrap();
    let dy = noise(y.dims());
    let (dx, dw, db) = op.bwd(&x, &w, &b, &y, &dy).unwrap();
    let want = [y.clone(), dx.unwrap(), dw.unwrap(), db.unwrap()];
    let gpu = device::open(0).unwrap();
    let [x, w, b, y, dy] = [x, w, b, y, dy].map(|t| t.to_device(&gpu).unwrap());
    let (dx, dw, db) = op.gradients(&x, &w, &y, &dy).unwrap();
    let alone = op.input_gradient(x.shape(), &w, &y, &dy).unwrap();
    assert_eq!(flat(&alone), flat(&dx));
    let (dw_alone, db_alone) = op.weight_gradient(&x, w.shape(), &y, &dy).unwrap();
    assert_eq!((flat(&dw_alone), flat(&db_alone)), (flat(&dw), flat(&db)));
    let got = [op.forward(&x, &w, &b).unwrap(), dx, dw, db];
    for (got, want) in got.iter().zip(&want) {
        for (got, want) in flat(got).into_iter().zip(flat(want)) {
            assert!(
                (got - want).abs() <= 1e-4 + 1e-5 * want.abs(),
                "{got} {want}"
            );
        }
    }
}

#[test]
fn a_weight_gradient_in_16_bits_does_not_stop_growing() {
    // A part has 32 pictures and adds 1; in bf16, 256 + 1 is 256.
    let (parts, part) = (300, 32);
    let gpu = device::open(0).unwrap();
    let x: Vec<f32> = (0..parts * part)
        .map(|n| if n % part == 0 { 1.0 } else { 0.0 })
        .collect();
    let x = Tensor::from_vec(x, (parts * part, 1, 1, 1), &gpu).unwrap();
    let x = x.to_dtype(DType::BF16).unwrap();
    let dy = x.ones_like().unwrap();
    let op = Conv2d::new((1, 1), (0, 0), 1, Activation::None).unwrap();
    let shape = (1, 1, 1, 1).into();
    let (dw, _) = op.weight_gradient(&x, &shape, &dy, &dy).unwrap();
    assert_eq!(flat(&dw), [300.0]);
}

const SIX: Geometry = Geometry {
    n: 6,
    c: 1,
    o: 3,
    groups: 1,
    size: (1, 5),
    padded: (1, 5),
    kernel: (1, 1),
    out: (1, 5),
    stride: (1, 1),
    padding: (0, 0),
};
