//! What all sections come to: published and measured effects, and judgements, in a table and a plot.

use super::model::{Axis, Chart, Effect, ForestRow, Judgement, Page, Plot, Scale, Section, Unit};
use super::words;

/// Stands where there is nothing to say.
pub(super) const NOTHING: &str = "–";

/// Of the table.
pub(super) const CAPTION: &str =
    "Each experiment, as published and as measured: errors in percentage points";

/// The columns between an experiment's name and its judgement.
pub(super) fn columns(page: &Page) -> [&str; 4] {
    ["Effect", "Published", "Measured", &page.interval]
}

/// One row for each effect of a section, and one where it has none.
pub(super) fn rows(section: &Section) -> Vec<[String; 4]> {
    if section.effects.is_empty() {
        return vec![[NOTHING; 4].map(str::to_owned)];
    }
    section.effects.iter().map(row).collect()
}

fn row(effect: &Effect) -> [String; 4] {
    let number = |value: f64| match effect.unit {
        Unit::Points => words::difference(value, 2),
        Unit::Times => format!("{}\u{a0}×", words::number(value, 2)),
    };
    let published = effect.published.as_ref();
    let measured = effect
        .measured
        .filter(|measured| measured.value.is_finite());
    let interval = measured.and_then(|measured| measured.interval);
    let or_nothing = |text: Option<String>| text.unwrap_or_else(|| NOTHING.to_owned());
    [
        effect.name.clone(),
        or_nothing(published.map(|published| published.words.clone())),
        or_nothing(measured.map(|measured| number(measured.value))),
        or_nothing(interval.map(|(low, high)| format!("{} to {}", number(low), number(high)))),
    ]
}

/// What is said of a section's claim; nothing of one that claims nothing.
pub(super) fn judgement(section: &Section) -> Option<Judgement> {
    section.verdict.as_ref().map(|verdict| verdict.judgement)
}

/// How often each judgement is given, as a sentence.
pub(super) fn tally(page: &Page) -> String {
    let counts = Judgement::ALL.map(|judgement| {
        let given = page
            .sections
            .iter()
            .filter(|s| self::judgement(s) == Some(judgement));
        (given.count(), judgement)
    });
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let counts: Vec<_> = counts
        .map(|(count, judgement)| format!("{count} {}", judgement.words()))
        .collect();
    let experiments = match page.sections.len() {
        1 => "1 experiment".to_owned(),
        many => format!("{many} experiments"),
    };
    match counts.as_slice() {
        [] => format!("{experiments}."),
        counts => format!("{experiments}: {}.", counts.join(", ")),
    }
}

/// The effects in percentage points, measured beside published; `None` if there are none.
pub(super) fn forest(page: &Page) -> Option<Chart> {
    let effects = page.sections.iter().flat_map(|section| {
        let effects = section.effects.iter();
        effects.map(move |effect| (section, effect))
    });
    let rows: Vec<_> = effects
        .filter(|(_, effect)| effect.unit == Unit::Points)
        .map(|(section, effect)| ForestRow {
            label: format!("{}: {}", section.title, effect.name),
            measured: effect.measured,
            published: effect.published.as_ref().map(|published| published.value),
        })
        .collect();
    (!rows.is_empty()).then(|| Chart {
        caption: format!(
            "What each idea changes in the error: measured, with {}, beside published",
            page.interval
        ),
        plot: Plot::Forest {
            x: Axis {
                label: "percentage points of error; left of the line is better".to_owned(),
                scale: Scale::Linear,
            },
            reference: 0.0,
            rows,
        },
    })
}
