//! A figure of words, bars and pictures, as PNG or SVG.
//!
//! What it shows is listed first and painted last, by one code for both: plotters' backends differ only
//! in how fine they draw and where in a line of words its base is.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result};
use image::{RgbImage, imageops};
use plotters::coord::Shift;
use plotters::element::BitMapElement;
use plotters::prelude::*;
use plotters::style::FontTransform;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters_svg::SVGBackend;

use super::{font, picture};

pub const INK: RGBColor = RGBColor(40, 40, 40);
pub const GREY: RGBColor = RGBColor(115, 115, 115);
/// Behind bars, up to where they could reach.
pub const TRACK: RGBColor = RGBColor(243, 244, 246);
/// What is not right, under words in [`INK`].
pub const PALE: RGBColor = RGBColor(186, 209, 236);
/// What is right, under words in [`INK`].
pub const RIGHT: RGBColor = RGBColor(246, 173, 98);
/// Words of what is not right.
pub const WRONG: RGBColor = RGBColor(176, 52, 28);

/// A PNG is drawn this many times larger and averaged down: plotters puts each letter on a whole pixel,
/// which at reading size leaves uneven gaps.
const FINER: u32 = 4;

/// A file for a figure; its ending says in which form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    path: PathBuf,
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Png,
    Svg,
}

impl Target {
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        let path = PathBuf::from(typed);
        let ending = path
            .extension()
            .map(|ending| ending.to_string_lossy().to_lowercase());
        let form = match ending.as_deref() {
            Some("png") => Form::Png,
            Some("svg") => Form::Svg,
            _ => return Err("the name must end in .png or .svg".to_owned()),
        };
        Ok(Self { path, form })
    }
}

/// How words stand.
#[derive(Debug, Clone, Copy)]
pub struct Type {
    /// Pixels an em.
    size: u32,
    colour: RGBColor,
    anchor: Anchor,
    way: Way,
}

/// Which of its points a line of words is placed by.
#[derive(Debug, Clone, Copy)]
enum Anchor {
    Left,
    Centre,
    Right,
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Level,
    Upwards,
}

impl Type {
    /// Level, in [`INK`], placed by the left.
    pub const fn of(size: u32) -> Self {
        Self {
            size,
            colour: INK,
            anchor: Anchor::Left,
            way: Way::Level,
        }
    }

    pub const fn in_colour(self, colour: RGBColor) -> Self {
        Self { colour, ..self }
    }

    pub const fn centred(self) -> Self {
        let anchor = Anchor::Centre;
        Self { anchor, ..self }
    }

    pub const fn ending(self) -> Self {
        let anchor = Anchor::Right;
        Self { anchor, ..self }
    }

    pub const fn upwards(self) -> Self {
        let way = Way::Upwards;
        Self { way, ..self }
    }

    /// Pixels that `words` take along their line.
    pub fn width(self, words: &str) -> Result<u32> {
        font::register()?;
        // plotters rounds down.
        let larger = f64::from(self.size) * font::HEIGHT_PER_EM * 16.0;
        let (width, _) = (font::FAMILY, larger).into_font().box_size(words)?;
        Ok(width.div_ceil(16))
    }

    /// `words`, or as many of their letters as fit into `width`, with an ellipsis.
    pub fn fitted(self, words: &str, width: u32) -> Result<String> {
        let mut kept = words.to_owned();
        let mut short = kept.clone();
        while self.width(&short)? > width && kept.pop().is_some() {
            short = format!("{}…", kept.trim_end());
        }
        Ok(short)
    }
}

/// What is shown, in pixels from the upper left.
#[derive(Debug)]
pub struct Figure {
    width: u32,
    height: u32,
    marks: Vec<Mark>,
}

#[derive(Debug)]
enum Mark {
    Words(String, Type, (i32, i32)),
    Bar(RGBColor, [(i32, i32); 2]),
    Picture(RgbImage, (i32, i32)),
}

impl Figure {
    /// A white one.
    pub fn new(width: u32, height: u32) -> Self {
        let (right, bottom) = (width as i32, height as i32);
        Self {
            width,
            height,
            marks: vec![Mark::Bar(WHITE, [(0, 0), (right, bottom)])],
        }
    }

    /// `words` from, around or up to the point `x` of the line that they stand on, at `base`; going
    /// upwards, the other way round.
    pub fn words(&mut self, words: impl Into<String>, how: Type, (x, base): (u32, u32)) {
        let at = (x as i32, base as i32);
        self.marks.push(Mark::Words(words.into(), how, at));
    }

    /// A filled rectangle with its upper left corner at `at`.
    pub fn bar(&mut self, colour: RGBColor, (x, y): (u32, u32), (width, height): (u32, u32)) {
        let corners = [(x, y), (x + width, y + height)];
        let corners = corners.map(|(x, y)| (x as i32, y as i32));
        self.marks.push(Mark::Bar(colour, corners));
    }

    /// `picture`, a pixel a pixel, with its upper left corner at `at`.
    pub fn picture(&mut self, picture: RgbImage, (x, y): (u32, u32)) {
        self.marks
            .push(Mark::Picture(picture, (x as i32, y as i32)));
    }

    /// Draws it into a file.
    pub fn save(&self, target: &Target) -> Result<()> {
        let drawing = || format!("drawing {}", target.path.display());
        match target.form {
            Form::Png => picture::save(&self.png().with_context(drawing)?, &target.path),
            Form::Svg => picture::put(self.svg().with_context(drawing)?.as_bytes(), &target.path),
        }
    }

    pub fn png(&self) -> Result<RgbImage> {
        let (width, height) = (self.width * FINER, self.height * FINER);
        let mut fine = RgbImage::new(width, height);
        let backend = BitMapBackend::with_buffer(&mut fine, (width, height));
        self.paint(
            backend,
            Pen {
                scale: FINER,
                size_per_em: font::HEIGHT_PER_EM,
                base: 0.5 * font::HEIGHT_PER_EM,
            },
        )?;
        Ok(imageops::thumbnail(&fine, self.width, self.height))
    }

    pub fn svg(&self) -> Result<String> {
        let mut text = String::new();
        let backend = SVGBackend::with_string(&mut text, (self.width, self.height));
        self.paint(
            backend,
            Pen {
                scale: 1,
                size_per_em: 1.24,
                base: 0.76,
            },
        )?;
        // plotters-svg 0.3.7 calls its pictures by half of their type, and not every viewer guesses it.
        Ok(text.replace("\"data:png;", "\"data:image/png;"))
    }

    fn paint<B: DrawingBackend>(&self, backend: B, pen: Pen) -> Result<()>
    where
        B::ErrorType: 'static,
    {
        font::register()?;
        let area = backend.into_drawing_area();
        for mark in &self.marks {
            match mark {
                Mark::Words(words, how, at) => pen.write(&area, words, *how, *at)?,
                Mark::Bar(colour, corners) => {
                    let corners = corners.map(|corner| pen.scaled(corner));
                    area.draw(&Rectangle::new(corners, colour.filled()))?;
                }
                Mark::Picture(picture, at) => {
                    let (width, height) = picture.dimensions();
                    let size = (width * pen.scale, height * pen.scale);
                    let nearest = imageops::FilterType::Nearest;
                    let larger = imageops::resize(picture, size.0, size.1, nearest).into_raw();
                    let element: BitMapElement<_> =
                        BitMapElement::with_owned_buffer(pen.scaled(*at), size, larger)
                            .context("a picture has lost pixels")?;
                    area.draw(&element)?;
                }
            }
        }
        area.present()?;
        Ok(())
    }
}

/// What differs between backends.
#[derive(Clone, Copy)]
struct Pen {
    /// Pixels drawn for one of the figure's.
    scale: u32,
    /// The size that plotters is to be asked for, for letters of one em.
    size_per_em: f64,
    /// From where plotters is told to write down to where the words stand, in em.
    base: f64,
}

impl Pen {
    fn scaled(self, (x, y): (i32, i32)) -> (i32, i32) {
        (x * self.scale as i32, y * self.scale as i32)
    }

    fn write<B: DrawingBackend>(
        self,
        area: &DrawingArea<B, Shift>,
        words: &str,
        how: Type,
        at: (i32, i32),
    ) -> Result<()>
    where
        B::ErrorType: 'static,
    {
        let em = f64::from(how.size * self.scale);
        let anchor = match how.anchor {
            Anchor::Left => HPos::Left,
            Anchor::Centre => HPos::Center,
            Anchor::Right => HPos::Right,
        };
        let (x, y) = self.scaled(at);
        let base = (self.base * em).round() as i32;
        let (at, way) = match how.way {
            Way::Level => ((x, y - base), FontTransform::None),
            Way::Upwards => ((x - base, y), FontTransform::Rotate270),
        };
        let style = (font::FAMILY, em * self.size_per_em)
            .into_font()
            .transform(way)
            .color(&how.colour)
            .pos(Pos::new(anchor, VPos::Top));
        area.draw_text(words, &style, at)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    fn figure() -> Figure {
        let mut figure = Figure::new(120, 60);
        figure.bar(RIGHT, (10, 20), (30, 5));
        let blue = RgbImage::from_pixel(8, 4, Rgb([0, 0, 255]));
        figure.picture(blue, (60, 20));
        figure.words("Tench & <H>", Type::of(12), (10, 50));
        figure
    }

    #[test]
    fn a_png_has_each_mark_where_it_was_put() {
        let png = figure().png().unwrap();
        assert_eq!(png.dimensions(), (120, 60));
        let right = Rgb([RIGHT.0, RIGHT.1, RIGHT.2]);
        assert_eq!([png[(10, 20)], png[(39, 24)]], [right; 2]);
        assert_eq!(
            [png[(9, 20)], png[(40, 24)], png[(10, 25)]],
            [Rgb([255; 3]); 3]
        );
        assert_eq!([png[(60, 20)], png[(67, 23)]], [Rgb([0, 0, 255]); 2]);
        assert_eq!([png[(68, 23)], png[(67, 24)]], [Rgb([255; 3]); 2]);
    }

    #[test]
    fn letters_stand_on_their_line() {
        // An H reaches from its base up to 0.73 em; nothing of it lies below.
        let mut figure = Figure::new(60, 60);
        figure.words("HHH", Type::of(20), (5, 40));
        let png = figure.png().unwrap();
        let dark = |y| (0..60).any(|x| png[(x, y)][0] < 128);
        let rows: Vec<u32> = (0..60).filter(|&y| dark(y)).collect();
        assert!((24..=26).contains(&rows[0]), "{rows:?}");
        assert!((38..=40).contains(rows.last().unwrap()), "{rows:?}");
    }

    #[test]
    fn words_going_upwards_end_at_their_line_too() {
        let mut figure = Figure::new(60, 60);
        figure.words("HHH", Type::of(20).upwards(), (40, 55));
        let png = figure.png().unwrap();
        let dark = |x| (0..60).any(|y| png[(x, y)][0] < 128);
        let columns: Vec<u32> = (0..60).filter(|&x| dark(x)).collect();
        assert!((24..=26).contains(&columns[0]), "{columns:?}");
        assert!((38..=40).contains(columns.last().unwrap()), "{columns:?}");
    }

    #[test]
    fn an_svg_has_words_as_words_and_pictures_inside() {
        let svg = figure().svg().unwrap();
        assert!(svg.starts_with("<svg width=\"120\" height=\"60\""), "{svg}");
        assert!(svg.contains("Tench &amp; &lt;H&gt;"), "{svg}");
        assert!(svg.contains("font-family=\"DejaVu Sans, Verdana, sans-serif\""));
        assert!(svg.contains("width=\"8\" height=\"4\" href=\"data:image/png;base64,iVBOR"));
        assert!(svg.trim_end().ends_with("</svg>"));
    }

    #[test]
    fn words_too_long_for_their_place_end_in_an_ellipsis() {
        let how = Type::of(12);
        assert_eq!(how.fitted("Sandal", 200).unwrap(), "Sandal");
        let short = how.fitted("a very long name of a class", 80).unwrap();
        assert!(
            short.starts_with("a very") && short.ends_with('…'),
            "{short}"
        );
        assert!(how.width(&short).unwrap() <= 80);
    }

    #[test]
    fn the_ending_says_the_form_and_another_is_refused() {
        let form = |name: &str| name.parse::<Target>().map(|target| target.form);
        assert_eq!(form("a.b/top5.PNG"), Ok(Form::Png));
        assert_eq!(form("x.svg"), Ok(Form::Svg));
        for other in ["x.jpg", "x", "png"] {
            assert!(form(other).unwrap_err().contains(".png or .svg"));
        }
    }
}
