//! Trained networks measured on the validation pictures: with ten views, or several as one.

use std::path::Path;

use serde::Serialize;
use tandem_alexnet::checkpoint::LAST;
use tandem_alexnet::ensemble::ask;
use tandem_alexnet::evaluation::Evaluation;
use tandem_alexnet::metrics::METRICS;
use tandem_alexnet::trained::Trained;
use tandem_data::{Form, LoaderOptions, Share, Views};

use crate::error::ReproduceError;
use crate::execute::{Means, validation};
use crate::log::{Ended, Log};
use crate::plan::{Measurement, Plan, folder};
use crate::study::Study;

/// The one line of a measurement's `metrics.jsonl`.
#[derive(Serialize)]
struct Line {
    /// Updates that the first member has had.
    step: u64,
    views: usize,
    #[serde(flatten)]
    together: Evaluation,
    /// Arm and seed of each.
    members: Vec<String>,
    member_top1_errors: Vec<f64>,
    member_top5_errors: Vec<f64>,
    disagreement: f64,
    pairwise_disagreement: f64,
}

/// Measures and writes the line, unless a member diverged. Every member's weights are its last: the best
/// were chosen by these very pictures.
pub(crate) fn measure(
    measurement: &Measurement,
    plan: &Plan,
    study: &Study,
    means: &Means,
) -> Result<(), ReproduceError> {
    let folders = measurement.members.iter();
    let folders = folders.map(|(arm, seed)| study.path().join(folder(arm, *seed)));
    let mut steps = Vec::new();
    let mut weights = Vec::new();
    for folder in folders {
        match Log::read(&folder)?.end {
            Some(end) if end.ended == Ended::Done => steps.push(end.step),
            // A measurement with a part of its members would be another.
            _ => return Ok(()),
        }
        weights.push(folder.join(LAST));
    }
    let (arm, seed) = &measurement.members[0];
    let first = plan
        .runs
        .iter()
        .find(|run| run.arm == *arm && run.seed == *seed);
    let run = first.expect("a plan trains what it measures");
    let set = validation(&run.config, &means.places)?;
    let options = LoaderOptions {
        batch: run.config.batch,
        threads: 1,
        prefetch: 2,
        seed: 0,
        form: Form::Values,
        share: Share::WHOLE,
    };
    let views = match measurement.views {
        1 => Views::Centre,
        _ => Views::Ten,
    };
    let members = weights.iter();
    let members = members.map(|file| Trained::read(file, &means.devices));
    let asked = ask(members, &set, views, options, || ())?;
    let Some(ensemble) = asked else {
        return Ok(());
    };
    let member = |(arm, seed): &(String, u64)| format!("{arm}/{seed}");
    let errors = |of: fn(&Evaluation) -> f64| ensemble.members.iter().map(of).collect();
    let line = Line {
        step: steps[0],
        views: measurement.views,
        together: ensemble.together,
        members: measurement.members.iter().map(member).collect(),
        member_top1_errors: errors(|member| member.top1_error),
        member_top5_errors: errors(|member| member.top5_error),
        disagreement: ensemble.disagreement,
        pairwise_disagreement: ensemble.pairwise_disagreement,
    };
    let text = serde_json::to_string(&line).expect("a flat structure is JSON") + "\n";
    let file = Path::new(&measurement.folder()).join(METRICS);
    study.write(&file, text.as_bytes())
}
