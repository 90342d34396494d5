//! A decoded picture.

/// A decoded picture: `height × width × channels` bytes (HWC), 0 to 255, row by row from the top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Pixels a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
    /// The bytes, HWC.
    pub pixels: Vec<u8>,
}

/// Levels, 0 to 255, that the channels of a grey picture differ by at most, in the mean over its pixels:
/// JPEG leaves some.
const GREY: u64 = 4;

impl Picture {
    /// Whether its channels differ by more than what a file format leaves of grey.
    pub(crate) fn is_coloured(&self) -> bool {
        if self.channels < 3 {
            return false;
        }
        let pixels = self.pixels.as_chunks::<3>().0;
        let spread = |[r, g, b]: &[u8; 3]| u64::from(r.max(g).max(b) - r.min(g).min(b));
        pixels.iter().map(spread).sum::<u64>() > GREY * pixels.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::Picture;

    #[test]
    fn three_nearly_equal_channels_are_grey() {
        let of = |pixels: &[u8], channels| Picture {
            width: pixels.len() / channels,
            height: 1,
            channels,
            pixels: pixels.to_vec(),
        };
        assert!(!of(&[7, 200], 1).is_coloured());
        assert!(!of(&[100, 102, 99, 7, 7, 7], 3).is_coloured());
        assert!(of(&[200, 20, 20, 7, 7, 7], 3).is_coloured());
    }
}
