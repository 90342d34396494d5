//! `--data hf:OWNER/NAME`, against a hub on the loopback interface.

use std::ffi::OsStr;

use hub_emulator::{Access, Hub};
use tandem_tests::{Done, Place, place};

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
    let mut command = place.command(args);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().into_owned();
        if text.starts_with("HF_") || text.to_lowercase().ends_with("_proxy") {
            command.env_remove(name);
        }
    }
    command
        .env("HF_ENDPOINT", endpoint)
        .env("HF_HOME", place.path("hf"));
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
