//! Weights files that are not what they should be: an error that names the file and all that is
//! wrong with it.

use serde_json::{Value, json};
use tandem_tests::{Done, Place, picture, place};

/// A place with a trained run in `run` and a picture.
fn trained() -> Place {
    let place = place!(16);
    let train = "train --model tiny.toml --data fashion --epochs 1 --batch 8 --out run";
    place.tandem(train.split(' ')).succeeds();
    place.write("a.png", picture(28, [99; 3]));
    place
}

/// Both commands that read weights refuse `file`.
#[track_caller]
fn refused(place: &Place, file: &str, says: &[&str]) {
    place.refuses(1, ["predict", "--weights", file, "a.png"], says);
    place.refuses(1, ["eval", "--weights", file, "--data", "fashion"], says);
}

/// The header of a safetensors file, and the bytes after it.
fn parts(file: &[u8]) -> (Value, Vec<u8>) {
    let (length, rest) = file
        .split_first_chunk::<8>()
        .expect("eight bytes of length");
    let (header, body) = rest.split_at(u64::from_le_bytes(*length) as usize);
    (
        serde_json::from_slice(header).expect("a header is JSON"),
        body.to_vec(),
    )
}

fn whole(header: &Value, body: &[u8]) -> Vec<u8> {
    let header = header.to_string();
    let length = (header.len() as u64).to_le_bytes();
    [&length, header.as_bytes(), body].concat()
}

/// Writes the weights of the run as `changed` with another header.
fn with_header(place: &Place, change: impl FnOnce(&mut Value)) {
    let (mut header, body) = parts(&place.read("run/last.safetensors"));
    change(&mut header);
    place.write("changed", whole(&header, &body));
}

#[test]
fn weights_with_the_same_header_are_the_same_weights() {
    // What the tests below change is not broken by being taken apart.
    let place = trained();
    with_header(&place, |_| {});
    place
        .tandem(["predict", "--weights", "changed", "a.png"])
        .succeeds();
}

#[test]
fn all_names_and_shapes_that_do_not_fit_are_listed() {
    let place = trained();
    with_header(&place, |header| {
        let tensors = header.as_object_mut().expect("an object");
        let bias = tensors.remove("conv1.bias").expect("it has a bias");
        tensors.insert("conv1.beta".to_owned(), bias);
        tensors["fc3.weight"]["shape"] = json!([12, 10]);
        tensors["fc2.bias"]["dtype"] = json!("I32");
    });
    refused(
        &place,
        "changed",
        &[
            "changed does not fit `tiny`:",
            "\n  conv1.bias [4] is missing",
            "\n  conv1.beta [4] is not part of the network",
            "\n  fc3.weight is [12, 10], and must be [10, 12]",
            "\n  fc2.bias holds I32, and must hold F32",
        ],
    );
}

#[test]
fn weights_that_are_not_finite_are_refused_and_all_named() {
    let place = trained();
    let (header, mut body) = parts(&place.read("run/last.safetensors"));
    for (name, value) in [("conv1.bias", f32::NAN), ("fc3.weight", f32::INFINITY)] {
        let start = header[name]["data_offsets"][0].as_u64().expect("an offset") as usize;
        body[start..start + 4].copy_from_slice(&value.to_le_bytes());
    }
    place.write("changed", whole(&header, &body));
    refused(
        &place,
        "changed",
        &[
            "\n  conv1.bias holds values that are not finite",
            "\n  fc3.weight holds values that are not finite",
        ],
    );
}

#[test]
fn a_header_that_lies_about_its_length_is_refused() {
    let place = trained();
    let file = place.read("run/last.safetensors");
    for length in [
        0,
        1,
        file.len() as u64,
        u64::MAX,
        i64::MAX as u64,
        100_000_001,
    ] {
        let mut lying = file.clone();
        lying[..8].copy_from_slice(&length.to_le_bytes());
        place.write("changed", lying);
        refused(
            &place,
            "changed",
            &["changed is not a whole safetensors file"],
        );
    }
}

#[test]
fn a_header_that_lies_about_its_tensors_is_refused() {
    let place = trained();
    for (offsets, shape) in [
        (json!([0, u64::MAX]), json!([4])),
        (json!([16, 0]), json!([4])),
        (json!([0, 16]), json!([u64::MAX, u64::MAX])),
        (json!([0, 16]), json!([5])),
        (json!([8, 24]), json!([4])),
        (json!([-1, 16]), json!([4])),
    ] {
        with_header(&place, |header| {
            assert_eq!(header["conv1.bias"]["data_offsets"], json!([0, 16]));
            header["conv1.bias"]["data_offsets"] = offsets.clone();
            header["conv1.bias"]["shape"] = shape.clone();
        });
        refused(
            &place,
            "changed",
            &["changed is not a whole safetensors file"],
        );
    }
}

#[test]
fn a_file_that_was_cut_short_is_refused_wherever_it_was_cut() {
    let place = trained();
    let file = place.read("run/last.safetensors");
    for end in [0, 7, 8] {
        place.write("changed", &file[..end]);
        refused(&place, "changed", &["changed: is no weights file"]);
    }
    for end in [9, 100, file.len() / 2, file.len() - 1] {
        place.write("changed", &file[..end]);
        refused(
            &place,
            "changed",
            &[
                "changed is not a whole safetensors file",
                "was it cut short",
            ],
        );
    }
}

#[test]
fn a_file_of_another_kind_is_refused() {
    let place = trained();
    refused(&place, "a.png", &["a.png", "no weights file"]);
    // Of safetensors, but by somebody else.
    with_header(&place, |header| {
        header
            .as_object_mut()
            .expect("an object")
            .remove("__metadata__");
    });
    refused(
        &place,
        "changed",
        &["changed: is not of a network", "changed --model alexnet"],
    );
    let state = "run/state/step-00000002.safetensors";
    refused(
        &place,
        state,
        &["step-00000002.safetensors", "`tandem-state`"],
    );
}

#[test]
fn metadata_that_makes_no_sense_is_named() {
    let place = trained();
    for (key, value, says) in [
        ("step", "many", "its `step` is `many`, which makes no sense"),
        (
            "classes",
            "ten",
            "its `classes` is `ten`, which makes no sense",
        ),
        (
            "classes",
            "[\"one\"]",
            "names 1 classes and its network has 10",
        ),
        ("spec", "name = 5", "its network is refused"),
    ] {
        with_header(&place, |header| header["__metadata__"][key] = json!(value));
        refused(&place, "changed", &["changed", says]);
    }
}

#[test]
fn weights_without_the_mean_of_their_pictures_are_named() {
    let place = trained();
    let (mut header, mut body) = parts(&place.read("run/last.safetensors"));
    let mean = header
        .as_object_mut()
        .expect("an object")
        .remove("input.mean")
        .expect("a mean");
    let start = mean["data_offsets"][0].as_u64().expect("an offset") as usize;
    assert_eq!(start + 4 * 256, body.len(), "it is the last");
    body.truncate(start);
    place.write("changed", whole(&header, &body));
    refused(&place, "changed", &["changed lacks the training mean"]);
}

#[test]
fn what_is_not_there_is_named() {
    let place = trained();
    refused(
        &place,
        "nowhere",
        &["there is no such file or run directory"],
    );
    let nothing = "neither best.safetensors nor last.safetensors is in it";
    let holding = |file: &str, contents: Vec<u8>, hint: &str| {
        place.write(file, contents);
        let folder = file.split('/').next().unwrap_or_default();
        refused(&place, folder, &[nothing, hint]);
    };
    holding("notes/a.txt", b"words".to_vec(), "name a weights file");
    holding("begun/config.toml", Vec::new(), "--resume begun");
    holding(
        "files/a.pth",
        b"PK\x03\x04".to_vec(),
        "name the file: files/a.pth",
    );
    holding(
        "runs/mini-1/best.safetensors",
        Vec::new(),
        "name a run in it: runs/mini-1",
    );
    #[cfg(unix)]
    refused(&place, "/dev/null", &["/dev/null is no plain file"]);
    // Offline, so that no test reaches for the real hub; tests/hub.rs has the rest.
    let mut offline = place.command(["predict", "--weights", "hf:someone/alexnet", "a.png"]);
    offline
        .env("HF_HUB_OFFLINE", "1")
        .env("HF_HOME", place.path("hf"));
    Done::of(&mut offline).refused(1, &["hf:someone/alexnet", "HF_HUB_OFFLINE"]);
}

#[test]
fn a_checkpoint_that_is_damaged_is_named_when_its_run_is_resumed() {
    let place = trained();
    let last = place.read("run/last.safetensors");
    place.write("run/last.safetensors", &last[..last.len() - 4]);
    place.refuses(
        1,
        ["train", "--resume", "run"],
        &["run/last.safetensors is not a whole safetensors file"],
    );
    place.write("run/last.safetensors", &last);
    let state = "run/state/step-00000002.safetensors";
    let bytes = place.read(state);
    place.write(state, &bytes[..bytes.len() - 4]);
    place.refuses(
        1,
        ["train", "--resume", "run"],
        &[state, "is not a whole safetensors file"],
    );
    std::fs::remove_file(place.path(state)).unwrap();
    place.refuses(
        1,
        ["train", "--resume", "run"],
        &[state, "is gone", "still serve eval and predict"],
    );
    place
        .tandem(["predict", "--weights", "run", "a.png"])
        .succeeds();
}
