//! From the logs of a study to its page. Every number is from a `metrics.jsonl`.

mod effect;
mod ensemble;
mod fit;
mod race;
mod results;
mod runs;
mod tables;

use std::path::{Path, PathBuf};
use std::time::Duration;

use results::Results;

use crate::error::ReproduceError;
use crate::experiment::{self, Experiment};
use crate::page::{self, Block, Files, Judgement, Page, Section, Verdict, words};
use crate::study::{About, Study};

/// Writes the report of `study` into its folder, and gives the path of the page.
///
/// # Errors
///
/// When a log cannot be read, or the report not written.
pub fn write(study: &Study) -> Result<PathBuf, ReproduceError> {
    for (name, bytes) in files(study)? {
        study.write(Path::new(&name), &bytes)?;
    }
    Ok(study.path().join("index.html"))
}

/// The report of `study` as the files to write: the same bytes for the same logs.
///
/// # Errors
///
/// When a log cannot be read.
pub fn files(study: &Study) -> Result<Files, ReproduceError> {
    let about = study.about()?;
    let results = Results::read(study)?;
    Ok(page::render(&page(&about, &results)?)?)
}

fn page(about: &About, results: &Results) -> Result<Page, ReproduceError> {
    let wanted = |experiment: &Experiment| {
        let asked = about.experiments.iter();
        asked
            .clone()
            .any(|name| name == "all" || name == experiment.name)
    };
    let sections = experiment::named("all")?
        .into_iter()
        .filter(wanted)
        .map(|experiment| section(&experiment, results))
        .collect();
    let data = match &about.second {
        Some(second) => format!("{}; second set {second}", about.data),
        None => about.data.clone(),
    };
    let size = match about.quick {
        true => "quick: few pictures, short runs; differences of a point are within the noise",
        false => "full",
    };
    let size = match about.settings.as_slice() {
        [] => size.to_owned(),
        settings => format!("{size}; every run with {}", settings.join(", ")),
    };
    let fact = |name: &str, value: String| (name.to_owned(), value);
    Ok(Page {
        title: "The paper's results, measured again".to_owned(),
        lead: vec![
            "Krizhevsky, Sutskever and Hinton's \"ImageNet Classification with Deep Convolutional \
             Neural Networks\" (2012) says what each of its ideas is worth. Here each is measured \
             again: a base network, and others that differ from it in one thing."
                .to_owned(),
            "The paper's figures are of ImageNet and of networks a hundred times as large. What is \
             asked here is whether an idea helps on the data at hand too, not whether it helps as \
             much. Errors are of the last epoch, on pictures that are not trained on; a difference is \
             the mean over seeds with the idea less that without it."
                .to_owned(),
        ],
        facts: vec![
            fact("Data", data),
            fact("Size", size),
            fact("Networks trained", results.networks().to_string()),
            fact("Training took", format!("{}, all networks added up", results.time())),
            fact("Hardware", about.made.hardware.clone()),
            fact("Begun", about.made.date.clone()),
            fact("Tandem", format!("{}, commit {}", about.made.version, about.made.commit)),
            fact("Command", about.made.command.clone()),
        ],
        interval: format!("{:.0}\u{a0}% interval", 100.0 * crate::interval::CONFIDENCE),
        sections,
    })
}

fn section(experiment: &Experiment, results: &Results) -> Section {
    let mut blocks: Vec<Block> = Vec::new();
    if !experiment.about.is_empty() {
        blocks.push(Block::Text(experiment.about.trim().to_owned()));
    }
    let mut effects = Vec::new();
    let mut verdicts = Vec::new();
    for effect in &experiment.effects {
        let (shown, verdict) = effect::judge(effect, experiment, results);
        effects.extend(shown);
        verdicts.extend(verdict);
    }
    if let Some(race) = &experiment.race {
        let (shown, verdict) = race::judge(race, experiment, results);
        effects.extend(shown);
        verdicts.push(verdict);
        blocks.extend(race::blocks(race, experiment, results));
    }
    if let Some(fit) = &experiment.fit {
        verdicts.push(fit::judge(fit, experiment, results));
        blocks.extend(fit::blocks(experiment, results));
    }
    if let Some(gain) = &experiment.ensemble {
        let (shown, verdict) = ensemble::judge(gain, experiment, results);
        effects.extend(shown);
        verdicts.push(verdict);
        blocks.extend(ensemble::blocks(gain, experiment, results));
    }
    blocks.extend(runs::blocks(experiment, results));
    blocks.extend(tables::blocks(experiment, results));
    blocks.extend(runs::settings(experiment, results));
    Section {
        id: experiment.name.to_owned(),
        title: experiment.title.clone(),
        paper: Some(experiment.paper.clone()),
        question: experiment.question.clone(),
        verdict: together(verdicts),
        effects,
        blocks,
    }
}

/// One verdict of several: that of all where they agree.
fn together(verdicts: Vec<Verdict>) -> Option<Verdict> {
    let first = verdicts.first()?.judgement;
    let measured = |verdict: &&Verdict| verdict.judgement != Judgement::NotMeasured;
    let confirmed = verdicts
        .iter()
        .any(|verdict| verdict.judgement == Judgement::Confirmed);
    let judgement = match verdicts.iter().all(|verdict| verdict.judgement == first) {
        true => first,
        false if confirmed => Judgement::Partly,
        // None is confirmed, and they differ: some are the other way round, some nothing can be said of.
        false => verdicts
            .iter()
            .filter(measured)
            .map(|verdict| verdict.judgement)
            .find(|judgement| *judgement == Judgement::NotOnThisData)
            .unwrap_or(Judgement::Undecided),
    };
    let words: Vec<String> = verdicts.into_iter().map(|verdict| verdict.words).collect();
    Some(Verdict {
        judgement,
        words: words.join(" "),
    })
}

/// `12.3 %`, of a share of one.
fn percent(share: f64) -> String {
    format!("{}\u{a0}%", words::number(100.0 * share, 2))
}

/// Hours, minutes, seconds: the two largest that are there.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

#[cfg(test)]
mod tests;
