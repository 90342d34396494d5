//! Pooling: ONNX pads each side by its own number, and Tandem all by one and rounds up or down.

use tandem_alexnet::spec::{AdaptiveAveragePool, Layer, Pool, Rounding};

use super::attributes::Attributes;
use super::walk::Step;

/// The layer that pools maps of `side` x `side` as the node does, and the side of what it gives.
pub(super) fn layer(op: &str, attributes: &Attributes, side: usize) -> Step<(Layer, usize)> {
    let kernel = attributes
        .square("kernel_shape")?
        .ok_or("does not say its kernel")?;
    let stride = attributes.square("strides")?.unwrap_or(1);
    let padding = attributes.padding()?;
    if attributes.square("dilations")?.unwrap_or(1) != 1 {
        return Err("is dilated, and Tandem's pooling is not".into());
    }
    if kernel == 0 || stride == 0 {
        return Err("has a kernel or stride of 0".into());
    }
    let ceil = attributes.int("ceil_mode")?.unwrap_or(0) != 0;
    let padded = side
        .saturating_add(padding.before)
        .saturating_add(padding.after);
    let room = padded
        .checked_sub(kernel)
        .ok_or("has a kernel larger than its maps")?;
    let out = match ceil {
        true => room.div_ceil(stride).saturating_add(1),
        false => (room / stride).saturating_add(1),
    };
    // A maximum is not changed by padding, which is never the largest: what counts is which windows
    // there are. An average is, by how many places it divides.
    let average = op == "AveragePool";
    let pool = |rounding| Pool {
        kernel,
        stride,
        padding: padding.before,
        rounding,
    };
    if average {
        let whole = kernel == stride && padding.even() == Some(0) && side.is_multiple_of(kernel);
        if whole {
            let layer = AdaptiveAveragePool { output: out };
            return Ok((Layer::AdaptiveAveragePool(layer), out));
        }
        let counts_padding = attributes.int("count_include_pad")?.unwrap_or(0) != 0;
        let divides_alike = padding.even().is_some_and(|p| p == 0 || counts_padding);
        if !divides_alike || out != (room / stride).saturating_add(1) {
            return Err("divides by another number of places at the edges than Tandem does".into());
        }
        return Ok((Layer::AveragePool(pool(Rounding::Down)), out));
    }
    let given = |rounding| windows(&pool(rounding), side);
    match [Rounding::Down, Rounding::Up].into_iter().find(|&r| given(r) == Some(out)) {
        Some(rounding) => Ok((Layer::MaxPool(pool(rounding)), out)),
        None => Err(format!(
            "pads by {} before and {} after, which gives {out} windows of {side} values, and Tandem's rounding gives others",
            padding.before, padding.after
        )
        .into()),
    }
}

/// Windows along a side by Tandem's rule: rounded up, the last starts inside the picture or its left
/// padding.
pub(super) fn windows(pool: &Pool, side: usize) -> Option<usize> {
    let padded = pool.padding.checked_mul(2)?.checked_add(side)?;
    let room = padded.checked_sub(pool.kernel)?;
    let down = (room / pool.stride).checked_add(1)?;
    let inside = down.checked_mul(pool.stride)? < side.checked_add(pool.padding)?;
    Some(match pool.rounding {
        Rounding::Up if !room.is_multiple_of(pool.stride) && inside => down + 1,
        Rounding::Up | Rounding::Down => down,
    })
}
