//! A contact sheet: pictures as they are packed, and as the network sees them.

use std::path::Path;

use anyhow::Result;
use image::{Rgb, RgbImage, imageops};
use tandem_data::Preprocess;

use super::{font, picture};

const MARGIN: u32 = 16;
const BETWEEN: u32 = 6;
const CAPTION: u32 = 24;
/// Smaller pictures are enlarged to about this side, pixels.
const LEAST: u32 = 128;

/// One picture.
#[derive(Debug)]
pub struct Row {
    /// Class and place.
    pub caption: String,
    /// The picture brought to one size, (side, side, C).
    pub whole: Vec<u8>,
    /// Its variations, (C, crop, crop), 0 to 255 and a little beyond.
    pub crops: Vec<Vec<f32>>,
}

/// Draws `rows` into a PNG at `path`.
pub fn save(rows: &[Row], preprocess: Preprocess, crop: usize, path: &Path) -> Result<()> {
    picture::save(&draw(rows, preprocess, crop)?, path)
}

fn draw(rows: &[Row], preprocess: Preprocess, crop: usize) -> Result<RgbImage> {
    let scale = (LEAST / preprocess.side as u32).max(1);
    let (side, crop_side) = (preprocess.side as u32 * scale, crop as u32 * scale);
    let crops = rows.iter().map(|row| row.crops.len()).max().unwrap_or(0) as u32;
    let height = CAPTION + side + BETWEEN;
    let width = 2 * MARGIN + side + crops * (crop_side + BETWEEN);
    let mut sheet = RgbImage::from_pixel(
        width,
        MARGIN + rows.len() as u32 * height + MARGIN,
        Rgb([255; 3]),
    );
    for (row, top) in rows.iter().zip((MARGIN..).step_by(height as usize)) {
        font::write(&mut sheet, &row.caption, 14, (MARGIN, top))?;
        let top = top + CAPTION;
        let whole = picture::of_bytes(&row.whole, preprocess);
        place(&mut sheet, &whole, scale, (MARGIN, top));
        for (crop_of, left) in row
            .crops
            .iter()
            .zip((MARGIN + side + BETWEEN..).step_by((crop_side + BETWEEN) as usize))
        {
            let picture = seen(crop_of, preprocess.channels, crop);
            place(
                &mut sheet,
                &picture,
                scale,
                (left, top + (side - crop_side) / 2),
            );
        }
    }
    Ok(sheet)
}

fn place(sheet: &mut RgbImage, picture: &RgbImage, scale: u32, (left, top): (u32, u32)) {
    let (width, height) = (picture.width() * scale, picture.height() * scale);
    let larger = imageops::resize(picture, width, height, imageops::FilterType::Nearest);
    imageops::replace(sheet, &larger, left.into(), top.into());
}

fn seen(values: &[f32], channels: usize, crop: usize) -> RgbImage {
    RgbImage::from_fn(crop as u32, crop as u32, |x, y| {
        let at = y as usize * crop + x as usize;
        Rgb([0, channels / 2, channels - 1].map(|c| values[c * crop * crop + at].round() as u8))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_shows_the_whole_picture_and_then_its_crops_in_their_colours() {
        let preprocess = Preprocess {
            side: 128,
            channels: 3,
        };
        let row = Row {
            caption: "Coat".into(),
            whole: [10, 20, 30].repeat(128 * 128),
            // Beyond 0 to 255 a shift saturates, as on any screen.
            crops: vec![[[300.0; 64 * 64], [20.4; 64 * 64], [-7.0; 64 * 64]].concat()],
        };
        let sheet = draw(&[row], preprocess, 64).unwrap();
        assert_eq!(
            sheet.dimensions(),
            (
                2 * MARGIN + 128 + 64 + BETWEEN,
                2 * MARGIN + CAPTION + 128 + BETWEEN
            )
        );
        let at = |x, y| sheet.get_pixel(MARGIN + x, MARGIN + CAPTION + y).0;
        assert_eq!((at(0, 0), at(127, 127)), ([10, 20, 30], [10, 20, 30]));
        assert_eq!(
            (at(128 + BETWEEN, 32), at(128 + BETWEEN + 63, 95)),
            ([255, 20, 0], [255, 20, 0])
        );
        assert_eq!(at(128 + BETWEEN, 31), [255; 3]);
    }
}
