//! Pictures, each with those that the network takes to be most like it: figure 4 of the paper, right.

use anyhow::Result;
use image::RgbImage;

use super::figure::{Figure, GREY, INK, Type, WRONG};
use super::picture::fitted;

const PICTURE: u32 = 112;
const MARGIN: u32 = 20;
const HEAD: u32 = 64;
const CELL: u32 = 124;
/// Between the pictures and their neighbours.
const APART: u32 = 22;
const CAPTION: u32 = 40;
const BETWEEN: u32 = 12;

/// A picture and its neighbours, the nearest first.
#[derive(Debug)]
pub struct Row {
    pub picture: RgbImage,
    /// Its class, or where it has none its name.
    pub caption: String,
    pub neighbours: Vec<Near>,
}

#[derive(Debug)]
pub struct Near {
    pub picture: RgbImage,
    pub caption: String,
    pub distance: f64,
    /// Whether it is of the same class, as far as that is known.
    pub alike: bool,
}

/// Draws `rows` under `title`, the pictures in the first column.
pub fn draw(title: &str, rows: &[Row]) -> Result<Figure> {
    let columns = rows
        .iter()
        .map(|row| row.neighbours.len())
        .max()
        .unwrap_or(0) as u32;
    let row_height = PICTURE + CAPTION + BETWEEN;
    let head = Type::of(15);
    let (first, others) = (
        "picture",
        "nearest training pictures, the distance under each",
    );
    let small = Type::of(12).in_colour(GREY);
    let aside = MARGIN + CELL + APART;
    let width = (aside + columns * CELL).max(aside + small.width(others)?) + MARGIN;
    let mut figure = Figure::new(width, MARGIN + HEAD + rows.len() as u32 * row_height);
    let title = head.fitted(title, width - 2 * MARGIN)?;
    figure.words(title, head, (MARGIN, MARGIN + 14));
    figure.words(first, small, (MARGIN, MARGIN + HEAD - 12));
    figure.words(others, small, (aside, MARGIN + HEAD - 12));
    for (row, top) in rows
        .iter()
        .zip((MARGIN + HEAD..).step_by(row_height as usize))
    {
        place(&mut figure, &row.picture, &row.caption, INK, (MARGIN, top))?;
        let lefts = (aside..).step_by(CELL as usize);
        for (near, left) in row.neighbours.iter().zip(lefts) {
            let colour = if near.alike { INK } else { WRONG };
            place(
                &mut figure,
                &near.picture,
                &near.caption,
                colour,
                (left, top),
            )?;
            let under = (left + PICTURE / 2, top + PICTURE + 31);
            let distance = format!("{:.2}", near.distance);
            figure.words(distance, Type::of(11).in_colour(GREY).centred(), under);
        }
    }
    Ok(figure)
}

fn place(
    figure: &mut Figure,
    picture: &RgbImage,
    caption: &str,
    colour: plotters::style::RGBColor,
    (left, top): (u32, u32),
) -> Result<()> {
    let picture = fitted(picture, PICTURE);
    let (width, height) = picture.dimensions();
    let at = (left + (PICTURE - width) / 2, top + PICTURE - height);
    figure.picture(picture, at);
    let how = Type::of(12).in_colour(colour).centred();
    let caption = how.fitted(caption, CELL - 4)?;
    figure.words(caption, how, (left + PICTURE / 2, top + PICTURE + 16));
    Ok(())
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn neighbours_stand_beside_their_picture_and_another_class_is_written_in_red() {
        let picture = |colour| RgbImage::from_pixel(28, 28, Rgb(colour));
        let row = |alike| Row {
            picture: picture([0, 0, 200]),
            caption: "Coat".into(),
            neighbours: vec![Near {
                picture: picture([0, 200, 0]),
                caption: "Shirt".into(),
                distance: 3.5,
                alike,
            }],
        };
        let png = |alike| draw("mini", &[row(alike)]).unwrap().png().unwrap();
        let (top, left) = (MARGIN + HEAD + 50, MARGIN + 50);
        assert_eq!(png(true)[(left, top)], Rgb([0, 0, 200]));
        assert_eq!(png(true)[(left + CELL + APART, top)], Rgb([0, 200, 0]));
        let red = |png: RgbImage| png.pixels().filter(|p| p[0] > 150 && p[1] < 90).count();
        assert_eq!(red(png(true)), 0);
        assert!(red(png(false)) > 20);
    }
}
