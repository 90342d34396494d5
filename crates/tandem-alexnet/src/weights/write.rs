//! Writing safetensors, the same bytes for the same content.
//!
//! The safetensors crate keeps metadata in a hash map and writes it in a different order each time;
//! a resumed run must end in the same bytes as one that was never stopped. The format is a length,
//! a JSON header and the tensors one after another.

use std::collections::BTreeMap;
use std::io::{self, Write};

use candle_core::Tensor;
use serde_json::json;

/// Floats converted to bytes at a time.
const CHUNK: usize = 16 * 1024;

/// Writes f32 tensors by name, little endian, in the order of their names.
pub(crate) fn write_safetensors(
    out: &mut impl Write,
    metadata: &BTreeMap<&str, String>,
    tensors: &BTreeMap<&str, &Tensor>,
) -> io::Result<()> {
    let mut header = BTreeMap::from([("__metadata__", json!(metadata))]);
    let mut end = 0;
    for (name, tensor) in tensors {
        let start = end;
        end += 4 * tensor.elem_count();
        let entry = json!({ "dtype": "F32", "shape": tensor.dims(), "data_offsets": [start, end] });
        header.insert(name, entry);
    }
    let mut header = serde_json::to_vec(&header)?;
    // Tensors start at a multiple of 8 bytes.
    header.resize(header.len().next_multiple_of(8), b' ');
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(&header)?;

    let mut bytes = Vec::with_capacity(4 * CHUNK);
    for tensor in tensors.values() {
        let values = tensor.flatten_all().and_then(|flat| flat.to_vec1::<f32>());
        for chunk in values.map_err(io::Error::other)?.chunks(CHUNK) {
            bytes.clear();
            bytes.extend(chunk.iter().flat_map(|value| value.to_le_bytes()));
            out.write_all(&bytes)?;
        }
    }
    Ok(())
}
