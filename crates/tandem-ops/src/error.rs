//! What can be wrong with an operation's parameters or inputs.

use candle_core::DType;

/// An operation was given something it cannot compute.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum OpError {
    /// A parameter that no input could make valid.
    #[error("{op}: {what}")]
    Parameter { op: &'static str, what: String },
    /// Inputs whose shapes do not go together.
    #[error("{op}: {what} (got {shapes})")]
    Shape {
        op: &'static str,
        what: String,
        shapes: String,
    },
    /// An element type other than f32 and f64.
    #[error("{op}: element type {dtype:?} is not supported; convert to f32 or f64 first")]
    DType { op: &'static str, dtype: DType },
    /// Tensors that are not where the operation runs.
    #[error("{op}: the inputs must be on one device; got {device}")]
    Device { op: &'static str, device: String },
    /// A CUDA kernel that NVRTC did not take.
    #[error("kernels/{file} does not compile:\n{log}")]
    Compile { file: String, log: String },
    /// A CUDA kernel called with something else than it declares.
    #[error("kernel {entry}: {what}")]
    Launch { entry: String, what: String },
    /// A label outside the classes.
    #[error("{op}: label {label} of row {row} is not below the number of classes, {classes}")]
    Label {
        op: &'static str,
        row: usize,
        label: u32,
        classes: usize,
    },
}

impl OpError {
    pub(crate) fn parameter(op: &'static str, what: impl Into<String>) -> Self {
        let what = what.into();
        Self::Parameter { op, what }
    }

    pub(crate) fn shape(
        op: &'static str,
        what: impl Into<String>,
        shapes: impl Into<String>,
    ) -> Self {
        let (what, shapes) = (what.into(), shapes.into());
        Self::Shape { op, what, shapes }
    }

    pub(crate) fn dtype(op: &'static str, dtype: DType) -> Self {
        Self::DType { op, dtype }
    }
}

impl From<OpError> for candle_core::Error {
    fn from(error: OpError) -> Self {
        candle_core::Error::wrap(error)
    }
}
