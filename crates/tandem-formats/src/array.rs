//! An array in NumPy's `.npy`: a header that is a Python dictionary, and the values.
//!
//! <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>

use crate::error::Problem;
use crate::stored::{Element, Stored};

const MAGIC: &[u8] = b"\x93NUMPY";

pub(crate) fn is_npy(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// The array of floating-point numbers that `bytes` are, in the order of their indices.
///
/// # Errors
///
/// [`Problem::Tensor`] if it is cut short, or holds something else.
pub(crate) fn read<'a>(name: &str, bytes: &'a [u8]) -> Result<Stored<'a>, Problem> {
    let refuse = |what: &str| Problem::Tensor {
        name: name.to_owned(),
        what: what.to_owned(),
    };
    let (header, values) = parts(bytes).ok_or_else(|| refuse("the .npy file is cut short"))?;
    let header = std::str::from_utf8(header).map_err(|_| refuse("the .npy header is no text"))?;
    let element = match entry(header, "descr") {
        Some("'<f4'" | "'|f4'" | "'=f4'") => Element::F32,
        Some("'<f8'" | "'=f8'") => Element::F64,
        Some("'<f2'") => Element::F16,
        _ => {
            return Err(refuse(
                "the .npy file holds no floating-point numbers, little endian",
            ));
        }
    };
    if entry(header, "fortran_order") != Some("False") {
        return Err(refuse("the .npy file is in Fortran's order"));
    }
    let shape = entry(header, "shape").and_then(shape);
    let shape = shape.ok_or_else(|| refuse("the .npy header has no shape"))?;
    Stored::contiguous(name, shape, element, values)
}

/// The header and what follows it.
pub(crate) fn parts(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (version, rest) = rest.split_at_checked(2)?;
    let (length, rest) = match version[0] {
        1 => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_le_bytes(*length)), rest)
        }
        _ => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::try_from(u32::from_le_bytes(*length)).ok()?, rest)
        }
    };
    rest.split_at_checked(length)
}

/// The value of a key: up to the next comma outside parentheses, or the end.
fn entry<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = header.split_once(&format!("'{key}':"))?;
    let rest = rest.trim_start();
    let end = match rest.starts_with('(') {
        true => rest.find(')')? + 1,
        false => rest.find([',', '}'])?,
    };
    Some(rest[..end].trim())
}

/// `(3, 256, 256)`, `(3,)`.
fn shape(text: &str) -> Option<Vec<usize>> {
    let inner = text.strip_prefix('(')?.strip_suffix(')')?;
    let sizes = inner
        .split(',')
        .map(str::trim)
        .filter(|size| !size.is_empty());
    sizes.map(|size| size.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, values: &[u8]) -> Vec<u8> {
        let length = (header.len() as u16).to_le_bytes();
        [MAGIC, &[1, 0], &length, header.as_bytes(), values].concat()
    }

    #[test]
    fn an_array_comes_with_its_shape() {
        let header = "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 1, 2), }  \n";
        let values: Vec<u8> = (0..6).flat_map(|i| f64::from(i).to_le_bytes()).collect();
        let bytes = file(header, &values);
        let tensor = read("x", &bytes).unwrap().to_tensor().unwrap();
        assert_eq!(tensor.dims(), [3, 1, 2]);
        let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values, [0., 1., 2., 3., 4., 5.]);
    }

    #[test]
    fn what_is_no_array_of_numbers_is_refused() {
        let header = |descr: &str, order: &str, shape: &str| {
            format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}")
        };
        for (header, cause) in [
            (
                header("'<f4'", "False", "(3,)"),
                "8 bytes cannot be F32 of [3]",
            ),
            (header("'<f4'", "True", "(2,)"), "Fortran"),
            (header("'>f4'", "False", "(2,)"), "little endian"),
            (header("'|O'", "False", "(2,)"), "floating-point"),
            (header("'<f4'", "False", "(-2,)"), "no shape"),
            (
                header(
                    "'<f4'",
                    "False",
                    "(18446744073709551615, 18446744073709551615)",
                ),
                "cannot be",
            ),
        ] {
            let bytes = file(&header, &[0; 8]);
            let error = read("x", &bytes).unwrap_err().to_string();
            assert!(error.contains(cause), "{header}: {error}");
        }
        assert!(read("x", MAGIC).is_err());
    }
}
