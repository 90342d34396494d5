//! `hf:OWNER/NAME` as data and as weights, against a hub on the loopback interface.

use std::ffi::OsStr;
use std::fs;

use hub_emulator::{Access, Fault, Hub, Right};
use tandem_tests::{Done, Place, picture, place};

/// Twenty pictures of Fashion-MNIST, two of each class, as Hugging Face's library writes them.
const TWENTY: &[u8] =
    include_bytes!("../../crates/tandem-data/tests/parquet/packings/gzip-v1.parquet");

/// A hub with one data set of training and validation pictures; gives its commit too.
fn hub() -> (Hub, String) {
    let hub = Hub::start();
    let commit = hub.push(
        "owner/fashion",
        "main",
        &[
            ("README.md", b"Fashion"),
            ("data/train-00000-of-00001.parquet", TWENTY),
            ("data/validation-00000-of-00001.parquet", TWENTY),
        ],
    );
    (hub, commit)
}

/// The command, whose cache is the folder `hf` of `place`.
fn tandem(
    place: &Place,
    endpoint: &str,
    args: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Done {
    tandem_as(None, place, endpoint, args)
}

/// The command with a token.
fn tandem_as(
    token: Option<&str>,
    place: &Place,
    endpoint: &str,
    args: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Done {
    let mut command = place.command(args);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().into_owned();
        if text.starts_with("HF_") || text.to_lowercase().ends_with("_proxy") {
            command.env_remove(name);
        }
    }
    command
        .env("HF_ENDPOINT", endpoint)
        .env("HF_HOME", place.path("hf"))
        .envs(token.map(|token| ("HF_TOKEN", token)));
    Done::of(&mut command)
}

#[test]
fn a_data_set_of_the_hub_is_learned_and_the_run_is_pinned_to_its_commit() {
    let place = place!(16);
    let (hub, commit) = hub();
    let train = "train --model tiny.toml --data hf:owner/fashion --epochs 1 --batch 4 --out run";
    tandem(&place, hub.endpoint(), train.split(' ')).succeeds();
    let pinned = format!("hf:owner/fashion@{commit}");
    assert!(
        place
            .text("run/config.toml")
            .contains(&format!("data = \"{pinned}\""))
    );

    // Another commit later does not matter to it, nor that the hub is gone.
    hub.push(
        "owner/fashion",
        "main",
        &[("data/train-00000-of-00001.parquet", b"other")],
    );
    drop(hub);
    let nowhere = "http://127.0.0.1:9";
    let eval = ["eval", "--weights", "run", "--data", &pinned, "--json"];
    let result = tandem(&place, nowhere, eval).succeeds().stdout;
    let result: serde_json::Value = serde_json::from_str(&result).unwrap();
    assert_eq!(result["images"], 20);
    tandem(&place, nowhere, ["train", "--resume", "run"]).succeeds();
}

#[test]
fn what_the_hub_refuses_is_said_with_what_to_do() {
    let place = place!();
    let (hub, _) = hub();
    let info = |name: &str| tandem(&place, hub.endpoint(), ["data", "info", name]);
    info("hf:owner/fashions").refused(1, &["no data set owner/fashions", "check the name"]);
    info("hf:a/b/c").refused(2, &["hf:OWNER/NAME"]);
    hub.protect("owner/fashion", Access::Gated("secret".into()));
    info("hf:owner/fashion").refused(1, &["owner/fashion", "datasets/owner/fashion", "HF_TOKEN"]);
}

#[test]
fn weights_of_the_hub_predict_what_the_run_predicts() {
    let place = place!(16);
    let hub = Hub::start();
    let endpoint = hub.endpoint();
    let train = "train --model tiny.toml --data fashion --epochs 1 --batch 8 --out run";
    place.tandem(train.split(' ')).succeeds();
    let read = |file: &str| fs::read(place.path("run").join(file)).unwrap();
    let (best, config) = (read("best.safetensors"), read("config.toml"));
    let files: [(&str, &[u8]); 3] = [
        ("README.md", b"Tiny"),
        ("config.toml", &config),
        ("model.safetensors", &best),
    ];
    let commit = hub.push_model("owner/tiny", "main", &files);

    fs::write(place.path("a.png"), tandem_tests::picture(16, [9, 80, 200])).unwrap();
    let predict = |endpoint: &str, weights: &str| {
        let args = ["predict", "--weights", weights, "a.png", "--json"];
        tandem(&place, endpoint, args).succeeds().stdout
    };
    let of_the_run = predict(endpoint, "run");
    assert_eq!(predict(endpoint, "hf:owner/tiny"), of_the_run);

    // The commit is in the cache, so the hub may be gone; another one there is of no matter.
    hub.push_model("owner/tiny", "main", &[("model.safetensors", b"other")]);
    let pinned = format!("hf:owner/tiny@{commit}");
    assert_eq!(predict("http://127.0.0.1:9", &pinned), of_the_run);

    // The other commands that take weights, with the run's own data where none is named.
    let data = "eval --data fashion --json --weights";
    let eval = |weights: &str| {
        let args = data.split(' ').chain([weights]);
        tandem(&place, endpoint, args).succeeds().stdout
    };
    assert_eq!(eval(&pinned), eval("run"));
    tandem(&place, endpoint, ["show", "filters", &pinned]).succeeds();
    tandem(&place, endpoint, ["show", "confusion", &pinned, "--json"]).succeeds();
    let ensemble = ["ensemble", "eval", "run", &pinned, "--data", "fashion"];
    tandem(&place, endpoint, ensemble).succeeds();
}

#[test]
fn weights_of_no_network_are_told_what_import_says_of_them() {
    let place = place!();
    let hub = Hub::start();
    let header = br#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    let foreign = [&(header.len() as u64).to_le_bytes()[..], header, &[0; 4]].concat();
    let files: [(&str, &[u8]); 2] = [
        ("model.safetensors", &foreign),
        ("alexnet.pth", b"PK\x03\x04 and no more"),
    ];
    hub.push_model("owner/torch", "main", &files);
    let predict = |weights: &str| {
        let args = ["predict", "--weights", weights, "a.png"];
        tandem(&place, hub.endpoint(), args)
    };
    for name in ["hf:owner/torch", "hf:owner/torch:alexnet.pth"] {
        let pull = ["hub", "pull", name, "--out", "pulled"];
        let hint = format!("tandem import {name}");
        tandem(&place, hub.endpoint(), pull).refused(1, &["Tandem's", &hint]);
    }
    predict("hf:owner/torch").refused(1, &["w [1]", "tandem import hf:owner/torch --model"]);
    predict("hf:owner/torch:alexnet.pth").refused(1, &["alexnet.pth", "ZIP"]);
    predict("hf:owner/nothing").refused(1, &["no model owner/nothing", "check the name"]);
    predict("hf:a/b/c").refused(2, &["hf:OWNER/NAME"]);
    hub.push_model("owner/gated", "main", &files);
    hub.protect("owner/gated", Access::Gated("secret".into()));
    predict("hf:owner/gated").refused(1, &["owner/gated is gated", "HF_TOKEN"]);
}

const TOKEN: Option<&str> = Some("hf_of_me");

/// A hub where [`TOKEN`] may write what is `me`'s, and a run in `secret-place/run` on pictures in
/// `secret-place/fashion`.
fn trained() -> (Place, Hub) {
    let place = place!(16);
    let hub = Hub::start();
    hub.allow("hf_of_me", "me", Right::Write);
    fs::create_dir(place.path("secret-place")).unwrap();
    fs::rename(place.path("fashion"), place.path("secret-place/fashion")).unwrap();
    let train = "train --model tiny.toml --data secret-place/fashion --epochs 2 --batch 8 --out \
                 secret-place/run";
    place.tandem(train.split(' ')).succeeds();
    fs::write(place.path("a.png"), tandem_tests::picture(16, [9, 80, 200])).unwrap();
    (place, hub)
}

#[test]
fn a_run_is_pushed_pulled_elsewhere_and_predicts_the_same() {
    let (place, hub) = trained();
    let endpoint = hub.endpoint();
    let push = "hub push secret-place/run me/tiny --licence MIT --message first";
    let pushed = tandem_as(TOKEN, &place, endpoint, push.split(' ')).succeeds();
    for words in [
        "pushed commit ",
        &format!("{endpoint}/me/tiny\n"),
        "hf:me/tiny PICTURE",
    ] {
        assert!(pushed.stdout.contains(words), "{}", pushed.stdout);
    }
    let files = hub.files("me/tiny", "main").unwrap();
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    let expected = [
        ".gitattributes",
        "README.md",
        "config.toml",
        "curves.png",
        "filters.png",
        "labels.txt",
        "model.safetensors",
    ];
    assert_eq!(names, expected);
    let labels = String::from_utf8_lossy(&files["labels.txt"]);
    assert_eq!(labels.lines().count(), 10);

    // Again: the same files, so no second commit.
    let again = tandem_as(TOKEN, &place, endpoint, push.split(' ')).succeeds();
    assert!(
        again.stdout.starts_with("nothing to push"),
        "{}",
        again.stdout
    );
    assert_eq!(hub.commits("me/tiny"), Some(2));

    let predict = |weights: &str| {
        let args = ["predict", "--weights", weights, "a.png", "--json"];
        tandem(&place, endpoint, args).succeeds().stdout
    };
    let of_the_run = predict("secret-place/run");
    assert_eq!(predict("hf:me/tiny"), of_the_run);
    let pull = |args: &str| tandem(&place, endpoint, args.split(' '));
    let pulled = pull("hub pull me/tiny").succeeds();
    assert!(
        pulled.stdout.starts_with("runs/tiny\n"),
        "{}",
        pulled.stdout
    );
    assert_eq!(predict("runs/tiny"), of_the_run);
    let eval = [
        "eval",
        "--weights",
        "runs/tiny",
        "--data",
        "secret-place/fashion",
    ];
    place.tandem(eval).succeeds();

    // Never in place of what is there, and no run to resume.
    pull("hub pull me/tiny").refused(1, &["runs/tiny", "is there already", "name another folder"]);
    fs::create_dir(place.path("empty")).unwrap();
    pull("hub pull me/tiny --out empty").refused(1, &["empty", "is there already"]);
    place
        .tandem(["train", "--resume", "runs/tiny"])
        .refused(1, &["runs/tiny", "state"]);
    assert_eq!(predict("runs/tiny"), of_the_run);
    pull("hub pull me/nothing --out x").refused(1, &["no model me/nothing"]);
    assert!(!place.holds("x"));
}

#[test]
fn nothing_of_this_machine_and_no_token_is_published() {
    let (place, hub) = trained();
    let push = "hub push secret-place/run me/tiny --licence MIT";
    let done = tandem_as(TOKEN, &place, hub.endpoint(), push.split(' ')).succeeds();
    let folder = place.path("").display().to_string();
    for (name, contents) in hub.files("me/tiny", "main").unwrap() {
        let text = String::from_utf8_lossy(&contents).into_owned();
        for secret in ["secret-place", folder.trim_end_matches('/'), "hf_of_me"] {
            assert!(!text.contains(secret), "{secret} is in {name}: {text}");
        }
    }
    assert!(!(done.stdout + &done.stderr).contains("hf_of_me"));
    let config = hub
        .files("me/tiny", "main")
        .unwrap()
        .remove("config.toml")
        .unwrap();
    assert!(String::from_utf8_lossy(&config).contains("data = \"fashion\""));
}

#[test]
fn a_card_has_what_the_hub_reads_and_the_measured_errors() {
    let (place, hub) = trained();
    let look = "hub push secret-place/run me/tiny --licence mit --dry-run look";
    let done = tandem(&place, "http://127.0.0.1:9", look.split(' ')).succeeds();
    assert!(
        done.stdout.contains("nothing was uploaded"),
        "{}",
        done.stdout
    );
    let card = place.text("look/README.md");
    let eval = ["eval", "--weights", "look/model.safetensors", "--data"];
    let eval = eval.into_iter().chain(["secret-place/fashion", "--json"]);
    let measured: serde_json::Value =
        serde_json::from_str(&place.tandem(eval).succeeds().stdout).unwrap();
    let error = measured["top1_error"].as_f64().unwrap();
    for words in [
        "---\nlicense: mit\n",
        "pipeline_tag: image-classification\n",
        "model-index:\n- name: \"tiny\"\n",
        &format!("name: Top-1 accuracy\n      value: {:.4}\n", 1.0 - error),
        &format!("| {:.2} % |", 100.0 * error),
        "tandem predict --weights hf:me/tiny picture.jpg",
        "](curves.png)",
        "](filters.png)",
        "On `fashion`: ",
    ] {
        assert!(card.contains(words), "`{words}` is not in:\n{card}");
    }
    assert!(place.text("look/config.toml").contains("licence = \"mit\""));
    tandem(&place, "http://127.0.0.1:9", look.split(' ')).refused(1, &["look", "already"]);

    // The same files are then pushed.
    let push = "hub push secret-place/run me/tiny --licence mit";
    tandem_as(TOKEN, &place, hub.endpoint(), push.split(' ')).succeeds();
    let mut files = hub.files("me/tiny", "main").unwrap();
    files.remove(".gitattributes");
    for (name, contents) in files {
        assert_eq!(contents, place.read(format!("look/{name}")), "{name}");
    }

    // What is fine-tuned from it says so, and has its licence.
    let tune = "finetune --from hf:me/tiny --data secret-place/fashion --probe --epochs 1 --threads 1 --out tuned";
    let done = tandem(&place, hub.endpoint(), tune.split(' ')).succeeds();
    assert!(done.stderr.contains("comes of it: mit"), "{done:#?}");
    let look = "hub push tuned me/tuned --dry-run tuned-look";
    tandem(&place, "http://127.0.0.1:9", look.split(' ')).succeeds();
    let card = place.text("tuned-look/README.md");
    for words in [
        "---\nlicense: mit\n",
        "base_model: \"me/tiny\"\n",
        "starting from hf:me/tiny@",
    ] {
        assert!(card.contains(words), "`{words}` is not in:\n{card}");
    }
}

#[test]
fn a_push_that_cannot_be_is_told_and_one_that_broke_goes_on() {
    let (place, hub) = trained();
    let endpoint = hub.endpoint();
    let push = |token, line: &str| {
        let args = ["hub", "push"].into_iter().chain(line.split(' '));
        tandem_as(token, &place, endpoint, args)
    };
    push(None, "secret-place/run me/tiny").refused(1, &["set HF_TOKEN", "/settings/tokens"]);
    push(TOKEN, "secret-place/run you/tiny").refused(1, &["may not write you/tiny", "HF_TOKEN"]);
    push(TOKEN, "secret-place/nothing me/tiny").refused(1, &["secret-place/nothing"]);
    for name in ["tiny", "me/ti--ny", "me/tiny@v1", "me/tiny:x", "a/b/c"] {
        push(TOKEN, &format!("secret-place/run {name}")).refused(2, &["OWNER/NAME"]);
    }
    push(TOKEN, "secret-place/run me/tiny --licence m!t").refused(2, &["spdx.org"]);
    hub.allow("hf_read", "me", Right::Read);
    let read = push(Some("hf_read"), "secret-place/run me/tiny");
    read.refused(1, &["may not write me/tiny", "write access"]);
    assert_eq!(hub.commits("me/tiny"), None);

    let gone = Fault::Status(400, "X-Error-Message", "Not today");
    hub.fail_at("POST", "/commit/", gone, 1);
    push(TOKEN, "secret-place/run me/tiny --private").refused(1, &["400", "Not today"]);
    assert_eq!(hub.commits("me/tiny"), Some(1));
    hub.requests();
    push(TOKEN, "secret-place/run me/tiny --private").succeeds();
    let asked = hub.requests();
    assert!(
        asked.iter().all(|request| request.method != "PUT"),
        "the storage has them"
    );
    assert_eq!(hub.is_private("me/tiny"), Some(true));
    push(TOKEN, "secret-place/run me/tiny --private --revision v2").succeeds();
    assert_eq!(hub.files("me/tiny", "v2"), hub.files("me/tiny", "main"));
}

#[test]
fn weights_of_another_framework_are_imported_from_the_hub_and_pushed_with_their_origin() {
    let place = place!();
    let hub = Hub::start();
    let fixture = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../crates/tandem-formats/tests/fixtures/torchvision-narrow.pth"
    );
    let narrow = fs::read(fixture).unwrap();
    let commit = hub.push_model("you/narrow", "main", &[("narrow.pth", &narrow)]);
    let run = |line: &str| tandem(&place, hub.endpoint(), line.split(' '));
    place.write("a.png", picture(64, [200, 20, 20]));
    let said = |weights: &str| {
        run(&format!("predict --weights {weights} a.png"))
            .succeeds()
            .stdout
    };
    let as_it_is = said("hf:you/narrow");
    run("import hf:you/narrow --out narrow").succeeds();
    assert_eq!(said("narrow"), as_it_is);
    let origin = format!("imported from hf:you/narrow@{commit} as narrow.pth (PyTorch, ZIP, ");
    // As a folder of Tandem's, and as it is.
    for (weights, look) in [("narrow", "look"), ("hf:you/narrow", "look-2")] {
        let push = format!("hub push {weights} me/narrow --licence X-own --dry-run {look}");
        run(&push).succeeds();
        let card = place.text(format!("{look}/README.md"));
        for words in ["license: other\nlicense_name: \"x-own\"\n", &origin] {
            assert!(card.contains(words), "`{words}` is not in:\n{card}");
        }
    }
    assert!(place.read("look/model.safetensors") == place.read("look-2/model.safetensors"));
    // What starts from it is noted by its commit, and begins again from that without a cache.
    for (class, colour) in [("red", [200, 10, 10]), ("blue", [10, 10, 200])] {
        for i in 0..12 {
            place.write(format!("data/{class}/{i}.png"), picture(64, colour));
        }
    }
    run("finetune --from hf:you/narrow --data data --epochs 1 --batch 8 --out tuned").succeeds();
    let noted = format!("start_from = \"hf:you/narrow@{commit}:narrow.pth\"");
    let config = place.text("tuned/config.toml");
    assert!(config.contains(&noted), "{config}");
    hub.push_model("you/narrow", "main", &[("narrow.pth", b"another")]);
    let last = place.read("tuned/last.safetensors");
    place.remove_checkpoints("tuned");
    fs::remove_dir_all(place.path("hf")).unwrap();
    run("train --resume tuned").succeeds();
    assert!(place.read("tuned/last.safetensors") == last);
    hub.push_model("you/narrow", "main", &[("narrow.pth", &narrow)]);
    let confusion = run("show confusion hf:you/narrow");
    confusion.refused(
        2,
        &["hf:you/narrow does not say what it learned from", "--data"],
    );
    let config = place.text("look/config.toml");
    for words in ["[imported]", &origin, "[model]"] {
        assert!(config.contains(words), "`{words}` is not in:\n{config}");
    }
    let folder = place.path("").display().to_string();
    assert!(!config.contains(folder.trim_end_matches('/')), "{config}");
    assert!(place.holds("look/model.safetensors"));
}

#[test]
fn what_belongs_to_weights_comes_from_the_hub_with_them() {
    let place = place!();
    let hub = Hub::start();
    let formats = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../crates/tandem-formats/tests"
    );
    let files = [
        ("caffe", "caffe/caffenet.caffemodel"),
        ("caffe", "caffe/narrow_mean.binaryproto"),
        ("onnx", "onnx/external.onnx"),
        ("onnx", "onnx/external.bin"),
    ];
    let contents = files.map(|(_, file)| fs::read(format!("{formats}/{file}")).unwrap());
    for repository in ["caffe", "onnx"] {
        let of_it = files.iter().zip(&contents);
        let of_it = of_it.filter(|((of, _), _)| *of == repository);
        let named = of_it.map(|((_, file), bytes)| {
            let name = file.rsplit('/').next().unwrap_or(file);
            place.write(format!("{repository}/{name}"), bytes);
            (name, bytes.as_slice())
        });
        hub.push_model(
            &format!("you/{repository}"),
            "main",
            &named.collect::<Vec<_>>(),
        );
    }
    for (local, options) in [
        ("caffe/caffenet.caffemodel", ""),
        ("onnx/external.onnx", " --normalise torchvision"),
    ] {
        let repository = local.split('/').next().unwrap_or_default();
        let import = |from: &str, out: &str| {
            let line = format!("import {from} --out {out}{options}");
            tandem(&place, hub.endpoint(), line.split(' ')).succeeds();
        };
        import(local, "there");
        import(&format!("hf:you/{repository}"), "here");
        // The same but for where they say that they came from.
        let [there, here] = ["there", "here"].map(|folder| {
            let bytes = place.read(format!("{folder}/best.safetensors"));
            let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
            let tensors = file.tensors().into_iter();
            let mut tensors: Vec<_> = tensors.map(|(n, t)| (n, t.data().to_vec())).collect();
            tensors.sort();
            fs::remove_dir_all(place.path(folder)).unwrap();
            tensors
        });
        assert!(there == here, "{local}");
    }
    // A file that only the model itself tells of.
    let named: [(&str, &[u8]); 2] = [
        ("a/net.onnx", &contents[2]),
        ("a/external.bin", &contents[3]),
    ];
    hub.push_model("you/other", "main", &named);
    let line = "import hf:you/other:a/net.onnx --normalise torchvision --out other";
    tandem(&place, hub.endpoint(), line.split(' ')).succeeds();
    hub.push_model("you/half", "main", &named[..1]);
    let line = "import hf:you/half:a/net.onnx --normalise torchvision --out half";
    let says = ["`external.bin`", "no such file"];
    tandem(&place, hub.endpoint(), line.split(' ')).refused(1, &says);
}
