//! `tandem finetune`, from trained weights to a run of other classes, and `tandem features`.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::SafeTensors;
use tandem_tests::{Done, Place, picture, place};

/// Classes of one tone each, with so many pictures.
const TONES: [(&str, u8, usize); 3] = [("dark", 30, 10), ("light", 220, 10), ("middle", 120, 10)];

/// Writes a folder a class, its pictures nearly of the class's grey.
fn tones(place: &Place, folder: &str, classes: &[(&str, u8, usize)]) {
    for &(class, tone, count) in classes {
        for i in 0..count {
            let name = format!("{folder}/{class}/{i}.png");
            place.write(name, picture(20, [tone + 2 * i as u8; 3]));
        }
    }
}

/// A place with a run `source` on ten classes of grey pictures, and `tones`.
fn trained() -> Place {
    let place = place!(64);
    let train = "train --model tiny.toml --data fashion --epochs 1 --batch 8 --threads 1 --set licence=cc-by-4.0 --out source";
    place.tandem(train.split(' ')).succeeds();
    tones(&place, "tones", &TONES);
    place
}

fn tune(place: &Place, options: &str) -> Done {
    let common = "finetune --from source --data tones --epochs 3 --batch 4 --threads 1 --out tuned";
    place.tandem(common.split(' ').chain(options.split_whitespace()))
}

/// Name to bytes of every tensor in a file.
fn tensors(place: &Place, file: impl AsRef<Path>) -> BTreeMap<String, Vec<u8>> {
    let bytes = place.read(file);
    let file = SafeTensors::deserialize(&bytes).unwrap();
    file.tensors()
        .into_iter()
        .map(|(name, tensor)| (name, tensor.data().to_vec()))
        .collect()
}

#[test]
fn frozen_layers_and_the_mean_are_the_source_s_to_the_byte_and_the_last_layer_is_new() {
    let place = trained();
    let done = tune(&place, "--freeze conv1").succeeds();
    assert!(done.stdout.contains("all epochs are done"), "{done:#?}");
    let new = "new, and drawn at random: fc3\n";
    assert!(done.stderr.contains(new), "{done:#?}");
    let source = tensors(&place, "source/best.safetensors");
    let tuned = tensors(&place, "tuned/last.safetensors");
    for name in ["conv1.weight", "conv1.bias", "input.mean"] {
        assert!(tuned[name] == source[name], "{name}");
    }
    assert!(tuned["fc2.weight"] != source["fc2.weight"]);
    // Three classes of twelve features, f32.
    assert_eq!(tuned["fc3.weight"].len(), 3 * 12 * 4);
    let config = place.text("tuned/config.toml");
    for line in ["freeze = [\"conv1\"]", "fc3 = 3.0", "mean = \"weights\""] {
        assert!(config.contains(line), "{line} in {config}");
    }
    // What they came of goes on with them.
    assert!(
        config.contains("origin = \"best.safetensors (`tiny` trained by Tandem"),
        "{config}"
    );
    let bytes = place.read("tuned/best.safetensors");
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let said = header.metadata().clone().unwrap();
    assert!(
        said["origin"].contains("starting from best.safetensors (`tiny` trained by"),
        "{said:?}"
    );
    assert_eq!(said["licence"], "cc-by-4.0");
    // An ordinary run: it names the new classes.
    let predict = "predict --weights tuned tones/dark/0.png --top 1";
    let said = place.tandem(predict.split(' ')).succeeds().stdout;
    assert!(
        TONES.iter().any(|(class, ..)| said.contains(class)),
        "{said}"
    );
}

#[test]
fn a_probe_learns_the_last_layer_alone_from_features_computed_once() {
    let place = trained();
    let done = tune(&place, "--probe").succeeds();
    let once = "the frozen layers have seen all 30 pictures";
    assert!(done.stderr.contains(once), "{done:#?}");
    let source = tensors(&place, "source/best.safetensors");
    for (name, bytes) in tensors(&place, "tuned/last.safetensors") {
        assert_eq!(bytes == source[&name], !name.starts_with("fc3"), "{name}");
    }
    // A random crop is another picture each epoch.
    let other = "finetune --from source --data tones --epochs 1 --freeze conv1..fc2 --out random";
    let done = place.tandem(other.split(' ')).succeeds();
    assert!(!done.stderr.contains("have seen all"), "{done:#?}");
}

/// Killed after line `line` of its metrics and resumed, a run ends as one that was never stopped.
fn resumes_to_the_same_bytes(options: &str) {
    let place = trained();
    let options = format!("{options} --seed 5 --set checkpoint_every_steps=2");
    tune(&place, &options).succeeds();
    let args = format!(
        "finetune --from source --data tones --epochs 3 --batch 4 --threads 1 --out stopped {options}"
    );
    let mut running = place.start(args.split_whitespace());
    running.wait_for_lines(&place.path("stopped"), 9);
    running.kill();
    // The weights that it began with are not needed any more.
    std::fs::remove_dir_all(place.path("source")).unwrap();
    place.tandem(["train", "--resume", "stopped"]).succeeds();
    for file in ["last.safetensors", "best.safetensors", "metrics.jsonl"] {
        let [whole, resumed] = ["tuned", "stopped"].map(|run| place.read(format!("{run}/{file}")));
        assert!(whole == resumed, "{file} differs with {options}");
    }
}

#[test]
fn a_run_that_was_killed_resumes_to_the_same_bytes() {
    resumes_to_the_same_bytes("--freeze conv1 --warm-up 5 --class-weights balanced");
}

#[test]
fn a_probe_that_was_killed_resumes_to_the_same_bytes() {
    resumes_to_the_same_bytes("--probe");
}

#[test]
fn rows_of_classes_of_the_same_name_are_kept() {
    let place = trained();
    tones(
        &place,
        "subset",
        &[("Bag", 30, 10), ("Ankle boot", 200, 10)],
    );
    let args =
        "finetune --from source --data subset --epochs 1 --keep-classes --freeze fc3 --out kept";
    place.tandem(args.split(' ')).succeeds();
    let source = tensors(&place, "source/best.safetensors");
    let kept = tensors(&place, "kept/last.safetensors");
    // Classes of folders are sorted; in Fashion-MNIST a boot is class 9 and a bag class 8.
    let row = |class: usize| &source["fc3.weight"][class * 48..][..48];
    assert!(kept["fc3.weight"] == [row(9), row(8)].concat());
    let args = [
        "finetune",
        "--from",
        "source",
        "--data",
        "tones",
        "--keep-classes",
        "--out",
        "no",
    ];
    place.refuses(1, args, &["`dark`", "`light`", "by name"]);
}

#[test]
fn networks_start_from_weights_and_are_done_when_those_are_gone() {
    let place = trained();
    let args = "train --model tiny.toml --data tones --epochs 1 --batch 8 --set start_from=source --out one";
    place.tandem(args.split(' ')).succeeds();
    let config = place.text("one/config.toml");
    let path = place.path("source/best.safetensors");
    let noted = format!("start_from = \"{}\"", path.display());
    assert!(
        config.contains(&noted) && config.contains("sha256 = "),
        "{config}"
    );

    let args = "ensemble train --members 2 --model tiny.toml --data tones --epochs 1 --batch 8 --out two --set start_from";
    let train = |source: &str| {
        let args = format!("{args}={source}");
        place.tandem(args.split(' '))
    };
    train("source").succeeds();
    let members = || {
        ["two/member-1", "two/member-2"]
            .map(|member| place.read(format!("{member}/last.safetensors")))
    };
    let before = members();
    std::fs::rename(place.path("source"), place.path("moved")).unwrap();
    train("source").succeeds();
    assert!(members() == before);
    train("moved").refused(
        2,
        &["two/member-1 holds a run with other settings", "start_from"],
    );
    // A third member is not let start from something else than the others.
    let other = "train --model tiny.toml --data fashion --epochs 1 --batch 8 --threads 1 --seed 9 --out source";
    place.tandem(other.split(' ')).succeeds();
    let third = format!("{args}=source").replace("--members 2", "--members 3");
    let says = ["best.safetensors holds other weights", "two/member-3"];
    place.refuses(1, third.split(' '), &says);
    // Nor settings of a run that began with others, unless they are told so.
    let again = "train --config one/config.toml --data tones --out again";
    place.refuses(
        1,
        again.split(' '),
        &["holds other weights", "start.sha256", "--set start_from"],
    );
    let without = format!("{again} --set start_from=");
    place.tandem(without.split(' ')).succeeds();
    assert!(!place.text("again/config.toml").contains("sha256"));
}

#[test]
fn a_run_ends_when_its_error_no_longer_falls() {
    let place = trained();
    let done = tune(
        &place,
        "--patience 1 --set epochs=9 --set rate.initial=1e-12",
    )
    .succeeds();
    assert!(
        done.stdout.starts_with("the error no longer falls"),
        "{done:#?}"
    );
    let metrics = place.text("tuned/metrics.jsonl");
    assert_eq!(metrics.matches("top1_error").count(), 2);
    // Of equal errors the first is the best.
    assert!(done.stdout.contains("at epoch 1:"), "{done:#?}");
}

#[test]
fn the_rate_climbs_in_equal_steps() {
    let place = trained();
    tune(
        &place,
        "--warm-up 4 --set epochs=1 --set rate.initial=0.004",
    )
    .succeeds();
    let rates: Vec<f64> = place
        .text("tuned/metrics.jsonl")
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter_map(|line| line["learning_rate"].as_f64())
        .take(5)
        .collect();
    let wanted = [0.001, 0.002, 0.003, 0.004, 0.004];
    assert!(
        rates
            .iter()
            .zip(wanted)
            .all(|(rate, wanted)| (rate - wanted).abs() < 1e-12),
        "{rates:?}"
    );
    let long = "train --model tiny.toml --data tones --epochs 1 --batch 8 --set rate.warm_up_steps=40 --out long";
    let said = place.tandem(long.split(' ')).succeeds().stderr;
    assert!(said.contains("over 40 updates and the run has 4"), "{said}");
}

#[test]
fn what_cannot_be_meant_is_refused_before_there_is_a_run() {
    let place = trained();
    let refused = |code: i32, options: &str, says: &[&str]| {
        let common = "finetune --from source --data tones --out no";
        let args = common.split(' ').chain(options.split_whitespace());
        place.refuses(code, args, says);
    };
    refused(2, "--freeze cnv1", &["`cnv1`", "did you mean `conv1`?"]);
    refused(2, "--freeze fc3..conv1", &["say conv1..fc3"]);
    refused(2, "--freeze conv1..fc3", &["every layer", "leave out fc3"]);
    refused(2, "--rate fc3=fast", &["`fast`", "10x"]);
    refused(2, "--rate fc3=10", &["`10`", "10x"]);
    refused(2, "--rate fc9=10x", &["`fc9`", "did you mean"]);
    refused(2, "--rate fc3", &["--rate fc8=10x"]);
    refused(2, "--freeze conv1 --rate conv1=2x", &["conv1 is frozen"]);
    refused(2, "--set rate.layers.fc7=2", &["`fc7`", "conv1, fc2, fc3"]);
    refused(2, "--set rate.layers.fc3=-1", &["rate"]);
    refused(2, "--freeze conv1 --probe", &["--probe"]);
    refused(2, "--model mini", &["--model"]);
    refused(2, "--set start_from=source", &["beside --from"]);
    refused(2, "--class-weights even", &["even"]);
    let from = |from: &str, data: &str, says: &[&str]| {
        place.refuses(
            1,
            ["finetune", "--from", from, "--data", data, "--out", "no"],
            says,
        );
    };
    refused(1, "--freeze fc3", &["fc3 is frozen", "best.safetensors"]);
    from("nowhere", "tones", &["nowhere"]);
    from("source", "nowhere", &["nowhere"]);
    tones(&place, "one", &[("only", 30, 12)]);
    from("source", "one", &["`only`", "two or more"]);
    for class in ["red", "blue"] {
        for i in 0..12 {
            place.write(
                format!("coloured/{class}/{i}.png"),
                picture(20, [200, 10, 10]),
            );
        }
    }
    from("source", "coloured", &["grey", "in colour", ".png"]);
    place.refuses(2, ["finetune", "--from", "source"], &["--data"]);
}

#[test]
fn features_are_the_same_in_either_format_and_have_their_labels_and_names() {
    let place = trained();
    let write = |out: &str| {
        let args = [
            "features",
            "--weights",
            "source",
            "--data",
            "tones",
            "--layer",
            "fc2",
            "--out",
            out,
        ];
        place.tandem(args).succeeds()
    };
    let done = write("f.safetensors");
    assert!(
        done.stdout.contains("27 vectors of 12 values, fc2 of tiny"),
        "{done:#?}"
    );
    write("f.npy");
    let bytes = place.read("f.safetensors");
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let features = file.tensor("features").unwrap();
    assert_eq!(features.shape(), [27, 12]);
    let npy = place.read("f.npy");
    assert!(npy.ends_with(features.data()) && npy.len() == features.data().len() + 128);
    let labels = file.tensor("labels").unwrap();
    assert!(place.read("f.labels.npy").ends_with(labels.data()));
    // Nine of each class, in their order.
    let first = |i: usize| labels.data()[8 * i];
    assert_eq!([first(0), first(9), first(26)], [0, 1, 2]);
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().as_ref().unwrap();
    assert_eq!(metadata["classes"], r#"["dark","light","middle"]"#);
    let names: Vec<String> = serde_json::from_str(&metadata["names"]).unwrap();
    assert_eq!(names.len(), 27);
    assert_eq!(place.text("f.names.txt").lines().collect::<Vec<_>>(), names);
    assert_eq!(place.text("f.classes.txt"), "dark\nlight\nmiddle\n");
    let args = |layer: &'static str, out: &'static str| {
        [
            "features",
            "--weights",
            "source",
            "--data",
            "tones",
            "--layer",
            layer,
            "--out",
            out,
        ]
    };
    place.refuses(2, args("fc9", "no.npy"), &["`fc9`", "fc2"]);
    place.refuses(2, args("fc2", "no.csv"), &[".safetensors", ".npy"]);
}
