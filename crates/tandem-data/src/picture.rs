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
