//! Local response normalisation and overlapping pooling (the paper's sections 3.3 and 3.4) in a network
//! of candle's own layers. Both are candle modules; candle's autograd takes their gradients.
//!
//! candle has neither: its max pooling has no gradient where kernel and stride differ.

use anyhow::Result;
use candle_core::{DType, Device, Module, Tensor};
use candle_nn::{Conv2dConfig, Optimizer, VarBuilder, VarMap};
use tandem_ops::lrn::{AlphaConvention, Lrn};
use tandem_ops::max_pool::MaxPool2d;
use tandem_ops::window::Rounding;

/// Pictures of waves, 16 × 16, from number `first` on: class 0 lies, class 1 stands. Each begins at
/// another place.
fn waves(first: usize, count: usize, device: &Device) -> Result<(Tensor, Tensor)> {
    let pixel = |n: usize, y: usize, x: usize| {
        let along = if n.is_multiple_of(2) { y } else { x };
        (along as f32 * 1.2 + n as f32).sin()
    };
    let numbers = first..first + count;
    let all = numbers
        .clone()
        .flat_map(|n| (0..256).map(move |i| pixel(n, i / 16, i % 16)));
    let pictures = Tensor::from_iter(all, device)?.reshape((count, 1, 16, 16))?;
    let labels = Tensor::from_iter(numbers.map(|n| (n % 2) as u32), device)?;
    Ok((pictures, labels))
}

fn main() -> Result<()> {
    let device = &Device::Cpu;
    let variables = VarMap::new();
    let vb = VarBuilder::from_varmap(&variables, DType::F32, device);

    // (N, 1, 16, 16) → (N, 8, 14, 14) → LRN → 3 × 3 windows, 2 apart → (N, 8, 6, 6) → (N, 2)
    let network = candle_nn::seq()
        .add(candle_nn::conv2d(
            1,
            8,
            3,
            Conv2dConfig::default(),
            vb.pp("conv1"),
        )?)
        .add(candle_nn::Activation::Relu)
        .add(Lrn::new(5, 2.0, 1e-4, 0.75, AlphaConvention::Paper)?)
        .add(MaxPool2d::new((3, 3), (2, 2), (0, 0), Rounding::Down)?)
        .add_fn(|x| x.flatten_from(1))
        .add(candle_nn::linear(8 * 6 * 6, 2, vb.pp("fc2"))?);

    let (pictures, labels) = waves(0, 32, device)?;
    let mut sgd = candle_nn::SGD::new(variables.all_vars(), 0.05)?;
    let loss = |network: &candle_nn::Sequential| {
        candle_nn::loss::cross_entropy(&network.forward(&pictures)?, &labels)
    };
    let before = loss(&network)?.to_scalar::<f32>()?;
    for _ in 0..120 {
        sgd.backward_step(&loss(&network)?)?;
    }
    let after = loss(&network)?.to_scalar::<f32>()?;
    println!("loss {before:.3} before, {after:.3} after 120 steps");

    // Waves that it has not seen.
    let (others, wanted) = waves(100, 8, device)?;
    let named = network.forward(&others)?.argmax(1)?;
    assert_eq!(named.to_vec1::<u32>()?, wanted.to_vec1::<u32>()?);
    assert!(after < 0.5 * before, "it learns: {before} to {after}");
    Ok(())
}

#[test]
fn it_learns_through_both_operations() {
    main().unwrap();
}
