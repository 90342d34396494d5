use crate::common::{assert_same_for_any_threads, noise, scattered, values};
use candle_core::{CustomOp1, DType, Device, Tensor};
use tandem_ops::dropout::{Dropout, DropoutRule};

fn ones(count: usize) -> Tensor {
    Tensor::ones(count, DType::F32, &Device::Cpu).unwrap()
}

#[test]
fn the_mask_follows_from_seed_stream_and_index_alone() {
    let op = Dropout::new(0.5, DropoutRule::Paper, 3, 9).unwrap();
    let long = values(&op.forward(&ones(40_003)).unwrap());
    for (i, value) in long.iter().enumerate() {
        assert_eq!(*value == 1.0, op.keeps(i as u64), "value {i}");
    }
    assert_eq!(values(&op.forward(&ones(17)).unwrap()), long[..17]);
    for other in [(4, 9), (3, 10)] {
        let other = Dropout::new(0.5, DropoutRule::Paper, other.0, other.1).unwrap();
        assert_ne!(values(&other.forward(&ones(40_003)).unwrap()), long);
    }
}

#[test]
fn a_share_of_p_is_dropped_and_inverted_dropout_keeps_the_mean() {
    let n = 1 << 18;
    for p in [0.1, 0.5, 0.9] {
        let op = Dropout::new(p, DropoutRule::Inverted, 1, 2).unwrap();
        let y = values(&op.forward(&ones(n)).unwrap());
        let dropped = y.iter().filter(|v| **v == 0.0).count() as f64 / n as f64;
        // Five standard errors.
        assert!(
            (dropped - p).abs() < 5.0 * (p * (1.0 - p) / n as f64).sqrt(),
            "{dropped} of {p}"
        );
        let kept = y.iter().find(|v| **v != 0.0).unwrap();
        assert!((kept - 1.0 / (1.0 - p)).abs() < 1e-6);
    }
}

#[test]
fn each_tower_has_the_mask_of_its_own_stream() {
    for (n, c, towers) in [(3, 8, 2), (5, 6, 2), (2, 9, 3), (4, 7, 1)] {
        let x = noise(5, &[n, c, 3]);
        let op = |stream| Dropout::new(0.5, DropoutRule::Inverted, 3, stream).unwrap();
        let together = op(9).over_towers(&x, towers).unwrap();
        for tower in 0..towers {
            let width = c / towers;
            let part = |t: &Tensor| t.narrow(1, tower * width, width).unwrap();
            let alone = op(9 + tower as u64).forward(&part(&x)).unwrap();
            assert_eq!(values(&part(&together)), values(&alone));
        }
    }
    let odd = noise(5, &[2, 3]);
    let op = Dropout::new(0.5, DropoutRule::Paper, 3, 9).unwrap();
    assert!(op.over_towers(&odd, 2).is_err());
}

#[test]
fn backward_draws_the_same_mask() {
    for rule in [DropoutRule::Inverted, DropoutRule::Paper] {
        let op = Dropout::new(0.5, rule, 3, 9).unwrap();
        let x = ones(1001);
        let y = op.forward(&x).unwrap();
        assert_eq!(values(&op.bwd(&x, &y, &x).unwrap().unwrap()), values(&y));
    }
}

#[test]
fn a_probability_outside_zero_to_one_is_refused() {
    for p in [-0.1, 1.0, f64::NAN] {
        assert!(Dropout::new(p, DropoutRule::Paper, 0, 0).is_err(), "{p}");
    }
}

#[test]
fn layout_element_type_and_threads_do_not_matter() {
    for rule in [DropoutRule::Inverted, DropoutRule::Paper] {
        let op = Dropout::new(0.5, rule, u64::MAX - 3, 1 << 40).unwrap();
        let x = noise(1, &[5, 7, 1100]).to_dtype(DType::F32).unwrap();
        let y = op.forward(&x).unwrap();
        assert_eq!(values(&op.forward(&scattered(&x)).unwrap()), values(&y));
        let double = op.forward(&x.to_dtype(DType::F64).unwrap()).unwrap();
        assert_eq!(values(&double), values(&y));
        assert_same_for_any_threads(|| vec![op.forward(&x).unwrap()]);
    }
}

#[test]
fn the_upper_half_of_seed_and_stream_counts() {
    let mask = |seed, stream| {
        let op = Dropout::new(0.5, DropoutRule::Paper, seed, stream).unwrap();
        (0..128).map(|i| op.keeps(i)).collect::<Vec<_>>()
    };
    assert_ne!(mask(1, 1), mask(1 | 1 << 32, 1));
    assert_ne!(mask(1, 1), mask(1, 1 | 1 << 32));
}

#[test]
fn a_dropped_nan_is_gone() {
    let op = Dropout::new(0.5, DropoutRule::Inverted, 3, 9).unwrap();
    let x = Tensor::full(f32::NAN, 64, &Device::Cpu).unwrap();
    for (i, y) in values(&op.forward(&x).unwrap()).iter().enumerate() {
        assert_eq!(y.is_nan(), op.keeps(i as u64), "value {i}");
    }
}
