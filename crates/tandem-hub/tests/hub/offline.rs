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

/// What `snapshot_download("owner/pictures", repo_type="dataset")` of huggingface_hub 2.4.0 leaves, seen
/// by running it against the loopback hub: all files, not only those of the data; links relative to
/// where they are; a listing (older versions leave none); empty lock files; a tag for backup tools.
#[cfg(unix)]
fn laid_out_by_python(place: &Place, with_listing: bool) {
    use hub_emulator::git_id;
    use std::os::unix::fs::symlink;

    let (train, commit) = (contents(), &place.commit);
    let files: [(&str, &[u8], String, &str); 4] = [
        (
            ".gitattributes",
            b"*.parquet filter=lfs",
            git_id(b"*.parquet filter=lfs"),
            "",
        ),
        ("README.md", b"# Pictures", git_id(b"# Pictures"), ""),
        (
            TEST,
            b"test",
            sha256(b"test"),
            "0a706d97bc88b3596fb2e3d7556ef2761d5d64b1",
        ),
        (
            TRAIN,
            &train,
            sha256(&train),
            "bd820a211b408f9824efce33283cddd3dc5662b5",
        ),
    ];
    let locks = place
        .settings
        .cache
        .join(".locks/datasets--owner--pictures");
    for folder in [
        "blobs",
        "refs",
        "trees",
        &format!("snapshots/{commit}/data"),
    ] {
        fs::create_dir_all(place.cached(folder)).unwrap();
    }
    fs::create_dir_all(&locks).unwrap();
    fs::write(
        place.settings.cache.join("CACHEDIR.TAG"),
        "Signature: 8a477f597d28d172789f06886806bc55\n",
    )
    .unwrap();
    fs::write(place.cached("refs/main"), commit).unwrap();
    let mut listing = Vec::new();
    for (path, contents, id, pointer) in files {
        fs::write(locks.join(format!("{id}.lock")), "").unwrap();
        fs::write(place.cached(&format!("blobs/{id}")), contents).unwrap();
        let up = if path.contains('/') {
            "../../.."
        } else {
            "../.."
        };
        let link = place.cached(&format!("snapshots/{commit}/{path}"));
        symlink(format!("{up}/blobs/{id}"), link).unwrap();
        let size = contents.len();
        listing.push(match pointer {
            "" => format!(r#"  "{path}": {{ "size": {size}, "blob_id": "{id}" }}"#),
            git => format!(
                r#"  "{path}": {{ "size": {size}, "blob_id": "{git}", "lfs_sha256": "{id}", "lfs_size": {size} }}"#
            ),
        });
    }
    if with_listing {
        let text = format!(
            "{{\n \"format_version\": 1,\n \"files\": {{\n{}\n }}\n}}",
            listing.join(",\n")
        );
        fs::write(place.cached(&format!("trees/{commit}.json")), text).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn a_snapshot_that_python_downloaded_is_found() {
    for with_listing in [true, false] {
        let place = Place::new();
        laid_out_by_python(&place, with_listing);
        for name in [NAME, &format!("{NAME}@{}", place.commit)] {
            let snapshot = place.offline(name).unwrap();
            assert_eq!(
                (&snapshot.commit, snapshot.files),
                (&place.commit, vec![TEST.into(), TRAIN.into()])
            );
            assert_eq!(
                fs::read(snapshot.data.join("test-00000-of-00001.parquet")).unwrap(),
                b"test"
            );
        }
        assert_eq!(place.server.requests(), []);
        place.get(NAME).unwrap();
        assert_eq!(place.ranges(".parquet").len(), 0);
    }
}

#[cfg(unix)]
#[test]
fn what_python_was_told_to_leave_out_is_named() {
    let place = Place::new();
    laid_out_by_python(&place, true);
    fs::remove_file(place.cached(&format!("snapshots/{}/{TRAIN}", place.commit))).unwrap();
    says(place.offline(NAME), &[TRAIN, "is not in"]);
    // Without a listing a series of shards with a hole is still seen.
    let place = Place::new();
    laid_out_by_python(&place, false);
    let data = place.cached(&format!("snapshots/{}/data", place.commit));
    for (from, to) in [
        (TRAIN, "train-00000-of-00003.parquet"),
        (TEST, "train-00002-of-00003.parquet"),
    ] {
        fs::rename(data.join("..").join(from), data.join(to)).unwrap();
    }
    says(
        place.offline(NAME),
        &["data/train-00001-of-00003.parquet of hf:owner/pictures"],
    );
}

#[test]
fn a_commit_that_is_in_the_cache_is_given_without_asking() {
    let place = Place::new();
    let snapshot = place.get(NAME).unwrap();
    place.server.requests();
    assert_eq!(
        place.get(&format!("{NAME}@{}", place.commit)).unwrap(),
        snapshot
    );
    assert_eq!(place.server.requests(), []);
}

#[test]
fn a_listing_in_the_cache_that_is_damaged_or_leads_out_of_it_is_asked_for_anew() {
    let entry = r#"{"size": 1, "blob_id": "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0"}"#;
    for text in [
        "{".to_string(),
        r#"{"format_version": 2, "files": {}}"#.into(),
        format!(r#"{{"format_version": 1, "files": {{"../../x.tar": {entry}}}}}"#),
    ] {
        let place = Place::new();
        place.get(NAME).unwrap();
        let kept = place.cached(&format!("trees/{}.json", place.commit));
        let before = fs::read_to_string(&kept).unwrap();
        fs::write(&kept, text).unwrap();
        assert_eq!(place.get(NAME).unwrap().files, [TEST, TRAIN]);
        assert_eq!(fs::read_to_string(&kept).unwrap(), before);
    }
}
