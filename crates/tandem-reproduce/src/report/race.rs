//! Which kind of unit first learns its training pictures to a given error, and how small the gradients
//! of the early layers are in each.

use super::percent;
use super::results::Results;
use crate::experiment::{Experiment, Race};
use crate::interval::mean;
use crate::log::{Line, Log};
use crate::page::{
    Axis, Block, Chart, Column, Effect, Estimate, Judgement, Plot, Published, Scale, Series, Table,
    Unit, Verdict, words,
};
use crate::plan::full_name;

/// From here on "several times" is said.
const SEVERAL: f64 = 2.0;

/// Epochs until a network first has that training error, in part: between two ends of epochs the error
/// is taken to fall in a straight line.
fn epochs_to(log: &Log, error: f64) -> Option<f64> {
    let points = log
        .measured
        .iter()
        .filter_map(|line| Some((line.epoch, line.training_top1_error?)));
    let mut before = None;
    for (epoch, measured) in points {
        if measured <= error {
            return Some(match before {
                Some((from, above)) if above > measured => {
                    from + (epoch - from) * (above - error) / (above - measured)
                }
                _ => epoch,
            });
        }
        before = Some((epoch, measured));
    }
    None
}

/// Of each network of an arm; none of one that never did.
fn all(arm: &str, race: &Race, experiment: &Experiment, results: &Results) -> Vec<Option<f64>> {
    let logs = results.logs(&full_name(experiment.name, arm)).iter();
    let ended = logs.filter(|log| log.end.is_some());
    ended.map(|log| epochs_to(log, race.error)).collect()
}

/// The mean over seeds, where every network got there.
fn usual(arm: &str, race: &Race, experiment: &Experiment, results: &Results) -> Option<Estimate> {
    let all: Option<Vec<f64>> = all(arm, race, experiment, results).into_iter().collect();
    mean(&all?)
}

pub fn judge(race: &Race, experiment: &Experiment, results: &Results) -> (Vec<Effect>, Verdict) {
    let title = |arm: &str| {
        let found = experiment.arms.iter().find(|there| there.name == *arm);
        found.map_or_else(|| arm.to_owned(), |arm| arm.title.clone())
    };
    let reached: Vec<(String, usize, Option<Estimate>)> = race
        .order
        .iter()
        .map(|arm| {
            let networks = all(arm, race, experiment, results).len();
            (title(arm), networks, usual(arm, race, experiment, results))
        })
        .collect();
    let mut effects = Vec::new();
    if let [(first, _, Some(a)), (second, _, Some(b)), ..] = reached.as_slice() {
        effects.push(Effect {
            name: format!("epochs of {second} over {first}"),
            unit: Unit::Times,
            published: Some(Published {
                words: format!("{}\u{a0}×", words::number(race.published, 0)),
                value: race.published,
            }),
            measured: Some((b.value / a.value).into()),
        });
    }
    if reached.iter().any(|(_, networks, _)| *networks == 0) {
        let nothing = Verdict {
            judgement: Judgement::NotMeasured,
            words: "Not every kind of unit was measured.".to_owned(),
        };
        return (effects, nothing);
    }
    // An arm that never got there is the slowest.
    let value = |of: &Option<Estimate>| of.map_or(f64::INFINITY, |estimate| estimate.value);
    let ordered = reached.is_sorted_by(|a, b| value(&a.2) < value(&b.2));
    let first = reached.first().is_some_and(|(_, _, first)| {
        reached[1..]
            .iter()
            .all(|(_, _, other)| value(first) < value(other))
    });
    // The claim is of several times, not of a little.
    let times = match reached.as_slice() {
        [(_, _, a), (_, _, b), ..] => value(b) / value(a),
        _ => 0.0,
    };
    let judgement = match (ordered && times >= SEVERAL, first) {
        (true, _) => Judgement::Confirmed,
        (false, true) => Judgement::Partly,
        (false, false) => Judgement::NotOnThisData,
    };
    let told = reached.iter().map(|(title, _, epochs)| match epochs {
        Some(epochs) => format!("{title} after {} epochs", words::number(epochs.value, 1)),
        None => format!("{title} not within its run"),
    });
    let told: Vec<String> = told.collect();
    let verdict = Verdict {
        judgement,
        words: format!(
            "A training error of {} is reached by {}.",
            percent(race.error),
            told.join(", ")
        ),
    };
    (effects, verdict)
}

pub fn blocks(race: &Race, experiment: &Experiment, results: &Results) -> Vec<Block> {
    let arms = || {
        experiment
            .arms
            .iter()
            .map(|arm| (arm, full_name(experiment.name, &arm.name)))
    };
    let columns = ["Units", "epochs", "interval", "rate", "networks"];
    let rows = arms().map(|(arm, name)| {
        let networks = all(&arm.name, race, experiment, results);
        let epochs = usual(&arm.name, race, experiment, results);
        let got = networks.iter().flatten().count();
        vec![
            arm.title.clone(),
            match epochs {
                Some(epochs) => words::number(epochs.value, 2),
                None if networks.is_empty() => String::new(),
                None => format!("{got} of {} got there", networks.len()),
            },
            epochs
                .and_then(|epochs| epochs.interval)
                .map_or_else(String::new, |(low, high)| {
                    format!("{} to {}", words::number(low, 2), words::number(high, 2))
                }),
            results
                .config(&name)
                .map_or_else(String::new, |config| config.rate.initial.to_string()),
            networks.len().to_string(),
        ]
    });
    let table = Table {
        caption: format!("Epochs to a training error of {}", percent(race.error)),
        columns: Column::words_then_numbers(&columns),
        rows: rows.collect(),
        emphasis: None,
        note: None,
    };
    let curves = arms().map(|(arm, name)| Series {
        name: arm.title.clone(),
        points: results.curve(&name, |line| line.training_top1_error),
    });
    let error = Chart {
        caption: "Training error by epoch, as the paper's Figure 1".to_owned(),
        plot: Plot::Lines {
            x: axis("epoch", Scale::Linear),
            y: axis("training error", Scale::Percent),
            series: curves.collect(),
        },
    };
    let mut blocks = vec![Block::Table(table), Block::Chart(error)];
    blocks.extend(gradients(experiment, results));
    blocks
}

/// The mean |gradient| of each layer's weights after the first epoch: where units saturate it dwindles
/// from the last layer to the first.
fn gradients(experiment: &Experiment, results: &Results) -> Option<Block> {
    let mut layers: Vec<String> = Vec::new();
    let mut series = Vec::new();
    for arm in &experiment.arms {
        let name = full_name(experiment.name, &arm.name);
        let first: Vec<&Line> = results
            .logs(&name)
            .iter()
            .filter_map(|log| log.measured.first())
            .collect();
        let weights = |line: &&Line| -> Vec<(String, f64)> {
            let all = line.parameters.iter();
            let weights = all.filter_map(|(name, magnitude)| {
                Some((
                    name.strip_suffix(".weight")?.to_owned(),
                    magnitude.mean_abs_gradient?,
                ))
            });
            // By name, which is their order: conv1 … fc6.
            weights.collect()
        };
        let seeds: Vec<Vec<(String, f64)>> = first.iter().map(weights).collect();
        let Some(names) = seeds.first() else { continue };
        layers = names.iter().map(|(name, _)| name.clone()).collect();
        let points = (0..layers.len()).filter_map(|layer| {
            let values = seeds.iter().filter_map(|seed| Some(seed.get(layer)?.1));
            Some((
                layer as f64,
                mean(&values.collect::<Vec<_>>())?.value.into(),
            ))
        });
        series.push(Series {
            name: arm.title.clone(),
            points: points.collect(),
        });
    }
    if series.is_empty() {
        return None;
    }
    Some(Block::Chart(Chart {
        caption: "Mean magnitude of the gradient by layer, last step of the first epoch".to_owned(),
        plot: Plot::Lines {
            x: axis("layer", Scale::Named(layers)),
            y: axis("mean |gradient|", Scale::Logarithmic),
            series,
        },
    }))
}

fn axis(label: &str, scale: Scale) -> Axis {
    Axis {
        label: label.to_owned(),
        scale,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(errors: &[f64]) -> Log {
        let line = |(epoch, error): (usize, &f64)| {
            let text = format!(
                "{{\"epoch\":{},\"top1_error\":0.5,\"training_top1_error\":{error}}}",
                epoch + 1
            );
            serde_json::from_str(&text).unwrap()
        };
        Log {
            measured: errors.iter().enumerate().map(line).collect(),
            end: None,
        }
    }

    #[test]
    fn the_moment_is_found_between_two_epochs() {
        assert_eq!(epochs_to(&log(&[0.5, 0.3, 0.1]), 0.2), Some(2.5));
        assert_eq!(epochs_to(&log(&[0.1]), 0.2), Some(1.0));
        assert_eq!(epochs_to(&log(&[0.5, 0.3]), 0.2), None);
    }
}
