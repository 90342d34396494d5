//! The globals that a pickle may name: all there are.

use crate::stored::Element;

/// Whose pickles are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Torch,
    Numpy,
}

/// Something of Python's that a pickle may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Global {
    OrderedDict,
    /// `torch._utils._rebuild_tensor(storage, offset, size, stride)`, or with more after it.
    RebuildTensor,
    /// `torch._utils._rebuild_parameter(tensor, …)`
    RebuildParameter,
    /// `torch.FloatStorage` and its like, within persistent ids.
    Storage(Element),
    /// `torch.FloatTensor` and its like: the oldest form notes what a tensor was.
    TensorType,
    /// `numpy.core.multiarray._reconstruct(ndarray, shape, type)`
    Reconstruct,
    NdArray,
    /// `numpy.dtype(code, align, copy)`
    Dtype,
    /// `_codecs.encode(text, "latin1")`
    Encode,
}

impl Global {
    pub fn find(dialect: Dialect, module: &str, name: &str) -> Option<Self> {
        match dialect {
            Dialect::Torch => torch(module, name),
            Dialect::Numpy => numpy(module, name),
        }
    }
}

fn torch(module: &str, name: &str) -> Option<Global> {
    match (module, name) {
        ("collections", "OrderedDict") => Some(Global::OrderedDict),
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Some(Global::RebuildTensor),
        ("torch._utils", "_rebuild_parameter") => Some(Global::RebuildParameter),
        ("torch" | "torch.cuda" | "torch.storage", _) => {
            if let Some(kind) = name.strip_suffix("Storage") {
                element(kind).map(Global::Storage)
            } else {
                let kind = name.strip_suffix("Tensor")?;
                element(kind).map(|_| Global::TensorType)
            }
        }
        _ => None,
    }
}

/// The values of the storages that PyTorch calls by such a word.
fn element(kind: &str) -> Option<Element> {
    Some(match kind {
        "Float" => Element::F32,
        "Double" => Element::F64,
        "Half" => Element::F16,
        "BFloat16" => Element::Bf16,
        "Long" => Element::Other("64-bit integers", 8),
        "Int" => Element::Other("32-bit integers", 4),
        "Short" => Element::Other("16-bit integers", 2),
        "Char" => Element::Other("8-bit integers", 1),
        "Byte" => Element::Other("bytes", 1),
        "Bool" => Element::Other("truth values", 1),
        "ComplexFloat" => Element::Other("complex numbers", 8),
        "ComplexDouble" => Element::Other("complex numbers", 16),
        _ => return None,
    })
}

fn numpy(module: &str, name: &str) -> Option<Global> {
    match (module, name) {
        ("collections", "OrderedDict") => Some(Global::OrderedDict),
        ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => {
            Some(Global::Reconstruct)
        }
        ("numpy", "ndarray") => Some(Global::NdArray),
        ("numpy", "dtype") => Some(Global::Dtype),
        ("_codecs", "encode") => Some(Global::Encode),
        _ => None,
    }
}
