//! `tandem ensemble`: members of their own seeds that can be stopped and gone on with, measured one by
//! one and as one.

use serde_json::Value;
use tandem_tests::{Place, picture, place};

const TRAIN: &str = "ensemble train --members 2 --model tiny.toml --data fashion --epochs 2 --batch 8 --threads 1 --out e";

fn object(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text:?}"))
}

fn number(object: &Value, key: &str) -> f64 {
    object[key]
        .as_f64()
        .unwrap_or_else(|| panic!("{key} is a number in {object}"))
}

fn trained() -> Place {
    let place = place!(64);
    place.tandem(TRAIN.split(' ')).succeeds();
    place
}

#[test]
fn members_are_the_runs_of_their_seeds() {
    let place = trained();
    assert_eq!(place.names("e"), ["member-1", "member-2"]);
    for (member, seed) in [(1, 0), (2, 1)] {
        let alone = format!(
            "train --model tiny.toml --data fashion --epochs 2 --batch 8 --threads 1 --seed {seed} --out alone-{seed}"
        );
        place.tandem(alone.split(' ')).succeeds();
        let [of_member, alone] = [format!("e/member-{member}"), format!("alone-{seed}")]
            .map(|run| place.read(format!("{run}/last.safetensors")));
        assert!(
            of_member == alone,
            "member {member} is the run of seed {seed}"
        );
    }
    let [one, two] = [1, 2].map(|n| place.read(format!("e/member-{n}/last.safetensors")));
    assert!(one != two);
}

#[test]
fn eval_tells_of_each_member_what_eval_tells_and_of_all_together() {
    let place = trained();
    let args = "ensemble eval e/member-1 e/member-2 --data fashion --json";
    let found = object(&place.tandem(args.split(' ')).succeeds().stdout);
    let members = found["members"].as_array().expect("a list");
    assert_eq!((members.len(), &found["images"]), (2, &Value::from(40)));
    let mut sum = 0.0;
    for member in members {
        let weights = member["weights"].as_str().expect("a name");
        let eval = ["eval", "--weights", weights, "--data", "fashion", "--json"];
        let eval = object(&place.tandem(eval).succeeds().stdout);
        for key in ["top1_error", "top5_error"] {
            assert_eq!(member[key], eval[key], "{weights}: {key}");
        }
        sum += number(member, "top1_error");
    }
    assert!((number(&found, "mean_top1_error") - sum / 2.0).abs() < 1e-12);
    assert_eq!(
        found["disagreement"], found["pairwise_disagreement"],
        "two are one pair"
    );
    // A network beside itself is itself, and never of another mind.
    let args = "ensemble eval e/member-1 e/member-1/best.safetensors --data fashion --json";
    let same = object(&place.tandem(args.split(' ')).succeeds().stdout);
    assert_eq!(same["top1_error"], members[0]["top1_error"]);
    assert_eq!(number(&same, "disagreement"), 0.0);
}

#[test]
fn members_of_other_layers_and_sizes_stand_together() {
    let place = trained();
    let other = place
        .text("tiny.toml")
        .replace("side = 16\ncrop = 14", "side = 20\ncrop = 18");
    place.write("larger.toml", other.replace("channels = 4", "channels = 8"));
    let train = "train --model larger.toml --data fashion --epochs 1 --batch 8 --out larger";
    place.tandem(train.split(' ')).succeeds();
    let args = "ensemble eval e/member-1 larger --data fashion --views 10";
    let done = place.tandem(args.split(' ')).succeeds();
    for words in [
        "e/member-1",
        "larger",
        "mean of members",
        "ensemble",
        "Of 40 pictures",
    ] {
        assert!(done.stdout.contains(words), "{words}: {done:#?}");
    }
}

#[test]
fn the_same_command_goes_on_where_it_was_killed_to_the_same_bytes() {
    let place = trained();
    let elsewhere = TRAIN.replace("--out e", "--out killed");
    let mut running = place.start(elsewhere.split(' '));
    running.wait_for_lines(&place.path("killed/member-2"), 4);
    running.kill();
    let first = place.path("killed/member-1/metrics.jsonl");
    let before = std::fs::metadata(&first).unwrap().modified().unwrap();
    let done = place.tandem(elsewhere.split(' ')).succeeds();
    assert!(done.stdout.contains("mean of members"), "{done:#?}");
    assert_eq!(
        std::fs::metadata(&first).unwrap().modified().unwrap(),
        before
    );
    for member in ["member-1", "member-2"] {
        let [whole, killed] =
            ["e", "killed"].map(|out| place.read(format!("{out}/{member}/last.safetensors")));
        assert!(whole == killed, "{member}");
    }
    // One more is added to those there.
    let three = elsewhere.replace("--members 2", "--members 3");
    place.tandem(three.split(' ')).succeeds();
    assert_eq!(place.names("killed"), ["member-1", "member-2", "member-3"]);
    assert_eq!(
        std::fs::metadata(&first).unwrap().modified().unwrap(),
        before
    );
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_the_member_under_way_and_begins_no_other() {
    use rustix::process::{Pid, Signal, kill_process};
    let place = place!(64);
    let long = TRAIN.replace("--epochs 2", "--epochs 2000");
    let mut running = place.start(long.split(' '));
    assert!(running.wait_for_lines(&place.path("e/member-1"), 4));
    kill_process(Pid::from_raw(running.id() as i32).unwrap(), Signal::INT).unwrap();
    let done = running.end().exits(130);
    assert!(
        done.stderr
            .contains("`tandem ensemble train` again goes on"),
        "{done:#?}"
    );
    assert_eq!(place.names("e"), ["member-1"]);
    assert!(place.holds("e/member-1/last.safetensors"));
}

#[test]
fn a_member_that_does_not_fit_is_named_before_anything_is_computed() {
    let place = trained();
    for n in 0..4u8 {
        for (class, shade) in [("dark", 40), ("light", 200)] {
            for part in ["train", "val"] {
                place.write(
                    format!("two/{part}/{class}/{n}.png"),
                    picture(20, [shade + n; 3]),
                );
            }
        }
    }
    let train = "train --model tiny.toml --data two --epochs 1 --batch 4 --out two-classes";
    place.tandem(train.split(' ')).succeeds();
    let args = "ensemble eval e/member-1 two-classes --data fashion";
    let says = [
        "two-classes is no member for e/member-1",
        "tells 2 classes apart, not 10",
    ];
    place.refuses(1, args.split(' '), &says);
    let args = "ensemble eval e/member-1 e/member-9 --data fashion";
    place.refuses(
        1,
        args.split(' '),
        &["e/member-9", "no such file or run directory"],
    );
    place.refuses(
        2,
        ["ensemble", "eval", "--data", "fashion"],
        &["<FILE|RUN|hf:OWNER/NAME>"],
    );
}

#[test]
fn runs_with_other_settings_are_not_gone_on_with() {
    let place = trained();
    let other = TRAIN.replace("--batch 8", "--batch 4");
    let says = [
        "e/member-1 holds a run with other settings",
        "batch = 8",
        "batch = 4",
        "another --out",
    ];
    place.refuses(2, other.split(' '), &says);
}
