//! What a newcomer types first.
#![cfg(unix)]

use rustix::process::{Pid, Signal, kill_process};
use tandem_tests::{Done, place};

#[test]
fn with_no_arguments_mini_begins_to_learn_the_shipped_pictures() {
    let place = place!();
    let mut run = place.start(["train"]);
    assert!(run.wait_for_lines(&place.path("runs/mini-1"), 1));
    let id = Pid::from_raw(run.id() as i32).expect("a process has a number");
    kill_process(id, Signal::INT).expect("the process is there");
    let stopped = run.end().exits(130);
    for words in [
        "mini (",
        "parameters, cpu) on builtin: 6,000 + 1,000 pictures, 10 classes",
        "begins in runs/mini-1",
        "stopped and saved at step ",
        "go on with: tandem train --resume runs/mini-1",
    ] {
        assert!(
            stopped.stderr.contains(words),
            "does not say `{words}`: {stopped:#?}"
        );
    }
    assert!(place.holds("runs/mini-1/last.safetensors"));
}

#[test]
fn a_run_leaves_everything_that_was_promised_and_beats_guessing() {
    let place = place!();
    place.write("tiny.toml", tandem_tests::TINY);
    let done = place
        .tandem([
            "train",
            "--model",
            "tiny.toml",
            "--epochs",
            "3",
            "--out",
            "run",
        ])
        .succeeds();
    assert!(
        done.stdout.contains("all epochs are done, after step 141"),
        "{done:#?}"
    );
    assert!(
        done.stdout.contains("last: run/last.safetensors"),
        "{done:#?}"
    );
    let names = place.names("run");
    for name in [
        "config.toml",
        "metrics.jsonl",
        "last.safetensors",
        "best.safetensors",
        "state",
        "curves.png",
        "filters.png",
    ] {
        assert!(
            names.contains(&name.to_owned()),
            "{name} is not in {names:?}"
        );
    }
    assert!(
        names
            .iter()
            .any(|name| name.starts_with("events.out.tfevents."))
    );
    for picture in ["curves.png", "filters.png"] {
        image::load_from_memory(&place.read(format!("run/{picture}"))).expect(picture);
    }
    let eval = ["eval", "--weights", "run", "--data", "builtin", "--json"];
    let found: serde_json::Value =
        serde_json::from_str(&place.tandem(eval).succeeds().stdout).unwrap();
    assert_eq!(found["images"], 1000);
    let error = found["top1_error"].as_f64().expect("a number");
    assert!(
        error < 0.7,
        "ten classes guessed are wrong 0.9 of the time, these {error}"
    );
}

#[test]
fn the_config_of_a_run_repeats_it() {
    let place = place!(40);
    let train = "train --model tiny.toml --data fashion --epochs 2 --batch 8 --seed 3 --out one";
    place.tandem(train.split(' ')).succeeds();
    place
        .tandem(["train", "--config", "one/config.toml", "--out", "two"])
        .succeeds();
    for file in ["config.toml", "last.safetensors", "metrics.jsonl"] {
        assert!(
            place.read(format!("one/{file}")) == place.read(format!("two/{file}")),
            "{file} differs"
        );
    }
}

#[test]
fn runs_without_a_name_are_numbered() {
    let place = place!(16);
    let train = "train --model tiny.toml --data fashion --epochs 1";
    for _ in 0..2 {
        place.tandem(train.split(' ')).succeeds();
    }
    assert_eq!(place.names("runs"), ["tiny-1", "tiny-2"]);
}

#[test]
fn quiet_says_nothing_but_the_result() {
    let place = place!(16);
    let train = "train --quiet --model tiny.toml --data fashion --epochs 1 --out run";
    let done = place.tandem(train.split(' ')).succeeds();
    assert_eq!(done.stderr, "");
    assert!(done.stdout.contains("all epochs are done"), "{done:#?}");
    // And errors.
    place.refuses(1, train.split(' '), &["holds another run"]);
}

#[test]
fn a_reader_that_has_gone_is_no_failure_and_no_panic() {
    let place = place!();
    let gone = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        writer
    };
    let mut head = place.command(["info", "--model", "alexnet"]);
    let status = head.stdout(gone()).status().unwrap();
    assert_eq!(status.code(), Some(0));
    // Nor does the exit code change where nobody reads the error.
    for (args, code) in [
        (["info", "--model", "nonsense"], 2),
        (["eval", "--weights", "nowhere"], 2),
        (["train", "--resume", "nowhere"], 1),
    ] {
        let mut command = place.command(args);
        let status = command.stderr(gone()).status().unwrap();
        assert_eq!(status.code(), Some(code), "{args:?}");
    }
}

#[test]
fn a_run_goes_on_where_nobody_reads_its_progress() {
    let place = place!(16);
    let train = "train --model tiny.toml --data fashion --epochs 1 --out run";
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = place.command(train.split(' '));
    let status = command
        .stderr(writer)
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(place.holds("run/last.safetensors"));
}

#[test]
fn help_is_no_failure_and_names_every_subcommand() {
    let place = place!();
    let help: Done = place.tandem(["--help"]).succeeds();
    for command in [
        "train",
        "eval",
        "predict",
        "bench",
        "info",
        "doctor",
        "completions",
    ] {
        let named = format!("\n  {command} ");
        assert!(
            help.stdout.contains(&named),
            "{command} is not in {help:#?}"
        );
        place.tandem([command, "--help"]).succeeds();
    }
    place.tandem([] as [&str; 0]).exits(2);
}
