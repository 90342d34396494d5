//! What averaging predictions is worth against the mean of the members.

use super::effect::points;
use super::percent;
use super::results::Results;
use crate::experiment::{Experiment, Gain};
use crate::interval::mean;
use crate::page::{
    Block, Column, Effect, Estimate, Judgement, Published, Table, Unit, Verdict, words,
};
use crate::plan::full_name;

/// The error of all together less the mean of the members', in points; the interval is that of the
/// members' mean.
fn gain(together: f64, members: &[f64]) -> Option<Estimate> {
    let mean = mean(members)?;
    let points = |member: f64| 100.0 * (together - member);
    Some(Estimate {
        value: points(mean.value),
        interval: mean.interval.map(|(low, high)| (points(high), points(low))),
    })
}

pub fn judge(gain_of: &Gain, experiment: &Experiment, results: &Results) -> (Vec<Effect>, Verdict) {
    let line = results.line(&full_name(experiment.name, &gain_of.of));
    let top1 = line.and_then(|line| gain(line.top1_error, &line.member_top1_errors));
    let top5 = line.and_then(|line| gain(line.top5_error?, &line.member_top5_errors));
    let effect = |name: &str, value: f64, measured| Effect {
        name: name.to_owned(),
        unit: Unit::Points,
        published: Some(Published {
            words: words::difference(value, 1),
            value,
        }),
        measured,
    };
    let effects = vec![
        effect("top-1 error", gain_of.top1, top1),
        effect("top-5 error", gain_of.top5, top5),
    ];
    let verdict = match top1 {
        None => Verdict {
            judgement: Judgement::NotMeasured,
            words: "Not measured.".to_owned(),
        },
        Some(gain) => {
            let below = gain.interval.is_some_and(|(_, high)| high < 0.0);
            Verdict {
                judgement: match (below, gain.value < 0.0) {
                    (true, _) => Judgement::Confirmed,
                    (false, true) => Judgement::Undecided,
                    (false, false) => Judgement::NotOnThisData,
                },
                words: format!(
                    "Together the networks have {} less the mean of each on its own.",
                    points(gain)
                ),
            }
        }
    };
    (effects, verdict)
}

pub fn blocks(gain: &Gain, experiment: &Experiment, results: &Results) -> Vec<Block> {
    let Some(line) = results.line(&full_name(experiment.name, &gain.of)) else {
        return Vec::new();
    };
    let members = line.member_top1_errors.iter().zip(&line.member_top5_errors);
    let mut rows: Vec<Vec<String>> = members
        .enumerate()
        .map(|(seed, (top1, top5))| vec![format!("seed {seed}"), percent(*top1), percent(*top5)])
        .collect();
    let average = |errors: &[f64]| mean(errors).map_or_else(String::new, |e| percent(e.value));
    rows.push(vec![
        "mean of the members".to_owned(),
        average(&line.member_top1_errors),
        average(&line.member_top5_errors),
    ]);
    rows.push(vec![
        "their probabilities averaged".to_owned(),
        percent(line.top1_error),
        line.top5_error.map_or_else(String::new, percent),
    ]);
    vec![Block::Table(Table {
        caption: "Members and together".to_owned(),
        columns: Column::words_then_numbers(&["Network", "top-1 error", "top-5 error"]),
        emphasis: Some(rows.len() - 1),
        rows,
        note: line.disagreement.map(|share| {
            format!(
                "For {} of the pictures the best guesses of the members are not all the same.",
                percent(share)
            )
        }),
    })]
}
