//! `filters.png`: what conv1 has learned, tower beside tower, as in figure 3 of the paper.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use image::{Rgb, RgbImage};

use super::{font, picture};

/// About how many pixels a filter takes in the picture; small kernels are scaled up more.
const FILTER_PIXELS: usize = 66;
const BETWEEN_FILTERS: usize = 3;
const BETWEEN_TOWERS: usize = 36;
const MARGIN: usize = 16;
const CAPTION: usize = 30;
const FOOT: usize = 30;

/// The first convolution's weights, `(filters, channels, height, width)` in row-major order. Tower 0
/// holds the first `filters / towers` of them.
#[derive(Debug, Clone, Copy)]
pub struct Conv1<'a> {
    pub weights: &'a [f32],
    pub shape: [usize; 4],
    pub towers: usize,
}

/// Draws the filters into a PNG at `path`.
pub fn save(conv1: Conv1, path: &Path) -> Result<()> {
    let picture = draw(conv1).with_context(|| format!("drawing {}", path.display()))?;
    picture::save(&picture, path)
}

/// Each filter is scaled by its own largest |w|, with zero at mid-grey: a tower that learned colour
/// then shows it, however small its weights, and a filter that learned nothing shows as noise.
pub fn draw(conv1: Conv1) -> Result<RgbImage> {
    let [filters, channels, height, width] = conv1.shape;
    ensure!(
        channels == 1 || channels == 3,
        "filters of 1 or 3 channels can be drawn, these have {channels}"
    );
    ensure!(
        conv1.weights.len() == conv1.shape.iter().product::<usize>(),
        "the weights do not fill their shape"
    );
    ensure!(
        conv1.towers > 0 && filters > 0 && filters % conv1.towers == 0 && height * width > 0,
        "{filters} filters of {height}×{width} do not divide into {} towers",
        conv1.towers
    );

    let in_tower = filters / conv1.towers;
    let columns = columns(in_tower, conv1.towers);
    let rows = in_tower.div_ceil(columns);
    let scale = (FILTER_PIXELS / height.max(width)).max(1);
    let cell = (
        width * scale + BETWEEN_FILTERS,
        height * scale + BETWEEN_FILTERS,
    );
    let tower_width = columns * cell.0 - BETWEEN_FILTERS;
    // Wide enough for the words, however few the filters.
    let size = (
        (2 * MARGIN + conv1.towers * (tower_width + BETWEEN_TOWERS) - BETWEEN_TOWERS).max(620),
        MARGIN + CAPTION + rows * cell.1 - BETWEEN_FILTERS + FOOT + MARGIN / 2,
    );
    let mut picture = RgbImage::from_pixel(size.0 as u32, size.1 as u32, Rgb([255, 255, 255]));

    let one = channels * height * width;
    for (index, filter) in conv1.weights.chunks_exact(one).enumerate() {
        let (tower, place) = (index / in_tower, index % in_tower);
        let left = MARGIN + tower * (tower_width + BETWEEN_TOWERS) + place % columns * cell.0;
        let top = MARGIN + CAPTION + place / columns * cell.1;
        let largest = filter
            .iter()
            .fold(0.0f32, |largest, w| largest.max(w.abs()));
        for y in 0..height * scale {
            for x in 0..width * scale {
                let at =
                    |channel: usize| filter[(channel * height + y / scale) * width + x / scale];
                let [r, g, b] =
                    [0, channels / 2, channels - 1].map(|channel| shade(at(channel), largest));
                picture.put_pixel((left + x) as u32, (top + y) as u32, Rgb([r, g, b]));
            }
        }
    }
    write_words(&mut picture, &conv1, in_tower, tower_width)?;
    Ok(picture)
}

fn write_words(
    picture: &mut RgbImage,
    conv1: &Conv1,
    in_tower: usize,
    tower_width: usize,
) -> Result<()> {
    let [_, channels, height, width] = conv1.shape;
    for tower in 0..conv1.towers {
        let caption = match conv1.towers {
            1 => format!("conv1: {in_tower} filters, {height}×{width}×{channels}"),
            _ => format!("conv1, tower {tower}: {in_tower} filters, {height}×{width}×{channels}"),
        };
        let left = MARGIN + tower * (tower_width + BETWEEN_TOWERS);
        font::write(picture, &caption, 16, (left as u32, MARGIN as u32 - 2))?;
    }
    let foot = (MARGIN as u32, picture.height() - FOOT as u32);
    font::write(
        picture,
        "Each filter is scaled by its own largest |w|; mid-grey is zero.",
        14,
        foot,
    )
}

/// -largest is black, 0 mid-grey, +largest white. What is not a number stays mid-grey.
fn shade(weight: f32, largest: f32) -> u8 {
    let share = if largest > 0.0 { weight / largest } else { 0.0 };
    if share.is_finite() {
        (127.5 + 127.5 * share).round() as u8
    } else {
        128
    }
}

/// Columns of a tower's grid: what makes the whole picture about half as wide again as high, and
/// fills every row where a number close to that does.
fn columns(in_tower: usize, towers: usize) -> usize {
    let wanted = (1.5 * in_tower as f64 / towers as f64).sqrt();
    let far = |columns: usize| (columns as f64 / wanted).ln().abs();
    let even = (1..=in_tower).filter(|columns| in_tower.is_multiple_of(*columns));
    let nearest = even.min_by(|a, b| far(*a).total_cmp(&far(*b))).unwrap_or(1);
    if far(nearest) < 0.5 {
        nearest
    } else {
        (wanted.ceil() as usize).min(in_tower)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paper_s_filters_stand_in_two_grids_of_six_columns() {
        assert_eq!(columns(48, 2), 6);
        assert_eq!(columns(64, 1), 8);
        assert_eq!(columns(1, 1), 1);
        assert_eq!(columns(13, 1), 5);
    }

    #[test]
    fn towers_are_drawn_apart_and_in_their_order() {
        // Two towers of one 1×1 RGB filter each: red at its largest, then blue.
        let weights = [1.0, 0.0, 0.0, 0.0, 0.0, 0.5];
        let picture = draw(Conv1 {
            weights: &weights,
            shape: [2, 3, 1, 1],
            towers: 2,
        })
        .unwrap();
        let (left, top) = (MARGIN as u32 + 5, (MARGIN + CAPTION) as u32 + 5);
        let next = (FILTER_PIXELS + BETWEEN_TOWERS) as u32;
        assert_eq!(picture.get_pixel(left, top).0, [255, 128, 128]);
        assert_eq!(picture.get_pixel(left + next, top).0, [128, 128, 255]);
        let gap = (MARGIN + FILTER_PIXELS) as u32 + 5;
        assert_eq!(picture.get_pixel(gap, top).0, [255, 255, 255]);
    }

    #[test]
    fn a_filter_is_enlarged_without_blur() {
        let weights = [1.0, -1.0, -1.0, 1.0];
        let picture = draw(Conv1 {
            weights: &weights,
            shape: [1, 1, 2, 2],
            towers: 1,
        })
        .unwrap();
        let scale = (FILTER_PIXELS / 2) as u32;
        let at = |x: u32, y: u32| {
            picture
                .get_pixel(MARGIN as u32 + x, (MARGIN + CAPTION) as u32 + y)
                .0[0]
        };
        assert_eq!([at(0, 0), at(scale - 1, scale - 1)], [255, 255]);
        assert_eq!([at(scale, 0), at(2 * scale - 1, scale - 1)], [0, 0]);
        assert_eq!([at(0, scale), at(scale, scale)], [0, 255]);
    }

    #[test]
    fn weights_that_are_zero_or_no_numbers_are_grey() {
        let weights = [0.0, 0.0, f32::NAN, 1.0];
        let picture = draw(Conv1 {
            weights: &weights,
            shape: [2, 1, 1, 2],
            towers: 1,
        })
        .unwrap();
        assert_eq!(
            picture
                .get_pixel(MARGIN as u32, (MARGIN + CAPTION) as u32)
                .0,
            [128, 128, 128]
        );
        assert_eq!(shade(f32::NAN, 1.0), 128);
        assert_eq!((shade(-2.0, 2.0), shade(2.0, 2.0)), (0, 255));
    }

    #[test]
    fn shapes_that_cannot_be_drawn_are_errors() {
        let draw = |shape, towers| {
            draw(Conv1 {
                weights: &[0.0; 8],
                shape,
                towers,
            })
            .map(drop)
        };
        assert!(
            draw([2, 4, 1, 1], 1)
                .unwrap_err()
                .to_string()
                .contains("these have 4")
        );
        assert!(
            draw([2, 1, 2, 3], 1)
                .unwrap_err()
                .to_string()
                .contains("do not fill")
        );
        assert!(
            draw([8, 1, 1, 1], 3)
                .unwrap_err()
                .to_string()
                .contains("3 towers")
        );
    }
}
