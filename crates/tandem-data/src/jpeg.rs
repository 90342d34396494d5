//! JPEG of every kind, as libjpeg-turbo reads it, and so Pillow and torchvision, to the byte.
//!
//! What is damaged is passed over as there: but where the end of a file is missing, and pixels with it,
//! the file was cut short and is refused, as Pillow refuses it.

use libjpeg_turbo_rs::{ColorSpace, DecodeLimits, DecodeWarning, Decoder, JpegError, PixelFormat};

use crate::Picture;
use crate::decode::{DECODER_MEMORY, LONGEST_SIDE, PictureError};

/// Most scans of a progressive picture. Encoders write about ten; each costs the time of a whole picture.
const SCANS: usize = 500;

/// The marker of the end of an image.
const END: [u8; 2] = [0xff, 0xd9];

/// Decodes a JPEG; see [`decode`](crate::decode).
pub(crate) fn decode(bytes: &[u8]) -> Result<Picture, PictureError> {
    let ends = ends(bytes);
    // Whatever the decoder says of a file without its end, the missing end is why.
    let refused = |reason: JpegError| match ends {
        true => PictureError::damaged(reason),
        false => PictureError::CutShort,
    };
    let limits = DecodeLimits {
        max_scans: SCANS,
        max_memory: Some(DECODER_MEMORY),
        ..DecodeLimits::default()
    };
    let mut decoder = Decoder::new_with_limits(bytes, limits).map_err(refused)?;
    let (width, height) = (decoder.header().width, decoder.header().height);
    let too_large = PictureError::TooLarge {
        width: width.into(),
        height: height.into(),
    };
    if u32::from(width.max(height)) > LONGEST_SIDE {
        return Err(too_large);
    }
    if width == 0 || height == 0 {
        return Err(PictureError::damaged("it claims no pixels"));
    }
    // libjpeg-turbo-rs 0.9.0 panics where two of four inks are sampled otherwise than it expects.
    let sampling = |at: usize| {
        let component = &decoder.header().components[at];
        (component.horizontal_sampling, component.vertical_sampling)
    };
    let four = decoder.header().components.len() == 4;
    if four && (sampling(0) != sampling(3) || sampling(1) != sampling(2)) {
        return Err(PictureError::damaged("its inks are sampled unevenly"));
    }
    let (width, height) = (usize::from(width), usize::from(height));
    let (format, channels) = match decoder.jpeg_color_space() {
        ColorSpace::Grayscale => (PixelFormat::Grayscale, 1),
        _ => (PixelFormat::Rgb, 3),
    };
    decoder.set_output_format(format);
    decoder.set_lenient(true);
    // The memory it would take, before any is taken.
    match decoder.output_buffer_size() {
        Err(JpegError::LimitExceeded { .. }) => return Err(too_large),
        size => size.map_err(refused)?,
    };
    // Each block of 8 × 8 takes a bit at least. Without this a hundred bytes could claim 512 MiB.
    if width.div_ceil(8) * height.div_ceil(8) > 8 * bytes.len() {
        return Err(PictureError::CutShort);
    }

    let image = decoder.decode_image().map_err(refused)?;
    for warning in &image.warnings {
        match warning {
            DecodeWarning::TruncatedData { .. } if !ends => return Err(PictureError::CutShort),
            DecodeWarning::UnsupportedRecovered { detail } => {
                return Err(PictureError::damaged(detail));
            }
            _ => {}
        }
    }
    // Nothing tells that the last of several scans is missing, but the end.
    if !ends && decoder.has_multiple_scans() {
        return Err(PictureError::CutShort);
    }
    if image.data.len() != width * height * channels {
        return Err(PictureError::damaged("its headers contradict each other"));
    }
    Ok(Picture {
        width,
        height,
        channels,
        pixels: image.data,
    })
}

/// Whether the end of the image is there. A picture within the headers has an end of its own, so it is
/// looked for behind them.
fn ends(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    // Over any garbage between the segments, as libjpeg does.
    while let Some(at) = rest
        .windows(2)
        .position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff))
    {
        let marker = rest[at + 1];
        rest = &rest[at + 2..];
        match marker {
            // Start, restart and end of the image have no length.
            0x01 | 0xd0..=0xd9 => continue,
            // Among coded bytes 0 follows each 255: nothing there looks like the end.
            0xda => return rest.ends_with(&END) || rest.windows(2).any(|pair| pair == END),
            _ => {}
        }
        let length = match *rest {
            [high, low, ..] => usize::from(u16::from_be_bytes([high, low])),
            _ => 0,
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    false
}
