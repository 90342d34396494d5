//! What a file is, by what it holds.

use std::fmt;

use crate::{array, caffe, onnx, pth};

/// A kind of weights file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A length, a JSON header, tensors: Hugging Face's, and Tandem's own.
    Safetensors,
    /// A `NetParameter` with its weights: Caffe's `.caffemodel`.
    Caffe,
    /// A `ModelProto`.
    Onnx,
    /// What `torch.save` writes.
    TorchZip,
    /// What it wrote up to PyTorch 1.5.
    TorchStream,
    /// What it wrote before 0.1.10.
    TorchTar,
    /// A NumPy file of a dictionary of arrays.
    Npy,
}

impl Format {
    /// The format of the file that `bytes` are, as its first bytes tell.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        if is_safetensors(bytes) {
            Some(Self::Safetensors)
        } else if pth::is_zip(bytes) {
            Some(Self::TorchZip)
        } else if pth::is_stream(bytes) {
            Some(Self::TorchStream)
        } else if pth::is_tar(bytes) {
            Some(Self::TorchTar)
        } else if array::is_npy(bytes) {
            Some(Self::Npy)
        } else if caffe::is_model(bytes) {
            Some(Self::Caffe)
        } else if onnx::is_model(bytes) {
            Some(Self::Onnx)
        } else {
            None
        }
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
            Self::TorchZip => "PyTorch, ZIP",
            Self::TorchStream => "PyTorch, stream",
            Self::TorchTar => "PyTorch, tar",
            Self::Npy => "NumPy",
        })
    }
}
