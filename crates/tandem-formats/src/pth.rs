//! PyTorch's files, in the three forms that `torch.save` has had: a ZIP archive (since 1.6), a stream
//! of pickles and storages, and a tar archive (before 0.1.10).
//!
//! Each form gives a pickled object and a way from the storages it names to their bytes; the object
//! must be a state dict, or hold one. Every tensor of it is kept: one that cannot be read is an error.

mod state_dict;
mod stream;
mod tar;
mod zip;

use crate::error::Problem;
use crate::pickle::{Heap, Storage, TensorView};
use crate::stored::Stored;

pub(crate) use self::stream::is_stream;
pub(crate) use self::stream::read as read_stream;
pub(crate) use self::tar::is_tar;
pub(crate) use self::tar::read as read_tar;
pub(crate) use self::zip::{is_zip, read as read_zip};

/// The tensor `name` as `view` describes it within `bytes`, its whole storage.
fn tensor<'a>(
    name: &str,
    view: &TensorView,
    storage: &Storage,
    bytes: &'a [u8],
) -> Result<Stored<'a>, Problem> {
    let size = storage.element.size();
    let problem = |what: String| Problem::Tensor {
        name: name.to_owned(),
        what,
    };
    if storage.length.checked_mul(size) != Some(bytes.len()) {
        return Err(problem(format!(
            "its storage `{}` should hold {} values of {size} bytes, and has {} bytes",
            storage.key,
            storage.length,
            bytes.len()
        )));
    }
    let bytes = match storage.view {
        None => bytes,
        Some((first, length)) => {
            let part = first.checked_mul(size).zip(length.checked_mul(size));
            let part = part.and_then(|(first, length)| bytes.get(first..)?.get(..length));
            part.ok_or_else(|| problem(format!("its view is beyond storage `{}`", storage.key)))?
        }
    };
    let TensorView {
        shape,
        strides,
        offset,
        ..
    } = view.clone();
    Stored::strided(name, shape, strides, offset, storage.element, bytes)
}

/// The storage that `view` is of.
fn storage_of<'h, 'a>(heap: &'h Heap<'a>, view: &TensorView) -> &'h Storage<'a> {
    match heap.get(view.storage) {
        crate::pickle::Value::Storage(storage) => storage,
        other => unreachable!("a view is only made of a storage, and this is {other:?}"),
    }
}
