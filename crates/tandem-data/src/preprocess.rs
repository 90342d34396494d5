//! One size for all pictures (section 2 of the paper): the shorter side scaled, the centre cut.

use crate::scale::{Scaling, scale};
use crate::{DataError, Picture};

/// What every picture is brought to: `side × side × channels`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preprocess {
    /// Side of the square, pixels; 256 in the paper.
    pub side: usize,
    /// 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
}

impl Preprocess {
    /// Bytes a picture takes, and values its mean has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.side * self.side * self.channels
    }

    /// Whether a picture would have no bytes; such a value is refused where it enters.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn check(&self) -> Result<(), DataError> {
        let reason = if !matches!(self.channels, 1 | 3) {
            "pictures have 1 or 3 channels"
        } else if self.side == 0 || self.side > crate::decode::LONGEST_SIDE as usize {
            "the side is 1 to 16384 pixels"
        } else {
            return Ok(());
        };
        Err(DataError::Shape {
            side: self.side,
            channels: self.channels,
            reason: reason.into(),
        })
    }

    /// Scales the shorter side of `picture` to `side` and cuts the centre `side × side`; HWC bytes.
    ///
    /// The same bytes as from torchvision's `Resize(side)` and `CenterCrop(side)` of a Pillow picture,
    /// so that weights trained elsewhere see the pictures they know: bilinear with a filter as wide
    /// as the reduction. Grey is repeated for three channels;
    /// colour becomes grey by 0.299 R + 0.587 G + 0.114 B.
    ///
    /// ```
    /// use tandem_data::{Picture, Preprocess};
    /// let wide = Picture { width: 4, height: 2, channels: 1, pixels: vec![9, 1, 2, 9, 9, 3, 4, 9] };
    /// assert_eq!(Preprocess { side: 2, channels: 1 }.apply(&wide), [1, 2, 3, 4]);
    /// ```
    ///
    /// # Panics
    ///
    /// If `picture` is empty or its bytes are not `width × height × channels`, or `self` has other
    /// than 1 or 3 channels or no pixels.
    #[must_use]
    pub fn apply(&self, picture: &Picture) -> Vec<u8> {
        let Picture {
            width,
            height,
            channels,
            ref pixels,
        } = *picture;
        assert!(
            width > 0 && height > 0 && pixels.len() == width * height * channels,
            "a picture of {width}×{height}×{channels} with {} bytes",
            pixels.len()
        );
        let square = if width == self.side && height == self.side {
            pixels.clone()
        } else if width.min(height) == self.side {
            cut_centre(picture, self.side)
        } else {
            scale_centre(picture, self.side)
        };
        match (channels, self.channels) {
            (1, 3) => square.iter().flat_map(|&grey| [grey; 3]).collect(),
            (3, 1) => square.as_chunks::<3>().0.iter().map(grey).collect(),
            (from, to) if from == to => square,
            (from, to) => panic!("no way from {from} to {to} channels"),
        }
    }
}

/// ITU-R BT.601 weights in sixteen bits, as Pillow's conversion to `L`.
fn grey(&[r, g, b]: &[u8; 3]) -> u8 {
    ((u32::from(r) * 19_595 + u32::from(g) * 38_470 + u32::from(b) * 7_471 + 0x8000) >> 16) as u8
}

/// One axis of the way from a picture to its centre square, as torchvision's `Resize(side)` and
/// `CenterCrop(side)` place it.
struct Axis {
    /// Pixels once the shorter side has `side`, rounded down.
    scaled: usize,
    /// Where the square begins among them; a half goes to the even neighbour.
    start: usize,
}

impl Axis {
    fn new(length: usize, shorter: usize, side: usize) -> Self {
        let scaled = side * length / shorter;
        let start = ((scaled - side) as f64 / 2.0).round_ties_even() as usize;
        Self { scaled, start }
    }

    /// How the square's pixels come from those of the picture.
    fn scaling(&self, length: usize, side: usize) -> Scaling {
        Scaling::new(length, self.scaled, self.start..self.start + side)
    }
}

fn cut_centre(picture: &Picture, side: usize) -> Vec<u8> {
    let top = Axis::new(picture.height, side, side).start;
    let left = Axis::new(picture.width, side, side).start;
    let row = picture.width * picture.channels;
    let (from, to) = (left * picture.channels, (left + side) * picture.channels);
    let mut square = Vec::with_capacity(side * (to - from));
    for row in picture.pixels.chunks_exact(row).skip(top).take(side) {
        square.extend_from_slice(&row[from..to]);
    }
    square
}

/// Scales only the centre square: the same as scaling the whole and cutting, without the work.
fn scale_centre(picture: &Picture, side: usize) -> Vec<u8> {
    let shorter = picture.width.min(picture.height);
    let scaling = |length| Axis::new(length, shorter, side).scaling(length, side);
    let (across, down) = (scaling(picture.width), scaling(picture.height));
    let row = (picture.width, picture.channels);
    scale(&picture.pixels, row, &across, &down)
}
