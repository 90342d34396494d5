//! One process at a time trains in a run directory.
#![cfg(unix)]

use rustix::process::{Pid, Signal, kill_process};
use tandem_tests::{Running, place};

const TRAIN: &str = "train --model tiny.toml --data fashion --epochs 8 --batch 8 --threads 1 --out";

fn train(out: &str) -> impl Iterator<Item = &str> {
    TRAIN.split(' ').chain([out])
}

fn signal(running: &Running, signal: Signal) {
    let id = Pid::from_raw(running.id() as i32).expect("a process has a number");
    kill_process(id, signal).expect("the process is there");
}

#[test]
fn a_second_process_in_a_run_is_refused_and_does_not_disturb_the_first() {
    let place = place!(240);
    place.tandem(train("alone")).succeeds();

    let mut first = place.start(train("run"));
    assert!(first.wait_for_lines(&place.path("run"), 2));
    // Held still, so that it is under way for as long as the others try.
    signal(&first, Signal::STOP);
    place.refuses(
        1,
        ["train", "--resume", "run"],
        &["another process trains in run"],
    );
    place.refuses(
        1,
        train("run"),
        &["run holds another run", "--resume run", "another --out"],
    );
    signal(&first, Signal::CONT);
    first.end().succeeds();
    for file in ["last.safetensors", "best.safetensors", "metrics.jsonl"] {
        assert!(
            place.read(format!("run/{file}")) == place.read(format!("alone/{file}")),
            "{file} differs"
        );
    }
}

#[test]
fn a_process_that_was_killed_locks_nobody_out() {
    let place = place!(240);
    let mut first = place.start(train("run"));
    assert!(first.wait_for_lines(&place.path("run"), 2));
    first.kill();
    place.tandem(["train", "--resume", "run"]).succeeds();
}

#[test]
fn weights_are_measured_while_their_run_goes_on() {
    let place = place!(240);
    let mut run = place.start(train("run"));
    assert!(run.wait_until("weights", || place.holds("run/last.safetensors")));
    signal(&run, Signal::STOP);
    place
        .tandem(["eval", "--weights", "run", "--data", "fashion"])
        .succeeds();
    signal(&run, Signal::CONT);
    run.end().succeeds();
}

#[test]
fn runs_begun_at_the_same_moment_take_different_numbers() {
    let place = place!(16);
    let train = "train --model tiny.toml --data fashion --epochs 1 --threads 1";
    let runs: Vec<_> = (0..6).map(|_| place.start(train.split(' '))).collect();
    for run in runs {
        run.end().succeeds();
    }
    let names = place.names("runs");
    assert_eq!(
        names,
        [1, 2, 3, 4, 5, 6].map(|number| format!("tiny-{number}"))
    );
}
