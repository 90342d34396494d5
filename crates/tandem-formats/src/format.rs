//! What a file is, by what it holds.

use std::fmt;

use crate::{caffe, onnx};

/// A kind of weights file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A length, a JSON header, tensors: Hugging Face's, and Tandem's own.
    Safetensors,
    /// A `NetParameter` with its weights: Caffe's `.caffemodel`.
    Caffe,
    /// A `ModelProto`.
    Onnx,
}

impl Format {
    /// The format of the file that `bytes` are, as its first bytes tell.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        if is_safetensors(bytes) {
            return Some(Self::Safetensors);
        }
        if caffe::is_model(bytes) {
            return Some(Self::Caffe);
        }
        if onnx::is_model(bytes) {
            return Some(Self::Onnx);
        }
        None
    }
}

/// Eight bytes of length, of which the last are zeros in any header that fits in memory, and the
/// brace that opens the header.
fn is_safetensors(bytes: &[u8]) -> bool {
    bytes.len() > 8 && bytes[5..8] == [0; 3] && bytes[8] == b'{'
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Safetensors => "safetensors",
            Self::Caffe => "Caffe",
            Self::Onnx => "ONNX",
        })
    }
}
