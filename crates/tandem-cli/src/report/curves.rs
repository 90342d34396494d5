//! `curves.png`: the loss by step, the validation error by epoch, and where the rate fell.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use image::{RgbImage, imageops};
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::metrics::{Metrics, Trained};
use super::progress::rounded;
use super::series::{band, loss_range, smoothed, thinned};
use super::{font, picture};

/// Width and height of the picture, in pixels.
const SIZE: (u32, u32) = (1200, 800);

/// Everything is drawn this many times larger and averaged down, since plotters does not smooth
/// the edges of thick lines.
const FINER: u32 = 2;

/// What the legend of the loss takes at the right of its panel, in pixels.
const LEGEND_WIDTH: i32 = 140;

const INK: RGBColor = RGBColor(40, 40, 40);
const GREY: RGBColor = RGBColor(130, 130, 130);
const GRID: RGBColor = RGBColor(228, 228, 228);
const RAW: RGBColor = RGBColor(174, 205, 235);
const SMOOTH: RGBColor = RGBColor(24, 84, 160);
const TOP_1: RGBColor = RGBColor(190, 48, 36);
const TOP_5: RGBColor = RGBColor(222, 140, 30);

type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
type Chart<'a, 'b> =
    ChartContext<'a, BitMapBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Draws `metrics` into a PNG at `path`, under `title`.
pub fn save(metrics: &Metrics, title: &str, path: &Path) -> Result<()> {
    let picture = draw(metrics, title).with_context(|| format!("drawing {}", path.display()))?;
    picture::save(&picture, path)
}

/// The picture, 1200×800.
pub fn draw(metrics: &Metrics, title: &str) -> Result<RgbImage> {
    font::register()?;
    let (width, height) = (SIZE.0 * FINER, SIZE.1 * FINER);
    let mut pixels = vec![255; (width * height * 3) as usize];
    {
        let root = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
        let root = root.margin(px(10), px(10), px(14), px(26));
        let (head, body) = root.split_vertically(px(44));
        head.draw_text(title, &text(22, INK), (px(10), px(8)))?;
        let panels = body.split_evenly((2, 1));
        loss_panel(&panels[0], metrics)?;
        error_panel(&panels[1], metrics)?;
        root.present()?;
    }
    let fine = RgbImage::from_raw(width, height, pixels)
        .ok_or_else(|| anyhow!("the picture has lost pixels"))?;
    Ok(imageops::thumbnail(&fine, SIZE.0, SIZE.1))
}

fn loss_panel(area: &Area, metrics: &Metrics) -> Result<()> {
    let points: Vec<(f64, f64)> = metrics
        .trained
        .iter()
        .filter_map(|&Trained { step, loss, .. }| {
            loss.filter(|l| l.is_finite()).map(|l| (step as f64, l))
        })
        .collect();
    let Some(&(last_step, _)) = points.last() else {
        return nothing_yet(area, "Training loss: no step yet");
    };
    let smoothed = smoothed(&points);
    let top = loss_range(&points, &smoothed);
    let caption = format!(
        "Training loss, {:.3} at step {last_step} (smoothed)",
        smoothed[smoothed.len() - 1].1
    );
    let mut chart = panel(area, &caption, (0.0..last_step, 0.0..top), "step", "loss")?;

    chart
        .draw_series(LineSeries::new(band(&points, top), RAW.stroke_width(FINER)))?
        .label("each step")
        .legend(|(x, y)| PathElement::new([(x, y), (x + px(24), y)], RAW.stroke_width(FINER * 2)));
    chart
        .draw_series(LineSeries::new(
            thinned(&smoothed),
            SMOOTH.stroke_width(FINER * 2),
        ))?
        .label("smoothed")
        .legend(|(x, y)| {
            PathElement::new([(x, y), (x + px(24), y)], SMOOTH.stroke_width(FINER * 2))
        });

    let (right_edge, _) = chart.backend_coord(&(last_step, top));
    for (index, (step, before, after)) in metrics.rate_drops().into_iter().enumerate() {
        let x = step as f64;
        let dashes =
            DashedLineSeries::new([(x, 0.0), (x, top)], px(6), px(5), GREY.stroke_width(FINER));
        chart.draw_series(dashes)?;
        let label = format!("rate {} → {}", rounded(before), rounded(after));
        let text = text(15, INK);
        let width = area.estimate_text_size(&label, &text)?.0 as i32;
        // Right of its line where there is room before the legend, else left of both.
        let (column, _) = chart.backend_coord(&(x, top));
        let room = right_edge - px(LEGEND_WIDTH);
        let left = if column + width + px(8) < room {
            px(6)
        } else {
            room.min(column) - column - width - px(6)
        };
        // Drops that follow closely stand on lines of their own.
        let down = px(4 + 18 * (index % 3) as i32);
        chart.draw_series([EmptyElement::at((x, top)) + Text::new(label, (left, down), text)])?;
    }
    legend(&mut chart)
}

fn error_panel(area: &Area, metrics: &Metrics) -> Result<()> {
    let validated = &metrics.validated;
    let (Some(last), Some(best)) = (
        validated.last(),
        validated
            .iter()
            .min_by(|a, b| a.top1_error.total_cmp(&b.top1_error)),
    ) else {
        return nothing_yet(area, "Validation error: no epoch measured yet");
    };
    let top_1: Vec<_> = validated
        .iter()
        .map(|v| (v.epoch, 100.0 * v.top1_error))
        .collect();
    let top_5: Vec<_> = validated
        .iter()
        .filter_map(|v| v.top5_error.map(|error| (v.epoch, 100.0 * error)))
        .collect();
    let top = 1.1 * top_1.iter().chain(&top_5).map(|p| p.1).fold(1.0, f64::max);
    let caption = format!(
        "Validation error, top-1 {:.2} % at epoch {}, best {:.2} % at epoch {}",
        100.0 * last.top1_error,
        last.epoch,
        100.0 * best.top1_error,
        best.epoch
    );
    let mut chart = panel(
        area,
        &caption,
        (0.0..last.epoch.max(2.0), 0.0..top),
        "epoch",
        "error, %",
    )?;
    for (name, points, colour) in [("top-1", top_1, TOP_1), ("top-5", top_5, TOP_5)] {
        if points.is_empty() {
            continue;
        }
        chart
            .draw_series(LineSeries::new(
                points.clone(),
                colour.stroke_width(FINER * 2),
            ))?
            .label(name)
            .legend(move |(x, y)| {
                PathElement::new([(x, y), (x + px(24), y)], colour.stroke_width(FINER * 2))
            });
        let size = if points.len() <= 120 { px(4) } else { px(2) };
        chart.draw_series(
            points
                .into_iter()
                .map(|point| Circle::new(point, size, colour.filled())),
        )?;
    }
    legend(&mut chart)
}

/// A panel's axes, grid and caption. The words stand beside the axes, inside the panel's margins.
fn panel<'a, 'b>(
    area: &Area<'b>,
    caption: &str,
    (x, y): (std::ops::Range<f64>, std::ops::Range<f64>),
    x_name: &str,
    y_name: &str,
) -> Result<Chart<'a, 'b>> {
    let thousands = x.end >= 20_000.0;
    // Steps and epochs are counted: no labels between two of them.
    let whole_numbers = (x.end as usize + 1).min(11);
    let mut chart = ChartBuilder::on(area)
        .caption(caption, text(18, INK))
        .margin_bottom(px(6))
        .x_label_area_size(px(52))
        .y_label_area_size(px(70))
        .build_cartesian_2d(x, y)?;
    chart
        .configure_mesh()
        .bold_line_style(GRID.stroke_width(FINER))
        .max_light_lines(0)
        .axis_style(GREY.stroke_width(FINER))
        .set_all_tick_mark_size(px(4))
        .x_labels(whole_numbers)
        .y_labels(7)
        .x_label_formatter(&|x| match thousands && *x > 0.0 {
            true => format!("{}k", tidy(x / 1000.0)),
            false => tidy(*x),
        })
        .y_label_formatter(&|y| tidy(*y))
        .label_style(text(16, INK))
        .axis_desc_style(text(16, INK))
        .x_desc(x_name)
        .y_desc(y_name)
        .draw()?;
    Ok(chart)
}

fn legend<'b>(chart: &mut Chart<'b, 'b>) -> Result<()> {
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .margin(px(10))
        .legend_area_size(px(34))
        .label_font(text(16, INK))
        .background_style(WHITE.mix(0.85))
        .border_style(GRID.stroke_width(FINER))
        .draw()?;
    Ok(())
}

fn nothing_yet(area: &Area, words: &str) -> Result<()> {
    let (width, height) = area.dim_in_pixel();
    let text = text(18, GREY);
    let (text_width, _) = area.estimate_text_size(words, &text)?;
    area.draw_text(
        words,
        &text,
        ((width as i32 - text_width as i32) / 2, height as i32 / 2),
    )?;
    Ok(())
}

/// Without the last digits that counting by tenths leaves: 0.3, not 0.30000000000000004.
fn tidy(label: f64) -> String {
    format!("{}", (label * 1e6).round() / 1e6)
}

/// Pixels of the finished picture, in pixels drawn.
fn px(pixels: i32) -> i32 {
    pixels * FINER as i32
}

fn text(size: i32, colour: RGBColor) -> TextStyle<'static> {
    (font::FAMILY, px(size)).into_font().color(&colour)
}

#[cfg(test)]
mod tests {
    use super::super::metrics::Validated;
    use super::*;

    /// A run's shape: a loss that falls with noise, two drops of the rate, ten epochs.
    fn run(steps: u64) -> Metrics {
        let trained = (1..=steps)
            .map(|step| {
                let done = step as f64 / steps as f64;
                let noise = ((step * 2_654_435_761) % 1000) as f64 / 1000.0 - 0.5;
                let learning_rate = [0.01, 0.001, 0.0001][(done * 2.99) as usize];
                Trained {
                    step,
                    loss: Some(0.3 + 2.0 * (-6.0 * done).exp() + 0.2 * noise),
                    learning_rate,
                }
            })
            .collect();
        let validated = (1..=10u32)
            .map(|epoch| {
                let top1_error = 0.1 + 0.4 / f64::from(epoch);
                Validated {
                    step: steps * u64::from(epoch) / 10,
                    epoch: f64::from(epoch),
                    top1_error,
                    top5_error: Some(top1_error / 8.0),
                }
            })
            .collect();
        Metrics { trained, validated }
    }

    fn pixels_like(picture: &RgbImage, colour: RGBColor) -> usize {
        let near = |a: u8, b: u8| a.abs_diff(b) < 24;
        let like = |p: &&image::Rgb<u8>| {
            near(p[0], colour.0) && near(p[1], colour.1) && near(p[2], colour.2)
        };
        picture.pixels().filter(like).count()
    }

    #[test]
    fn every_curve_is_in_the_picture() {
        let picture = draw(&run(940), "mini on builtin").unwrap();
        assert_eq!(picture.dimensions(), SIZE);
        for colour in [RAW, SMOOTH, TOP_1, TOP_5, GREY, INK] {
            assert!(pixels_like(&picture, colour) > 200, "{colour:?}");
        }
        assert_eq!(*picture.get_pixel(0, 0), image::Rgb([255, 255, 255]));
    }

    #[test]
    fn a_long_run_is_drawn_as_a_band() {
        assert!(pixels_like(&draw(&run(200_000), "long").unwrap(), RAW) > 2000);
    }

    #[test]
    fn a_run_that_has_hardly_begun_is_drawn_too() {
        let none = draw(&Metrics::default(), "no step").unwrap();
        assert!(pixels_like(&none, GREY) > 20);
        let mut one = run(1);
        one.validated.truncate(1);
        draw(&one, "one step").unwrap();
        let flat = Trained {
            step: 1,
            loss: Some(0.0),
            learning_rate: 0.01,
        };
        draw(
            &Metrics {
                trained: vec![flat],
                validated: vec![],
            },
            "a loss of zero",
        )
        .unwrap();
    }

    #[test]
    fn the_file_is_a_png_and_nothing_is_left_beside_it() {
        let run_directory = tempfile::tempdir().unwrap();
        let path = run_directory.path().join("curves.png");
        save(&run(100), "mini", &path).unwrap();
        save(&run(200), "mini", &path).unwrap();
        assert_eq!(image::open(&path).unwrap().into_rgb8().dimensions(), SIZE);
        assert_eq!(std::fs::read_dir(run_directory.path()).unwrap().count(), 1);
    }
}
