//! JPEG: baseline and progressive, grey, YCbCr, RGB, CMYK and YCCK, of any sampling.
//!
//! zune-jpeg decodes, and passes over damage as libjpeg does. It knows no end, though: half a file
//! comes out half grey. So the markers are read first; of a file without its end, only one with all
//! its pixels is taken. Baseline pictures that send their colours in several scans go to
//! jpeg-decoder: zune-jpeg 0.5.15 draws those with fewer chroma samples wrong.

use std::fmt::Display;

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::Picture;
use crate::decode::{DECODER_MEMORY, LONGEST_SIDE, PictureError};

/// The marker of the end of an image.
const END: [u8; 2] = [0xff, 0xd9];

/// What the markers say that decides how to decode.
#[derive(Debug, Default, PartialEq, Eq)]
struct Markers {
    arithmetic: bool,
    progressive: bool,
    /// The first scan of a baseline picture lacks some of its components.
    in_scans: bool,
    /// The end of the image is there.
    complete: bool,
}

impl Markers {
    fn read(bytes: &[u8]) -> Self {
        let mut found = Self::default();
        let mut components = 0;
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
                0xc0..=0xc2 => {
                    found.progressive = marker == 0xc2;
                    components = rest.get(7).copied().unwrap_or(0);
                }
                0xc9..=0xcf => found.arithmetic = true,
                0xda => {
                    let in_scan = rest.get(2).copied().unwrap_or(0);
                    found.in_scans = !found.progressive && in_scan < components;
                    // Among coded bytes 0 follows each 255: nothing there looks like the end.
                    found.complete =
                        bytes.ends_with(&END) || rest.windows(2).any(|pair| pair == END);
                    break;
                }
                _ => {}
            }
            let length = match *rest {
                [high, low, ..] => usize::from(u16::from_be_bytes([high, low])),
                _ => 0,
            };
            rest = rest.get(length..).unwrap_or_default();
        }
        found
    }

    /// Whatever a decoder says of a file without its end, the missing end is why.
    fn refused(&self, reason: impl Display) -> PictureError {
        if self.complete {
            PictureError::damaged(reason)
        } else {
            PictureError::CutShort
        }
    }
}

/// Decodes a JPEG; see [`decode`](crate::decode).
pub(crate) fn decode(bytes: &[u8]) -> Result<Picture, PictureError> {
    let markers = Markers::read(bytes);
    if markers.arithmetic {
        return Err(PictureError::Arithmetic);
    }
    let options = DecoderOptions::new_fast()
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX)
        .set_strict_mode(!markers.complete);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder
        .decode_headers()
        .map_err(|reason| markers.refused(reason))?;
    let info = decoder.info().expect("the headers are decoded");
    let (width, height) = (usize::from(info.width), usize::from(info.height));
    let components = usize::from(info.components);

    let (channels, colours) = match decoder.input_colorspace() {
        Some(ColorSpace::Luma) => (1, ColorSpace::Luma),
        _ => (3, ColorSpace::RGB),
    };
    // Several scans: sixteen bits of each component are kept until the last.
    let kept = if markers.progressive || markers.in_scans {
        2 * components
    } else {
        0
    };
    let memory = (width * height * (channels + kept)) as u64;
    if width.max(height) > LONGEST_SIDE as usize || memory > DECODER_MEMORY {
        return Err(PictureError::TooLarge {
            width: width as u32,
            height: height as u32,
        });
    }
    // Each block of 8 × 8 takes a bit at least. Without this a hundred bytes could claim 512 MiB.
    if width.div_ceil(8) * height.div_ceil(8) > 8 * bytes.len() {
        return Err(PictureError::CutShort);
    }

    let pixels = if markers.in_scans && components == 3 {
        jpeg_decoder::Decoder::new(bytes)
            .decode()
            .map_err(|reason| markers.refused(reason))?
    } else {
        decoder.set_options(options.jpeg_set_out_colorspace(colours));
        decoder.decode().map_err(|reason| markers.refused(reason))?
    };
    // Of a damaged header one decoder may make more than the other.
    if pixels.len() != width * height * channels {
        return Err(PictureError::damaged("its headers contradict each other"));
    }
    Ok(Picture {
        width,
        height,
        channels,
        pixels,
    })
}
