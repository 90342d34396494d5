//! Models: which file is taken, and that they go the way of data sets.

use std::fs;

use hub_emulator::{Access, Fault, git_id, sha256};
use tandem_hub::{Hub, HubError, Model, Settings, Wanted};

use crate::place::{Place, contents, says};

const NAME: &str = "hf:owner/alexnet";
const WEIGHTS: &str = "model.safetensors";

/// With the model [`NAME`]; gives its commit too.
fn place() -> (Place, String) {
    let place = Place::new();
    let commit = place.server.push_model(
        "owner/alexnet",
        "main",
        &[
            ("README.md", b"# AlexNet"),
            ("config.toml", b"epochs = 9"),
            (WEIGHTS, &contents()),
        ],
    );
    (place, commit)
}

fn get(settings: &Settings, name: &str, wanted: Wanted) -> Result<Model, HubError> {
    Hub::new(settings.clone())?.model(&name.parse()?, wanted, &mut |_| {})
}

fn weights(place: &Place, name: &str) -> Result<Model, HubError> {
    get(&place.settings, name, Wanted::Weights)
}

fn offline(place: &Place, name: &str, wanted: Wanted) -> Result<Model, HubError> {
    let settings = Settings {
        offline: true,
        endpoint: "http://127.0.0.1:1".into(),
        ..place.settings.clone()
    };
    get(&settings, name, wanted)
}

#[test]
fn the_weights_are_laid_out_as_python_does_and_nothing_else_is_downloaded() {
    let (place, commit) = place();
    let model = weights(&place, NAME).unwrap();
    assert_eq!((&model.commit, model.weights.as_str()), (&commit, WEIGHTS));
    let folder = place.settings.cache.join("models--owner--alexnet");
    assert_eq!(model.folder, folder.join("snapshots").join(&commit));
    assert_eq!(fs::read(model.path()).unwrap(), contents());
    let blob = folder.join("blobs").join(sha256(&contents()));
    assert_eq!(fs::read(blob).unwrap(), contents());
    assert_eq!(
        fs::read_to_string(folder.join("refs/main")).unwrap(),
        commit
    );
    assert!(!model.folder.join("README.md").exists());
    let asked = place.server.requests();
    assert!(
        asked
            .iter()
            .all(|request| !request.path.contains("dataset"))
    );

    weights(&place, NAME).unwrap();
    assert_eq!(place.ranges(WEIGHTS).len(), 0, "it is in the cache");
}

#[test]
fn what_is_wanted_beside_the_weights_comes_with_them_if_it_is_there() {
    let (place, _) = place();
    let wanted = Wanted::WeightsWith(&["config.toml", "labels.txt"]);
    let model = get(&place.settings, NAME, wanted).unwrap();
    assert_eq!(
        (model.weights.as_str(), &model.companions),
        (WEIGHTS, &vec!["config.toml".into()])
    );
    let config = fs::read(model.folder.join("config.toml")).unwrap();
    assert_eq!(config, b"epochs = 9");
    let blobs = place.settings.cache.join("models--owner--alexnet/blobs");
    assert!(blobs.join(git_id(b"epochs = 9")).exists());
    assert_eq!(offline(&place, NAME, wanted).unwrap(), model);
}

#[test]
fn a_revision_pins_and_a_file_may_be_named() {
    let (place, old) = place();
    let new = place.server.push_model(
        "owner/alexnet",
        "main",
        &[
            ("a.safetensors", b"a"),
            ("b.safetensors", b"b"),
            ("c.pth", b"c"),
        ],
    );
    let pinned = weights(&place, &format!("{NAME}@{old}")).unwrap();
    assert_eq!(fs::read(pinned.path()).unwrap(), contents());
    says(
        weights(&place, NAME),
        &[
            "several weights (a.safetensors, b.safetensors)",
            "`hf:owner/alexnet:a.safetensors`",
        ],
    );
    let named = weights(&place, &format!("{NAME}:b.safetensors")).unwrap();
    assert_eq!(
        (fs::read(named.path()).unwrap(), named.commit),
        (b"b".into(), new)
    );
    let foreign = get(&place.settings, &format!("{NAME}:c.pth"), Wanted::AnyForm).unwrap();
    assert_eq!(fs::read(foreign.path()).unwrap(), b"c");
}

#[test]
fn other_frameworks_weights_are_for_import() {
    let place = Place::new();
    let files: [(&str, &[u8]); 2] = [("README.md", b"#"), ("pytorch_model.bin", b"PK")];
    place.server.push_model("owner/torch", "main", &files);
    says(
        weights(&place, "hf:owner/torch"),
        &[
            "no safetensors",
            "tandem import hf:owner/torch:pytorch_model.bin",
        ],
    );
    let model = get(&place.settings, "hf:owner/torch", Wanted::AnyForm).unwrap();
    assert_eq!(fs::read(model.path()).unwrap(), b"PK");
}

#[test]
fn a_data_set_is_no_model_and_a_model_no_data_set() {
    let (place, _) = place();
    says(
        weights(&place, "hf:owner/pictures"),
        &["no model owner/pictures", "check the name"],
    );
    place.refuses(NAME, &["no data set owner/alexnet", "check the name"]);
}

#[test]
fn a_gated_model_is_explained_page_and_token() {
    let (place, _) = place();
    place
        .server
        .protect("owner/alexnet", Access::Gated("hf_accepted".into()));
    let page = format!(
        "accept its terms at {}/owner/alexnet,",
        place.server.endpoint()
    );
    says(
        weights(&place, NAME),
        &["owner/alexnet is gated", &page, "set HF_TOKEN"],
    );
    let place = place.token("hf_accepted");
    weights(&place, NAME).unwrap();
}

#[test]
fn a_private_model_and_a_revision_that_is_not_there_are_told() {
    let (place, _) = place();
    let commits = format!("{}/owner/alexnet/commits/main", place.server.endpoint());
    says(weights(&place, &format!("{NAME}@v9")), &["`v9`", &commits]);
    place
        .server
        .protect("owner/alexnet", Access::Private("hf_mine".into()));
    says(
        weights(&place, NAME),
        &["no model owner/alexnet", "or it is private"],
    );
}

#[test]
fn a_cut_download_is_resumed_and_what_passes_is_asked_again() {
    let (place, _) = place();
    let blob = sha256(&contents());
    place.server.fail(&blob, Fault::Cut(30_000), 1);
    place
        .server
        .fail("/revision/", Fault::Status(500, "X-Request-Id", "1"), 2);
    place
        .server
        .fail("/tree/", Fault::Status(429, "Retry-After", "1"), 2);
    let model = weights(&place, NAME).unwrap();
    assert_eq!(fs::read(model.path()).unwrap(), contents());
    assert_eq!(
        place.ranges(WEIGHTS),
        ["bytes=0-99999", "bytes=30000-99999"]
    );
}

#[test]
fn damaged_short_and_endlessly_redirected_weights_are_refused() {
    for (fault, words) in [
        (Fault::Damaged, &[WEIGHTS, "owner/alexnet", "damaged"][..]),
        (Fault::Short(10), &[WEIGHTS, "99990", "lists 100000"]),
        (Fault::Loop, &["redirected without end"]),
    ] {
        let (place, _) = place();
        let is_loop = fault == Fault::Loop;
        let path = if is_loop {
            WEIGHTS.into()
        } else {
            sha256(&contents())
        };
        place.server.fail(&path, fault, 1000);
        says(weights(&place, NAME), words);
        let cache = place.settings.cache.join("models--owner--alexnet");
        assert!(!cache.join("snapshots").exists());
    }
}

#[test]
fn offline_the_cache_is_enough_and_what_it_lacks_is_named() {
    let (place, commit) = place();
    says(
        offline(&place, NAME, Wanted::Weights),
        &[
            "HF_HUB_OFFLINE is set",
            "revision `main` of hf:owner/alexnet",
            "nothing of it",
        ],
    );
    let model = weights(&place, NAME).unwrap();
    place.server.requests();
    for name in [
        NAME,
        &format!("{NAME}@{commit}"),
        &format!("{NAME}:{WEIGHTS}"),
    ] {
        assert_eq!(offline(&place, name, Wanted::Weights).unwrap(), model);
    }
    assert_eq!(place.server.requests(), []);
    says(
        offline(&place, &format!("{NAME}:README.md"), Wanted::Weights),
        &["README.md of hf:owner/alexnet:README.md is not in", &commit],
    );
}
