//! Curves over an x axis, each with a band for its interval.

use maud::{Markup, html};

use super::super::model::{Axis, Series};
use super::ruler::{Ends, Ruler};
use super::{DIGIT, WIDTH, extent, interval, label, legend, marker, px, style};

const HEIGHT: f64 = 230.0;
/// More markers than this on a curve, and they would touch.
const MARKERS: usize = 24;

/// Height and content; `None` without a value to draw.
pub(super) fn draw(x: &Axis, y: &Axis, series: &[Series]) -> Option<(f64, Markup)> {
    let drawn = || {
        let points = series.iter().flat_map(|line| &line.points);
        points.filter(|(at, value)| x.scale.admits(*at) && y.scale.admits(value.value))
    };
    let across = Ruler::covering(x, drawn().map(|point| point.0), Ends::Exact)?;
    let extents = drawn().flat_map(|point| extent(&y.scale, point.1));
    let up = Ruler::covering(y, extents, Ends::Ticks)?;

    let names: Vec<_> = series.iter().map(|line| line.name.as_str()).collect();
    let (legend_height, legend) = legend(&names, |index, x, y| {
        html! {
            path .line d={ "M" (px(x - 15.0)) " " (px(y)) "h30" } {}
            (marker(index, x, y))
        }
    });
    let left = DIGIT * up.label_letters() as f64 + 8.0;
    let right = WIDTH - 14.0;
    let top = legend_height + 30.0;
    let bottom = top + HEIGHT;
    let across = across.drawn_across(left + 6.0, right);
    let up = up.drawn(bottom, top);

    let content = html! {
        (legend)
        text .axis x="0" y=(px(top - 14.0)) { (label(&y.label, WIDTH)) }
        g .axis {
            @for (value, name) in &up.ticks {
                path .grid d={ "M" (px(left)) " " (px(up.place(*value))) "H" (px(right)) } {}
                text x=(px(left - 8.0)) y=(px(up.place(*value) + 4.5)) text-anchor="end" { (name) }
            }
            path .base d={ "M" (px(left)) " " (px(bottom)) "H" (px(right)) } {}
            @for (value, name) in &across.ticks {
                path .base d={ "M" (px(across.place(*value))) " " (px(bottom)) "v5" } {}
                text x=(px(across.place(*value))) y=(px(bottom + 20.0)) text-anchor="middle" { (name) }
            }
            text x=(px((left + right) / 2.0)) y=(px(bottom + 42.0)) text-anchor="middle" {
                (label(&x.label, right - left))
            }
        }
        @for (index, line) in series.iter().enumerate() {
            g class=(style(index)) { (curve(line, index, (x, &across), (y, &up))) }
        }
    };
    Some((bottom + 50.0, content))
}

/// A point in units of the drawing: x, y, and the lower and upper end of the interval.
type Placed = (f64, f64, Option<(f64, f64)>);

fn curve(line: &Series, index: usize, x: (&Axis, &Ruler), y: (&Axis, &Ruler)) -> Markup {
    let placed = line.points.iter().map(|&(at, value)| {
        let drawn = x.0.scale.admits(at) && y.0.scale.admits(value.value);
        drawn.then(|| -> Placed {
            let ends = interval(&y.0.scale, value);
            let ends = ends.map(|(low, high)| (y.1.place(low), y.1.place(high)));
            (x.1.place(at), y.1.place(value.value), ends)
        })
    });
    let placed: Vec<Option<Placed>> = placed.collect();
    let pieces: Vec<Vec<Placed>> = placed
        .split(Option::is_none)
        .map(|piece| piece.iter().flatten().copied().collect())
        .collect();
    let every = line.points.len().div_ceil(MARKERS).max(1);
    html! {
        @for piece in &pieces {
            @if let Some(band) = band(piece) { path .band d=(band) {} }
        }
        @for piece in pieces.iter().filter(|piece| piece.len() > 1) {
            path .line d=(through(piece.iter().map(|point| (point.0, point.1)))) {}
        }
        @for (x, y, ends) in placed.iter().step_by(every).flatten() {
            // A lone point has no band to be seen.
            @if let (Some((low, high)), 1) = (ends, line.points.len()) {
                path .whisker d={ "M" (px(*x)) " " (px(*low)) "V" (px(*high)) } {}
            }
            (marker(index, *x, *y))
        }
    }
}

/// Along the upper ends and back along the lower ones, where all points have both.
fn band(piece: &[Placed]) -> Option<String> {
    let ends: Option<Vec<_>> = (piece.iter().map(|point| Some((point.0, point.2?)))).collect();
    let ends = ends.filter(|ends| ends.len() > 1)?;
    let upper = ends.iter().map(|&(x, (_, high))| (x, high));
    let lower = ends.iter().rev().map(|&(x, (low, _))| (x, low));
    Some(through(upper.chain(lower)) + "Z")
}

fn through(points: impl Iterator<Item = (f64, f64)>) -> String {
    let points = points.map(|(x, y)| format!("{} {}", px(x), px(y)));
    format!("M{}", points.collect::<Vec<_>>().join("L"))
}
