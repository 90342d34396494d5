//! The head of an array in NumPy's `.npy`, version 1.0.
//!
//! <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>

/// What stands before the values: `kind` as NumPy names it (`<f4`, `<i8`), `shape` of a few sizes.
#[must_use]
pub fn header(kind: &str, shape: &[usize]) -> Vec<u8> {
    let sizes = match shape {
        // As Python writes a tuple of one.
        [one] => format!("{one},"),
        many => many
            .iter()
            .map(usize::to_string)
            .collect::<Vec<_>>()
            .join(", "),
    };
    let mut text = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({sizes}), }}");
    // With the ten bytes before it and the line's end, a multiple of 64.
    let whole = (10 + text.len() + 1).next_multiple_of(64);
    text.extend(std::iter::repeat_n(' ', whole - 11 - text.len()));
    text.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    // Two sizes are far from 64 KiB.
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.into_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_of_npy_is_aligned_and_says_its_shape() {
        let header = header("<f4", &[12, 4096]);
        assert_eq!(header.len() % 64, 0);
        assert_eq!(&header[..8], b"\x93NUMPY\x01\x00");
        assert_eq!(
            u16::from_le_bytes([header[8], header[9]]) as usize,
            header.len() - 10
        );
        let text = std::str::from_utf8(&header[10..]).unwrap();
        assert!(
            text.starts_with("{'descr': '<f4', 'fortran_order': False, 'shape': (12, 4096), }")
        );
        assert!(text.ends_with(" \n"));
    }
}
