//! Which class is taken for which: a square of counts, a row for each right class.

use anyhow::Result;
use image::{Rgb, RgbImage};
use plotters::style::{RGBColor, WHITE};
use tandem_alexnet::confusion::Confusion;

use super::figure::{Figure, GREY, INK, Type};
use super::table::grouped;

const MARGIN: u32 = 20;
const HEAD: u32 = 34;
/// The side of a cell with a count and a share in it.
const CELL: u32 = 56;
/// Above so many classes cells only have a shade,
const COUNTED: usize = 24;
/// and below this side rows and columns no name.
const NAMED: u32 = 13;
/// About the side of the square that then has them.
const SQUARE: u32 = 1000;
const LONGEST_NAME: u32 = 170;
const ERROR: u32 = 76;

/// What is right, and what is not, at its full.
const DIAGONAL: [f64; 3] = [24.0, 84.0, 160.0];
const MISTAKE: [f64; 3] = [190.0, 60.0, 20.0];

/// Draws it under `title`: shades by the share of a row, the error of each class at the right.
pub fn draw(title: &str, names: &[String], confusion: &Confusion) -> Result<Figure> {
    let classes = confusion.classes();
    let counted = classes <= COUNTED;
    let side = match counted {
        true => CELL,
        false => (SQUARE / classes as u32).max(1),
    };
    let name = Type::of(12.min(side.saturating_sub(2)).max(8));
    let named = side >= NAMED;
    let longest = match named {
        true => {
            let widths = names.iter().map(|name_of| name.width(name_of));
            let widths: Vec<u32> = widths.collect::<Result<_>>()?;
            widths.into_iter().max().unwrap_or(0).min(LONGEST_NAME) + 10
        }
        false => 0,
    };
    let square = side * classes as u32;
    // Words of the axes stand before the names.
    let (left, top) = (MARGIN + 22 + longest, MARGIN + HEAD + 22 + longest);
    let right = left + square + if named { ERROR } else { 0 } + MARGIN;
    let head = Type::of(15);
    let width = right.max(2 * MARGIN + head.width(title)?.min(620));
    let mut figure = Figure::new(width, top + square + MARGIN + 26);
    let title = head.fitted(title, width - 2 * MARGIN)?;
    figure.words(title, head, (MARGIN, MARGIN + 14));
    let axis = Type::of(12).in_colour(GREY);
    let over = (left + square / 2, MARGIN + HEAD + 12);
    figure.words("taken for", axis.centred(), over);
    let beside = (MARGIN + 12, top + square / 2);
    figure.words("right class", axis.centred().upwards(), beside);

    figure.picture(shades(confusion, side), (left, top));
    if named {
        names_and_errors(&mut figure, names, confusion, (left, top), side, name)?;
    }
    if counted {
        counts(&mut figure, confusion, (left, top));
    }
    let foot = "Shades are shares of a row: blue what is right, red what is taken for another.";
    let foot = axis.fitted(foot, width - 2 * MARGIN)?;
    figure.words(foot, axis, (MARGIN, top + square + 30));
    Ok(figure)
}

/// The square, a pixel of white between cells that have room for it.
fn shades(confusion: &Confusion, side: u32) -> RgbImage {
    let whole = side * confusion.classes() as u32;
    RgbImage::from_fn(whole, whole, |x, y| {
        let (row, column) = ((y / side) as usize, (x / side) as usize);
        let gap = side >= 8 && (x % side == side - 1 || y % side == side - 1);
        match gap {
            true => Rgb([255; 3]),
            false => Rgb(shade(confusion, row, column)),
        }
    })
}

/// From nearly white to its full colour. Mistakes are rarer than what is right: their shade grows
/// faster.
fn shade(confusion: &Confusion, row: usize, column: usize) -> [u8; 3] {
    let share = confusion.share(row, column).unwrap_or(0.0);
    let (full, depth) = match row == column {
        true => (DIAGONAL, share),
        false => (MISTAKE, share.sqrt()),
    };
    full.map(|full| (246.0 + (full - 246.0) * depth).round() as u8)
}

fn names_and_errors(
    figure: &mut Figure,
    names: &[String],
    confusion: &Confusion,
    (left, top): (u32, u32),
    side: u32,
    how: Type,
) -> Result<()> {
    let right = left + side * names.len() as u32;
    let axis = Type::of(12).in_colour(GREY);
    figure.words("error", axis.ending(), (right + ERROR - 8, top - 8));
    for (class, name) in names.iter().enumerate() {
        let at = class as u32 * side + side / 2 + 4;
        let name = how.fitted(name, LONGEST_NAME)?;
        figure.words(name.clone(), how.ending(), (left - 8, top + at));
        figure.words(name, how.upwards(), (left + at, top - 8));
        let error = match confusion.error(class) {
            Some(error) => format!("{:.1} %", 100.0 * error),
            None => "–".to_owned(),
        };
        figure.words(error, how.ending(), (right + ERROR - 8, top + at));
    }
    Ok(())
}

fn counts(figure: &mut Figure, confusion: &Confusion, (left, top): (u32, u32)) {
    for row in 0..confusion.classes() {
        for (column, &count) in confusion.row(row).iter().enumerate() {
            if count == 0 {
                continue;
            }
            let [red, green, blue] = shade(confusion, row, column).map(u32::from);
            let dark = 3 * red + 6 * green + blue < 1350;
            let colour: RGBColor = if dark { WHITE } else { INK };
            let middle = left + column as u32 * CELL + CELL / 2;
            let top = top + row as u32 * CELL;
            let count_of = Type::of(13).in_colour(colour).centred();
            figure.words(grouped(count), count_of, (middle, top + 26));
            let share = 100.0 * confusion.share(row, column).unwrap_or(0.0);
            let share_of = Type::of(10).in_colour(colour).centred();
            figure.words(format!("{share:.1} %"), share_of, (middle, top + 42));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(classes: usize) -> Vec<String> {
        (0..classes).map(|class| format!("class {class}")).collect()
    }

    #[test]
    fn a_right_class_is_blue_and_a_mistake_red() {
        let mut confusion = Confusion::new(2);
        (0..9).for_each(|_| confusion.add(0, 0));
        confusion.add(1, 0);
        assert_eq!(shade(&confusion, 0, 0), DIAGONAL.map(|c| c as u8));
        assert_eq!(shade(&confusion, 1, 0), MISTAKE.map(|c| c as u8));
        assert_eq!(shade(&confusion, 0, 1), [246; 3]);
    }

    #[test]
    fn few_classes_have_their_counts_and_many_a_pixel_each() {
        let svg = |classes: usize| {
            let mut confusion = Confusion::new(classes);
            (0..classes).for_each(|class| confusion.add(class, 0));
            let figure = draw("a title", &names(classes), &confusion).unwrap();
            figure.svg().unwrap()
        };
        let ten = svg(10);
        assert!(ten.contains("100.0 %") && ten.contains("class 9"));
        let forty = svg(40);
        assert!(forty.contains("class 39") && forty.contains("100.0 %"));
        let many = svg(1000);
        assert!(!many.contains("class 9") && many.contains("<image"));
        assert!(many.contains("width=\"1000\" height=\"1000\" href"));
    }
}
