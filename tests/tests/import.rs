//! Weights of other frameworks, in and out.

use serde_json::Value;
use tandem_tests::{Place, picture, place};

/// A place with torchvision's narrow network as PyTorch saved it, and a picture.
fn with_torchvision() -> Place {
    let place = place!();
    let fixtures = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../crates/tandem-formats/tests/fixtures"
    );
    for name in ["torchvision-narrow.pth", "exploit-zip.pth"] {
        let bytes = std::fs::read(format!("{fixtures}/{name}")).unwrap();
        place.write(name, bytes);
    }
    place.write("a.png", picture(300, [200, 20, 20]));
    place
}

#[test]
fn an_imported_network_predicts_wherever_a_run_does_and_goes_out_and_in_again_unchanged() {
    let place = with_torchvision();
    place.write("labels.txt", "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n");
    let import = "import torchvision-narrow.pth --labels labels.txt --out narrow --json";
    let done = place.tandem(import.split(' ')).succeeds();
    let made: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(made["weights"], "narrow/best.safetensors");
    assert_eq!(made["format"], "PyTorch, ZIP");
    assert_eq!(
        (made["parameters"].as_u64(), made["classes"].as_u64()),
        (Some(79_538), Some(10))
    );
    let predict = "predict --weights narrow --json --top 10 a.png";
    let first = place.tandem(predict.split(' ')).succeeds().stdout;
    assert!(first.contains(r#""label":"j""#), "{first}");

    let out = place
        .tandem("export narrow --to torchvision".split(' '))
        .succeeds();
    assert_eq!(out.stdout, "narrow-torchvision.safetensors\n");
    let again = "import narrow-torchvision.safetensors --out again";
    place.tandem(again.split(' ')).succeeds();
    assert!(place.read("again/best.safetensors") == place.read("narrow/best.safetensors"));

    place
        .tandem("export narrow --to safetensors --half".split(' '))
        .succeeds();
    let half = "predict --weights narrow-half.safetensors --json --top 10 a.png";
    place.tandem(half.split(' ')).succeeds();
    for repeated in [
        "export narrow --to safetensors --half",
        "export narrow --to torchvision",
    ] {
        place.refuses(1, repeated.split(' '), &["is there already", "--out"]);
    }
    place.refuses(
        1,
        import.split(' '),
        &["narrow is there and not empty", "--out"],
    );
}

#[cfg(unix)]
#[test]
fn what_never_ends_is_not_read() {
    let place = with_torchvision();
    let made = std::process::Command::new("mkfifo")
        .arg(place.path("pipe.pth"))
        .status();
    assert!(made.unwrap().success());
    for import in [
        "import /dev/zero",
        "import pipe.pth",
        "import torchvision-narrow.pth --labels /dev/zero",
    ] {
        place.refuses(1, import.split(' '), &["no plain file"]);
    }
}

#[test]
fn weights_of_no_network_of_ours_are_told_how_to_see_what_does_not_fit() {
    let place = place!();
    let header = br#"{"layer1.0.conv1.weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    let bytes = [&(header.len() as u64).to_le_bytes()[..], header, &[0; 4]].concat();
    place.write("resnet.safetensors", bytes);
    let says = ["layer1.0.conv1.weight [1]", "--model alexnet"];
    place.refuses(1, ["import", "resnet.safetensors"], &says);
    let named = "import resnet.safetensors --model alexnet";
    place.refuses(1, named.split(' '), &["conv1.weight", "[96, 3, 11, 11]"]);
}

#[test]
fn a_licence_stays_with_the_weights() {
    let place = with_torchvision();
    let licence = |file: &str| {
        let bytes = place.read(file);
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        let said = header.metadata().clone().unwrap_or_default();
        said.get("licence").cloned()
    };
    let import = "import torchvision-narrow.pth --licence bsd-3-clause --out narrow";
    place.tandem(import.split(' ')).succeeds();
    assert_eq!(
        licence("narrow/best.safetensors").as_deref(),
        Some("bsd-3-clause")
    );
    for (export, wanted) in [("", "bsd-3-clause"), (" --licence mit", "mit")] {
        let export = format!("export narrow --to torchvision --out {wanted}.safetensors{export}");
        place.tandem(export.split(' ')).succeeds();
        assert_eq!(
            licence(&format!("{wanted}.safetensors")).as_deref(),
            Some(wanted)
        );
    }
}

#[test]
fn without_a_name_imports_are_numbered_as_runs_are() {
    let place = with_torchvision();
    for number in 1..=2 {
        let done = place
            .tandem(["import", "torchvision-narrow.pth"])
            .succeeds();
        let says = format!("now: tandem predict --weights runs/torchvision-{number} PICTURE\n");
        assert!(done.stdout.ends_with(&says), "{}", done.stdout);
        assert!(
            done.stdout
                .contains("note: the file does not name its 10 classes"),
            "{}",
            done.stdout
        );
    }
}

#[test]
fn weights_of_another_framework_are_taken_wherever_a_run_is() {
    let place = with_torchvision();
    place
        .tandem("import torchvision-narrow.pth --out narrow".split(' '))
        .succeeds();
    let predict = |weights: &str| {
        let args = format!("predict --weights {weights} --json --top 10 a.png");
        place.tandem(args.split(' ')).succeeds()
    };
    let done = predict("torchvision-narrow.pth");
    assert_eq!(done.stdout, predict("narrow").stdout);
    let note = "torchvision-narrow.pth: the file does not name its 10 classes";
    assert_eq!(done.stderr.matches(note).count(), 1, "{}", done.stderr);
    // From one framework to another, and back to the same.
    for (from, to) in [
        ("torchvision-narrow.pth", "onnx"),
        ("net.onnx", "torchvision"),
    ] {
        let ending = if to == "onnx" { "onnx" } else { "safetensors" };
        let args = format!("export {from} --to {to} --out net.{ending}");
        place.tandem(args.split(' ')).succeeds();
    }
    assert_eq!(done.stdout, predict("net.safetensors").stdout);

    for class in ["red", "blue"] {
        for i in 0..12 {
            let colour = if class == "red" {
                [200, 10, i]
            } else {
                [i, 10, 200]
            };
            place.write(format!("data/{class}/{i}.png"), picture(64, colour));
        }
    }
    let tune =
        "finetune --from torchvision-narrow.pth --data data --epochs 1 --batch 8 --out tuned";
    place.tandem(tune.split(' ')).succeeds();
    let config = place.text("tuned/config.toml");
    assert!(
        config.contains("origin = \"imported from torchvision-narrow.pth (PyTorch, ZIP"),
        "{config}"
    );
    // Stopped before it was first saved, it begins with them again.
    let last = place.read("tuned/last.safetensors");
    place.remove_checkpoints("tuned");
    let args = ["train", "--resume", "tuned"];
    place.tandem(args).succeeds();
    assert!(place.read("tuned/last.safetensors") == last);
    let ensemble = "ensemble eval tuned torchvision-narrow.pth --data data";
    let says = ["torchvision-narrow.pth is no member", "10 classes"];
    place.refuses(1, ensemble.split(' '), &says);
    // Other weights than it began with are not taken, nor none.
    let fixture = place.read("torchvision-narrow.pth");
    place.remove_checkpoints("tuned");
    let other = "export net.onnx --to torchvision --half --out other.safetensors";
    place.tandem(other.split(' ')).succeeds();
    std::fs::copy(
        place.path("other.safetensors"),
        place.path("torchvision-narrow.pth"),
    )
    .unwrap();
    place.refuses(
        1,
        args,
        &["torchvision-narrow.pth holds other weights than when tuned began"],
    );
    std::fs::remove_file(place.path("torchvision-narrow.pth")).unwrap();
    place.refuses(1, args, &["the weights that tuned starts from", "put back"]);
    place.write("torchvision-narrow.pth", fixture);
    place.tandem(args).succeeds();
    assert!(place.read("tuned/last.safetensors") == last);
    // A picture is looked at without the data that a file does not tell of.
    let show = "show activations torchvision-narrow.pth a.png --layer conv3 --out conv3.png";
    place.tandem(show.split(' ')).succeeds();
    // What is refused by `import` is refused here, with what to do.
    let args = "predict --weights exploit-zip.pth a.png";
    place.refuses(1, args.split(' '), &["posix.system", "ask its author"]);
}

#[test]
fn what_a_file_leaves_no_choice_in_is_not_silently_ignored() {
    let place = with_torchvision();
    for (option, flag) in [
        ("--bgr", "--bgr"),
        ("--normalise mean", "--normalise"),
        ("--mean mean.npy", "--mean"),
    ] {
        let import = format!("import torchvision-narrow.pth {option}");
        let flag = format!("leave out {flag}");
        place.refuses(1, import.split(' '), &["torchvision-narrow.pth", &flag]);
    }
    assert!(!place.holds("runs"));
}

#[test]
fn a_pickle_that_would_run_a_program_is_refused_by_name() {
    let place = with_torchvision();
    place.refuses(
        1,
        ["import", "exploit-zip.pth"],
        &[
            "exploit-zip.pth",
            "`posix.system` at byte",
            "ask its author for safetensors",
        ],
    );
}

#[test]
fn imported_weights_are_no_run_to_go_on_with_and_do_not_say_what_they_learned_from() {
    let place = with_torchvision();
    place
        .tandem("import torchvision-narrow.pth --out narrow".split(' '))
        .succeeds();
    place.refuses(
        1,
        ["train", "--resume", "narrow"],
        &["config.toml is of weights that were imported"],
    );
    place.refuses(2, ["show", "top5", "narrow"], &["imported", "--data SPEC"]);
}

#[test]
fn a_trained_network_goes_out_under_our_names_and_says_how_it_was_trained() {
    let place = place!(16);
    let train = "train --model tiny.toml --data fashion --epochs 1 --batch 8 --out run";
    place.tandem(train.split(' ')).succeeds();
    place
        .tandem("export run --to safetensors --out w.safetensors".split(' '))
        .succeeds();
    let text = String::from_utf8_lossy(&place.read("w.safetensors")).into_owned();
    assert!(
        text.contains("trained by Tandem") && text.contains(" on 16 pictures: 1 of 1 epochs"),
        "{:.2000}",
        text
    );
    place.refuses(
        1,
        "export run --to torchvision".split(' '),
        &[
            "is not of the shape of torchvision's alexnet",
            "--to safetensors",
        ],
    );
}
