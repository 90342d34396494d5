//! The non-linearity that a convolution or a linear layer applies as it stores its output.

/// What follows the weighted sum inside the same operation. The paper's network uses ReLU
/// (Section 3.1); tanh and sigmoid are candle's own operations after an operation with `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    #[default]
    None,
    /// `max(0, x)`; NaN stays NaN.
    Relu,
}
