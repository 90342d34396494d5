use crate::common::{config, noise, places, scattered, values};
use candle_core::{CustomOp1, Tensor};
use proptest::prelude::*;
use tandem_ops::lrn::{AlphaConvention, Lrn};
use tandem_ops::lrn_max_pool::LrnMaxPool2d;
use tandem_ops::max_pool::MaxPool2d;
use tandem_ops::window::Rounding;

fn bits(tensor: &Tensor) -> Vec<u64> {
    values(tensor).into_iter().map(f64::to_bits).collect()
}

proptest! {
    // Each case runs everywhere, on the emulated GPU among others.
    #![proptest_config(ProptestConfig { cases: 24, ..config() })]

    #[test]
    fn has_the_bits_of_the_two_operations_apart(
        (n, groups, channels) in (1..3usize, 1..3usize, 1..11usize),
        // Wider than a block of the kernel, now and then.
        (h, w) in (3..20usize, prop_oneof![9 => 3..24usize, 1 => Just(171usize)]),
        padding in prop_oneof![4 => Just(0usize), 1 => Just(1usize)],
        beta in prop_oneof![4 => Just(0.75), 1 => Just(0.5)],
    ) {
        let lrn = Lrn::new(5, 2.0, 0.3, beta, AlphaConvention::Paper).unwrap();
        let lrn = lrn.with_groups(groups).unwrap();
        let pool = MaxPool2d::new((3, 3), (2, 2), (padding, padding), Rounding::Up).unwrap();
        let x = noise(1, &[n, groups * channels, h, w]);
        for place in places() {
            let x = x.to_dtype(place.dtype).unwrap().to_device(&place.device).unwrap();
            let (op, pooling) = (LrnMaxPool2d::new(lrn, pool).op(), pool.op());
            let y = x.apply_op1_no_bwd(&op).unwrap();
            let between = lrn.forward(&x).unwrap();
            let want = between.apply_op1_no_bwd(&pooling).unwrap();
            prop_assert_eq!(y.dims(), want.dims());
            prop_assert_eq!(bits(&y), bits(&want));
            let dy = noise(2, y.dims()).to_dtype(place.dtype).unwrap();
            let dy = dy.to_device(&place.device).unwrap();
            let dx = op.bwd(&x, &y, &dy).unwrap().unwrap();
            let gradient = pooling.bwd(&between, &want, &dy).unwrap().unwrap();
            let want = lrn.bwd(&x, &between, &gradient).unwrap().unwrap();
            prop_assert_eq!(bits(&dx), bits(&want));
        }
    }
}

#[test]
fn inputs_need_not_be_contiguous() {
    let lrn = Lrn::new(5, 2.0, 1e-4, 0.75, AlphaConvention::Paper).unwrap();
    let pool = MaxPool2d::new((3, 3), (2, 2), (0, 0), Rounding::Down).unwrap();
    let op = LrnMaxPool2d::new(lrn, pool);
    let x = noise(3, &[2, 6, 7, 5]);
    let (whole, parts) = (op.forward(&x).unwrap(), op.forward(&scattered(&x)).unwrap());
    assert_eq!(bits(&whole), bits(&parts));
}
