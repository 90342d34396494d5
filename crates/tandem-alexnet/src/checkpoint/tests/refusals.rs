//! Folders, networks, data and states that a run does not go on with.

use std::time::Duration;

use super::*;
use crate::checkpoint::begin;

fn stopped_run() -> (tempfile::TempDir, Checkpoint) {
    let (folder, run) = run_with_checkpoint(10);
    let path = run.path().to_owned();
    drop(run);
    let (_, checkpoint) = RunDirectory::resume(&path).unwrap();
    (folder, checkpoint.expect("a checkpoint was saved"))
}

#[test]
fn a_run_that_another_process_trains_in_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let run = RunDirectory::create(&path, &config()).unwrap();
    let error = RunDirectory::resume(&path).unwrap_err().to_string();
    assert!(
        error.contains("another process trains in") && error.contains("run"),
        "{error}"
    );
    drop(run);
    RunDirectory::resume(&path).unwrap();
}

#[test]
fn a_run_that_another_process_is_beginning_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let beside = crate::replacement::unfinished(&path);
    fs::create_dir(&beside).unwrap();
    let other = begin::lock(&beside, &path).unwrap();
    let error = RunDirectory::create(&path, &config()).unwrap_err();
    assert!(matches!(error, RunError::InUse { .. }), "{error}");
    // Killed before it was done, it is in nobody's way.
    drop(other);
    RunDirectory::create(&path, &config()).unwrap();
    assert_eq!(names(folder.path()), ["run"]);
}

#[test]
fn of_processes_that_begin_a_run_at_the_same_moment_one_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let others_have_it = |error: &RunError| {
        matches!(
            error,
            RunError::InUse { .. } | RunError::HoldsAnotherRun { .. }
        )
    };
    for round in 0..400_u64 {
        let path = folder.path().join(format!("run-{round}"));
        let begin = |thread| {
            // Each round meets the others at another place of their way.
            std::thread::sleep(Duration::from_micros(thread * round));
            RunDirectory::create(&path, &config())
        };
        let runs: Vec<_> = std::thread::scope(|scope| {
            let begin = &begin;
            let threads: Vec<_> = (0..4).map(|t| scope.spawn(move || begin(t))).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert_eq!(runs.iter().filter(|run| run.is_ok()).count(), 1);
        for error in runs.iter().filter_map(|run| run.as_ref().err()) {
            assert!(others_have_it(error), "round {round}: {error}");
        }
    }
    assert_eq!(names(folder.path()).len(), 400);
}

#[test]
fn a_folder_that_is_there_and_empty_becomes_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let error = RunDirectory::resume(folder.path()).unwrap_err().to_string();
    assert!(error.contains("--out starts a new one"), "{error}");
    let run = RunDirectory::create(folder.path(), &config()).unwrap();
    assert_eq!(run.config().unwrap(), config());
}

#[test]
fn a_folder_that_holds_a_run_is_refused_for_a_new_one() {
    let (_folder, run) = run_with_checkpoint(10);
    let error = RunDirectory::create(run.path(), &config())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("holds another run (its config.toml is there)")
            && error.contains("--resume"),
        "{error}"
    );
    fs::remove_file(run.path().join(CONFIG)).unwrap();
    let error = RunDirectory::create(run.path(), &config())
        .unwrap_err()
        .to_string();
    assert!(error.contains("its last.safetensors is there"), "{error}");
    fs::remove_file(run.path().join(LAST)).unwrap();
    let error = RunDirectory::create(run.path(), &config())
        .unwrap_err()
        .to_string();
    assert!(error.contains("its best.safetensors is there"), "{error}");
}

#[test]
fn a_folder_without_a_run_cannot_be_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let missing = RunDirectory::resume(&folder.path().join("none"))
        .unwrap_err()
        .to_string();
    assert!(
        missing.contains("there is no run in") && missing.contains("none"),
        "{missing}"
    );
    fs::write(folder.path().join("thesis.tex"), "not a run").unwrap();
    assert!(matches!(
        RunDirectory::resume(folder.path()),
        Err(RunError::NoRun { .. })
    ));
}

#[test]
fn a_run_cannot_be_made_below_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = RunDirectory::create(&file.join("run"), &config())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("cannot create") && error.contains("file/run"),
        "{error}"
    );
    let error = RunDirectory::create(&file, &config())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("a file has the name of a folder there"),
        "{error}"
    );
}

#[test]
fn another_network_is_refused_with_both_named() {
    let (_folder, checkpoint) = stopped_run();
    let other = Spec::parse(
        &SPEC
            .replace("tiny", "wide")
            .replace("channels = 2", "channels = 4"),
    )
    .unwrap();
    let error = checkpoint.check(&other, &data()).unwrap_err().to_string();
    assert!(
        error.contains("is of `tiny` and the network given is `wide`"),
        "{error}"
    );
    let other = Spec::parse(&SPEC.replace("channels = 2", "channels = 4")).unwrap();
    let error = checkpoint.check(&other, &data()).unwrap_err().to_string();
    assert!(
        error.contains("in layer 1 `conv1`, it has `channels = 2` and the other `channels = 4`"),
        "{error}"
    );
}

#[test]
fn other_data_is_refused_with_both_named_and_moved_data_is_not() {
    let (_folder, checkpoint) = stopped_run();
    let moved = DataIdentity {
        name: "/elsewhere".to_owned(),
        ..data()
    };
    checkpoint.check(&spec(), &moved).unwrap();
    let other = DataIdentity {
        name: "/cifar".to_owned(),
        fingerprint: 2,
    };
    let error = checkpoint.check(&spec(), &other).unwrap_err().to_string();
    assert!(
        error.contains("`builtin` (fingerprint feed000000000001)"),
        "{error}"
    );
    assert!(
        error.contains("`/cifar` (fingerprint 0000000000000002)"),
        "{error}"
    );
}

#[test]
fn a_state_that_is_gone_or_of_another_step_is_named() {
    let (_folder, run) = run_with_checkpoint(10);
    let (state, other) = (run.state_path(10), run.state_path(20));
    fs::remove_file(&state).unwrap();
    run.write_state(&super::state(20))
        .unwrap()
        .commit()
        .unwrap();
    let path = run.path().to_owned();
    drop(run);
    let error = RunDirectory::resume(&path).unwrap_err().to_string();
    assert!(
        error.contains("step-00000010.safetensors is gone"),
        "{error}"
    );
    fs::rename(other, state).unwrap();
    let error = RunDirectory::resume(&path).unwrap_err().to_string();
    assert!(error.contains("holds the state of step 20"), "{error}");
}
