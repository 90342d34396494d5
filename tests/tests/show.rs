//! `tandem show`: figures of the form that their name asks for, numbers that agree with `eval`, and
//! errors that name what is wrong and what helps.

use image::{ImageFormat, RgbImage};
use serde_json::{Value, json};
use tandem_tests::{Place, picture, place};

/// A place with a trained run in `run`.
fn trained() -> Place {
    let place = place!(64);
    let train = "train --model tiny.toml --data fashion --epochs 2 --batch 8 --threads 1 --out run";
    place.tandem(train.split(' ')).succeeds();
    place
}

fn figure(place: &Place, name: &str) -> RgbImage {
    let bytes = place.read(name);
    let figure = image::load_from_memory_with_format(&bytes, ImageFormat::Png);
    figure.expect("a PNG").into_rgb8()
}

fn object(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text:?}"))
}

#[test]
fn each_subcommand_draws_a_png_under_its_own_name_and_prints_where() {
    let place = trained();
    for what in ["filters", "activations", "top5", "neighbours", "confusion"] {
        let done = place.tandem(["show", what, "run"]).succeeds();
        let name = format!("{what}.png");
        assert_eq!(done.stdout, format!("{name}\n"));
        let figure = figure(&place, &name);
        assert!(figure.width() >= 300 && figure.height() >= 150, "{what}");
        let inked = figure.pixels().filter(|pixel| pixel[0] < 128).count();
        assert!(inked > 500, "{what} shows something: {inked}");
        assert_eq!(figure.get_pixel(0, 0).0, [255; 3]);
    }
}

#[test]
fn an_out_that_ends_in_svg_is_an_svg_with_its_pictures_inside() {
    let place = trained();
    for what in ["filters", "activations", "top5", "neighbours", "confusion"] {
        let name = format!("{what}.svg");
        place
            .tandem(["show", what, "run", "--out", &name])
            .succeeds();
        let svg = place.text(&name);
        assert!(
            svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"),
            "{what}"
        );
        assert!(
            svg.contains("<text ") && svg.contains("href=\"data:image/png;base64,"),
            "{what}"
        );
    }
    let names = place.names(".");
    assert!(
        names.iter().all(|name| !name.ends_with(".png")),
        "{names:?}"
    );
}

#[test]
fn the_filters_are_those_that_the_run_drew() {
    let place = trained();
    place
        .tandem(["show", "filters", "run/last.safetensors"])
        .succeeds();
    assert_eq!(place.read("filters.png"), place.read("run/filters.png"));
}

#[test]
fn the_confusion_counts_every_picture_and_has_the_error_of_eval() {
    let place = trained();
    let done = place
        .tandem(["show", "confusion", "run", "--json"])
        .succeeds();
    let found = object(&done.stdout);
    assert!(
        !place.holds("confusion.png"),
        "with --json only --out draws"
    );
    let eval = ["eval", "--weights", "run", "--data", "fashion", "--json"];
    let eval = object(&place.tandem(eval).succeeds().stdout);
    assert_eq!(found["top1_error"], eval["top1_error"]);
    assert_eq!(found["images"], 40);
    assert_eq!(found["classes"][9], "Ankle boot");
    let counts: Vec<Vec<u64>> = serde_json::from_value(found["counts"].clone()).unwrap();
    assert_eq!(counts.iter().flatten().sum::<u64>(), 40);
    for (class, row) in counts.iter().enumerate() {
        let all: u64 = row.iter().sum();
        assert!(all > 0, "each class is among the first forty");
        let right = row[class] as f64 / all as f64;
        assert_eq!(found["shares"][class][class], json!(right));
        assert_eq!(found["errors"][class], json!(1.0 - right));
    }
}

#[test]
fn top5_names_the_right_class_and_with_wrong_only_mistakes() {
    let place = trained();
    let args = ["show", "top5", "run", "--count", "6", "--json"];
    let found = object(&place.tandem(args).succeeds().stdout);
    let pictures = found["pictures"].as_array().expect("a list");
    assert_eq!(pictures.len(), 6);
    for one in pictures {
        assert_eq!(one["predictions"].as_array().map(Vec::len), Some(5));
        assert!(
            one["label"].is_string() && one["image"].is_string(),
            "{one}"
        );
    }
    let args = [
        "show", "top5", "run", "--wrong", "--count", "100", "--json", "--out", "w.png",
    ];
    let found = object(&place.tandem(args).succeeds().stdout);
    assert!(place.holds("w.png"));
    let wrong = found["pictures"].as_array().expect("a list");
    assert!(
        wrong
            .iter()
            .all(|one| one["predictions"][0]["class"] != one["class"])
    );
    let eval = ["eval", "--weights", "run", "--data", "fashion", "--json"];
    let error = object(&place.tandem(eval).succeeds().stdout)["top1_error"].as_f64();
    assert_eq!(Some(wrong.len() as f64 / 40.0), error);
}

#[test]
fn a_picture_s_nearest_among_its_own_part_is_itself() {
    let place = trained();
    let args = "show neighbours run --part train --count 3 --nearest 2 --json";
    let found = object(&place.tandem(args.split(' ')).succeeds().stdout);
    assert_eq!(
        (&found["layer"], &found["among"]),
        (&json!("fc2"), &json!(64))
    );
    for one in found["pictures"].as_array().expect("a list") {
        let near = one["neighbours"].as_array().expect("a list");
        assert_eq!(near.len(), 2);
        assert_eq!(near[0]["distance"], 0.0);
        assert!(near[1]["distance"].as_f64() >= near[0]["distance"].as_f64());
    }
    let args = "show neighbours run --among 10 --nearest 20 --json";
    let found = object(&place.tandem(args.split(' ')).succeeds().stdout);
    assert_eq!(found["among"], 10);
    assert_eq!(
        found["pictures"][0]["neighbours"].as_array().map(Vec::len),
        Some(10)
    );
}

#[test]
fn activations_are_told_tower_by_tower_on_one_device_as_on_two() {
    let place = trained();
    place.write("a.png", picture(28, [99; 3]));
    let told = |devices: &str, layer: &str| {
        let line = format!("show activations run --index 7 --layer {layer} --devices {devices}");
        let args = line.split(' ').chain(["--json"]);
        object(&place.tandem(args).succeeds().stdout)
    };
    let (one, two) = (told("cpu", "conv1"), told("cpu,cpu", "conv1"));
    assert_eq!(one["shape"], json!([4, 6, 6]));
    let largest = |told: &Value, tower: usize, map: usize| {
        told["towers"][tower][map]["largest"]
            .as_f64()
            .expect("a number")
    };
    for (tower, map) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let (one, two) = (largest(&one, tower, map), largest(&two, tower, map));
        assert!((one - two).abs() < 1e-6, "{tower} {map}: {one} {two}");
    }
    // Features of a fully connected layer are one map a tower.
    let fc2 = told("cpu", "fc2");
    assert_eq!(fc2["towers"].as_array().map(Vec::len), Some(2));
    assert_eq!(fc2["towers"][0].as_array().map(Vec::len), Some(1));
    place
        .tandem(["show", "activations", "run", "a.png"])
        .succeeds();
}

#[test]
fn data_of_fewer_than_five_classes_has_fewer_bars() {
    let place = place!(16);
    for (part, class, shade) in [
        ("train", "dark", 40),
        ("train", "light", 200),
        ("val", "dark", 50),
        ("val", "light", 190),
    ] {
        for n in 0..4u8 {
            let name = format!("two/{part}/{class}/{n}.png");
            place.write(name, picture(20, [shade + n; 3]));
        }
    }
    let train = "train --model tiny.toml --data two --epochs 1 --batch 4 --out run";
    place.tandem(train.split(' ')).succeeds();
    let found = place.tandem(["show", "top5", "run", "--json"]).succeeds();
    let found = object(&found.stdout);
    assert_eq!(
        found["pictures"][0]["predictions"].as_array().map(Vec::len),
        Some(2)
    );
    place.tandem(["show", "top5", "run"]).succeeds();
    // Those classes are not the ones that Fashion-MNIST has.
    let args = ["show", "confusion", "run", "--data", "fashion"];
    place
        .tandem(args)
        .refused(1, &["tells 2 classes apart", "fashion has 10"]);
}

#[test]
fn what_is_typed_wrong_is_named_with_what_is_right() {
    let place = trained();
    let refuses = |code, line: &str, says: &[&str]| place.refuses(code, line.split(' '), says);
    refuses(
        2,
        "show activations run --layer conv2",
        &["no layer `conv2`", "conv1/lrn", "did you mean `conv1`?"],
    );
    refuses(
        2,
        "show activations run --index 40",
        &["--index 40", "has 40 validation pictures", "from 0 to 39"],
    );
    refuses(
        2,
        "show top5 run --out top5.gif",
        &["top5.gif", ".png or .svg"],
    );
    refuses(2, "show top5 run --count 0", &["--count", "1..=100"]);
    refuses(
        2,
        "show top5 run/last.safetensors",
        &["does not say what it learned from", "--data builtin"],
    );
    refuses(
        1,
        "show filters rum",
        &["rum", "no such file or run directory"],
    );
    refuses(
        1,
        "show filters run --out no/such/f.png",
        &["--out no/such/f.png", "a folder that is there"],
    );
    place.write("torn.png", &picture(28, [99; 3])[..40]);
    refuses(
        1,
        "show activations run torn.png",
        &["torn.png does not decode"],
    );
}

#[test]
fn pictures_without_labels_cannot_be_judged_but_have_neighbours() {
    let place = trained();
    // Tiny-ImageNet-200, of ten classes.
    let wnids: Vec<String> = (0..10).map(|class| format!("n0000000{class}")).collect();
    place.write("set/wnids.txt", wnids.join("\n"));
    for wnid in &wnids {
        let name = format!("set/train/{wnid}/images/{wnid}_0.png");
        place.write(name, picture(20, [90; 3]));
    }
    place.write("set/test/images/test_0.png", picture(20, [90; 3]));
    for what in ["top5", "confusion"] {
        let args = ["show", what, "run", "--data", "set", "--part", "test"];
        let says = [
            "the test pictures of set have no labels",
            "--part validation",
        ];
        place.tandem(args).refused(1, &says);
    }
    let args = [
        "show",
        "neighbours",
        "run",
        "--data",
        "set",
        "--part",
        "test",
    ];
    place.tandem(args).succeeds();
}
