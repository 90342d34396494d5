//! Decoding under limits: a few bytes of file may claim billions of pixels.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use crate::{DataError, Picture, jpeg};

/// Longest side of a picture that is decoded, pixels.
pub(crate) const LONGEST_SIDE: u32 = 16_384;

/// Most memory one picture may take while it is decoded, bytes: 16,384 × 8,192 in colour.
pub(crate) const DECODER_MEMORY: u64 = 512 << 20;

/// Longest file that is read, bytes: none that decodes is longer.
const LONGEST_FILE: u64 = DECODER_MEMORY;

/// Most memory that what a PNG says of itself may unpack to, such as its colour profile, bytes. Pixels
/// are not counted in this.
const PNG_METADATA: u64 = 16 << 20;

/// Why bytes do not decode as a picture. Whoever had the bytes adds their name: [`DataError::Decode`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PictureError {
    /// Neither JPEG nor PNG nor WebP.
    #[error("it is no JPEG, PNG or WebP")]
    Unrecognised,
    /// A side or the memory is beyond the limits.
    #[error(
        "it claims {width}×{height} pixels; a picture has at most {LONGEST_SIDE} a side and takes at \
         most {} MiB to decode", DECODER_MEMORY >> 20
    )]
    TooLarge {
        /// Claimed pixels a row.
        width: u32,
        /// Claimed rows.
        height: u32,
    },
    /// More bytes than the largest picture has.
    #[error("it is longer than {} MiB, and no picture is", LONGEST_FILE >> 20)]
    TooLong,
    /// The end is missing.
    #[error("it is cut short; fetch it again")]
    CutShort,
    /// Damaged beyond what is passed over, or of a kind that is not read.
    #[error("{0}")]
    Damaged(String),
}

/// Decodes one JPEG, PNG or WebP file, told by its content, as its pixels are stored.
///
/// An EXIF orientation is passed over: ImageNet's mean, and the weights others trained, are of
/// pictures read without it. Turn photographs upright before they become training pictures.
///
/// Grey files give one channel, all others three. CMYK and YCCK become RGB as in Pillow; transparency
/// is dropped; of 16 bits a sample the upper eight remain. Damage inside a JPEG is passed over where
/// its end is there, as libjpeg does.
///
/// # Errors
///
/// [`DataError::Read`] if the file cannot be read, [`DataError::Decode`] if it is no picture, is cut
/// short, or is larger than 16,384 pixels a side, 512 MiB decoded, or 512 MiB as it is.
pub fn decode(path: impl AsRef<Path>) -> Result<Picture, DataError> {
    let path = path.as_ref();
    let bytes = read(path, LONGEST_FILE).map_err(|source| DataError::Read {
        path: path.into(),
        source,
    })?;
    let place = || path.display().to_string();
    match bytes {
        Some(bytes) => decode_at(&bytes, place),
        None => Err(DataError::Decode {
            place: place(),
            source: PictureError::TooLong,
        }),
    }
}

/// The file at `path`, which may be a pipe; none of one that is longer than `most` bytes, as a device
/// without an end.
fn read(path: &Path, most: u64) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= most).then_some(bytes))
}

/// [`decode`] of the bytes that are at `place`, by whatever name a person finds them.
pub(crate) fn decode_at(
    bytes: &[u8],
    place: impl FnOnce() -> String,
) -> Result<Picture, DataError> {
    decode_bytes(bytes).map_err(|source| DataError::Decode {
        place: place(),
        source,
    })
}

/// [`decode`] of bytes from elsewhere: an archive, a shard, a table.
pub(crate) fn decode_bytes(bytes: &[u8]) -> Result<Picture, PictureError> {
    match image::guess_format(bytes) {
        Ok(ImageFormat::Jpeg) => jpeg::decode(bytes),
        Ok(format @ (ImageFormat::Png | ImageFormat::WebP)) => other(bytes, format),
        _ => Err(PictureError::Unrecognised),
    }
}

fn other(bytes: &[u8], format: ImageFormat) -> Result<Picture, PictureError> {
    let mut memory = Limits::no_limits();
    memory.max_alloc = Some(match format {
        ImageFormat::Png => PNG_METADATA,
        _ => DECODER_MEMORY,
    });
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(memory);
    let decoder = reader.into_decoder().map_err(|error| {
        // The decoder refuses absurd sizes by the memory they would take, and does not say them.
        match png_size(bytes).filter(|_| format == ImageFormat::Png) {
            Some((width, height)) if width.max(height) > LONGEST_SIDE => {
                PictureError::TooLarge { width, height }
            }
            _ => error.into(),
        }
    })?;
    let (width, height) = decoder.dimensions();
    // Not every decoder checks the size of what it is about to write.
    if width.max(height) > LONGEST_SIDE || decoder.total_bytes() > DECODER_MEMORY {
        return Err(PictureError::TooLarge { width, height });
    }
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

/// Width and height in the header of a PNG.
fn png_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let (sizes, _) = bytes.get(16..24)?.as_chunks::<4>();
    Some((u32::from_be_bytes(sizes[0]), u32::from_be_bytes(sizes[1])))
}

impl PictureError {
    /// What a decoder says, in one line.
    pub(crate) fn damaged(reason: impl std::fmt::Display) -> Self {
        let reason = reason.to_string();
        let words: Vec<_> = reason.split_whitespace().collect();
        Self::Damaged(words.join(" ").trim_matches('"').to_owned())
    }
}

impl From<image::ImageError> for PictureError {
    fn from(error: image::ImageError) -> Self {
        use image::error::ImageError::IoError;
        match error {
            IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Self::CutShort,
            other => Self::damaged(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{RngCore, SeedableRng};

    use std::io::{Cursor, Write};

    use image::ImageFormat;
    use libjpeg_turbo_rs::{Encoder, PixelFormat, Subsampling};

    use super::{decode_bytes, read};
    use crate::counted::most;

    #[test]
    fn a_hundred_thousand_mutated_pictures_decode_or_say_why_not() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pictures");
        let seeds: Vec<Vec<u8>> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "jpg" || e == "JPEG"))
            .map(|path| std::fs::read(path).unwrap())
            .collect();
        assert!(seeds.len() > 20);

        let mut random = ChaCha8Rng::seed_from_u64(0);
        let mut below = |n: usize| random.next_u32() as usize % n;
        let (mut decoded, mut refused) = (0, 0);
        for _ in 0..100_000 {
            let mut bytes = seeds[below(seeds.len())].clone();
            for _ in 0..=below(4) {
                // Half of the time in the headers, which take the first 650 bytes or so.
                let within = if below(2) == 0 {
                    650.min(bytes.len())
                } else {
                    bytes.len()
                };
                let at = below(within);
                match below(4) {
                    0 => drop(bytes.drain(at..(at + below(40)).min(bytes.len()))),
                    1 => bytes.insert(at, below(256) as u8),
                    _ => bytes[at] = below(256) as u8,
                }
                if bytes.is_empty() {
                    break;
                }
            }
            match decode_bytes(&bytes) {
                Ok(picture) => {
                    let length = picture.width * picture.height * picture.channels;
                    assert_eq!(picture.pixels.len(), length);
                    // A block of three times 64 bytes takes a bit at least; PNG packs more densely.
                    assert!(length <= 192 * 8 * bytes.len() || bytes[0] != 0xff);
                    decoded += 1;
                }
                Err(error) => {
                    assert!(!error.to_string().contains('\n'), "{error}");
                    refused += 1;
                }
            }
        }
        assert!(decoded > 10_000 && refused > 10_000, "{decoded}, {refused}");
    }

    /// The limit counts six bytes a pixel, of a progressive JPEG twelve.
    #[test]
    fn a_jpeg_takes_no_more_memory_than_the_limit_counts() {
        let (width, height) = (600, 400);
        let pixels: Vec<u8> = (0..width * height * 3)
            .map(|i| (i / 7 % 251) as u8)
            .collect();
        for (sampling, progressive, a_pixel) in [
            (Subsampling::S420, false, 6),
            (Subsampling::S444, false, 6),
            (Subsampling::S444, true, 12),
        ] {
            let jpeg = Encoder::new(&pixels, width, height, PixelFormat::Rgb)
                .subsampling(sampling)
                .progressive(progressive)
                .encode()
                .unwrap();
            let (decoded, most) = most(|| decode_bytes(&jpeg));
            assert_eq!(decoded.unwrap().width, width);
            assert!(most < a_pixel * width * height + (1 << 18), "{most} bytes");
        }
    }

    /// A small PNG with a colour profile that unpacks to 64 MiB.
    #[test]
    fn what_a_png_says_of_itself_takes_little_memory() {
        let mut profile = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        profile.write_all(&vec![0; 64 << 20]).unwrap();
        let mut chunk = b"iCCPk\0\0".to_vec();
        chunk.extend(profile.finish().unwrap());
        let length = (chunk.len() as u32 - 4).to_be_bytes();
        let checksum = crc32fast::hash(&chunk).to_be_bytes();
        let chunk = [&length[..], &chunk, &checksum].concat();
        let mut bytes = Vec::new();
        image::RgbImage::new(4, 4)
            .write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)
            .unwrap();
        // Behind the signature and the header.
        bytes.splice(33..33, chunk);
        let (decoded, most) = most(|| decode_bytes(&bytes));
        assert!(most < 48 << 20, "{most} bytes");
        assert_eq!(decoded.unwrap().width, 4);
    }

    #[cfg(unix)]
    #[test]
    fn what_has_no_end_is_not_read_to_it() {
        let (read, most) = most(|| read("/dev/zero".as_ref(), 1 << 20).unwrap());
        assert_eq!(read, None);
        assert!(most < 4 << 20, "{most} bytes");
    }
}
