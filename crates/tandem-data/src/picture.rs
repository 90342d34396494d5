//! A decoded picture, and decoding under limits: a few bytes of file may claim billions of pixels.

use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageReader, Limits};

use crate::DataError;

/// Longest side of a picture that is decoded, pixels.
pub(crate) const LONGEST_SIDE: u32 = 16_384;

/// Most memory one picture may take while it is decoded, bytes: 16,384 × 8,192 in colour.
const DECODER_MEMORY: u64 = 512 << 20;

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

/// Decodes one JPEG, PNG or WebP file, told by its content, as its pixels are stored.
///
/// An EXIF orientation is passed over: ImageNet's mean, and the weights others trained, are of
/// pictures read without it. Turn photographs upright before they become training pictures.
///
/// Grey files give one channel, all others three; transparency is dropped.
///
/// # Errors
///
/// [`DataError::Read`] if the file cannot be read, [`DataError::Decode`] if it is no picture, is cut
/// short, or is larger than 16,384 pixels a side or 512 MiB decoded.
pub fn decode(path: impl AsRef<Path>) -> Result<Picture, DataError> {
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(|source| DataError::Read {
        path: path.into(),
        source,
    })?;
    decode_bytes(&bytes).map_err(|source| DataError::Decode {
        path: path.into(),
        source,
    })
}

pub(crate) fn decode_bytes(bytes: &[u8]) -> Result<Picture, image::ImageError> {
    let mut limits = Limits::default();
    limits.max_image_width = Some(LONGEST_SIDE);
    limits.max_image_height = Some(LONGEST_SIDE);
    limits.max_alloc = Some(DECODER_MEMORY);

    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    reader.limits(limits.clone());
    let decoder = reader.into_decoder()?;
    // Not every decoder checks the size of what it is about to write.
    limits.reserve(decoder.total_bytes())?;
    let decoded = DynamicImage::from_decoder(decoder)?;

    let (width, height) = (decoded.width() as usize, decoded.height() as usize);
    let (channels, pixels) = if decoded.color().has_color() {
        (3, decoded.into_rgb8().into_raw())
    } else {
        (1, decoded.into_luma8().into_raw())
    };
    Ok(Picture {
        width,
        height,
        channels,
        pixels,
    })
}
