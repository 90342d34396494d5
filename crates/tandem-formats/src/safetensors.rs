//! safetensors: the crate checks the header against the length of the file.

use ::safetensors::{Dtype, SafeTensors};

use crate::error::Problem;
use crate::naming::Named;
use crate::stored::{Element, Stored};

pub(crate) fn read(bytes: &[u8]) -> Result<Named<'_>, Problem> {
    let archive = SafeTensors::deserialize(bytes).map_err(Problem::Safetensors)?;
    // Read a second time since `SafeTensors` does not give the metadata out.
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(Problem::Safetensors)?;
    let mut named = Named {
        said: header.metadata().clone().unwrap_or_default(),
        ..Named::default()
    };
    for (name, view) in archive.iter() {
        let element = element(view.dtype());
        let stored = Stored::contiguous(name, view.shape().to_vec(), element, view.data())?;
        named.tensors.insert(name.to_owned(), stored);
    }
    Ok(named)
}

fn element(dtype: Dtype) -> Element {
    let size = dtype.bitsize() / 8;
    match dtype {
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::Bf16,
        Dtype::F32 => Element::F32,
        Dtype::F64 => Element::F64,
        Dtype::BOOL => Element::Other("truth values", size),
        Dtype::U8 | Dtype::U16 | Dtype::U32 | Dtype::U64 => {
            Element::Other("unsigned integers", size)
        }
        Dtype::I8 | Dtype::I16 | Dtype::I32 | Dtype::I64 => Element::Other("integers", size),
        _ => Element::Other("numbers of another kind", size),
    }
}
