//! A checkpoint survives a kill at every point of its protocol.

mod refusals;

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};

use super::begin::LOCK;
use super::*;
use crate::parameters;
use crate::schedule::ScheduleState;

const SPEC: &str = r#"
name = "tiny"
classes = 2
input = { channels = 1, side = 4, crop = 4 }
layer = [
    { kind = "convolution", name = "conv1", channels = 2, kernel = 3, towers = 2, sees = "both" },
    { kind = "linear", name = "fc2", sees = "both" },
]
"#;

fn spec() -> Spec {
    Spec::parse(SPEC).unwrap()
}

fn config() -> TrainConfig {
    TrainConfig::for_model(spec()).unwrap()
}

/// Every tensor of step `step` is filled with its number, so that a mixture of two steps shows.
fn tensors(step: u64) -> BTreeMap<String, Tensor> {
    let list = parameters::of(&spec()).unwrap().into_iter();
    list.map(|p| {
        (
            p.name,
            Tensor::full(step as f32, p.shape, &Device::Cpu).unwrap(),
        )
    })
    .collect()
}

fn weights(step: u64) -> Weights {
    Weights {
        spec: spec(),
        classes: vec!["cat".to_owned(), "\"dog\"\n".to_owned()],
        step,
        epoch: step / 10,
        origin: None,
        licence: None,
        mean: Some(Tensor::full(0.1f32, (1, 4, 4), &Device::Cpu).unwrap()),
        parameters: tensors(step),
    }
}

fn data() -> DataIdentity {
    DataIdentity {
        name: "builtin".to_owned(),
        fingerprint: 0xfeed_0000_0000_0001,
    }
}

fn state(step: u64) -> State {
    State {
        position: Position {
            step,
            epoch: step / 10,
            batch: step % 10,
            loss_sum: 1.0 / 3.0,
            pictures: 64 * step,
        },
        schedule: ScheduleState {
            best_error: Some(0.1 + 0.2),
            ..ScheduleState::default()
        },
        data: data(),
        velocities: tensors(step),
    }
}

fn values(tensors: &BTreeMap<String, Tensor>) -> Vec<f32> {
    let flat = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1().unwrap();
    tensors.values().flat_map(flat).collect()
}

/// Resumes and checks that every part is of step `step`, and that nothing else lies about.
fn resumes_whole_from(stopped: RunDirectory, step: u64) -> RunDirectory {
    let path = &stopped.path().to_owned();
    drop(stopped);
    let (run, checkpoint) = RunDirectory::resume(path).unwrap();
    let checkpoint = checkpoint.expect("a checkpoint was saved");
    assert_eq!(checkpoint.weights.step, step);
    assert_eq!(checkpoint.state.position, state(step).position);
    assert_eq!(checkpoint.state.schedule, state(step).schedule);
    assert!(
        values(&checkpoint.weights.parameters)
            .iter()
            .all(|&v| v == step as f32)
    );
    assert!(
        values(&checkpoint.state.velocities)
            .iter()
            .all(|&v| v == step as f32)
    );
    checkpoint.check(&spec(), &data()).unwrap();
    let states = names(&path.join(STATE));
    assert_eq!(states, [format!("step-{step:08}.safetensors")]);
    assert!(
        names(path)
            .iter()
            .all(|name| [CONFIG, LAST, BEST, STATE, LOCK].contains(&name.as_str())),
        "{:?}",
        names(path)
    );
    run
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn run_with_checkpoint(step: u64) -> (tempfile::TempDir, RunDirectory) {
    let folder = tempfile::tempdir().unwrap();
    let mut run = RunDirectory::create(&folder.path().join("run"), &config()).unwrap();
    run.save(&weights(step), &state(step), Rank::Best).unwrap();
    (folder, run)
}

#[test]
fn a_saved_checkpoint_comes_back_bit_for_bit() {
    let (_folder, mut run) = run_with_checkpoint(10);
    run.save(&weights(20), &state(20), Rank::Ordinary).unwrap();
    let run = resumes_whole_from(run, 20);
    assert_eq!(run.config().unwrap(), config());
    let best = Weights::read(&run.path().join(BEST)).unwrap();
    assert_eq!((best.step, &best.classes), (10, &weights(10).classes));
    assert_eq!(best.mean.unwrap().to_vec3::<f32>().unwrap()[0][0][0], 0.1);
}

#[test]
fn the_same_checkpoint_is_written_as_the_same_bytes() {
    let (_first, first) = run_with_checkpoint(10);
    let (_second, second) = run_with_checkpoint(10);
    for name in [LAST, BEST, "state/step-00000010.safetensors"] {
        assert_eq!(
            fs::read(first.path().join(name)).unwrap(),
            fs::read(second.path().join(name)).unwrap(),
            "{name}"
        );
    }
}

/// A kill leaves temporaries behind: `forget` keeps them from being removed.
fn kill(replacement: Replacement) {
    std::mem::forget(replacement);
}

#[test]
fn killed_while_the_state_is_written_it_resumes_from_the_checkpoint_before() {
    let (_folder, run) = run_with_checkpoint(10);
    kill(run.write_state(&state(20)).unwrap());
    resumes_whole_from(run, 10);
}

#[test]
fn killed_when_the_state_has_its_name_it_resumes_from_the_checkpoint_before() {
    let (_folder, run) = run_with_checkpoint(10);
    run.write_state(&state(20)).unwrap().commit().unwrap();
    resumes_whole_from(run, 10);
}

#[test]
fn killed_while_the_weights_are_written_it_resumes_from_the_checkpoint_before() {
    let (_folder, run) = run_with_checkpoint(10);
    run.write_state(&state(20)).unwrap().commit().unwrap();
    kill(run.write_last(&weights(20)).unwrap());
    resumes_whole_from(run, 10);
}

#[test]
fn killed_while_the_best_is_linked_it_resumes_from_the_checkpoint_before() {
    let (_folder, run) = run_with_checkpoint(10);
    run.write_state(&state(20)).unwrap().commit().unwrap();
    let last = run.write_last(&weights(20)).unwrap();
    kill(last.linked_as(&run.path().join(BEST)).unwrap());
    kill(last);
    resumes_whole_from(run, 10);
}

#[test]
fn killed_between_the_best_and_the_commit_it_resumes_from_the_checkpoint_before() {
    let (_folder, run) = run_with_checkpoint(10);
    run.write_state(&state(20)).unwrap().commit().unwrap();
    let last = run.write_last(&weights(20)).unwrap();
    last.linked_as(&run.path().join(BEST))
        .unwrap()
        .commit()
        .unwrap();
    kill(last);
    let mut run = resumes_whole_from(run, 10);
    assert_eq!(Weights::read(&run.path().join(BEST)).unwrap().step, 20);
    // Getting there again, it ends as if nothing had happened.
    run.save(&weights(20), &state(20), Rank::Best).unwrap();
    let (_other, mut other) = run_with_checkpoint(10);
    other.save(&weights(20), &state(20), Rank::Best).unwrap();
    for name in [LAST, BEST] {
        assert_eq!(
            fs::read(run.path().join(name)).unwrap(),
            fs::read(other.path().join(name)).unwrap()
        );
    }
}

#[test]
fn killed_after_the_commit_it_resumes_from_the_new_checkpoint() {
    let (_folder, run) = run_with_checkpoint(10);
    run.write_state(&state(20)).unwrap().commit().unwrap();
    run.write_last(&weights(20)).unwrap().rename().unwrap();
    assert_eq!(
        names(&run.path().join(STATE)).len(),
        2,
        "the state of step 10 is still to be removed"
    );
    resumes_whole_from(run, 20);
}

#[test]
fn killed_before_the_first_checkpoint_it_starts_from_the_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let run = RunDirectory::create(&path, &config()).unwrap();
    run.write_state(&state(5)).unwrap().commit().unwrap();
    kill(run.write_last(&weights(5)).unwrap());
    drop(run);
    let (run, none) = RunDirectory::resume(&path).unwrap();
    assert!(none.is_none());
    assert_eq!(run.config().unwrap(), config());
    assert!(names(&path.join(STATE)).is_empty());
}

#[test]
fn what_is_not_finite_is_never_saved_over_a_checkpoint() {
    for value in [f32::NAN, f32::INFINITY] {
        let spoilt = |mut tensors: BTreeMap<String, Tensor>| {
            let bias = Tensor::new(&[1.0, value], &Device::Cpu).unwrap();
            tensors.insert("fc2.bias".to_owned(), bias);
            tensors
        };
        let (_folder, mut run) = run_with_checkpoint(10);
        let weights = Weights {
            parameters: spoilt(tensors(20)),
            ..weights(20)
        };
        let error = run.save(&weights, &state(20), Rank::Best).unwrap_err();
        assert!(error.to_string().starts_with("fc2.bias is"), "{error}");
        let run = resumes_whole_from(run, 10);
        assert_eq!(Weights::read(&run.path().join(BEST)).unwrap().step, 10);

        let (_folder, mut run) = run_with_checkpoint(10);
        let state = State {
            velocities: spoilt(tensors(20)),
            ..state(20)
        };
        let error = run
            .save(&self::weights(20), &state, Rank::Best)
            .unwrap_err();
        assert!(
            error.to_string().starts_with("the momentum of fc2.bias is"),
            "{error}"
        );
        resumes_whole_from(run, 10);
    }
}

#[test]
fn saving_the_step_of_the_checkpoint_again_keeps_its_state() {
    let (_folder, mut run) = run_with_checkpoint(10);
    run.save(&weights(10), &state(10), Rank::Ordinary).unwrap();
    resumes_whole_from(run, 10);
}

/// A folder where the temporary file belongs stands for any write that fails.
fn obstruct(run: &RunDirectory, name: &str) -> PathBuf {
    let obstacle = run.path().join(format!("{name}.tandem-unfinished"));
    fs::create_dir(&obstacle).unwrap();
    obstacle
}

#[test]
fn a_failed_save_leaves_the_checkpoint_before_intact() {
    for name in ["state/step-00000020.safetensors", LAST, BEST] {
        let (_folder, mut run) = run_with_checkpoint(10);
        let obstacle = obstruct(&run, name);
        let error = run
            .save(&weights(20), &state(20), Rank::Best)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(&obstacle.with_extension("").display().to_string()),
            "{error}"
        );
        fs::remove_dir(obstacle).unwrap();
        resumes_whole_from(run, 10);
    }
}

#[test]
fn a_failed_save_of_the_step_of_the_checkpoint_keeps_its_state() {
    let (_folder, mut run) = run_with_checkpoint(10);
    let obstacle = obstruct(&run, LAST);
    run.save(&weights(10), &state(10), Rank::Ordinary)
        .unwrap_err();
    fs::remove_dir(obstacle).unwrap();
    resumes_whole_from(run, 10);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_the_checkpoint_before_intact_and_says_what_to_do() {
    for name in ["state/step-00000020.safetensors", LAST] {
        let (_folder, mut run) = run_with_checkpoint(10);
        let unfinished = run.path().join(format!("{name}.tandem-unfinished"));
        std::os::unix::fs::symlink("/dev/full", &unfinished).unwrap();
        let error = run
            .save(&weights(20), &state(20), Rank::Ordinary)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(name) && error.contains("free space there"),
            "{error}"
        );
        assert!(!unfinished.is_symlink(), "the temporary is gone");
        let mut run = resumes_whole_from(run, 10);
        run.save(&weights(20), &state(20), Rank::Ordinary).unwrap();
        resumes_whole_from(run, 20);
    }
}
