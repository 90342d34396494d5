//! `tandem data`: packing, whatever stops it, and what a pack is then good for.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::Instant;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use tandem_tests::{Done, Place, place};

const PACK: [&str; 6] = ["data", "pack", "builtin", "--side", "64", "--quiet"];

fn pack(out: &str) -> impl Iterator<Item = &str> {
    PACK.into_iter().chain([out])
}

/// The files of a pack but its lock.
fn files(place: &Place, pack: &str) -> BTreeMap<String, Vec<u8>> {
    let names = place
        .names(pack)
        .into_iter()
        .filter(|name| name != ".tandem-lock");
    names
        .map(|name| (name.clone(), place.read(format!("{pack}/{name}"))))
        .collect()
}

#[test]
fn killed_twenty_five_times_while_packing_the_pack_is_the_same_bytes() {
    let place = place!();
    let begun = Instant::now();
    place.tandem(pack("whole")).succeeds();
    let took = begun.elapsed();
    let whole = files(&place, "whole");

    let mut rng = ChaCha8Rng::seed_from_u64(25);
    let mut killed = 0;
    while killed < 25 {
        let run = place.start(pack("out"));
        thread::sleep(took.mul_f64(f64::from(rng.next_u32() % 1000) / 1000.0));
        if run.kill() {
            killed += 1;
        }
        if place.holds("out/pack.json") {
            // It was finished before the kill: half of it is to be made again.
            fs::remove_file(place.path("out/pack.json")).unwrap();
            for name in whole.keys().filter(|name| name.ends_with(".shard")) {
                if rng.next_u32() % 2 == 0 {
                    fs::remove_file(place.path(format!("out/{name}"))).unwrap();
                }
            }
        } else if place.holds("out/train-00000.shard") {
            place.tandem(["data", "info", "out"]).refused(
                1,
                &[
                    "out is a pack that was not finished",
                    "`tandem data pack SOURCE out`",
                ],
            );
        }
    }
    place.tandem(pack("out")).succeeds();
    assert!(files(&place, "out") == whole);
    assert_eq!(
        place
            .tandem(["data", "verify", "out", "-q"])
            .succeeds()
            .stdout,
        "7,000 pictures, all whole\n"
    );
}

#[test]
fn a_network_trains_and_is_measured_on_a_pack_and_resumes_to_the_same_bytes() {
    let place = place!(240);
    place
        .tandem([
            "data", "pack", "fashion", "packed", "--side", "32", "--grey",
        ])
        .succeeds();
    let train = "train --model tiny.toml --data packed --epochs 2 --batch 8 --threads 1 --out";
    let train = |out| train.split(' ').chain([out]);
    place.tandem(train("whole")).succeeds();
    let mut run = place.start(train("run"));
    run.wait_for_lines(&place.path("run"), 20);
    run.kill();
    place.tandem(["train", "--resume", "run"]).succeeds();
    assert!(place.read("run/last.safetensors") == place.read("whole/last.safetensors"));

    // The validation pictures are the source's, brought to the same size.
    let error = |data: &str| {
        let eval = ["eval", "--weights", "whole", "--data", data, "--json"];
        let stdout = place.tandem(eval).succeeds().stdout;
        let result: serde_json::Value = serde_json::from_str(&stdout).unwrap();
        result["top1_error"].clone()
    };
    assert_eq!(error("packed"), error("fashion"));

    // Another pack under the same name is other data.
    fs::remove_dir_all(place.path("packed")).unwrap();
    place
        .tandem([
            "data", "pack", "builtin", "packed", "--side", "32", "--grey",
        ])
        .succeeds();
    place
        .tandem(["train", "--resume", "whole", "--data", "packed"])
        .refused(1, &["packed"]);
}

#[test]
fn a_disk_that_is_too_small_is_told_before_and_one_that_fills_when_it_does() {
    let place = place!();
    place.tandem(pack("whole")).succeeds();
    // 12 MB a shard, and no file may be larger than 8.
    let limited = r#"ulimit -f 8000; trap '' XFSZ; exec "$0" "$@""#;
    let command = place.command(pack("out"));
    let mut shell = Command::new("bash");
    shell
        .args(["-c", limited])
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(place.path("."));
    Done::of(&mut shell).refused(1, &["cannot write out/train-0000", "File too large"]);
    assert_eq!(place.names("out"), [".tandem-lock"], "nothing half-written");
    place.tandem(pack("out")).succeeds();
    assert!(files(&place, "out") == files(&place, "whole"));

    // 7,000 pictures of 16,000 pixels a side are more than any disk here.
    place
        .tandem(["data", "pack", "builtin", "huge", "--side", "16000", "-q"])
        .refused(
            1,
            &["huge needs 5419.0 GB more, and its disk has", "--jpeg 90"],
        );
}

#[test]
fn damage_is_named_and_mended_from_the_source() {
    let place = place!();
    place.tandem(pack("out")).succeeds();
    let whole = files(&place, "out");
    let mut bytes = whole["train-00003.shard"].clone();
    bytes[100_000] ^= 1;
    place.write("out/train-00003.shard", bytes);
    let verified = place.tandem(["data", "verify", "out", "-q"]).exits(1);
    assert!(
        verified.stdout.starts_with(
            "out/train-00003.shard is damaged: the checksum of picture 8, at byte 98368"
        ),
        "{}",
        verified.stdout
    );
    place.tandem(pack("out")).succeeds();
    assert!(files(&place, "out") == whole);
}

#[test]
fn python_reads_what_is_packed() {
    let place = place!(64);
    place
        .tandem(["data", "pack", "fashion", "packed", "--side", "16", "-q"])
        .succeeds();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/read_pack.py");
    let mut python = Command::new("python3");
    python
        .args([script, "packed", "train"])
        .current_dir(place.path("."));
    let listed = Done::of(&mut python).succeeds().stdout;
    let info = place
        .tandem(["data", "info", "packed", "--json"])
        .succeeds()
        .stdout;
    let info: serde_json::Value = serde_json::from_str(&info).unwrap();
    let classes: Vec<&str> = info["classes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c.as_str().unwrap())
        .collect();
    let mut keys: Vec<usize> = Vec::new();
    for line in listed.lines() {
        let [key, class, length] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        assert!(classes.contains(&class), "{line}");
        assert_eq!(length, (16 * 16 * 3).to_string());
        keys.push(key.parse().unwrap());
    }
    keys.sort_unstable();
    assert_eq!(keys, (0..64).collect::<Vec<_>>());
}

#[test]
fn a_sheet_of_samples_is_drawn_from_any_source() {
    let place = place!(64);
    place
        .tandem(["data", "sample", "fashion", "--side", "32", "--count", "3"])
        .succeeds();
    let sheet = image::open(place.path("sample.png")).unwrap();
    // Four times enlarged: a picture of 32 and six crops of 28 a row, three rows.
    assert_eq!(
        (sheet.width(), sheet.height()),
        (32 + 128 + 6 * (112 + 6), 32 + 3 * (24 + 128 + 6))
    );
}

#[test]
fn statistics_are_of_the_training_pictures() {
    let place = place!();
    let stats = place
        .tandem(["data", "stats", "builtin", "--side", "28", "--json"])
        .succeeds()
        .stdout;
    let stats: serde_json::Value = serde_json::from_str(&stats).unwrap();
    assert_eq!(stats["pictures"], 6000);
    assert_eq!(stats["pictures_by_class"], serde_json::json!(vec![600; 10]));
    // Fashion-MNIST's published mean and deviation, 0.2860 and 0.3530 of 1, are of all 60,000.
    let near = |value: &serde_json::Value, want: f64| {
        (value[0].as_f64().unwrap() / 255.0 - want).abs() < 0.003
    };
    assert!(
        near(&stats["mean"], 0.2860) && near(&stats["standard_deviation"], 0.3530),
        "{stats}"
    );
}

#[test]
fn what_cannot_be_packed_is_refused() {
    let place = place!(16);
    let refuses = |args: &str, code, says: &[&str]| place.refuses(code, args.split(' '), says);
    refuses("data pack nowhere out", 1, &["no data at nowhere"]);
    refuses(
        "data pack fashion out --bad-share 2",
        2,
        &["--bad-share is 2"],
    );
    refuses(
        "data pack fashion out --jpeg 0",
        2,
        &["0 is not in 1..=100"],
    );
    refuses("data pack fashion out --side 20000", 1, &["1 to 16384"]);
    refuses("data pack fashion tiny.toml", 1, &["tiny.toml"]);
}
