//! The one font of our pictures, carried along so that they look the same on a bare machine.

use anyhow::{Result, anyhow};
use image::{RgbImage, imageops};
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

/// DejaVu Sans, Latin letters only; licence and making in `assets/DejaVuSans-LICENSE.txt`.
static DEJAVU_SANS: &[u8] = include_bytes!("../../assets/DejaVuSans-Latin.ttf");

/// The name plotters knows the font by: as an SVG asks for it, with what is like it where it is not
/// installed.
pub const FAMILY: &str = "DejaVu Sans, Verdana, sans-serif";

/// Of the font's height, from its highest letter to its lowest, the part that is its size in pixels an
/// em; plotters asks for the height.
pub const HEIGHT_PER_EM: f64 = 1.164;

/// Makes [`FAMILY`] known to plotters; harmless when done again.
pub fn register() -> Result<()> {
    register_font(FAMILY, FontStyle::Normal, DEJAVU_SANS)
        .map_err(|_| anyhow!("the built-in font does not parse"))
}

/// Letters are drawn this many times larger and averaged down: plotters puts each on a whole pixel,
/// which at reading size leaves uneven gaps.
const FINER: u32 = 4;

/// Writes a line of `words` on the white of `picture`, `size` pixels high, its upper left at `at`.
pub fn write(picture: &mut RgbImage, words: &str, size: u32, at: (u32, u32)) -> Result<()> {
    register()?;
    let width = picture.width().saturating_sub(at.0);
    // plotters lets letters stand out of their box, above and below.
    let (above, height) = (size / 4, size * 7 / 4);
    let mut strip =
        RgbImage::from_pixel(width * FINER, height * FINER, image::Rgb([255, 255, 255]));
    {
        let area = BitMapBackend::with_buffer(&mut strip, (width * FINER, height * FINER))
            .into_drawing_area();
        let style = (FAMILY, size * FINER)
            .into_font()
            .color(&RGBColor(40, 40, 40));
        area.draw_text(words, &style, (0, (above * FINER) as i32))?;
        area.present()?;
    }
    let strip = imageops::thumbnail(&strip, width, height);
    imageops::replace(
        picture,
        &strip,
        i64::from(at.0),
        i64::from(at.1) - i64::from(above),
    );
    Ok(())
}
