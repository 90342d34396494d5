//! What goes wrong on the way, and that it is overcome or told.

use std::fs;
use std::sync::Mutex;
use std::time::Duration;

use hub_emulator::{Fault, sha256};
use tandem_hub::{Hub, Settings};

use crate::place::{NAME, Place, TRAIN, contents, says};

fn part(place: &Place) -> std::path::PathBuf {
    place.cached(&format!("blobs/{}.incomplete", sha256(&contents())))
}

#[track_caller]
fn is_whole(place: &Place) {
    let snapshot = place.get(NAME).unwrap();
    assert_eq!(fs::read(snapshot.folder.join(TRAIN)).unwrap(), contents());
}

#[test]
fn a_connection_that_is_cut_is_resumed_and_only_the_rest_is_asked_for() {
    let place = Place::new();
    place
        .server
        .fail(&sha256(&contents()), Fault::Cut(30_000), 1);
    place
        .server
        .fail(&sha256(&contents()), Fault::Cut(50_000), 1);
    is_whole(&place);
    assert_eq!(
        place.ranges(TRAIN),
        ["bytes=0-99999", "bytes=30000-99999", "bytes=80000-99999"]
    );
}

#[test]
fn a_download_that_was_killed_goes_on_in_another_process() {
    let place = Place::new();
    fs::create_dir_all(place.cached("blobs")).unwrap();
    fs::write(part(&place), &contents()[..60_000]).unwrap();
    is_whole(&place);
    assert_eq!(place.ranges(TRAIN), ["bytes=60000-99999"]);
    assert!(!part(&place).exists());
}

#[test]
fn a_download_that_was_killed_before_it_had_its_name_asks_for_nothing() {
    let place = Place::new();
    fs::create_dir_all(place.cached("blobs")).unwrap();
    fs::write(part(&place), contents()).unwrap();
    is_whole(&place);
    assert_eq!(place.ranges(TRAIN).len(), 0);
}

#[test]
fn what_was_left_behind_spoilt_is_begun_anew() {
    for left in [vec![7; 60_000], vec![7; 100_000], vec![7; 200_000]] {
        let place = Place::new();
        fs::create_dir_all(place.cached("blobs")).unwrap();
        fs::write(part(&place), left).unwrap();
        is_whole(&place);
        assert_eq!(place.ranges(TRAIN).last().unwrap(), "bytes=0-99999");
    }
}

#[test]
fn a_server_that_does_not_heed_ranges_is_read_from_the_start() {
    let place = Place::new();
    fs::create_dir_all(place.cached("blobs")).unwrap();
    fs::write(part(&place), &contents()[..60_000]).unwrap();
    place.server.fail(&sha256(&contents()), Fault::WholeOnly, 9);
    is_whole(&place);
    assert_eq!(place.ranges(TRAIN), ["bytes=60000-99999", "bytes=0-99999"]);
}

#[test]
fn a_whole_file_where_the_rest_was_asked_for_replaces_what_is_there() {
    let blob = sha256(&contents());
    let place = Place::new();
    place.server.fail(&blob, Fault::Cut(30_000), 1);
    place.server.fail(&blob, Fault::WholeOnly, 9);
    is_whole(&place);
    let ranges = ["bytes=0-99999", "bytes=30000-99999", "bytes=0-99999"];
    assert_eq!(place.ranges(TRAIN), ranges);

    // Of another length than the file's it is found out when more comes than belongs.
    let place = Place::new();
    place.server.fail(&blob, Fault::Cut(30_000), 1);
    place.server.fail(&blob, Fault::Long(10), 1);
    is_whole(&place);
    assert_eq!(place.ranges(TRAIN), ranges);
}

#[test]
fn a_server_that_does_not_heed_ranges_and_breaks_each_time_is_told() {
    let place = Place::new();
    let blob = sha256(&contents());
    for _ in 0..20 {
        place.server.fail(&blob, Fault::Cut(30_000), 1);
        place.server.fail(&blob, Fault::WholeOnly, 1);
    }
    place.refuses(NAME, &[TRAIN, "broke again and again"]);
    assert_eq!(place.ranges(TRAIN).len(), 1 + 6);
}

#[test]
fn a_blob_of_the_wrong_length_is_not_believed() {
    let place = Place::new();
    fs::create_dir_all(place.cached("blobs")).unwrap();
    fs::write(
        place.cached(&format!("blobs/{}", sha256(&contents()))),
        "cut by a full disk",
    )
    .unwrap();
    is_whole(&place);
}

#[test]
fn a_connection_that_breaks_each_time_is_told_and_what_came_is_kept() {
    let place = Place::new();
    place
        .server
        .fail(&sha256(&contents()), Fault::Cut(10_000), 1);
    place.server.fail(&sha256(&contents()), Fault::Cut(0), 1000);
    place.refuses(
        NAME,
        &[
            TRAIN,
            "owner/pictures",
            "broke again and again",
            "run the command again",
        ],
    );
    assert_eq!(place.ranges(TRAIN).len(), 1 + 6);
    assert_eq!(fs::read(part(&place)).unwrap(), contents()[..10_000]);
    assert!(!place.cached("refs").exists() && !place.cached("snapshots").exists());
}

#[test]
fn a_server_that_falls_silent_is_not_waited_for_without_end() {
    let mut place = Place::new();
    place.settings.patience = Duration::from_millis(200);
    place
        .server
        .fail(&sha256(&contents()), Fault::Silence(40_000), 1);
    is_whole(&place);
    assert_eq!(place.ranges(TRAIN), ["bytes=0-99999", "bytes=40000-99999"]);
    let mut place = Place::new();
    place.settings.patience = Duration::from_millis(50);
    place
        .server
        .fail(&sha256(&contents()), Fault::Silence(0), 1000);
    place.refuses(NAME, &[TRAIN, "nothing came for 0.05 s"]);
}

#[test]
fn an_answer_that_is_long_in_coming_is_told_before_it_is_given_up() {
    static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());
    for path in ["/revision/", "/tree/", &sha256(&contents())] {
        let mut place = Place::new();
        place.settings.patience = Duration::from_millis(600);
        place.settings.notice = |words| TOLD.lock().unwrap().push(words.into());
        place.server.fail(path, Fault::Mute, 1);
        is_whole(&place);
        let told = std::mem::take(&mut *TOLD.lock().unwrap());
        let [told] = told.as_slice() else {
            panic!("{path}: {told:?}");
        };
        for words in [
            place.server.endpoint(),
            "owner/pictures",
            "6 times",
            "0.6 s",
        ] {
            assert!(told.contains(words), "{told}");
        }
    }
}

#[test]
fn what_passes_is_asked_again() {
    for path in ["/revision/", "/tree/", "/resolve/", &sha256(&contents())] {
        for fault in [
            Fault::Status(429, "Retry-After", "1"),
            Fault::Status(500, "X-Request-Id", "1"),
            Fault::Status(503, "X-Request-Id", "1"),
            Fault::Cut(0),
            Fault::Hangup,
        ] {
            let place = Place::new();
            place.server.fail(path, fault, 2);
            is_whole(&place);
        }
    }
}

#[test]
fn a_hub_that_stays_overloaded_is_told_with_the_time_it_asks_for() {
    for path in ["/revision/", "/tree/", TRAIN] {
        let place = Place::new();
        place
            .server
            .fail(path, Fault::Status(429, "Retry-After", "120"), 1000);
        place.refuses(
            NAME,
            &[
                place.server.endpoint(),
                "429",
                "each of 6 times",
                "in 120 s",
                "owner/pictures",
                "HF_TOKEN",
            ],
        );
        let asked = place.server.requests();
        let asked = asked
            .iter()
            .filter(|request| request.method == "GET" && request.path.contains(path));
        assert_eq!(asked.count(), 6);
        let place = Place::new().token("hf_any");
        place
            .server
            .fail(path, Fault::Status(500, "X-Request-Id", "1"), 1000);
        place.refuses(NAME, &["500", "each of 6 times", "try again later"]);
    }
}

#[test]
fn what_hf_hub_has_repeated_is_not_repeated_again() {
    for path in ["/revision/", "/tree/", "/resolve/"] {
        let place = Place::new();
        let name = format!("{NAME}:{TRAIN}");
        place.server.fail(path, Fault::Hangup, 1000);
        place.refuses(&name, &["owner/pictures", "broke again and again"]);
        let asked = place.server.requests();
        let asked = asked
            .iter()
            .filter(|request| request.method == "GET" && request.path.contains(path));
        assert_eq!(asked.count(), 6, "{path}");
    }
}

#[test]
fn a_file_that_is_too_short_or_too_long_is_refused() {
    for (fault, found) in [(Fault::Short(10), "99990"), (Fault::Long(10), "100010")] {
        let place = Place::new();
        place.server.fail(&sha256(&contents()), fault, 1000);
        place.refuses(NAME, &[TRAIN, "owner/pictures", found, "lists 100000"]);
        assert!(!place.cached("snapshots").exists());
        assert_eq!(
            fs::metadata(part(&place)).unwrap().len(),
            0,
            "nothing of it is kept"
        );
    }
}

#[test]
fn a_file_with_a_wrong_checksum_is_refused_and_not_kept() {
    let place = Place::new();
    place.server.fail(&sha256(&contents()), Fault::Damaged, 1);
    let wanted = sha256(&contents());
    place.refuses(NAME, &[TRAIN, "owner/pictures", "damaged", &wanted]);
    assert_eq!(fs::metadata(part(&place)).unwrap().len(), 0);
    assert!(!place.cached(&format!("blobs/{wanted}")).exists());
    is_whole(&place);
}

#[test]
fn a_redirection_without_end_is_told() {
    for path in ["/revision/", "/tree/", TRAIN] {
        let place = Place::new();
        place.server.fail(path, Fault::Loop, 1000);
        place.refuses(
            NAME,
            &[
                "redirected without end",
                "HF_ENDPOINT",
                place.server.endpoint(),
            ],
        );
    }
}

#[test]
fn a_hub_that_cannot_be_reached_is_told_with_what_the_cache_has() {
    let place = Place::new();
    let gone = |settings: &Settings| {
        let settings = Settings {
            endpoint: "http://127.0.0.1:1".into(),
            ..settings.clone()
        };
        Hub::new(settings)
            .unwrap()
            .dataset(&NAME.parse().unwrap(), &mut |_| {})
    };
    says(
        gone(&place.settings),
        &[
            "http://127.0.0.1:1",
            "refused",
            "the cache has nothing of it",
        ],
    );
    place.get(NAME).unwrap();
    let cached = format!("`main` of commit {}", place.commit);
    says(
        gone(&place.settings),
        &["owner/pictures", &cached, "HF_HUB_OFFLINE=1"],
    );
}

#[test]
fn an_endpoint_that_is_no_address_or_no_hub_is_told() {
    let place = Place::new();
    let settings = Settings {
        endpoint: "huggingface".into(),
        ..place.settings.clone()
    };
    let error = Hub::new(settings).unwrap_err().to_string();
    assert!(error.contains("HF_ENDPOINT is `huggingface`"), "{error}");
    let settings = Settings {
        endpoint: "localhost:8080".into(),
        ..place.settings.clone()
    };
    let error = Hub::new(settings).unwrap_err().to_string();
    assert!(error.contains("HF_ENDPOINT is `localhost:8080`"), "{error}");
    for path in ["/revision/", "/tree/"] {
        place
            .server
            .fail(path, Fault::Body("<html>Log in</html>".into()), 1);
        place.refuses(
            NAME,
            &[
                "answers not as the hub does",
                "owner/pictures",
                "HF_ENDPOINT",
            ],
        );
    }
}

#[test]
fn an_answer_without_end_is_not_read_without_end() {
    for path in ["/revision/", "/tree/"] {
        let place = Place::new();
        place.server.fail(path, Fault::Endless, 1);
        let url = format!(
            "{}/api/datasets/owner/pictures{path}",
            place.server.endpoint()
        );
        place.refuses(NAME, &[&url, "sends more than 128 MiB"]);
    }
}

#[test]
fn what_the_hub_says_does_not_reach_the_terminal_as_it_is() {
    let oid = "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0";
    let listing = |files: &[&str]| {
        let files = files.iter().map(|path| {
            format!(r#"{{"type": "file", "path": "{path}", "size": 1, "oid": "{oid}"}}"#)
        });
        Fault::Body(format!("[{}]", files.collect::<Vec<_>>().join(",")))
    };
    let evil = r"\u001b]0;evil\u0007";
    for (files, name) in [
        (vec![format!("a.{evil}")], NAME.to_owned()),
        (vec![format!("{evil}.tar")], NAME.into()),
        (vec![format!("{evil}.txt")], format!("{NAME}:data")),
        (vec![format!("{evil}/a.tar"), "b/a.tar".into()], NAME.into()),
    ] {
        let place = Place::new();
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        place.server.fail("/tree/", listing(&files), 1);
        let error = place.get(&name).unwrap_err().to_string();
        assert!(!error.contains(char::is_control), "{error:?}");
        assert!(error.contains(r"\u{1b}]0;evil\u{7}"), "{error}");
    }
}

#[test]
fn a_listing_that_leads_out_of_the_cache_is_refused() {
    let oid = "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0";
    let listing = |path: &str, oid: &str| {
        Fault::Body(format!(
            r#"[{{"type": "file", "path": "{path}", "size": 1, "oid": "{oid}"}}]"#
        ))
    };
    for path in [
        "../../../x.tar",
        "/x.tar",
        "a/./x.tar",
        "a//x.tar",
        "a\\\\..\\\\x.tar",
        "",
    ] {
        let place = Place::new();
        place.server.fail("/tree/", listing(path, oid), 1);
        place.refuses(NAME, &["outside the repository"]);
    }
    for oid in ["../../../../../../../../../../../../x", "", &oid[1..]] {
        let place = Place::new();
        place.server.fail("/tree/", listing("x.tar", oid), 1);
        place.refuses(NAME, &["x.tar without a checksum"]);
    }
    for sha in ["../../x", "main"] {
        let place = Place::new();
        let info = format!(r#"{{"_id": "0", "id": "owner/pictures", "sha": "{sha}"}}"#);
        place.server.fail("/revision/", Fault::Body(info), 1);
        place.refuses(NAME, &["its commit is", sha]);
    }
}
