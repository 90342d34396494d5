//! A chart as SVG, drawn by hand: it takes colours, dashes and fonts from `chart.css`, so that one
//! drawing serves light and dark, on the page and as a file.

mod lines;
mod rows;
mod ruler;

use maud::{Markup, PreEscaped, html};

use super::model::{Chart, Estimate, Plot, Scale};

/// Custom properties for both colour schemes, shared with the page.
pub(super) const PALETTE: &str = include_str!("palette.css");
pub(super) const STYLE: &str = include_str!("chart.css");

/// All charts are this wide, in units of the drawing: little enough that a telephone shows them whole
/// and legible.
const WIDTH: f64 = 460.0;
/// How wide a letter is, and a digit, at most: which font draws them is not known here.
const LETTER: f64 = 7.6;
const DIGIT: f64 = 9.0;
/// Series told apart by colour, dash and marker; `chart.css` has as many.
const STYLES: usize = 6;

/// The chart within a page. `id` starts the anchors of its title and description.
pub(super) fn inline(chart: &Chart, id: &str) -> Markup {
    let (height, drawing) = draw(&chart.plot);
    let (title, description) = (format!("{id}_title"), format!("{id}_description"));
    html! {
        svg .chart role="img" viewBox={ "0 0 " (px(WIDTH)) " " (px(height)) }
            aria-labelledby=(title) aria-describedby=(description) {
            title id=(title) { (printable(&chart.caption)) }
            desc id=(description) { (printable(&describe(&chart.plot))) }
            (drawing)
        }
    }
}

/// The chart as a file of its own.
pub(super) fn standalone(chart: &Chart) -> String {
    const MARGIN: f64 = 14.0;
    let (height, drawing) = draw(&chart.plot);
    let (width, height) = (WIDTH + 2.0 * MARGIN, height + 2.0 * MARGIN);
    let view = format!(
        "{} {} {} {}",
        px(-MARGIN),
        px(-MARGIN),
        px(width),
        px(height)
    );
    let svg = html! {
        svg .chart xmlns="http://www.w3.org/2000/svg" role="img" viewBox=(view)
            width=(px(width)) height=(px(height)) {
            title { (printable(&chart.caption)) }
            desc { (printable(&describe(&chart.plot))) }
            style { (PreEscaped(PALETTE)) (PreEscaped(STYLE)) }
            // The page around it may be light where the reader's scheme is dark.
            rect .paper x=(px(-MARGIN)) y=(px(-MARGIN)) width=(px(width)) height=(px(height)) {}
            (drawing)
        }
    };
    svg.into_string() + "\n"
}

/// Height and content.
fn draw(plot: &Plot) -> (f64, Markup) {
    let drawn = match plot {
        Plot::Lines { x, y, series } => lines::draw(x, y, series),
        Plot::Bars {
            x,
            categories,
            series,
        } => rows::bars(x, categories, series),
        Plot::Forest { x, reference, rows } => rows::forest(x, *reference, rows),
    };
    drawn.unwrap_or_else(|| {
        let nothing =
            html! { text x=(px(WIDTH / 2.0)) y="36" text-anchor="middle" { "No values" } };
        (60.0, nothing)
    })
}

/// What the chart shows, for those who do not see it.
fn describe(plot: &Plot) -> String {
    let mut parts: Vec<String> = Vec::new();
    match plot {
        Plot::Lines { x, y, series } => {
            parts.push(format!("Lines: {} by {}", y.label, x.label));
            for line in series {
                let mut drawn = (line.points.iter())
                    .filter(|(at, value)| x.scale.admits(*at) && y.scale.admits(value.value));
                let words = |&(at, value): &(f64, Estimate)| {
                    format!("{} at {}", y.scale.words(value.value), x.scale.words(at))
                };
                parts.push(match (drawn.next(), drawn.next_back()) {
                    (None, _) => format!("{}: no values", line.name),
                    (Some(only), None) => format!("{}: {}", line.name, words(only)),
                    (Some(first), Some(last)) => {
                        format!("{}: from {} to {}", line.name, words(first), words(last))
                    }
                });
            }
        }
        Plot::Bars {
            x,
            categories,
            series,
        } => {
            parts.push(format!("Bars: {}", x.label));
            for (row, category) in categories.iter().enumerate() {
                for bars in series {
                    if let Some(value) = bars.values[row].filter(|v| x.scale.admits(v.value)) {
                        let words = with_interval(&x.scale, value);
                        parts.push(format!("{category}, {}: {words}", bars.name));
                    }
                }
            }
        }
        Plot::Forest { x, reference, rows } => {
            let line = x.scale.words(*reference);
            parts.push(format!(
                "Measured and published against {line}: {}",
                x.label
            ));
            for row in rows {
                let measured = row.measured.filter(|v| x.scale.admits(v.value));
                let published = row.published.filter(|v| x.scale.admits(*v));
                let words = |value: Option<String>| value.unwrap_or_else(|| "nothing".to_owned());
                parts.push(format!(
                    "{}: measured {}, published {}",
                    row.label,
                    words(measured.map(|v| with_interval(&x.scale, v))),
                    words(published.map(|v| x.scale.words(v))),
                ));
            }
        }
    }
    parts.join(". ") + "."
}

fn with_interval(scale: &Scale, estimate: Estimate) -> String {
    let value = scale.words(estimate.value);
    match interval(scale, estimate) {
        Some((low, high)) => format!("{value} ({} to {})", scale.words(low), scale.words(high)),
        None => value,
    }
}

/// The interval, where both its ends can be drawn.
fn interval(scale: &Scale, estimate: Estimate) -> Option<(f64, f64)> {
    let both = |&(low, high): &(f64, f64)| scale.admits(low) && scale.admits(high);
    estimate.interval.filter(both)
}

/// All that a ruler has to cover of an estimate.
fn extent(scale: &Scale, estimate: Estimate) -> impl Iterator<Item = f64> + use<> {
    let ends = interval(scale, estimate).map(|(low, high)| [low, high]);
    let values = [estimate.value]
        .into_iter()
        .chain(ends.into_iter().flatten());
    let drawn = scale.admits(estimate.value);
    values.filter(move |_| drawn)
}

/// A coordinate: a tenth is less than what is seen, and the same text on every machine.
fn px(value: f64) -> String {
    let text = format!("{value:.1}");
    let short = text.strip_suffix(".0").unwrap_or(&text);
    if short == "-0" { "0" } else { short }.to_owned()
}

/// XML has no place for control characters, however they are written.
fn printable(text: &str) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    text.chars()
        .filter(|c| !matches!(c, '\u{fffe}' | '\u{ffff}'))
        .map(visible)
        .collect()
}

/// As much of a label as fits into `width`.
fn label(text: &str, width: f64) -> String {
    let text = printable(text);
    let letters = (width / LETTER) as usize;
    if text.chars().count() <= letters {
        return text;
    }
    let start: String = text.chars().take(letters.saturating_sub(1)).collect();
    format!("{}…", start.trim_end())
}

/// The marker of the `style`-th series: circle, square, triangle, diamond, and the last two over.
fn marker(style: usize, x: f64, y: f64) -> Markup {
    let at = format!("M{} {}", px(x), px(y));
    let shape = match style % STYLES {
        0 => "m-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0z",
        1 => "m-3 -3h6v6h-6z",
        2 => "m0 -4.2l4 7.2h-8z",
        3 => "m0 -4.5l4.5 4.5l-4.5 4.5l-4.5 -4.5z",
        4 => "m0 4.2l4 -7.2h-8z",
        _ => "m-1.2 -4h2.4v2.8h2.8v2.4h-2.8v2.8h-2.4v-2.8h-2.8v-2.4h2.8z",
    };
    html! { path .mark d={ (at) (shape) } {} }
}

/// The class of the `index`-th series.
fn style(index: usize) -> String {
    format!("s{}", index % STYLES)
}

/// What stands for each series, in as many lines as it takes; and how high they are. `sample` draws
/// 30 wide around the point it is given.
fn legend(names: &[&str], sample: impl Fn(usize, f64, f64) -> Markup) -> (f64, Markup) {
    const LINE: f64 = 22.0;
    let (mut x, mut y) = (0.0, 14.0);
    let mut items = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let name = label(name, WIDTH - 48.0);
        let width = 58.0 + LETTER * name.chars().count() as f64;
        if x > 0.0 && x + width > WIDTH {
            (x, y) = (0.0, y + LINE);
        }
        items.push(html! {
            g class=(style(index)) { (sample(index, x + 15.0, y - 5.0)) }
            text x=(px(x + 38.0)) y=(px(y)) { (name) }
        });
        x += width;
    }
    let height = if names.is_empty() { 0.0 } else { y + 12.0 };
    (height, html! { @for item in &items { (item) } })
}
