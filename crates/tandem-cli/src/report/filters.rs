//! `filters.png`: what conv1 has learned, tower beside tower, as in figure 3 of the paper.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use candle_core::Tensor;
use image::{Rgb, RgbImage};
use tandem_alexnet::spec::{Layer, Spec};

use super::figure::{Figure, GREY, Type};
use super::picture::fitted;

/// About how many pixels a filter takes in the picture; small kernels are scaled up more.
const FILTER_PIXELS: u32 = 66;
const BETWEEN_FILTERS: u32 = 3;
const BETWEEN_TOWERS: u32 = 36;
const MARGIN: u32 = 16;
const CAPTION: u32 = 30;
const FOOT: u32 = 30;

/// The first convolution's weights, `(filters, channels, height, width)` in row-major order. Tower 0
/// holds the first `filters / towers` of them.
#[derive(Debug, Clone)]
pub struct Conv1 {
    pub name: String,
    pub weights: Vec<f32>,
    pub shape: [usize; 4],
    pub towers: usize,
}

impl Conv1 {
    /// That of a network with these weights. A network of one's own may begin with another layer: it
    /// has no filters to show.
    pub fn of(spec: &Spec, weights: &BTreeMap<String, Tensor>) -> Result<Option<Self>> {
        let Some(Layer::Convolution(first)) = spec.layers.first() else {
            return Ok(None);
        };
        let Some(weight) = weights.get(&format!("{}.weight", first.name)) else {
            return Ok(None);
        };
        Ok(Some(Self {
            name: first.name.clone(),
            weights: weight.flatten_all()?.to_vec1()?,
            shape: weight.dims4()?.into(),
            towers: first.towers,
        }))
    }
}

/// Each filter is scaled by its own largest |w|, with zero at mid-grey: a tower that learned colour
/// then shows it, however small its weights, and a filter that learned nothing shows as noise.
pub fn draw(conv1: &Conv1) -> Result<Figure> {
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
    let one = channels * height * width;
    let filters: Vec<RgbImage> = conv1
        .weights
        .chunks_exact(one)
        .map(|filter| fitted(&shaded(filter, conv1.shape), FILTER_PIXELS))
        .collect();
    let (cell_width, cell_height) = filters[0].dimensions();
    let cell = (cell_width + BETWEEN_FILTERS, cell_height + BETWEEN_FILTERS);
    let rows = in_tower.div_ceil(columns) as u32;
    let (columns, towers) = (columns as u32, conv1.towers as u32);
    let tower_width = columns * cell.0 - BETWEEN_FILTERS;
    // Wide enough for the words, however few the filters.
    let mut figure = Figure::new(
        (2 * MARGIN + towers * (tower_width + BETWEEN_TOWERS) - BETWEEN_TOWERS).max(620),
        MARGIN + CAPTION + rows * cell.1 - BETWEEN_FILTERS + FOOT + MARGIN / 2,
    );
    for (index, filter) in filters.into_iter().enumerate() {
        let (tower, place) = ((index / in_tower) as u32, (index % in_tower) as u32);
        let left = MARGIN + tower * (tower_width + BETWEEN_TOWERS) + place % columns * cell.0;
        let top = MARGIN + CAPTION + place / columns * cell.1;
        figure.picture(filter, (left, top));
    }
    for tower in 0..towers {
        let of_tower = match towers {
            1 => String::new(),
            _ => format!(", tower {tower}"),
        };
        let name = &conv1.name;
        let caption = format!("{name}{of_tower}: {in_tower} filters, {height}×{width}×{channels}");
        let left = MARGIN + tower * (tower_width + BETWEEN_TOWERS);
        figure.words(caption, Type::of(14), (left, MARGIN + 13));
    }
    let foot = (
        MARGIN,
        MARGIN + CAPTION + rows * cell.1 - BETWEEN_FILTERS + FOOT - 9,
    );
    let scaled = "Each filter is scaled by its own largest |w|; mid-grey is zero.";
    figure.words(scaled, Type::of(12).in_colour(GREY), foot);
    Ok(figure)
}

fn shaded(filter: &[f32], [_, channels, height, width]: [usize; 4]) -> RgbImage {
    let largest = filter
        .iter()
        .fold(0.0f32, |largest, w| largest.max(w.abs()));
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        let at = y as usize * width + x as usize;
        let channels = [0, channels / 2, channels - 1];
        Rgb(channels.map(|channel| shade(filter[channel * height * width + at], largest)))
    })
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
pub(super) fn columns(in_tower: usize, towers: usize) -> usize {
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

    fn drawn(conv1: Conv1) -> Result<RgbImage> {
        draw(&conv1)?.png()
    }

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
        let weights = vec![1.0, 0.0, 0.0, 0.0, 0.0, 0.5];
        let picture = drawn(Conv1 {
            name: "conv1".into(),
            weights,
            shape: [2, 3, 1, 1],
            towers: 2,
        })
        .unwrap();
        let (left, top) = (MARGIN + 5, MARGIN + CAPTION + 5);
        let next = FILTER_PIXELS + BETWEEN_TOWERS;
        assert_eq!(picture.get_pixel(left, top).0, [255, 128, 128]);
        assert_eq!(picture.get_pixel(left + next, top).0, [128, 128, 255]);
        let gap = MARGIN + FILTER_PIXELS + 5;
        assert_eq!(picture.get_pixel(gap, top).0, [255, 255, 255]);
    }

    #[test]
    fn a_filter_is_enlarged_without_blur() {
        let weights = vec![1.0, -1.0, -1.0, 1.0];
        let picture = drawn(Conv1 {
            name: "conv1".into(),
            weights,
            shape: [1, 1, 2, 2],
            towers: 1,
        })
        .unwrap();
        let scale = FILTER_PIXELS / 2;
        let at = |x: u32, y: u32| picture.get_pixel(MARGIN + x, MARGIN + CAPTION + y).0[0];
        assert_eq!([at(0, 0), at(scale - 1, scale - 1)], [255, 255]);
        assert_eq!([at(scale, 0), at(2 * scale - 1, scale - 1)], [0, 0]);
        assert_eq!([at(0, scale), at(scale, scale)], [0, 255]);
    }

    #[test]
    fn weights_that_are_zero_or_no_numbers_are_grey() {
        let weights = vec![0.0, 0.0, f32::NAN, 1.0];
        let picture = drawn(Conv1 {
            name: "conv1".into(),
            weights,
            shape: [2, 1, 1, 2],
            towers: 1,
        })
        .unwrap();
        assert_eq!(
            picture.get_pixel(MARGIN, MARGIN + CAPTION).0,
            [128, 128, 128]
        );
        assert_eq!(shade(f32::NAN, 1.0), 128);
        assert_eq!((shade(-2.0, 2.0), shade(2.0, 2.0)), (0, 255));
    }

    #[test]
    fn shapes_that_cannot_be_drawn_are_errors() {
        let draw = |shape, towers| {
            drawn(Conv1 {
                name: "conv1".into(),
                weights: vec![0.0; 8],
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
