//! What was typed or written wrong: an error that names it and what would be right, and no run
//! directory.

use tandem_tests::{Place, TINY, place};

fn typed(place: &Place, line: &str, says: &[&str]) {
    place.refuses(2, line.split_whitespace(), says);
}

#[test]
fn an_unknown_preset_is_wrong_usage_and_the_nearest_is_named() {
    let place = place!();
    for line in [
        "train --model alexnt",
        "info --model alexnt",
        "bench --model alexnt",
    ] {
        typed(
            &place,
            line,
            &["unknown preset `alexnt`", "`alexnet`", "mini"],
        );
    }
}

#[test]
fn an_unknown_key_is_wrong_usage_and_the_nearest_is_named() {
    let place = place!();
    typed(
        &place,
        "train --set sgd.momentun=0.8",
        &["unknown key `sgd.momentun`", "did you mean `sgd.momentum`?"],
    );
    typed(
        &place,
        "train --set momentum=0.8",
        &["unknown key `momentum`", "did you mean `sgd.momentum`?"],
    );
    typed(
        &place,
        "train --set checkpoint_every_step=5",
        &["did you mean `checkpoint_every_steps`?"],
    );
}

#[test]
fn an_unknown_key_in_a_file_is_named_with_the_file_and_the_nearest() {
    let place = place!();
    place.write("mine.toml", "epochs = 2\n[rate]\ninitail = 0.1\n");
    place.refuses(
        1,
        ["train", "--config", "mine.toml"],
        &[
            "mine.toml",
            "unknown key `rate.initail`",
            "did you mean `rate.initial`?",
        ],
    );
    place.write(
        "net.toml",
        TINY.replace(
            "kernel = 3\nstride = 2\ntowers",
            "kernal = 3\nstride = 2\ntowers",
        ),
    );
    place.refuses(
        1,
        ["train", "--model", "net.toml"],
        &["net.toml", "kernal", "did you mean `kernel`?"],
    );
}

#[test]
fn a_value_out_of_bounds_is_wrong_usage_and_its_bounds_are_named() {
    let place = place!();
    typed(
        &place,
        "train --set sgd.momentum=1.5",
        &["sgd.momentum is 1.5", "at least 0 and below 1"],
    );
    typed(
        &place,
        "train --set rate.initial=nan",
        &["rate.initial", "a positive number"],
    );
    typed(
        &place,
        "train --set epochs=0",
        &["epochs is 0", "1 or more"],
    );
    for line in ["train --set precision=bf16", "info --precision bf16"] {
        typed(&place, line, &["bf16 is for GPUs", "cuda:0"]);
    }
    typed(&place, "train --set batch=many", &["batch"]);
    typed(
        &place,
        "train --devices cpu,cpu,cpu",
        &["3 devices for 2 towers"],
    );
    typed(
        &place,
        "train --set augment.colour=blue",
        &["blue", "convnet"],
    );
}

#[test]
fn what_cannot_be_parsed_is_wrong_usage() {
    let place = place!();
    for line in [
        "trian",
        "train --batch 0",
        "train --epochs -1",
        "train --devices gpu",
        "train --resume run --seed 3",
        "eval --data builtin",
        "predict --weights run",
        "train --threads 0",
    ] {
        place
            .tandem(line.split(' '))
            .refused(2, &["For more information, try '--help'"]);
    }
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_gpu_asked_of_a_build_without_cuda_is_answered_with_how_to_build_it() {
    let place = place!(16);
    place.refuses(
        1,
        "train --model tiny.toml --data fashion --devices cuda:99 --out run".split(' '),
        &[
            "cuda:99 is not for this build, which computes on the CPU only",
            "--features cuda",
        ],
    );
}

/// `tiny.toml` with one change, and what is said of it.
fn refused_network(from: &str, to: &str, says: &[&str]) {
    let place = place!(16);
    let changed = TINY.replacen(from, to, 1);
    assert_ne!(changed, TINY, "the change is one");
    place.write("tiny.toml", changed);
    place.refuses(
        1,
        "train --model tiny.toml --data fashion --out run".split(' '),
        says,
    );
    place.refuses(1, ["info", "--model", "tiny.toml"], says);
}

#[test]
fn a_window_larger_than_what_comes_in_is_named_with_its_layer_and_both_sizes() {
    refused_network(
        "kind = \"max-pool\"\nkernel = 3",
        "kind = \"max-pool\"\nkernel = 9",
        &["layer 3 `conv1/max-pool`", "6x6", "came in", "9x9"],
    );
    refused_network(
        "crop = 14",
        "crop = 2",
        &["layer 1 `conv1`", "2x2", "came in", "3x3"],
    );
}

#[test]
fn channels_that_do_not_divide_into_towers_are_named_with_their_layer() {
    refused_network(
        "channels = 4",
        "channels = 5",
        &["layer 1 `conv1`", "5", "2 towers"],
    );
}

#[test]
fn a_tower_that_cannot_see_its_own_is_named_with_its_layer() {
    refused_network(
        "name = \"conv1\"\nchannels = 4\nkernel = 3\nstride = 2\ntowers = 2\nsees = \"both\"",
        "name = \"conv1\"\nchannels = 4\nkernel = 3\nstride = 2\ntowers = 2\nsees = \"own\"",
        &["layer 1 `conv1`", "sees = \"both\""],
    );
}

#[test]
fn a_crop_larger_than_the_picture_is_named() {
    refused_network("crop = 14", "crop = 17", &["crop", "17", "16"]);
}

#[test]
fn a_network_that_ends_in_no_linear_layer_is_named_with_its_last_layer() {
    let end = TINY
        .find("[[layer]]\nkind = \"linear\"\nname = \"fc3\"")
        .expect("a last layer");
    refused_network(
        &TINY[end..],
        "",
        &["layer 5 `fc2/dropout`", "must be linear"],
    );
}

#[test]
fn two_layers_of_one_name_are_both_named() {
    refused_network("fc3", "fc2", &["layers 4 and 6", "`fc2`"]);
}

#[test]
fn a_layer_too_large_for_any_memory_is_named() {
    refused_network("channels = 12", "channels = 4000000000000000000", &["fc2"]);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let place = place!();
    place.refuses(
        1,
        ["train", "--config", "none.toml"],
        &["cannot read the configuration none.toml"],
    );
    place.refuses(
        1,
        ["train", "--model", "none.toml"],
        &["cannot read the spec none.toml"],
    );
}
