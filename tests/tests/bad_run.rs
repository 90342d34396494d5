//! Runs that cannot go on, or begin where they should: what was saved stays as it was.

use tandem_tests::{Place, TINY, idx_images, place};

const TRAIN: &str = "train --model tiny.toml --data fashion --epochs 2 --batch 8 --threads 1";

fn train(settings: &str) -> Vec<&str> {
    TRAIN
        .split(' ')
        .chain(settings.split_whitespace())
        .collect()
}

/// A place with a run that was trained to its end in `run`.
fn trained() -> Place {
    let place = place!(64);
    place.tandem(train("--out run")).succeeds();
    place
}

/// The files of the run that matter, with their contents.
fn kept(place: &Place) -> Vec<Vec<u8>> {
    let state = place.names("run/state");
    assert_eq!(state.len(), 1);
    [
        "config.toml",
        "last.safetensors",
        "best.safetensors",
        "metrics.jsonl",
        &format!("state/{}", state[0]),
    ]
    .map(|name| place.read(format!("run/{name}")))
    .to_vec()
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint_before() {
    let place = place!(64);
    // The first update leaves huge weights, and the second step finds what comes of them.
    let settings = "--set rate.initial=1e30 --set checkpoint_every_steps=1 --out run";
    place.tandem(train(settings)).refused(
        1,
        &[
            "the run in run stopped: the loss is not a finite number at step 2",
            "with learning rate 1000000000000000000000000000000",
            "the first layer whose values are not finite is ",
            "hint: the checkpoint of step 1 is kept; start again with a lower rate",
        ],
    );
    assert_eq!(place.names("run/state"), ["step-00000001.safetensors"]);
    assert_eq!(place.text("run/metrics.jsonl").lines().count(), 1);
    // It is what it was: to go on from there fails in the same way, and changes nothing.
    let before = place.read("run/last.safetensors");
    place
        .tandem(["train", "--resume", "run"])
        .refused(1, &["not a finite number at step 2"]);
    assert!(place.read("run/last.safetensors") == before);
}

#[test]
fn a_loss_that_is_not_finite_before_the_first_checkpoint_is_told_of_as_that() {
    let place = place!(64);
    place
        .tandem(train("--set rate.initial=1e30 --out run"))
        .refused(
            1,
            &[
                "at step 2",
                "hint: no checkpoint was saved yet; start again with a lower rate",
            ],
        );
    assert!(!place.holds("run/last.safetensors"));
}

#[test]
fn weights_that_are_not_finite_never_replace_a_checkpoint() {
    let place = place!(64);
    // One step of a loss that is finite, and weights that are not.
    let settings = "--set rate.initial=1e39 --set checkpoint_every_steps=1 --out run";
    place.tandem(train(settings)).refused(
        1,
        &[
            "conv1.",
            "is no longer finite after step 1, with learning rate 1000000000000000000000000000000000000000",
            "it is not saved",
            "hint: no checkpoint was saved yet; start again with a lower rate",
        ],
    );
    assert!(!place.holds("run/last.safetensors") && !place.holds("run/best.safetensors"));
}

#[test]
fn a_rate_that_grows_too_high_within_a_run_leaves_its_good_checkpoint() {
    let place = trained();
    let before = kept(&place);
    let config = place.text("run/config.toml");
    let hot = config
        .replace("epochs = 2\n", "epochs = 3\n")
        .replace("initial = 0.01", "initial = 1e39");
    assert_eq!(hot.matches("1e39").count(), 1);
    place.write("run/config.toml", hot);
    place.tandem(["train", "--resume", "run"]).refused(
        1,
        &[
            "at step 18",
            "hint: the checkpoint of step 16 is kept; start again with a lower rate",
        ],
    );
    place.write("run/config.toml", config);
    place.tandem(["train", "--resume", "run"]).succeeds();
    assert!(kept(&place) == before);
}

#[test]
fn a_folder_that_holds_another_run_is_refused_and_left_as_it_is() {
    let place = trained();
    let before = kept(&place);
    place.refuses(
        1,
        train("--out run"),
        &[
            "run holds another run (its config.toml is there)",
            "--resume run",
            "another --out",
        ],
    );
    assert!(kept(&place) == before);
    // Also where only part of it is left.
    std::fs::remove_file(place.path("run/config.toml")).unwrap();
    place.refuses(1, train("--out run"), &["its last.safetensors is there"]);
    std::fs::create_dir(place.path("other")).unwrap();
    place.write("other/metrics.jsonl", "{\"step\":1}\n");
    place.refuses(1, train("--out other"), &["its metrics.jsonl is there"]);
    assert_eq!(place.text("other/metrics.jsonl"), "{\"step\":1}\n");
    assert_eq!(place.names("other"), ["metrics.jsonl"]);
}

#[test]
fn a_checkpoint_of_another_network_is_refused_with_what_differs() {
    let place = trained();
    let before = kept(&place);
    let config = place.text("run/config.toml");
    let other = config.replacen("channels = 12", "channels = 14", 1);
    assert_ne!(other, config);
    place.write("run/config.toml", other);
    place.refuses(
        1,
        ["train", "--resume", "run"],
        &[
            "layer 4 `fc2`",
            "channels = 12",
            "channels = 14",
            "start a new run",
        ],
    );
    place.write("run/config.toml", config);
    assert!(kept(&place) == before);
}

#[test]
fn a_checkpoint_that_learned_from_other_pictures_is_refused_with_both_named() {
    let place = trained();
    let before = kept(&place);
    place.refuses(
        1,
        ["train", "--resume", "run", "--data", "builtin"],
        &[
            "the checkpoint learned from `fashion`",
            "the data given is `builtin`",
            "the same pictures",
        ],
    );
    // One pixel is enough.
    let name = "fashion/train-images-idx3-ubyte";
    let mut pixels = place.read(name)[16..].to_vec();
    pixels[5000] ^= 1;
    place.write(name, idx_images(28, &pixels));
    place.refuses(
        1,
        ["train", "--resume", "run"],
        &["fashion", "the same pictures, or start a new run"],
    );
    assert!(kept(&place) == before);
}

#[test]
fn a_folder_without_a_run_cannot_be_resumed() {
    let place = place!();
    place.refuses(
        1,
        ["train", "--resume", "run"],
        &["there is no run in run to resume", "--out"],
    );
    place.write("file", TINY);
    place.refuses(
        1,
        ["train", "--resume", "file"],
        &["there is no run in file"],
    );
    std::fs::create_dir(place.path("empty")).unwrap();
    place.refuses(
        1,
        ["train", "--resume", "empty"],
        &["there is no run in empty"],
    );
    assert!(place.names("empty").is_empty());
}

#[test]
fn settings_of_a_run_that_are_damaged_or_gone_are_named() {
    let place = trained();
    place.write("run/config.toml", "epochs = \"two\"\n");
    place.refuses(
        1,
        ["train", "--resume", "run"],
        &["run/config.toml", "invalid type"],
    );
    std::fs::remove_file(place.path("run/config.toml")).unwrap();
    place.refuses(
        1,
        ["train", "--resume", "run"],
        &["run/config.toml is gone", "still serve eval and predict"],
    );
}
