//! What is downloaded, where it is put, and what is asked of the hub for it.

use std::fs;
use std::path::Path;

use hub_emulator::{git_id, sha256};
use tandem_hub::{Hub, Settings};

use crate::place::{NAME, Place, TEST, TRAIN, contents};

#[test]
fn a_data_set_is_laid_out_as_python_does() {
    let place = Place::new();
    let snapshot = place.get(NAME).unwrap();
    assert_eq!(snapshot.commit, place.commit);
    assert_eq!(snapshot.files, [TEST, TRAIN]);
    assert_eq!(
        snapshot.folder,
        place.cached(&format!("snapshots/{}", place.commit))
    );
    assert_eq!(snapshot.data, snapshot.folder.join("data"));
    assert_eq!(fs::read(snapshot.folder.join(TRAIN)).unwrap(), contents());
    assert_eq!(fs::read(snapshot.folder.join(TEST)).unwrap(), b"test");
    assert!(
        !snapshot.folder.join("README.md").exists(),
        "it holds no data"
    );
    let blob = format!("blobs/{}", sha256(&contents()));
    assert_eq!(fs::read(place.cached(&blob)).unwrap(), contents());
    assert_eq!(
        fs::read_to_string(place.cached("refs/main")).unwrap(),
        place.commit
    );
    #[cfg(unix)]
    assert_eq!(
        fs::read_link(snapshot.folder.join(TRAIN)).unwrap(),
        Path::new("../../../").join(blob)
    );
    assert_eq!(
        fs::read_dir(place.cached("blobs")).unwrap().count(),
        2,
        "no part is left"
    );
}

#[test]
fn what_is_in_the_cache_is_not_asked_for_again_not_even_by_a_new_commit() {
    let place = Place::new();
    place.get(NAME).unwrap();
    assert_eq!(place.ranges(TRAIN), ["bytes=0-99999"]);
    place.get(NAME).unwrap();
    assert_eq!(place.ranges(TRAIN).len(), 0);
    let commit = place.server.push(
        "owner/pictures",
        "main",
        &[(TRAIN, &contents()), (TEST, b"another test")],
    );
    let snapshot = place.get(NAME).unwrap();
    assert_eq!(snapshot.commit, commit);
    assert_eq!(fs::read(snapshot.folder.join(TRAIN)).unwrap(), contents());
    assert_eq!(
        fs::read(snapshot.folder.join(TEST)).unwrap(),
        b"another test"
    );
    assert_eq!(place.ranges(TRAIN).len(), 0);
    assert_eq!(
        fs::read_to_string(place.cached("refs/main")).unwrap(),
        commit
    );
}

#[test]
fn a_branch_a_tag_and_a_commit_are_revisions_and_the_commit_pins_a_later_run() {
    let place = Place::new();
    let old = place
        .server
        .push("owner/pictures", "v1.0", &[("train.parquet", b"old")]);
    let converted = place.server.push(
        "owner/pictures",
        "refs/convert/parquet",
        &[("default/train/0000.parquet", b"new")],
    );
    let snapshot = place.get("hf:owner/pictures@v1.0").unwrap();
    assert_eq!((&snapshot.commit, &snapshot.data), (&old, &snapshot.folder));
    assert_eq!(
        fs::read(snapshot.folder.join("train.parquet")).unwrap(),
        b"old"
    );
    let snapshot = place.get("hf:owner/pictures@refs/convert/parquet").unwrap();
    assert_eq!(
        (&snapshot.commit, &snapshot.data),
        (&converted, &snapshot.folder.join("default"))
    );
    assert_eq!(
        fs::read_to_string(place.cached("refs/refs/convert/parquet")).unwrap(),
        converted
    );
    place
        .server
        .push("owner/pictures", "v1.0", &[("train.parquet", b"moved")]);
    let name: tandem_hub::Name = "hf:owner/pictures@v1.0".parse().unwrap();
    let pinned = name.at(&old).unwrap();
    assert_eq!(place.get(&pinned.to_string()).unwrap().commit, old);
    assert!(!place.cached(&format!("refs/{old}")).exists());
}

#[test]
fn a_data_set_without_an_owner_is_followed_to_its_new_name() {
    let place = Place::new();
    place.server.push(
        "ylecun/mnist",
        "main",
        &[("mnist/train.parquet", b"digits")],
    );
    place.server.rename("mnist", "ylecun/mnist");
    let snapshot = place.get("hf:mnist").unwrap();
    assert_eq!(
        fs::read(snapshot.data.join("train.parquet")).unwrap(),
        b"digits"
    );
    assert!(
        snapshot.data.ends_with("mnist")
            && snapshot
                .folder
                .starts_with(place.settings.cache.join("datasets--mnist"))
    );
}

#[test]
fn several_configurations_need_a_name() {
    let place = Place::new();
    let files = [
        "160px/train.parquet",
        "320px/train.parquet",
        "320px/test.parquet",
    ];
    place.server.push(
        "owner/sizes",
        "main",
        &files.map(|file| (file, file.as_bytes())),
    );
    place.refuses(
        "hf:owner/sizes",
        &["160px, 320px", "`hf:owner/sizes:160px`"],
    );
    let snapshot = place.get("hf:owner/sizes:320px").unwrap();
    assert_eq!(
        snapshot.files,
        ["320px/test.parquet", "320px/train.parquet"]
    );
    assert_eq!(snapshot.data, snapshot.folder.join("320px"));
    let snapshot = place.get("hf:owner/sizes:160px/train.parquet").unwrap();
    assert_eq!(snapshot.files, ["160px/train.parquet"]);
    place.refuses("hf:owner/sizes:64px", &["`64px`", "160px, 320px"]);
}

#[test]
fn loading_scripts_are_refused_with_the_way_to_the_hubs_parquet() {
    let place = Place::new();
    place.server.push(
        "owner/script",
        "main",
        &[("script.py", b"import os"), ("train.zip", b"PK")],
    );
    place.refuses(
        "hf:owner/script",
        &["script.py", "`hf:owner/script@refs/convert/parquet`"],
    );
}

#[test]
fn a_listing_of_many_pages_and_names_with_spaces_and_other_letters() {
    let place = Place::new();
    place.server.list_by(3);
    let files: Vec<String> = (0..20)
        .map(|i| format!("class {}/Bild #{i} ä%.jpg", i % 4))
        .collect();
    let pictures: Vec<(&str, &[u8])> = files
        .iter()
        .map(|file| (file.as_str(), file.as_bytes()))
        .collect();
    place.server.push("owner/folders", "main", &pictures);
    let snapshot = place.get("hf:owner/folders").unwrap();
    assert_eq!(snapshot.files.len(), 20);
    for file in &files {
        assert_eq!(
            fs::read_to_string(snapshot.folder.join(file)).unwrap(),
            *file
        );
    }
}

#[test]
fn files_that_are_the_same_are_downloaded_once_and_an_empty_one_is_a_file() {
    let place = Place::new();
    let pictures: [(&str, &[u8]); 3] =
        [("a/1.jpg", b"same"), ("b/1.jpg", b"same"), ("b/2.jpg", b"")];
    place.server.push("owner/twins", "main", &pictures);
    let snapshot = place.get("hf:owner/twins").unwrap();
    assert_eq!(place.ranges(".jpg").len(), 1);
    for (file, contents) in pictures {
        assert_eq!(fs::read(snapshot.folder.join(file)).unwrap(), contents);
    }
}

#[test]
fn two_at_a_time_download_each_file_once() {
    let place = Place::new();
    std::thread::scope(|scope| {
        for run in [(); 2].map(|()| scope.spawn(|| place.get(NAME).unwrap())) {
            let snapshot = run.join().unwrap();
            assert_eq!(fs::read(snapshot.folder.join(TRAIN)).unwrap(), contents());
        }
    });
    assert_eq!(place.ranges(".parquet").len(), 2);
}

#[cfg(unix)]
#[test]
fn a_file_in_the_snapshot_that_was_cut_is_replaced() {
    let place = Place::new();
    let snapshot = place.get(NAME).unwrap();
    let file = snapshot.folder.join(TRAIN);
    fs::remove_file(&file).unwrap();
    fs::write(&file, "cut").unwrap();
    assert!(place.offline(NAME).is_err());
    place.get(NAME).unwrap();
    assert_eq!(fs::read(&file).unwrap(), contents());
}

#[test]
fn small_files_are_verified_by_gits_hash() {
    let place = Place::new();
    place
        .server
        .push("owner/small", "main", &[("a/1.webp", b"in git")]);
    let snapshot = place.get("hf:owner/small").unwrap();
    assert_eq!(
        fs::read(snapshot.folder.join("a/1.webp")).unwrap(),
        b"in git"
    );
    let blob = place
        .settings
        .cache
        .join("datasets--owner--small/blobs")
        .join(git_id(b"in git"));
    assert!(blob.exists());
}

#[test]
fn progress_counts_all_bytes_those_found_in_the_cache_too() {
    let place = Place::new();
    let run = || {
        let mut seen = Vec::new();
        let hub = Hub::new(place.settings.clone()).unwrap();
        hub.dataset(&NAME.parse().unwrap(), &mut |progress| {
            seen.push((progress.file.to_string(), progress.done, progress.total));
        })
        .unwrap();
        seen
    };
    let seen = run();
    assert!(
        seen.iter()
            .all(|(_, done, total)| done <= total && *total == 100_004),
        "{seen:?}"
    );
    assert!(seen.is_sorted_by_key(|(_, done, _)| *done));
    assert!(
        seen.iter().any(|(file, ..)| file == TRAIN) && seen.iter().any(|(file, ..)| file == TEST)
    );
    assert_eq!(seen.last().unwrap().1, 100_004);
    assert_eq!(run().last().unwrap().1, 100_004);
}

#[test]
fn a_disk_without_the_room_is_refused_before_a_byte_comes() {
    let place = Place::new();
    let listing = r#"[{"type": "file", "path": "train.tar", "size": 1152921504606846976,
        "oid": "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0"}]"#;
    place
        .server
        .fail("/tree/", hub_emulator::Fault::Body(listing.into()), 1);
    place.refuses(
        NAME,
        &["owner/pictures needs 1.2 EB more", "free", "HF_HUB_CACHE"],
    );
    assert!(
        !place
            .server
            .requests()
            .iter()
            .any(|request| request.path.contains("/resolve/"))
    );
}

/// `blobs/ID.incomplete` goes to a device that is always full.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_fills_up_is_named() {
    let place = Place::new();
    fs::create_dir_all(place.cached("blobs")).unwrap();
    let part = place.cached(&format!("blobs/{}.incomplete", sha256(&contents())));
    std::os::unix::fs::symlink("/dev/full", &part).unwrap();
    place.refuses(NAME, &["the disk is full at", ".incomplete", "make room"]);
}

#[cfg(unix)]
#[test]
fn a_cache_that_may_not_be_written_is_named() {
    let place = Place::new();
    let settings = Settings {
        cache: "/dev/null/cache".into(),
        ..place.settings.clone()
    };
    let result = Hub::new(settings)
        .unwrap()
        .dataset(&NAME.parse().unwrap(), &mut |_| {});
    crate::place::says(result, &["cannot write /dev/null/cache", "Not a directory"]);
}

#[test]
fn one_file_of_a_series_is_given_alone() {
    let place = Place::new();
    let [first, second] = [0, 1].map(|i| format!("data/train-0000{i}-of-00002.parquet"));
    let files: [(&str, &[u8]); 2] = [(&first, b"one"), (&second, b"two")];
    place.server.push("owner/pictures", "main", &files);
    let name = format!("{NAME}:{first}");
    for snapshot in [place.get(&name), place.offline(&name)] {
        let snapshot = snapshot.unwrap();
        assert_eq!(snapshot.files, [first.as_str()]);
        assert_eq!(snapshot.data, snapshot.folder.join(&first));
    }
}
