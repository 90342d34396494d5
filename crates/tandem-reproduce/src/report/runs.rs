//! The runs behind an experiment: errors of each arm over its seeds, curves, and what they were told.

use super::percent;
use super::results::{Results, Top};
use crate::experiment::{ErrorOf, Experiment};
use crate::interval::mean;
use crate::page::{Axis, Block, Chart, Column, Plot, Scale, Series, Table, words};
use crate::plan::{BASE, full_name};

/// Names and titles of what is compared: the base first where it is a side of an effect.
fn compared(experiment: &Experiment) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let sides = experiment
        .effects
        .iter()
        .flat_map(|effect| [&effect.with, &effect.without]);
    let base = sides.chain(
        experiment
            .measures
            .iter()
            .filter_map(|measure| measure.of.as_ref()),
    );
    if base.into_iter().any(|name| name == BASE) {
        all.push((BASE.to_owned(), "the base".to_owned()));
    }
    for arm in &experiment.arms {
        all.push((full_name(experiment.name, &arm.name), arm.title.clone()));
    }
    // Measures of tables stand in the tables.
    if experiment.tables.is_empty() && experiment.ensemble.is_none() {
        for measure in &experiment.measures {
            all.push((
                full_name(experiment.name, &measure.name),
                measure.title.clone(),
            ));
        }
    }
    all
}

pub fn blocks(experiment: &Experiment, results: &Results) -> Vec<Block> {
    let all = compared(experiment);
    // A race or a fit has its own table and curves.
    if all.is_empty() || experiment.race.is_some() || experiment.fit.is_some() {
        return Vec::new();
    }
    let rows = all.iter().map(|(name, title)| {
        let cell = |errors: Vec<f64>| match mean(&errors) {
            Some(estimate) => match estimate.interval {
                Some((low, _)) => format!(
                    "{} ± {}",
                    percent(estimate.value),
                    words::number(100.0 * (estimate.value - low), 2)
                ),
                None => percent(estimate.value),
            },
            None => String::new(),
        };
        let networks = results.errors(name, Top::One).len();
        let diverged = results.diverged(name);
        vec![
            title.clone(),
            cell(results.errors(name, Top::One)),
            cell(results.errors(name, Top::Five)),
            cell(results.errors_of(name, ErrorOf::Training)),
            match diverged {
                0 => networks.to_string(),
                some => format!("{networks}, {some} diverged"),
            },
        ]
    });
    let names = [
        "Networks",
        "top-1 error",
        "top-5 error",
        "training error",
        "seeds",
    ];
    let table = Table {
        caption: "Errors after the last epoch, mean over seeds".to_owned(),
        columns: Column::words_then_numbers(&names),
        rows: rows.collect(),
        emphasis: None,
        note: None,
    };
    let series = all.iter().map(|(name, title)| Series {
        name: title.clone(),
        points: results.curve(name, |line| Some(line.top1_error)),
    });
    // A measurement is a single moment.
    let series: Vec<Series> = series.filter(|series| series.points.len() > 1).collect();
    let mut blocks = vec![Block::Table(table)];
    if series.len() > 1 {
        blocks.push(Block::Chart(Chart {
            caption: "Top-1 error on the test pictures by epoch".to_owned(),
            plot: Plot::Lines {
                x: Axis {
                    label: "epoch".to_owned(),
                    scale: Scale::Linear,
                },
                y: Axis {
                    label: "top-1 error".to_owned(),
                    scale: Scale::Percent,
                },
                series,
            },
        }));
    }
    blocks
}

/// What the arms were told, whole, to be folded out.
pub fn settings(experiment: &Experiment, results: &Results) -> Vec<Block> {
    let mut blocks = Vec::new();
    for (name, title) in compared(experiment) {
        // The base's stands once, with what it is compared first.
        let shown = name != BASE || experiment.name == "lrn";
        if let Some(config) = results.config(&name).filter(|_| shown) {
            blocks.push(Block::Details {
                summary: format!("config.toml of {title} ({name}, first seed)"),
                text: config.to_toml(),
            });
        }
    }
    blocks
}
