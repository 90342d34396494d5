//! Charts of rows: bars with whiskers, and forest plots. A row's name stands above what it shows, so
//! that it may be long.

use maud::{Markup, html};

use super::super::model::{Axis, Bars, Estimate, ForestRow};
use super::ruler::{Ends, Ruler};
use super::{WIDTH, extent, interval, label, legend, marker, px, style};

/// Height of a row's name, and the room under a row.
const NAME: f64 = 20.0;
const GAP: f64 = 8.0;
const BAR: f64 = 14.0;
/// Room for half of the first tick's name.
const LEFT: f64 = 18.0;
/// Right of what is drawn stands its value.
const VALUE: f64 = 72.0;

/// Height and content; `None` without a value to draw.
pub(super) fn bars(x: &Axis, categories: &[String], series: &[Bars]) -> Option<(f64, Markup)> {
    let values = series.iter().flat_map(|bars| &bars.values).flatten();
    let values: Vec<f64> = values.flat_map(|value| extent(&x.scale, *value)).collect();
    // Zero alone is nothing to draw, and a logarithmic axis has none.
    let zero = (!values.is_empty() && x.scale.admits(0.0)).then_some(0.0);
    let ruler = Ruler::covering(x, values.into_iter().chain(zero), Ends::Ticks)?;
    let ruler = ruler.drawn_across(LEFT, WIDTH - VALUE);

    let names: Vec<_> = series.iter().map(|bars| bars.name.as_str()).collect();
    let (top, legend) = legend(&names, |index, x, y| {
        html! {
            rect .bar x=(px(x - 15.0)) y=(px(y - 5.0)) width="30" height="10" {}
            (marker(index, x, y))
        }
    });
    let row_height = NAME + BAR * series.len() as f64 + GAP;
    let content = html! {
        @for (row, category) in categories.iter().enumerate() {
            @let y = top + row_height * row as f64;
            text .over x="0" y=(px(y + 14.0)) { (label(category, WIDTH)) }
            @for (index, bars) in series.iter().enumerate() {
                @if let Some(value) = bars.values[row].filter(|v| x.scale.admits(v.value)) {
                    g class=(style(index)) {
                        (bar(x, &ruler, value, index, y + NAME + BAR * index as f64))
                    }
                }
            }
        }
    };
    let bottom = top + row_height * categories.len() as f64;
    let content = html! { (legend) (under(x, &ruler, top, bottom)) (content) };
    Some((bottom + 50.0, content))
}

fn bar(x: &Axis, ruler: &Ruler, value: Estimate, index: usize, y: f64) -> Markup {
    let (start, end) = (ruler.origin(), ruler.place(value.value));
    let whisker =
        interval(&x.scale, value).map(|(low, high)| (ruler.place(low), ruler.place(high)));
    let rightmost = start.max(end).max(whisker.map_or(end, |whisker| whisker.1));
    html! {
        rect .bar x=(px(start.min(end))) y=(px(y)) width=(px((end - start).abs()))
            height=(px(BAR - 2.0)) {}
        @if let Some((low, high)) = whisker { (whisker_over(low, high, y + BAR / 2.0 - 1.0)) }
        (marker(index, end, y + BAR / 2.0 - 1.0))
        text .value x=(px(rightmost + 8.0)) y=(px(y + BAR - 3.0)) { (x.scale.words(value.value)) }
    }
}

/// Height and content; `None` without a value to draw.
pub(super) fn forest(x: &Axis, reference: f64, rows: &[ForestRow]) -> Option<(f64, Markup)> {
    let measured = |row: &ForestRow| row.measured.filter(|v| x.scale.admits(v.value));
    let published = |row: &ForestRow| row.published.filter(|v| x.scale.admits(*v));
    let values = rows.iter().flat_map(|row| {
        let measured = measured(row).into_iter();
        measured
            .flat_map(|value| extent(&x.scale, value))
            .chain(published(row))
    });
    let values: Vec<f64> = values.collect();
    let line = (!values.is_empty() && x.scale.admits(reference)).then_some(reference);
    let ruler = Ruler::covering(x, values.into_iter().chain(line), Ends::Ticks)?;
    let ruler = ruler.drawn_across(LEFT, WIDTH - VALUE);

    let (top, legend) = legend(&["measured", "published"], |index, x, y| match index {
        0 => html! { (whisker_over(x - 15.0, x + 15.0, y)) (marker(0, x, y)) },
        _ => html! { g .hollow { (marker(3, x, y)) } },
    });
    let row_height = NAME + BAR + GAP;
    let bottom = top + row_height * rows.len() as f64;
    let content = html! {
        (legend)
        (under(x, &ruler, top, bottom))
        @if let Some(line) = line {
            path .reference d={ "M" (px(ruler.place(line))) " " (px(top)) "V" (px(bottom)) } {}
        }
        @for (index, row) in rows.iter().enumerate() {
            @let y = top + row_height * index as f64;
            @let middle = y + NAME + BAR / 2.0;
            text .over x="0" y=(px(y + 14.0)) { (label(&row.label, WIDTH)) }
            @if let Some(value) = measured(row) {
                g class=(style(0)) {
                    @if let Some((low, high)) = interval(&x.scale, value) {
                        (whisker_over(ruler.place(low), ruler.place(high), middle))
                    }
                    (marker(0, ruler.place(value.value), middle))
                }
                text .value x=(px(WIDTH - VALUE + 14.0)) y=(px(middle + 5.0)) {
                    (x.scale.words(value.value))
                }
            }
            @if let Some(value) = published(row) {
                g .hollow.(style(1)) { (marker(3, ruler.place(value), middle)) }
            }
        }
    };
    Some((bottom + 50.0, content))
}

/// A line from end to end, with a stroke across each.
fn whisker_over(low: f64, high: f64, y: f64) -> Markup {
    html! {
        path .whisker d={
            "M" (px(low)) " " (px(y - 4.0)) "v8m0 -4H" (px(high)) "m0 -4v8"
        } {}
    }
}

/// Grid, ticks and name of the axis.
fn under(axis: &Axis, ruler: &Ruler, top: f64, bottom: f64) -> Markup {
    html! {
        g .axis {
            @for (value, name) in &ruler.ticks {
                @let x = ruler.place(*value);
                path .grid d={ "M" (px(x)) " " (px(top)) "V" (px(bottom)) } {}
                text x=(px(x)) y=(px(bottom + 16.0)) text-anchor="middle" { (name) }
            }
            path .base d={ "M" (px(LEFT)) " " (px(bottom)) "H" (px(WIDTH - VALUE)) } {}
            text x=(px(WIDTH / 2.0)) y=(px(bottom + 38.0)) text-anchor="middle" {
                (label(&axis.label, WIDTH))
            }
        }
    }
}
