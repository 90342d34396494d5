//! A disk that is full, or may not be written to: the error names the file and says what to do, and
//! what was saved before is intact.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::geteuid;
use tandem_tests::{Done, Place, place};

const TRAIN: &str = "train --model tiny.toml --data fashion --epochs 2 --batch 8 --threads 1 \
    --set checkpoint_every_steps=1 --out";

fn train(out: &str) -> impl Iterator<Item = &str> {
    TRAIN.split_whitespace().chain([out])
}

/// The run `run` ends as the run `whole` did.
fn same(place: &Place, run: &str, whole: &str) {
    for file in ["last.safetensors", "best.safetensors", "metrics.jsonl"] {
        assert!(
            place.read(format!("{run}/{file}")) == place.read(format!("{whole}/{file}")),
            "{file} differs"
        );
    }
}

#[test]
fn a_disk_that_fills_up_keeps_the_checkpoint_before_and_the_run_resumes_to_the_same_bytes() {
    let place = place!(240);
    place.tandem(train("whole")).succeeds();
    let mut run = place.start(train("run"));
    assert!(run.wait_until("a checkpoint", || place.holds("run/last.safetensors")));
    // What the next checkpoint writes goes to a device that is always full.
    let unfinished = place.path("run/last.safetensors.tandem-unfinished");
    run.wait_until("the gap between two checkpoints", || {
        symlink("/dev/full", &unfinished).is_ok()
    });
    run.end().refused(
        1,
        &[
            "cannot write run/last.safetensors: No space left on device",
            "free space there",
            "hint: the checkpoint of step ",
            " is intact: `tandem train --resume run` goes on",
        ],
    );
    place
        .tandem([
            "eval",
            "--weights",
            "run/last.safetensors",
            "--data",
            "fashion",
        ])
        .succeeds();
    place.tandem(["train", "--resume", "run"]).succeeds();
    same(&place, "run", "whole");
}

/// The run `run` with a limit on the size of a file. Unlike a device that is full, it takes the first
/// part of what is written.
fn limited(place: &Place, bytes: usize) -> Done {
    let command = place.command(train("run"));
    let mut limited = Command::new("sh");
    limited
        .args(["-c", r#"trap "" XFSZ; exec prlimit --fsize="$0" "$@""#])
        .arg(bytes.to_string())
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(place.path("."));
    Done::of(&mut limited)
}

#[test]
fn metrics_that_can_grow_no_more_stop_a_run_which_resumes_to_the_same_bytes() {
    // So many steps that they reach the limit within the first epoch.
    let place = place!(1200);
    place.tandem(train("whole")).succeeds();
    let weights = place.read("whole/last.safetensors").len();
    limited(&place, weights + 100).refused(
        1,
        &[
            "cannot write run/metrics.jsonl: File too large",
            "ulimit -f",
            "hint: the checkpoint of step ",
            " is intact: `tandem train --resume run` goes on",
        ],
    );
    place.tandem(["train", "--resume", "run"]).succeeds();
    same(&place, "run", "whole");
}

#[test]
fn a_first_checkpoint_that_does_not_fit_is_told_of_as_none() {
    let place = place!(240);
    place.tandem(train("whole")).succeeds();
    let weights = place.read("whole/last.safetensors").len();
    limited(&place, weights - 100).refused(
        1,
        &[
            "cannot write run/last.safetensors: File too large",
            "hint: no checkpoint was saved yet: `tandem train --resume run` begins again",
        ],
    );
    assert!(place.names("run/state").is_empty(), "nothing half-written");
    place.tandem(["train", "--resume", "run"]).succeeds();
    same(&place, "run", "whole");
}

#[test]
fn curves_that_do_not_fit_stop_a_run_which_resumes_to_the_same_bytes() {
    let place = place!(240);
    place.tandem(train("whole")).succeeds();
    let curves = place.read("whole/curves.png").len();
    limited(&place, curves / 2).refused(
        1,
        &[
            "writing run/curves.png: File too large",
            "hint: the checkpoint of step 30 is intact: `tandem train --resume run` goes on",
            "ulimit -f",
        ],
    );
    assert!(!place.holds("run/curves.png.tmp"), "nothing half-written");
    place.tandem(["train", "--resume", "run"]).succeeds();
    same(&place, "run", "whole");
}

#[test]
fn a_file_system_that_is_full_is_named_with_its_file_and_the_run_resumes_on_it() {
    let place = place!(240);
    place.tandem(train("whole")).succeeds();
    fs::create_dir(place.path("disk")).unwrap();
    // In a mount namespace of its own: a file system of 64 KiB, filled by the run's own files, and
    // grown before the run is resumed. Its files are copied out, since it goes with the namespace.
    let script = r#"
        mount -t tmpfs -o size=64k tandem disk || exit 99
        "$0" "$@"; code=$?
        mount -o remount,size=16m disk
        "$0" train --resume disk/run >resumed.out 2>&1 || exit 98
        cp -r disk/run copied
        exit $code"#;
    let command = place.command(train("disk/run"));
    let mut unshared = Command::new("unshare");
    unshared
        .args(["--map-root-user", "--mount", "sh", "-c", script])
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(place.path("."));
    let Ok(output) = unshared.output() else {
        return eprintln!("not tested: there is no unshare here");
    };
    let said = String::from_utf8_lossy(&output.stderr);
    // 99 is ours, 1 without a word of tandem's is unshare's.
    if output.status.code() == Some(99) || said.contains("unshare:") {
        return eprintln!("not tested: no file system may be mounted here: {said}");
    }
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("No space left on device") && said.contains("disk/run/"),
        "{said}"
    );
    assert!(said.contains("`tandem train --resume disk/run`"), "{said}");
    same(&place, "copied", "whole");
}

#[test]
fn a_result_that_does_not_arrive_is_an_error() {
    let place = place!();
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let mut command = place.command(["info", "--model", "mini"]);
    Done::of_writing(&mut command, full).refused(
        1,
        &["writing to standard output", "No space left on device"],
    );
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let place = place!(16);
    place.write("file", "");
    place.refuses(
        1,
        train("file/run"),
        &["cannot create file/run", "a file has the name of a folder"],
    );
    place.refuses(
        1,
        train("file"),
        &["cannot create file", "a file has the name of a folder"],
    );
    place.refuses(1, train("/proc/run"), &["cannot create /proc/run"]);
}

/// As somebody who may not write there: root may write everywhere, and so becomes nobody.
#[test]
fn a_folder_without_permission_is_named_with_what_to_do() {
    let place = place!(16);
    let locked = place.path("locked");
    fs::create_dir(&locked).unwrap();
    let mut command = place.command(train("locked/run"));
    if geteuid().is_root() {
        // Where the command lies may be closed to nobody; here it is not.
        let copy = place.path("tandem");
        fs::copy(command.get_program(), &copy).unwrap();
        fs::set_permissions(place.path("."), fs::Permissions::from_mode(0o755)).unwrap();
        let args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        command = Command::new(copy);
        command.args(args).current_dir(place.path("."));
        command.uid(65_534).gid(65_534);
    } else {
        fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    }
    Done::of(&mut command).refused(
        1,
        &[
            "cannot create locked/run: Permission denied",
            "choose a folder you may write to",
        ],
    );
    assert!(place.names("locked").is_empty());
}
