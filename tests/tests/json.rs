//! What scripts read: `--json` prints what the contract says and nothing else, and so does
//! `metrics.jsonl`.

use serde_json::{Value, json};
use tandem_tests::{Place, picture, place};

/// A place with a trained run in `run`.
fn trained() -> Place {
    let place = place!(64);
    let train = "train --model tiny.toml --data fashion --epochs 2 --batch 8 --threads 1 --out run";
    place.tandem(train.split(' ')).succeeds();
    place
}

fn keys(object: &Value) -> Vec<&str> {
    let object = object.as_object().expect("an object");
    object.keys().map(String::as_str).collect()
}

fn number(object: &Value, key: &str) -> f64 {
    object[key]
        .as_f64()
        .unwrap_or_else(|| panic!("{key} is a number in {object}"))
}

fn parsed(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}"))
}

#[test]
fn predict_prints_a_line_a_picture_with_its_classes_the_likeliest_first() {
    let place = trained();
    let names = ["grey.png", "a folder/röd.png"];
    for (name, colour) in names.iter().zip([[128; 3], [200, 20, 20]]) {
        place.write(name, picture(40, colour));
    }
    let done = place
        .tandem([
            "predict",
            "--weights",
            "run",
            "--top",
            "10",
            "--json",
            names[0],
            names[1],
        ])
        .succeeds();
    let lines: Vec<Value> = done.stdout.lines().map(parsed).collect();
    assert_eq!(lines.len(), 2, "{done:#?}");
    for (line, name) in lines.iter().zip(names) {
        assert_eq!(keys(line), ["image", "predictions"]);
        assert_eq!(line["image"], name);
        let predictions = line["predictions"].as_array().expect("a list");
        let mut classes: Vec<_> = predictions.iter().map(|p| p["class"].as_u64()).collect();
        classes.sort();
        assert_eq!(classes, (0..10).map(Some).collect::<Vec<_>>());
        let shares: Vec<f64> = predictions
            .iter()
            .map(|p| number(p, "probability"))
            .collect();
        assert!(shares.is_sorted_by(|a, b| a >= b), "{shares:?}");
        assert!(
            (shares.iter().sum::<f64>() - 1.0).abs() < 1e-5,
            "{shares:?}"
        );
        for prediction in predictions {
            assert_eq!(keys(prediction), ["class", "label", "probability"]);
            if prediction["class"] == 3 {
                assert_eq!(prediction["label"], "Dress");
            }
        }
    }
}

#[test]
fn predict_names_five_classes_unless_told_otherwise() {
    let place = trained();
    place.write("a.png", picture(28, [99; 3]));
    let done = place
        .tandem(["predict", "--weights", "run", "--json", "a.png"])
        .succeeds();
    let predictions = &parsed(&done.stdout)["predictions"];
    assert_eq!(predictions.as_array().map(Vec::len), Some(5));
}

#[test]
fn a_picture_that_does_not_decode_is_an_error_after_the_lines_before_it() {
    let place = trained();
    place.write("a.png", picture(28, [99; 3]));
    place.write("torn.png", &picture(28, [99; 3])[..40]);
    let done = place
        .tandem(["predict", "--weights", "run", "--json", "a.png", "torn.png"])
        .exits(1);
    assert_eq!(parsed(done.stdout.trim_end())["image"], "a.png");
    assert!(
        done.stderr
            .contains("torn.png does not decode as a picture"),
        "{done:#?}"
    );
}

#[test]
fn eval_prints_one_object_equal_to_the_last_validation_of_the_run() {
    let place = trained();
    let args = [
        "eval",
        "--weights",
        "run/last.safetensors",
        "--data",
        "fashion",
        "--json",
    ];
    let done = place.tandem(args).succeeds();
    let found = parsed(&done.stdout);
    assert_eq!(
        keys(&found),
        ["images", "loss", "top1_error", "top5_error"],
        "these and no others"
    );
    assert_eq!(found["images"], 40);
    let metrics = place.text("run/metrics.jsonl");
    let last = parsed(metrics.lines().last().expect("a last line"));
    for key in ["top1_error", "top5_error"] {
        assert_eq!(found[key], last[key], "{key}");
    }
    assert!((number(&found, "loss") - number(&last, "loss")).abs() < 1e-6);
    // The best weights, ten views: other numbers in the same form.
    let ten = place
        .tandem([
            "eval",
            "--weights",
            "run",
            "--data",
            "fashion",
            "--views",
            "10",
            "--json",
        ])
        .succeeds();
    assert_eq!(keys(&parsed(&ten.stdout)), keys(&found));
}

#[test]
fn bench_prints_one_object_for_each_of_its_modes() {
    let place = place!(16);
    for mode in [
        "train", "infer", "lrn", "pool", "lrn-pool", "conv", "linear", "dropout", "softmax", "sgd",
        "data",
    ] {
        let line = format!("bench --mode {mode} --model tiny.toml --batch 4 --steps 2 --warmup 0");
        let args = line
            .split(' ')
            .chain(["--threads", "1", "--data", "fashion", "--json"]);
        let done = place.tandem(args).succeeds();
        let found = parsed(&done.stdout);
        let mut contract = vec![
            "batch",
            "device",
            "images_per_second",
            "mode",
            "model",
            "peak_memory_bytes",
            "seconds_per_step",
            "threads",
        ];
        if mode == "data" {
            contract.insert(7, "stages");
            let stages = found["stages"].as_array().expect("a list");
            let names: Vec<_> = stages.iter().map(|stage| &stage["stage"]).collect();
            let four = [
                "read and decode",
                "scale and cut",
                "augment to f32",
                "bytes and draws",
            ];
            assert_eq!(json!(names), json!(four));
            assert!(
                stages
                    .iter()
                    .all(|stage| number(stage, "images_per_second") > 0.0)
            );
        }
        assert_eq!(keys(&found), contract, "{mode}: these and no others");
        let told = [
            &found["mode"],
            &found["model"],
            &found["device"],
            &found["batch"],
            &found["threads"],
        ];
        assert_eq!(json!(told), json!([mode, "tiny", "cpu", 4, 1]));
        let (seconds, images) = (
            number(&found, "seconds_per_step"),
            number(&found, "images_per_second"),
        );
        assert!(
            seconds > 0.0 && (images * seconds - 4.0).abs() < 1e-6,
            "{found}"
        );
        if cfg!(target_os = "linux") {
            assert!(number(&found, "peak_memory_bytes") > 0.0);
        }
    }
    // What the loader does on the CPU.
    let args = ["bench", "--mode", "augment", "--model", "tiny.toml"];
    place.refuses(2, args, &["--mode augment on the CPU", "--mode data"]);
}

#[test]
fn every_step_and_every_epoch_of_a_run_is_a_line_of_its_metrics() {
    let place = trained();
    let metrics = place.text("run/metrics.jsonl");
    let lines: Vec<Value> = metrics.lines().map(parsed).collect();
    // 64 pictures in batches of 8, twice; each epoch is told of after its last step.
    assert_eq!(lines.len(), 2 * (8 + 1));
    let steps: Vec<f64> = lines.iter().map(|line| number(line, "step")).collect();
    let expected: Vec<f64> = [1, 2, 3, 4, 5, 6, 7, 8, 8, 9, 10, 11, 12, 13, 14, 15, 16, 16]
        .map(f64::from)
        .to_vec();
    assert_eq!(steps, expected);
    for (index, line) in lines.iter().enumerate() {
        for key in ["step", "epoch", "loss", "learning_rate"] {
            number(line, key);
        }
        let validation = index == 8 || index == 17;
        assert_eq!(line.get("top1_error").is_some(), validation, "{line}");
        assert_eq!(line.get("top5_error").is_some(), validation, "{line}");
    }
    assert_eq!(
        (&lines[8]["epoch"], &lines[17]["epoch"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(number(&lines[3], "epoch"), 0.5);
}

#[test]
fn each_layer_s_weights_and_updates_are_told_of_once_an_epoch() {
    let place = trained();
    let metrics = place.text("run/metrics.jsonl");
    let last = parsed(metrics.lines().last().expect("a last line"));
    let layers = &last["parameters"];
    assert_eq!(
        keys(layers),
        [
            "conv1.bias",
            "conv1.weight",
            "fc2.bias",
            "fc2.weight",
            "fc3.bias",
            "fc3.weight"
        ]
    );
    for name in ["conv1.weight", "fc2.weight", "fc3.weight"] {
        let layer = &layers[name];
        assert_eq!(
            keys(layer),
            [
                "mean_abs_gradient",
                "mean_abs_update",
                "mean_abs_weight",
                "ratio"
            ]
        );
        assert!(number(layer, "mean_abs_gradient") > 0.0, "{name}: {layer}");
        let (update, weight) = (
            number(layer, "mean_abs_update"),
            number(layer, "mean_abs_weight"),
        );
        assert!(update > 0.0 && weight > 0.0, "{name}: {layer}");
        assert!(
            (number(layer, "ratio") - update / weight).abs() < 1e-9,
            "{name}: {layer}"
        );
    }
}

#[test]
fn info_and_doctor_print_one_object_each() {
    let place = place!();
    for command in ["info", "doctor"] {
        let done = place.tandem([command, "--json"]).succeeds();
        assert!(parsed(&done.stdout).is_object(), "{done:#?}");
    }
}
