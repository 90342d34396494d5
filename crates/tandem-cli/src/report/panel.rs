//! Pictures with their likeliest classes as bars: figure 4 of the paper, left.

use anyhow::Result;
use image::RgbImage;

use super::figure::{Figure, GREY, PALE, RIGHT, TRACK, Type, WRONG};
use super::picture::fitted;

/// Larger pictures are shrunk to this side, smaller ones enlarged up to it.
pub const PICTURE: u32 = 140;

const MARGIN: u32 = 20;
const HEAD: u32 = 34;
const FOOT: u32 = 34;
const CELL: u32 = 200;
const BETWEEN: u32 = 26;
const BAR: u32 = 20;
const BETWEEN_BARS: u32 = 3;
const LABEL: u32 = 28;

/// A picture and what it is taken for.
#[derive(Debug)]
pub struct Judged {
    pub picture: RgbImage,
    /// What is in it.
    pub class: String,
    /// The likeliest first.
    pub guesses: Vec<Guess>,
}

impl Judged {
    /// Whether no bar shows what is in it.
    fn is_missed(&self) -> bool {
        !self.guesses.iter().any(|guess| guess.right)
    }
}

#[derive(Debug)]
pub struct Guess {
    pub class: String,
    /// 0 to 1.
    pub probability: f32,
    pub right: bool,
}

/// Draws them under `title`, the right class under each picture, its bar in a colour of its own.
pub fn draw(title: &str, judged: &[Judged]) -> Result<Figure> {
    let count = judged.len().max(1) as u32;
    let columns = columns(count);
    let bars = judged
        .iter()
        .map(|one| one.guesses.len())
        .max()
        .unwrap_or(0) as u32;
    let cell_height = PICTURE + LABEL + bars * (BAR + BETWEEN_BARS) + BETWEEN;
    // The words at the head and the foot want three columns.
    let width = 2 * MARGIN + columns.max(3) * (CELL + BETWEEN) - BETWEEN;
    let height = MARGIN + HEAD + count.div_ceil(columns) * cell_height - BETWEEN + FOOT + MARGIN;
    let mut figure = Figure::new(width, height);
    let head = Type::of(15);
    let title = head.fitted(title, width - 2 * MARGIN)?;
    figure.words(title, head, (MARGIN, MARGIN + 14));
    for (place, one) in (0u32..).zip(judged) {
        let left = MARGIN + place % columns * (CELL + BETWEEN);
        let top = MARGIN + HEAD + place / columns * cell_height;
        cell(&mut figure, one, (left, top))?;
    }
    let missed = judged.iter().any(Judged::is_missed);
    legend(&mut figure, height - MARGIN - 10, missed)?;
    Ok(figure)
}

fn cell(figure: &mut Figure, one: &Judged, (left, top): (u32, u32)) -> Result<()> {
    let picture = fitted(&one.picture, PICTURE);
    let (width, height) = picture.dimensions();
    let at = (left + (CELL - width) / 2, top + (PICTURE - height) / 2);
    figure.picture(picture, at);
    let missed = !one.guesses.iter().any(|guess| guess.right);
    let label = Type::of(14).centred();
    let label = if missed {
        label.in_colour(WRONG)
    } else {
        label
    };
    let middle = (left + CELL / 2, top + PICTURE + 19);
    figure.words(label.fitted(&one.class, CELL)?, label, middle);
    let (name, share) = (Type::of(12), Type::of(12).ending());
    for (rank, guess) in (0u32..).zip(&one.guesses) {
        let top = top + PICTURE + LABEL + rank * (BAR + BETWEEN_BARS);
        figure.bar(TRACK, (left, top), (CELL, BAR));
        let length = (guess.probability.clamp(0.0, 1.0) * CELL as f32).round() as u32;
        let colour = if guess.right { RIGHT } else { PALE };
        figure.bar(colour, (left, top), (length, BAR));
        let base = top + BAR - 6;
        let percent = percent(guess.probability);
        let room = CELL - share.width(&percent)? - 18;
        figure.words(name.fitted(&guess.class, room)?, name, (left + 6, base));
        figure.words(percent, share, (left + CELL - 6, base));
    }
    Ok(())
}

fn legend(figure: &mut Figure, base: u32, missed: bool) -> Result<()> {
    let how = Type::of(12).in_colour(GREY);
    let mut left = MARGIN;
    for (colour, words) in [
        (RIGHT, "the right class"),
        (PALE, "another class"),
        (TRACK, "a bar as long as this is 100 %"),
    ] {
        figure.bar(colour, (left, base - 10), (22, 12));
        figure.words(words, how, (left + 28, base));
        left += 28 + how.width(words)? + 24;
    }
    if missed {
        let words = "in red: no bar is the right class";
        figure.words(words, how.in_colour(WRONG), (left, base));
    }
    Ok(())
}

/// As many columns as make the panel somewhat wider than high, four at the paper's eight pictures.
fn columns(count: u32) -> u32 {
    let wanted = (2.0 * f64::from(count)).sqrt().round() as u32;
    wanted.clamp(1, 7).min(count)
}

fn percent(probability: f32) -> String {
    match 100.0 * probability {
        p if p < 0.05 => "<0.1 %".to_owned(),
        p if p < 99.95 => format!("{p:.1} %"),
        _ => "100 %".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    fn judged(right: usize) -> Judged {
        let guess = |(rank, probability): (usize, f32)| Guess {
            class: format!("class {rank}"),
            probability,
            right: rank == right,
        };
        Judged {
            picture: RgbImage::from_pixel(28, 28, Rgb([0, 0, 90])),
            class: "a class with a very long name indeed, longer than its cell".into(),
            guesses: [0.5, 0.25].into_iter().enumerate().map(guess).collect(),
        }
    }

    fn like(png: &RgbImage, colour: plotters::style::RGBColor) -> usize {
        let colour = Rgb([colour.0, colour.1, colour.2]);
        png.pixels().filter(|pixel| **pixel == colour).count()
    }

    #[test]
    fn the_bar_of_the_right_class_is_as_long_as_its_probability() {
        let empty = draw("", &[]).unwrap().png().unwrap();
        let png = draw("mini", &[judged(1)]).unwrap().png().unwrap();
        // A quarter of the track, less what its name covers of it.
        let bar = like(&png, RIGHT) - like(&empty, RIGHT);
        let quarter = (CELL / 4 * BAR) as usize;
        assert!((quarter / 2..=quarter).contains(&bar), "{bar} of {quarter}");
        let other = like(&png, PALE) - like(&empty, PALE);
        assert!((quarter..=2 * quarter).contains(&other), "{other}");
    }

    #[test]
    fn a_right_class_that_no_bar_shows_is_written_in_red() {
        let red = |right| {
            let png = draw("mini", &[judged(right)]).unwrap().png().unwrap();
            png.pixels().filter(|p| p[0] > 150 && p[1] < 90).count()
        };
        assert!(red(7) > red(0) + 50);
    }

    #[test]
    fn eight_pictures_stand_in_two_rows_of_four() {
        assert_eq!([1, 2, 8, 12, 24, 100].map(columns), [1, 2, 4, 5, 7, 7]);
    }

    #[test]
    fn small_probabilities_are_not_called_none_and_large_ones_not_more_than_all() {
        let words = [0.0, 0.0004, 0.0006, 0.5, 0.9994, 1.0].map(percent);
        let said = ["<0.1 %", "<0.1 %", "0.1 %", "50.0 %", "99.9 %", "100 %"];
        assert_eq!(words, said);
    }
}
