//! Writing safetensors, the same bytes for the same content.
//!
//! The safetensors crate keeps metadata in a hash map and writes it in a different order each time;
//! a resumed run must end in the same bytes as one that was never stopped. The format is a length,
//! a JSON header and the tensors one after another.

use std::collections::BTreeMap;
use std::io::{self, Write};

use candle_core::{DType, Tensor, WithDType};
use serde_json::json;

/// Values converted to bytes at a time.
const CHUNK: usize = 16 * 1024;

/// Writes tensors of f32 or f16 by name, little endian, in the order of their names.
///
/// # Errors
///
/// When they cannot be written, or one holds other numbers.
pub fn write_safetensors(
    out: &mut impl Write,
    metadata: &BTreeMap<&str, String>,
    tensors: &BTreeMap<&str, &Tensor>,
) -> io::Result<()> {
    let mut header = BTreeMap::from([("__metadata__", json!(metadata))]);
    let mut end = 0;
    for (name, tensor) in tensors {
        let start = end;
        end += tensor.dtype().size_in_bytes() * tensor.elem_count();
        let dtype = match tensor.dtype() {
            DType::F32 => "F32",
            DType::F16 => "F16",
            other => return Err(io::Error::other(format!("{name} holds {other:?}"))),
        };
        let entry = json!({ "dtype": dtype, "shape": tensor.dims(), "data_offsets": [start, end] });
        header.insert(name, entry);
    }
    let mut header = serde_json::to_vec(&header)?;
    // Tensors start at a multiple of 8 bytes.
    header.resize(header.len().next_multiple_of(8), b' ');
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(&header)?;

    for tensor in tensors.values() {
        match tensor.dtype() {
            DType::F16 => write_values(out, tensor, half::f16::to_le_bytes)?,
            _ => write_values(out, tensor, f32::to_le_bytes)?,
        }
    }
    Ok(())
}

fn write_values<T: WithDType, const N: usize>(
    out: &mut impl Write,
    tensor: &Tensor,
    bytes_of: impl Fn(T) -> [u8; N],
) -> io::Result<()> {
    let values = tensor.flatten_all().and_then(|flat| flat.to_vec1::<T>());
    let mut bytes = Vec::with_capacity(N * CHUNK);
    for chunk in values.map_err(io::Error::other)?.chunks(CHUNK) {
        bytes.clear();
        bytes.extend(chunk.iter().flat_map(|&value| bytes_of(value)));
        out.write_all(&bytes)?;
    }
    Ok(())
}
