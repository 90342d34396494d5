//! Trained networks measured on the validation pictures: with ten views, or several as one.

use std::path::Path;

use serde::Serialize;
use tandem_alexnet::checkpoint::LAST;
use tandem_alexnet::ensemble::Votes;
use tandem_alexnet::evaluation::{Evaluation, predict};
use tandem_alexnet::metrics::METRICS;
use tandem_alexnet::trained::Trained;
use tandem_data::{Form, LoaderOptions, Share, Views};

use crate::error::ReproduceError;
use crate::execute::{Means, read};
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

/// Measures and writes the line. Every member's weights are its last: the best were chosen by these
/// very pictures.
pub(crate) fn measure(
    measurement: &Measurement,
    plan: &Plan,
    study: &Study,
    means: &Means,
) -> Result<(), ReproduceError> {
    let mut votes: Option<Votes> = None;
    let mut step = None;
    for (arm, seed) in &measurement.members {
        let run = plan
            .runs
            .iter()
            .find(|run| run.arm == *arm && run.seed == *seed);
        let run = run.expect("a plan trains what it measures");
        let weights = study.path().join(folder(arm, *seed)).join(LAST);
        if !weights.exists() {
            // It diverged: a measurement with a part of its members would be another.
            return Ok(());
        }
        let trained = Trained::read(&weights, &means.devices)?;
        let mut config = run.config.clone();
        // Only the validation pictures are looked at.
        config.train_pictures = Some(1);
        config.measure_training = None;
        let pictures = read(&config, &means.places)?.validation;
        let votes = match &mut votes {
            Some(votes) => votes,
            None => votes.insert(Votes::on(&pictures)?),
        };
        step.get_or_insert(trained.step);
        let mut rows = vec![Vec::new(); pictures.len()];
        let options = LoaderOptions {
            batch: config.batch,
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
        let Trained {
            network, normalise, ..
        } = &trained;
        predict(
            network,
            &pictures,
            normalise,
            views,
            options,
            |index, row| {
                rows[index] = row;
                Ok::<_, ReproduceError>(())
            },
        )?;
        votes.add(rows);
    }
    let Some(ensemble) = votes.and_then(|votes| votes.result()) else {
        return Ok(());
    };
    let member = |(arm, seed): &(String, u64)| format!("{arm}/{seed}");
    let errors = |of: fn(&Evaluation) -> f64| ensemble.members.iter().map(of).collect();
    let line = Line {
        step: step.unwrap_or(0),
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
