//! Reports of studies whose logs are written here by hand.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::plan::Asked;
use crate::study::Made;

/// A study with the errors given, in per cent, of each arm's seeds.
fn study(experiment: &str, arms: &[(&str, &[f64])]) -> (TempDir, Study) {
    let folder = tempfile::tempdir().unwrap();
    let asked = Asked {
        experiment: experiment.to_owned(),
        data: "builtin".to_owned(),
        second: None,
        quick: true,
        seeds: None,
        settings: Vec::new(),
    };
    let word = |word: &str| word.to_owned();
    let made = Made {
        command: word("tandem reproduce"),
        version: word("1"),
        commit: word("abc"),
        date: word("2012-12-03"),
        hardware: word("two GPUs"),
    };
    let study = Study::open(folder.path(), &asked, 3, made).unwrap();
    for (arm, errors) in arms {
        for (seed, error) in errors.iter().enumerate() {
            let error = error / 100.0;
            let run = [
                format!(
                    "{{\"step\":9,\"epoch\":1,\"top1_error\":{error},\"top5_error\":0.01,\"training_top1_error\":{error}}}"
                ),
                "{\"step\":9,\"ended\":\"done\",\"seconds\":60.0}".to_owned(),
            ];
            log(&study, &format!("runs/{arm}/{seed}"), &run);
        }
    }
    (folder, study)
}

fn log(study: &Study, folder: &str, lines: &[String]) {
    let folder = study.path().join(folder);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("metrics.jsonl"), lines.join("\n") + "\n").unwrap();
}

fn section_of(study: &Study, experiment: &str) -> Section {
    let results = Results::read(study).unwrap();
    let page = page(&study.about().unwrap(), &results).unwrap();
    let mut sections = page.sections.into_iter();
    sections.find(|section| section.id == experiment).unwrap()
}

fn verdict(experiment: &str, arms: &[(&str, &[f64])]) -> Verdict {
    let (_folder, study) = study(experiment, arms);
    section_of(&study, experiment).verdict.unwrap()
}

#[test]
fn an_effect_whose_interval_is_below_zero_is_confirmed() {
    // Means of 10 and 12, both with variance 0.01: t(4) = 2.776 times sqrt(0.02 / 3).
    let arms: [(&str, &[f64]); 2] = [
        ("base", &[9.9, 10.0, 10.1]),
        ("lrn/without", &[11.9, 12.0, 12.1]),
    ];
    let found = verdict("lrn", &arms);
    assert_eq!(found.judgement, Judgement::Confirmed);
    assert!(
        found.words.contains("−2.00 points (−2.23 to −1.77)"),
        "{}",
        found.words
    );
}

#[test]
fn an_effect_the_other_way_round_is_said() {
    let arms: [(&str, &[f64]); 2] = [
        ("base", &[11.9, 12.0, 12.1]),
        ("lrn/without", &[9.9, 10.0, 10.1]),
    ];
    assert_eq!(verdict("lrn", &arms).judgement, Judgement::NotOnThisData);
}

#[test]
fn an_interval_over_zero_confirms_nothing() {
    let arms: [(&str, &[f64]); 2] = [
        ("base", &[9.0, 10.0, 11.0]),
        ("lrn/without", &[10.0, 10.5, 11.0]),
    ];
    assert_eq!(verdict("lrn", &arms).judgement, Judgement::Undecided);
}

#[test]
fn what_was_not_measured_is_not_judged() {
    let found = verdict("lrn", &[("base", &[10.0, 10.1])]);
    assert_eq!(found.judgement, Judgement::NotMeasured);
}

#[test]
fn a_run_that_diverged_is_counted_and_left_out() {
    let arms: [(&str, &[f64]); 2] = [
        ("base", &[9.9, 10.0, 10.1]),
        ("lrn/without", &[11.9, 12.0, 12.1]),
    ];
    let (_folder, study) = study("lrn", &arms);
    let lines = ["{\"step\":3,\"ended\":\"diverged\",\"seconds\":1.0}".to_owned()];
    log(&study, "runs/lrn/without/3", &lines);
    let section = section_of(&study, "lrn");
    let Some(Block::Table(table)) = section.blocks.first() else {
        panic!("{section:?}")
    };
    assert_eq!(table.rows[1].last().unwrap(), "3, 1 diverged");
    assert!(section.verdict.unwrap().words.contains("−2.00 points"));
}

#[test]
fn a_run_under_way_does_not_count_yet() {
    let (_folder, study) = study("lrn", &[("base", &[10.0, 10.2])]);
    let epoch = |epoch: u32| {
        format!("{{\"step\":{epoch},\"epoch\":{epoch},\"top1_error\":0.9,\"top5_error\":0.5}}")
    };
    log(&study, "runs/base/2", &[epoch(1), epoch(2)]);
    let results = Results::read(&study).unwrap();
    assert_eq!(results.errors("base", results::Top::One).len(), 2);
}

#[test]
fn the_page_says_with_what_it_was_made_and_for_how_long() {
    let (_folder, study) = study("lrn", &[("base", &[10.0, 10.2])]);
    let files = files(&study).unwrap();
    let twin = String::from_utf8(files["README.md"].clone()).unwrap();
    for words in ["two GPUs", "2012-12-03", "abc", "2 min 0 s"] {
        assert!(twin.contains(words), "{words}: {twin}");
    }
    assert_eq!(super::files(&study).unwrap(), files, "the same bytes again");
}

#[test]
fn an_ensemble_is_set_against_the_mean_of_its_members() {
    let (_folder, study) = study("ensemble", &[("base", &[10.0, 11.0])]);
    let line = "{\"step\":9,\"top1_error\":0.08,\"top5_error\":0.01,\"member_top1_errors\":[0.1,0.11,0.105],\
                \"member_top5_errors\":[0.02,0.02,0.02],\"disagreement\":0.2}";
    log(&study, "measured/ensemble/five", &[line.to_owned()]);
    let section = section_of(&study, "ensemble");
    let verdict = section.verdict.unwrap();
    assert_eq!(verdict.judgement, Judgement::Confirmed);
    assert!(verdict.words.contains("−2.50 points"), "{}", verdict.words);
}

#[test]
fn baselines_stand_in_the_tables() {
    let (_folder, study) = study("baselines", &[]);
    let line =
        "{\"step\":60000,\"epoch\":1,\"top1_error\":0.0709,\"top5_error\":0.0099,\"seconds\":542}";
    log(&study, "baselines/sift-fisher/0", &[line.to_owned()]);
    let section = section_of(&study, "baselines");
    let cells: Vec<String> = section
        .blocks
        .iter()
        .filter_map(|block| match block {
            Block::Table(table) => Some(table.rows.concat()),
            _ => None,
        })
        .flatten()
        .collect();
    assert!(cells.contains(&"7.09\u{a0}%".to_owned()), "{cells:?}");
    assert!(cells.contains(&"not measured".to_owned()), "{cells:?}");
}

/// Training errors by epoch of one network, per cent.
fn race(arms: &[(&str, &[f64])]) -> Verdict {
    let (_folder, study) = study("activations", &[]);
    for (arm, errors) in arms {
        let line = |(epoch, error): (usize, &f64)| {
            format!(
                "{{\"step\":9,\"epoch\":{},\"top1_error\":0.5,\"training_top1_error\":{}}}",
                epoch + 1,
                error / 100.0
            )
        };
        let mut lines: Vec<String> = errors.iter().enumerate().map(line).collect();
        lines.push("{\"step\":9,\"ended\":\"done\",\"seconds\":1.0}".to_owned());
        log(&study, &format!("runs/activations/{arm}/0"), &lines);
    }
    section_of(&study, "activations").verdict.unwrap()
}

#[test]
fn a_race_is_won_only_by_several_times() {
    let slow: (&str, &[f64]) = ("sigmoid", &[90.0; 6]);
    let relu: (&str, &[f64]) = ("relu", &[30.0, 10.0]);
    let tanh: (&str, &[f64]) = ("tanh", &[40.0, 30.0, 20.0, 18.0, 14.0]);
    let found = race(&[relu, tanh, slow]);
    assert_eq!(found.judgement, Judgement::Confirmed);
    assert!(
        found.words.contains("sigmoid not within its run"),
        "{}",
        found.words
    );
    let close: (&str, &[f64]) = ("tanh", &[30.0, 20.0, 10.0]);
    assert_eq!(race(&[relu, close, slow]).judgement, Judgement::Partly);
    let ahead: (&str, &[f64]) = ("tanh", &[10.0]);
    assert_eq!(
        race(&[relu, ahead, slow]).judgement,
        Judgement::NotOnThisData
    );
}
