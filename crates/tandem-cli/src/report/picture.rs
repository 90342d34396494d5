//! Pictures as pixels, and writing files so that whoever looks at one never finds half of it.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use anyhow::{Context, Result};
use image::imageops::{self, FilterType};
use image::{ImageFormat, Rgb, RgbImage};
use tandem_data::Preprocess;

/// Writes `picture` as a PNG at `path`; see [`put`].
pub fn save(picture: &RgbImage, path: &Path) -> Result<()> {
    let mut png = Cursor::new(Vec::new());
    picture.write_to(&mut png, ImageFormat::Png)?;
    put(&png.into_inner(), path)
}

/// Writes `bytes` beside `path`, then renames them into place: pictures are refreshed while a viewer
/// may have them open.
pub fn put(bytes: &[u8], path: &Path) -> Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".tmp");
    let beside = Path::new(&beside);
    let written = fs::write(beside, bytes).and_then(|()| fs::rename(beside, path));
    if written.is_err() {
        // The error to report is the one there is.
        let _ = fs::remove_file(beside);
    }
    written.with_context(|| format!("writing {}", path.display()))
}

/// The picture of prepared bytes, (side, side, C).
pub fn of_bytes(bytes: &[u8], Preprocess { side, channels }: Preprocess) -> RgbImage {
    RgbImage::from_fn(side as u32, side as u32, |x, y| {
        let at = (y as usize * side + x as usize) * channels;
        Rgb([0, channels / 2, channels - 1].map(|c| bytes[at + c]))
    })
}

/// `picture` enlarged without blur as often as it fits into a square of `side`, or made smaller to fit.
pub fn fitted(picture: &RgbImage, side: u32) -> RgbImage {
    let (width, height) = picture.dimensions();
    let larger = width.max(height);
    let (width, height, filter) = match side / larger {
        0 => {
            let shrunk = |length: u32| (length * side / larger).max(1);
            (shrunk(width), shrunk(height), FilterType::Triangle)
        }
        times => (width * times, height * times, FilterType::Nearest),
    };
    imageops::resize(picture, width, height, filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_pictures_grow_by_whole_numbers_and_large_ones_shrink() {
        let size = |width, height, side| fitted(&RgbImage::new(width, height), side).dimensions();
        assert_eq!(size(28, 28, 140), (140, 140));
        assert_eq!(size(55, 55, 140), (110, 110));
        assert_eq!(size(64, 32, 140), (128, 64));
        assert_eq!(size(256, 128, 140), (140, 70));
        assert_eq!(size(4096, 1, 64), (64, 1));
    }
}
