//! A run that was stopped, at any moment and by any means, ends in the same bytes as one that was
//! not.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use rustix::process::{Pid, Signal, kill_process};
use tandem_tests::{Done, Place, Running, place};

/// 30 steps an epoch.
const PICTURES: usize = 240;
const STEPS: usize = 150;

/// A run of 150 steps in 5 epochs, in the folder `out`, with a checkpoint after `every` steps.
fn train<'a>(out: &'a str, loaders: &'a str, every: &'a str) -> Vec<&'a str> {
    let mut args =
        "train --model tiny.toml --data fashion --epochs 5 --batch 8 --seed 7 --threads 1"
            .split(' ')
            .collect::<Vec<_>>();
    args.extend(["--set", loaders, "--set", every, "--out", out]);
    args
}

const ONE_LOADER: &str = "loader_threads=1";
const TWO_LOADERS: &str = "loader_threads=2";
const EVERY_STEP: &str = "checkpoint_every_steps=1";
const SELDOM: &str = "checkpoint_every_steps=1000";

/// What a run comes to: its weights, and the steps its metrics speak of.
#[derive(PartialEq)]
struct Outcome {
    last: Vec<u8>,
    best: Vec<u8>,
    metrics: String,
}

impl Outcome {
    fn of(place: &Place, run: &str) -> Self {
        let run = Path::new(run);
        Self {
            last: place.read(run.join("last.safetensors")),
            best: place.read(run.join("best.safetensors")),
            metrics: place.text(run.join("metrics.jsonl")),
        }
    }

    /// Equal to the outcome of a run that was never stopped, each step told of once.
    #[track_caller]
    fn is_that_of(&self, uninterrupted: &Self) {
        assert!(self.last == uninterrupted.last, "last.safetensors differs");
        assert!(self.best == uninterrupted.best, "best.safetensors differs");
        assert_eq!(self.metrics, uninterrupted.metrics);
        let steps: Vec<u64> = trained_steps(&self.metrics);
        assert_eq!(steps, (1..=STEPS as u64).collect::<Vec<_>>());
    }
}

/// The steps of the lines that tell of a step, not of an epoch.
fn trained_steps(metrics: &str) -> Vec<u64> {
    let lines = metrics
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line is JSON"));
    lines
        .filter(|line: &serde_json::Value| line.get("top1_error").is_none())
        .map(|line| line["step"].as_u64().expect("a line has its step"))
        .collect()
}

/// A place, and the outcome of the run of `train` in it that nothing stopped.
fn uninterrupted(loaders: &str) -> (Place, Outcome) {
    let place = place!(PICTURES);
    place.tandem(train("whole", loaders, EVERY_STEP)).succeeds();
    let outcome = Outcome::of(&place, "whole");
    (place, outcome)
}

fn signal(running: &Running, signal: Signal) {
    let id = Pid::from_raw(running.id() as i32).expect("a process has a number");
    kill_process(id, signal).expect("the process is there");
}

/// Runs until metrics line `line`, then sends `sent`; what the command said before it ended.
fn stopped_by(place: &Place, args: &[&str], line: usize, sent: Signal) -> Done {
    let mut running = place.start(args);
    let out = place.path(args.last().expect("the run comes last"));
    assert!(running.wait_for_lines(&out, line));
    signal(&running, sent);
    running.end()
}

fn a_run_stopped_by(sent: Signal, code: i32) {
    for loaders in [ONE_LOADER, TWO_LOADERS] {
        let (place, whole) = uninterrupted(loaders);
        let stopped = stopped_by(&place, &train("run", loaders, SELDOM), 2, sent).exits(code);
        assert!(
            stopped.stderr.contains("tandem train --resume run"),
            "{stopped:#?}"
        );
        assert_eq!(stopped.stdout, "", "there is no result yet");
        // And again, in the run that was resumed.
        stopped_by(
            &place,
            &["train", "--threads", "1", "--resume", "run"],
            40,
            sent,
        )
        .exits(code);
        place.tandem(["train", "--resume", "run"]).succeeds();
        Outcome::of(&place, "run").is_that_of(&whole);
    }
}

#[test]
fn ctrl_c_ends_a_run_with_130_and_it_resumes_to_the_same_bytes() {
    a_run_stopped_by(Signal::INT, 130);
}

#[test]
fn sigterm_ends_a_run_with_143_and_it_resumes_to_the_same_bytes() {
    a_run_stopped_by(Signal::TERM, 143);
}

/// Kills a run, and each time what resumes it, at 25 random moments of its steps, its checkpoints and
/// its beginnings. A run that comes to its end before that is followed by another.
fn a_run_killed_25_times(loaders: &str, seed: u64) {
    println!("the moments follow from seed {seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut below = |end: u32| random.next_u32() % end;
    let (place, whole) = uninterrupted(loaders);
    let run = place.path("run");
    let ends_as_it_should = || {
        if !place.holds("run") {
            // Killed before it had made its folder.
            place
                .start(train("run", loaders, EVERY_STEP))
                .end()
                .succeeds();
        }
        place.tandem(["train", "--resume", "run"]).succeeds();
        Outcome::of(&place, "run").is_that_of(&whole);
        assert!(
            !stopped_within_a_checkpoint(&place),
            "something unfinished stays"
        );
        fs::remove_dir_all(&run).unwrap();
    };
    let (mut kills, mut within) = (0, 0);
    while kills < 25 {
        let before = inode(&run);
        let mut running = match place.holds("run") {
            true => place.start(["train", "--threads", "1", "--resume", "run"]),
            false => place.start(train("run", loaders, EVERY_STEP)),
        };
        let moment = Duration::from_micros(below(8_000).into());
        let kind = below(5);
        if kind > 0 {
            // Not in its first milliseconds, but so many lines on.
            running.wait_until("the metrics to go on", || inode(&run) != before);
            let lines = lines(&place.read("run/metrics.jsonl"));
            running.wait_for_lines(&run, lines + below(12) as usize);
        }
        if kind > 2 {
            running.wait_until("a checkpoint", || stopped_within_a_checkpoint(&place));
        }
        std::thread::sleep(if kind > 2 { moment / 16 } else { moment });
        if !running.kill() {
            ends_as_it_should();
            continue;
        }
        kills += 1;
        let within_checkpoint = stopped_within_a_checkpoint(&place);
        within += usize::from(within_checkpoint);
        let lines = fs::read(run.join("metrics.jsonl")).map_or(0, |text| lines(&text));
        println!("kill {kills}: after line {lines}, within a checkpoint: {within_checkpoint}");
    }
    println!("{within} of the kills were within a checkpoint");
    assert!(within > 0, "no kill was within a checkpoint");
    ends_as_it_should();
}

fn lines(text: &[u8]) -> usize {
    text.iter().filter(|&&byte| byte == b'\n').count()
}

/// The metrics of a run that goes on are a new file.
fn inode(run: &Path) -> Option<u64> {
    let metrics = fs::metadata(run.join("metrics.jsonl"));
    metrics.ok().map(|file| file.ino())
}

/// Whether a file has not taken its name yet, or the state of another checkpoint is still there.
fn stopped_within_a_checkpoint(place: &Place) -> bool {
    let names = |folder: &str| match place.holds(folder) {
        true => place.names(folder),
        false => Vec::new(),
    };
    let (run, states) = (names("run"), names("run/state"));
    let mut both = run.iter().chain(&states);
    states.len() > 1 || both.any(|name| name.ends_with(".tandem-unfinished"))
}

#[test]
fn killed_at_25_random_moments_a_run_ends_in_the_same_bytes_with_one_loader_thread() {
    a_run_killed_25_times(ONE_LOADER, 1);
}

#[test]
fn killed_at_25_random_moments_a_run_ends_in_the_same_bytes_with_two_loader_threads() {
    a_run_killed_25_times(TWO_LOADERS, 2);
}

#[test]
fn killed_within_each_file_of_a_checkpoint_a_run_ends_in_the_same_bytes() {
    let (place, whole) = uninterrupted(ONE_LOADER);
    place
        .start(train("run", ONE_LOADER, EVERY_STEP))
        .wait_for_lines(&place.path("run"), 1);
    for (file, wanted) in [("state/", 4), ("last", 4)] {
        // The system decides whether a kill is quick enough: once in a few times it is.
        let mut met = 0;
        for line in 1.. {
            assert!(line < 40, "a kill never met {file} unfinished");
            let mut running = place.start(["train", "--resume", "run"]);
            let going_on =
                running.wait_until("an unfinished file", || unfinished_file(&place, file));
            running.kill();
            if !going_on {
                break;
            }
            met += usize::from(unfinished_file(&place, file));
            if met == wanted {
                break;
            }
        }
        assert!(met > 0, "no kill met {file} unfinished");
        println!("{met} kills while {file}… was written");
    }
    place.tandem(["train", "--resume", "run"]).succeeds();
    Outcome::of(&place, "run").is_that_of(&whole);
}

/// Whether a file of the run whose path begins so is not finished.
fn unfinished_file(place: &Place, begins: &str) -> bool {
    let folder = if begins == "state/" {
        "run/state"
    } else {
        "run"
    };
    let begins = begins.trim_end_matches("state/");
    place.holds(folder)
        && place
            .names(folder)
            .iter()
            .any(|name| name.starts_with(begins) && name.ends_with(".tandem-unfinished"))
}

#[test]
fn killed_before_its_first_checkpoint_a_run_starts_again_from_the_beginning() {
    let (place, whole) = uninterrupted(TWO_LOADERS);
    stopped_by(&place, &train("run", TWO_LOADERS, SELDOM), 3, Signal::KILL);
    assert!(!place.holds("run/last.safetensors"));
    let resumed = place.tandem(["train", "--resume", "run"]).succeeds();
    assert!(resumed.stderr.contains("begins in run"), "{resumed:#?}");
    Outcome::of(&place, "run").is_that_of(&whole);
}

#[test]
fn killed_the_moment_its_folder_appears_a_run_starts_again_from_the_beginning() {
    let (place, whole) = uninterrupted(ONE_LOADER);
    for attempt in 0..10 {
        let out = format!("run-{attempt}");
        let mut running = place.start(train(&out, ONE_LOADER, SELDOM));
        running.wait_until("the folder", || place.holds(&out));
        running.kill();
        assert!(
            place.holds(format!("{out}/config.toml")),
            "in it are its settings"
        );
    }
    place.tandem(["train", "--resume", "run-0"]).succeeds();
    Outcome::of(&place, "run-0").is_that_of(&whole);
}

#[test]
fn killed_while_its_folder_is_made_a_run_can_be_begun_again_under_the_same_name() {
    let (place, whole) = uninterrupted(ONE_LOADER);
    // What a kill at that moment leaves.
    place.write("run.tandem-unfinished/config.toml", "epochs = ");
    place.write("run.tandem-unfinished/.tandem-lock", "");
    place.refuses(
        1,
        ["train", "--resume", "run"],
        &["there is no run in run", "--out starts a new one"],
    );
    place.tandem(train("run", ONE_LOADER, SELDOM)).succeeds();
    Outcome::of(&place, "run").is_that_of(&whole);
    assert!(!place.holds("run.tandem-unfinished"));
}

#[test]
fn a_run_that_is_done_stays_as_it_is_when_it_is_resumed() {
    let (place, whole) = uninterrupted(ONE_LOADER);
    let again = place.tandem(["train", "--resume", "whole"]).succeeds();
    assert!(
        again.stdout.contains("all epochs are done, after step 150"),
        "{again:#?}"
    );
    Outcome::of(&place, "whole").is_that_of(&whole);
}

#[test]
fn a_run_that_its_schedule_ended_is_not_trained_on_when_it_is_resumed() {
    let place = place!(16);
    let never_better = "rate.plateau.min_delta=1.0";
    for (settings, why) in [
        (
            [
                never_better,
                "rate.plateau.patience=1",
                "rate.plateau.reductions=0",
            ],
            "the error stands still at the last rate, after step 4",
        ),
        (
            // At a rate this low the error stays what it is.
            [
                "early_stop_epochs=1",
                "rate.initial=1e-12",
                "rate.plateau.patience=9",
            ],
            "the error no longer falls, after step 4",
        ),
    ] {
        let out = why.split(',').next().expect("a first part");
        let mut args = train(out, ONE_LOADER, EVERY_STEP);
        args.extend(settings.iter().flat_map(|&setting| ["--set", setting]));
        let ended = place.tandem(args).succeeds();
        assert!(ended.stdout.contains(why), "{ended:#?}");
        let (last, metrics) = (
            Path::new(out).join("last.safetensors"),
            Path::new(out).join("metrics.jsonl"),
        );
        let before = (place.read(&last), place.text(&metrics));
        let again = place.tandem(["train", "--resume", out]).succeeds();
        assert!(again.stdout.contains(why), "{again:#?}");
        assert!(before == (place.read(&last), place.text(&metrics)));
    }
}

#[test]
fn a_run_that_was_moved_and_is_resumed_from_another_folder_ends_in_the_same_bytes() {
    let (place, whole) = uninterrupted(TWO_LOADERS);
    let out = "Läufe/erster Lauf";
    let stopped = stopped_by(&place, &train(out, TWO_LOADERS, SELDOM), 20, Signal::INT).exits(130);
    assert!(
        stopped.stderr.contains("--resume 'Läufe/erster Lauf'"),
        "what is to be typed is quoted: {stopped:#?}"
    );
    let moved = place.path("anderswo/zweiter Name");
    fs::create_dir_all(&moved).unwrap();
    fs::rename(place.path(out), &moved).unwrap();
    let mut command = place.command(["train", "--resume", "zweiter Name"]);
    command.current_dir(place.path("anderswo"));
    Done::of(&mut command).succeeds();
    Outcome::of(&place, "anderswo/zweiter Name").is_that_of(&whole);
}

#[test]
fn pictures_that_were_moved_are_named_by_data_when_a_run_is_resumed() {
    let (place, whole) = uninterrupted(ONE_LOADER);
    stopped_by(&place, &train("run", ONE_LOADER, SELDOM), 20, Signal::INT).exits(130);
    fs::rename(place.path("fashion"), place.path("fashion elsewhere")).unwrap();
    place.refuses(
        1,
        ["train", "--resume", "run"],
        &[
            "no data at",
            "fashion",
            "hint: where they are now is said by --data",
        ],
    );
    place
        .tandem(["train", "--resume", "run", "--data", "fashion elsewhere"])
        .succeeds();
    Outcome::of(&place, "run").is_that_of(&whole);
}

#[test]
fn a_run_behind_a_symbolic_link_is_written_and_resumed_through_it() {
    let (place, whole) = uninterrupted(ONE_LOADER);
    fs::create_dir(place.path("disk")).unwrap();
    std::os::unix::fs::symlink("disk", place.path("run")).unwrap();
    stopped_by(
        &place,
        &train("run", ONE_LOADER, EVERY_STEP),
        20,
        Signal::KILL,
    );
    place.tandem(["train", "--resume", "run"]).succeeds();
    Outcome::of(&place, "disk").is_that_of(&whole);
}

#[test]
fn a_line_of_the_metrics_that_a_kill_cut_off_is_dropped() {
    let (place, whole) = uninterrupted(ONE_LOADER);
    stopped_by(&place, &train("run", ONE_LOADER, SELDOM), 20, Signal::INT).exits(130);
    let mut metrics = place.text("run/metrics.jsonl");
    metrics.push_str("{\"step\":21,\"epo");
    place.write("run/metrics.jsonl", metrics);
    place.tandem(["train", "--resume", "run"]).succeeds();
    Outcome::of(&place, "run").is_that_of(&whole);
}
