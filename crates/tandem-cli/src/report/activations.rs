//! What a layer makes of a picture: its maps, tower beside tower, each with its range.

use anyhow::Result;
use image::{GrayImage, Luma, RgbImage, buffer::ConvertBuffer};

use super::figure::{Figure, GREY, Type};
use super::filters::columns;
use super::picture::fitted;

/// About how many pixels all maps together take, and the sides of one.
const PIXELS: f64 = 1.2e6;
const SIDES: (f64, f64) = (44.0, 120.0);
/// The side where a tower has one map: the features of a fully connected layer.
const ALONE: u32 = 260;

const MARGIN: u32 = 20;
const SEEN: u32 = 112;
const BETWEEN_TOWERS: u32 = 36;
const BETWEEN: u32 = 8;
const TOWER: u32 = 30;
const RANGE: u32 = 20;

/// One map, row by row, or the features of a tower as if they were one.
#[derive(Debug)]
pub struct Map {
    pub values: Vec<f32>,
    pub width: usize,
    pub smallest: f32,
    pub largest: f32,
}

impl Map {
    /// Of `values` in rows of `width`.
    pub fn new(values: Vec<f32>, width: usize) -> Self {
        let smallest = values.iter().copied().fold(f32::INFINITY, f32::min);
        let largest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        Self {
            values,
            width,
            smallest,
            largest,
        }
    }

    /// Its smallest value is black, its largest white; where all are equal it is black.
    fn picture(&self) -> RgbImage {
        let range = self.largest - self.smallest;
        let shade = |value: f32| match range > 0.0 {
            true => (255.0 * (value - self.smallest) / range).round() as u8,
            false => 0,
        };
        let height = self.values.len() / self.width;
        GrayImage::from_fn(self.width as u32, height as u32, |x, y| {
            Luma([shade(self.values[y as usize * self.width + x as usize])])
        })
        .convert()
    }

    fn range(&self) -> String {
        match self.smallest < self.largest {
            true => format!("{} – {}", short(self.smallest), short(self.largest)),
            false => short(self.largest),
        }
    }
}

/// Draws the maps of each tower beside each other, under what the network `seen` and `title`, whose
/// lines stand beside it.
pub fn draw(title: &[String], seen: &RgbImage, towers: &[Vec<Map>]) -> Result<Figure> {
    let in_tower = towers.iter().map(Vec::len).max().unwrap_or(0).max(1);
    let side = match in_tower {
        1 => ALONE,
        _ => {
            let all = (in_tower * towers.len()) as f64;
            (PIXELS / all).sqrt().clamp(SIDES.0, SIDES.1) as u32
        }
    };
    let pictures: Vec<Vec<RgbImage>> = towers
        .iter()
        .map(|maps| {
            maps.iter()
                .map(|map| fitted(&map.picture(), side))
                .collect()
        })
        .collect();
    let sizes = pictures.iter().flatten().map(RgbImage::dimensions);
    let (width, height) = sizes.fold((0, 0), |a, b| (a.0.max(b.0), a.1.max(b.1)));
    // Wide enough for the range below.
    let cell = (width.max(SIDES.0 as u32) + BETWEEN, height + RANGE);
    let columns = columns(in_tower, towers.len()) as u32;
    let rows = (in_tower as u32).div_ceil(columns);
    // Wide enough for the words above.
    let tower_width = (columns * cell.0 - BETWEEN).max(120);
    let towers_width = towers.len() as u32 * (tower_width + BETWEEN_TOWERS) - BETWEEN_TOWERS;
    let full_width = 2 * MARGIN + towers_width.max(700);
    let grid = MARGIN + SEEN + 24 + TOWER;
    let mut figure = Figure::new(full_width, grid + rows * cell.1 + MARGIN / 2);

    let seen = fitted(seen, SEEN);
    let beside = MARGIN + seen.width() + 20;
    figure.picture(seen, (MARGIN, MARGIN));
    for ((index, line), base) in title.iter().enumerate().zip((MARGIN + 16..).step_by(24)) {
        let how = match index {
            0 => Type::of(15),
            _ => Type::of(12).in_colour(GREY),
        };
        let line = how.fitted(line, full_width - beside - MARGIN)?;
        figure.words(line, how, (beside, base));
    }
    for (tower, (maps, pictures)) in towers.iter().zip(pictures).enumerate() {
        let left = MARGIN + tower as u32 * (tower_width + BETWEEN_TOWERS);
        if towers.len() > 1 {
            figure.words(format!("tower {tower}"), Type::of(14), (left, grid - 10));
        }
        for (place, (map, picture)) in (0u32..).zip(maps.iter().zip(pictures)) {
            let left = left + place % columns * cell.0;
            let top = grid + place / columns * cell.1;
            let middle = left + picture.width() / 2;
            figure.picture(picture, (left, top));
            let range = Type::of(9).in_colour(GREY).centred();
            figure.words(map.range(), range, (middle, top + height + 11));
        }
    }
    Ok(figure)
}

/// Two digits or three, as few letters as they take: `0`, `3.21`, `0.04`, `2e-5`, `120`.
fn short(value: f32) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        v if !(0.01..10_000.0).contains(&v) => format!("{value:.0e}"),
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn a_map_goes_from_black_to_white_over_its_own_range() {
        let map = Map::new(vec![-1.0, 0.0, 1.0, 3.0], 2);
        assert_eq!((map.smallest, map.largest), (-1.0, 3.0));
        let picture = map.picture();
        let shades = picture.pixels().map(|p| p[0]).collect::<Vec<_>>();
        assert_eq!(shades, [0, 64, 128, 255]);
        assert_eq!(map.range(), "-1.00 – 3.00");
        let dead = Map::new(vec![0.0; 4], 2);
        assert!(dead.picture().pixels().all(|p| p[0] == 0));
        assert_eq!(dead.range(), "0");
    }

    #[test]
    fn towers_stand_beside_each_other() {
        let bright = |bright: bool| {
            let values = if bright { [0.0, 1.0] } else { [1.0, 0.0] };
            vec![Map::new(values.to_vec(), 1)]
        };
        let seen = RgbImage::from_pixel(28, 28, Rgb([200, 0, 0]));
        let title = ["conv1".to_owned()];
        let figure = draw(&title, &seen, &[bright(false), bright(true)]).unwrap();
        let png = figure.png().unwrap();
        assert_eq!(png[(MARGIN, MARGIN)], Rgb([200, 0, 0]));
        let grid = MARGIN + SEEN + 24 + TOWER;
        // Maps of one by two values are enlarged to 130 by 260.
        let next = MARGIN + ALONE / 2 + BETWEEN_TOWERS;
        assert_eq!(
            [png[(MARGIN, grid)], png[(next, grid)]],
            [[255; 3], [0; 3]].map(Rgb)
        );
        assert_eq!(png[(next, grid + ALONE - 1)], Rgb([255; 3]));
    }

    #[test]
    fn ranges_take_few_letters() {
        let words = [0.0, 3.214, 0.04, 0.00002, 120.4, 12.34, -3e7].map(short);
        assert_eq!(words, ["0", "3.21", "0.04", "2e-5", "120", "12.3", "-3e7"]);
    }
}
