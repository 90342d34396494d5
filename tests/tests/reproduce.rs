//! `tandem reproduce`: a study survives kills and a second process, and its report is made of its logs.
#![cfg(unix)]

use std::fs;
use std::path::Path;
use std::time::Instant;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde_json::Value;
use tandem_tests::{Place, place};

/// What makes a network of a second or so.
const SMALL: &str = "--quick --data fashion --threads 1 --set epochs=3 --set train_pictures=120 --set measure_training=40 --out";
/// What `reproduce lrn` trains.
const RUNS: [&str; 4] = ["base/0", "base/1", "lrn/without/0", "lrn/without/1"];

fn small<'a>(experiment: &'a str, out: &'a str) -> impl Iterator<Item = &'a str> {
    let command = ["reproduce", experiment].into_iter();
    command.chain(SMALL.split(' ')).chain([out])
}

fn lrn(out: &str) -> impl Iterator<Item = &str> {
    small("lrn", out)
}

/// The log of a run, but for what it took.
fn log(place: &Place, study: &str, run: &str) -> Vec<Value> {
    let text = place.text(format!("{study}/runs/{run}/metrics.jsonl"));
    text.lines()
        .map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            for taken in ["seconds", "since"] {
                line.as_object_mut().unwrap().remove(taken);
            }
            line
        })
        .collect()
}

#[track_caller]
fn is_that_of(place: &Place, study: &str, whole: &str) {
    for run in RUNS {
        assert_eq!(log(place, study, run), log(place, whole, run), "{run}");
        let weights = |study: &str| place.read(format!("{study}/runs/{run}/last.safetensors"));
        assert!(weights(study) == weights(whole), "the weights of {run}");
    }
}

/// The runs that are done in `study`, and when their logs were last written.
fn done(place: &Place, study: &str) -> Vec<(&'static str, std::time::SystemTime)> {
    let ended = |run: &&'static str| {
        let log = place
            .path(study)
            .join("runs")
            .join(run)
            .join("metrics.jsonl");
        let text = fs::read_to_string(&log).unwrap_or_default();
        let whole = text.ends_with('\n') && text.contains("\"ended\"");
        whole.then(|| (*run, fs::metadata(&log).unwrap().modified().unwrap()))
    };
    RUNS.iter().filter_map(ended).collect()
}

#[test]
fn a_killed_study_goes_on_and_trains_nothing_twice() {
    let place = place!(240);
    let begun = Instant::now();
    place.tandem(lrn("whole")).succeeds();
    let took = begun.elapsed();
    let mut chance = ChaCha8Rng::seed_from_u64(6);
    let (mut kills, mut within) = (0, 0);
    while kills < 8 || within < 2 {
        let before = done(&place, "killed");
        let mut study = place.start(lrn("killed"));
        let wait = took.mul_f64(f64::from(chance.next_u32() % 1000) / 2000.0);
        let begun = Instant::now();
        study.wait_until("the moment", || begun.elapsed() >= wait);
        let killed = study.kill();
        kills += usize::from(killed);
        let after = done(&place, "killed");
        assert!(
            before.iter().all(|run| after.contains(run)),
            "{before:?} {after:?}"
        );
        within += usize::from(killed && !after.is_empty());
        if after.len() == RUNS.len() {
            // It came to its end: another one.
            place.tandem(lrn("killed")).succeeds();
            is_that_of(&place, "killed", "whole");
            fs::remove_dir_all(place.path("killed")).unwrap();
        }
    }
    place.tandem(lrn("killed")).succeeds();
    is_that_of(&place, "killed", "whole");
}

#[test]
fn two_processes_share_a_study() {
    let place = place!(240);
    place.tandem(lrn("alone")).succeeds();
    let both = [place.start(lrn("shared")), place.start(lrn("shared"))];
    let said: Vec<String> = both.map(|process| process.end().succeeds().stderr).into();
    is_that_of(&place, "shared", "alone");
    for run in RUNS {
        let (arm, seed) = run.rsplit_once('/').unwrap();
        let words = format!("{arm}, seed {seed}: done");
        let times: usize = said.iter().map(|said| said.matches(&words).count()).sum();
        assert_eq!(times, 1, "{words}");
    }
}

#[test]
fn several_networks_at_a_time_are_those_of_one_after_the_other() {
    let place = place!(240);
    place.tandem(lrn("one")).succeeds();
    place.tandem(lrn("two").chain(["--jobs", "2"])).succeeds();
    is_that_of(&place, "two", "one");
}

#[test]
fn the_report_is_made_of_the_logs_alone() {
    let place = place!(240);
    place.tandem(lrn("study")).succeeds();
    let [page, twin] = ["index.html", "README.md"].map(|name| place.text(format!("study/{name}")));
    assert!(page.contains("Local response normalisation"));
    // The logs, elsewhere, without the weights.
    for file in
        ["study.toml".to_owned()]
            .into_iter()
            .chain(RUNS.iter().flat_map(|run| {
                ["config.toml", "metrics.jsonl"].map(|name| format!("runs/{run}/{name}"))
            }))
    {
        place.write(
            Path::new("logs").join(&file),
            place.read(format!("study/{file}")),
        );
    }
    let report = ["reproduce", "lrn", "--report", "--out", "logs"];
    place.tandem(report).succeeds();
    assert_eq!(place.text("logs/index.html"), page);
    assert_eq!(place.text("logs/README.md"), twin);
    // An error in a log that is another is another on the page.
    let log = "logs/runs/lrn/without/0/metrics.jsonl";
    let other = place
        .text(log)
        .replace("\"top1_error\":", "\"top1_error\":0.0,\"was\":");
    place.write(log, other);
    place.tandem(report).succeeds();
    assert_ne!(place.text("logs/index.html"), page);
}

#[test]
fn a_network_that_diverged_is_measured_with_no_other() {
    let place = place!(240);
    let views = || small("views", "views");
    place.tandem(views()).succeeds();
    let measured = |seed| format!("views/measured/views/ten/{seed}/metrics.jsonl");
    for seed in [0, 1] {
        assert!(place.text(measured(seed)).contains("\"views\":10"));
        fs::remove_file(place.path(measured(seed))).unwrap();
    }
    let log = "views/runs/base/0/metrics.jsonl";
    let diverged = place.text(log).replace("\"done\"", "\"diverged\"");
    place.write(log, diverged);
    place.tandem(views()).succeeds();
    assert!(!place.path(measured(0)).exists());
    assert!(place.path(measured(1)).exists());
}

#[test]
fn a_plan_says_what_it_costs_and_makes_nothing() {
    let place = place!(240);
    let before = place.names(".");
    let plan = place.tandem(lrn("study").chain(["--plan"])).succeeds();
    assert!(
        plan.stdout.contains("4 networks") && plan.stdout.contains("lrn/without"),
        "{plan:?}"
    );
    assert_eq!(place.names("."), before);
}

#[test]
fn what_cannot_be_measured_is_refused_before_anything_is_trained() {
    let place = place!(240);
    let usage = |args: &str, says: &[&str]| place.refuses(2, args.split(' '), says);
    usage("reproduce lrm", &["lrm", "did you mean `lrn`"]);
    usage("reproduce lrn --seeds 1", &["--seeds 3", "interval"]);
    usage("reproduce star --quick", &["--second"]);
    let refuses = |args: &str, says: &[&str]| place.refuses(1, args.split(' '), says);
    refuses("reproduce lrn --data nowhere", &["nowhere"]);
    refuses("reproduce lrn --quick --data fashion", &["fashion", "240"]);
    for class in ["a", "b", "c"] {
        for part in ["train", "val"] {
            let picture = tandem_tests::picture(32, [80, 120, 160]);
            place.write(format!("three/{part}/{class}/1.png"), picture);
        }
    }
    refuses(
        "reproduce lrn --data three --set train_pictures=3",
        &["three", "3 classes", "top-5"],
    );
    refuses(
        "reproduce lrn --report --out nothing",
        &["nothing", "no study"],
    );
}
