//! Training on GPUs, or on the emulator's two: the CPU's losses, the same bytes twice, and what is
//! said when a GPU is missing, full or lost. `scripts/test-cuda-emulated.sh` runs them.
#![cfg(feature = "cuda")]

use serde_json::Value;
use tandem_tests::{Done, Place, place};

/// 32 pictures in batches of 8: an epoch of four steps.
const FOUR_STEPS: &str = "train --data fashion --epochs 1 --set batch=8 --quiet";

fn train(place: &Place, model: &str, devices: &str, out: &str) -> Done {
    let line = format!("{FOUR_STEPS} --model {model} --devices {devices} --out {out}");
    place.tandem(line.split(' '))
}

/// Training losses by step, and the validation loss.
fn losses(place: &Place, out: &str) -> Vec<f64> {
    let text = place.text(format!("{out}/metrics.jsonl"));
    let loss = |line| -> f64 {
        let line: Value = serde_json::from_str(line).expect("a line of JSON");
        line["loss"].as_f64().expect("a loss")
    };
    text.lines().map(loss).collect()
}

#[track_caller]
fn same_losses(place: &Place, out: &str, of: &str) {
    let (got, want) = (losses(place, out), losses(place, of));
    assert_eq!(got.len(), want.len());
    for (step, (got, want)) in got.iter().zip(&want).enumerate() {
        let near = (got - want).abs() <= 1e-6 + 1e-5 * want.abs();
        assert!(near, "step {}: {got} on {out}, {want} on {of}", step + 1);
    }
}

#[test]
fn a_run_has_the_cpus_losses_wherever_its_towers_are() {
    let place = place!(32);
    train(&place, "tiny.toml", "cpu", "on-cpu").succeeds();
    assert_eq!(losses(&place, "on-cpu").len(), 5);
    for (devices, out) in [
        ("cuda:0", "on-one"),
        ("cuda:0,cuda:1", "on-two"),
        ("cuda:0,cuda:0", "on-one-twice"),
    ] {
        train(&place, "tiny.toml", devices, out).succeeds();
        same_losses(&place, out, "on-cpu");
    }
}

#[test]
fn mini_on_two_gpus_has_the_cpus_losses() {
    let place = place!(32);
    train(&place, "mini", "cpu", "on-cpu").succeeds();
    train(&place, "mini", "cuda:0,cuda:1", "on-two").succeeds();
    same_losses(&place, "on-two", "on-cpu");
}

#[test]
fn the_same_run_twice_has_the_same_bytes() {
    let place = place!(32);
    for out in ["once", "again"] {
        train(&place, "tiny.toml", "cuda:0,cuda:1", out).succeeds();
    }
    for file in ["last.safetensors", "metrics.jsonl"] {
        let read = |out| place.read(format!("{out}/{file}"));
        assert!(read("once") == read("again"), "{file} differs");
    }
}

/// 20 steps in bf16, each with a checkpoint: of f32 weights and velocities, so nothing is lost.
#[test]
fn a_run_in_bf16_that_is_killed_ends_in_the_same_bytes() {
    let place = place!(32);
    let line = |out| {
        let run = "train --data fashion --model tiny.toml --devices cuda:0,cuda:1 --batch 8 --epochs 5 --quiet";
        format!("{run} --set precision=bf16 --set checkpoint_every_steps=1 --out {out}")
    };
    place.tandem(line("whole").split(' ')).succeeds();
    let mut running = place.start(line("run").split(' '));
    assert!(running.wait_for_lines(&place.path("run"), 7));
    assert!(running.kill(), "it was killed under way");
    place.tandem(["train", "--resume", "run"]).succeeds();
    for file in ["last.safetensors", "best.safetensors", "metrics.jsonl"] {
        let read = |out| place.read(format!("{out}/{file}"));
        assert!(read("whole") == read("run"), "{file} differs");
    }
}

#[test]
fn what_one_placement_saved_another_reads() {
    let place = place!(32);
    train(&place, "tiny.toml", "cuda:0,cuda:1", "run").succeeds();
    let error_on = |devices| {
        let line =
            format!("eval --weights run --data fashion --batch 40 --json --devices {devices}");
        let done = place.tandem(line.split(' ')).succeeds();
        let said: Value = serde_json::from_str(&done.stdout).expect("JSON");
        (
            said["top1_error"].as_f64().expect("an error"),
            said["loss"].as_f64().expect("a loss"),
        )
    };
    let (error, loss) = error_on("cpu");
    for devices in ["cuda:0", "cuda:0,cuda:1"] {
        let (here, loss_here) = error_on(devices);
        assert_eq!(here, error, "{devices}");
        assert!((loss_here - loss).abs() < 1e-5, "{loss_here} {loss}");
    }
}

/// A run under faults of the emulator's, which stops with an error that tells all of `says`.
#[track_caller]
fn fails(variable: (&str, &str), devices: &str, says: &[&str]) -> Place {
    let place = place!(32);
    let line = format!("{FOUR_STEPS} --model mini --devices {devices} --out run");
    let mut command = place.command(line.split(' '));
    Done::of(command.env(variable.0, variable.1)).refused(1, says);
    place
}

#[test]
fn a_driver_that_finds_no_gpu_is_told_and_leaves_no_run() {
    let says = ["CUDA_ERROR_NO_DEVICE", "finds no GPU", "nvidia-smi"];
    let place = fails(("CUDA_EMULATOR_DEVICES", "0"), "cuda:0", &says);
    assert!(!place.holds("run"));
}

#[test]
fn a_driver_older_than_the_toolkit_is_told_with_both_versions() {
    let says = ["serves CUDA 12.4", "needs 13.0", "newer driver"];
    let place = fails(("CUDA_EMULATOR_FAULTS", "driver:12040"), "cuda:0", &says);
    assert!(!place.holds("run"));
}

#[test]
fn a_gpu_that_is_not_there_is_answered_with_those_that_are() {
    let says = ["no cuda:7", "cuda:0 to cuda:1"];
    let place = fails(("CUDA_EMULATOR_DEVICES", "2"), "cuda:0,cuda:7", &says);
    assert!(!place.holds("run"));
}

#[test]
fn too_little_memory_is_answered_with_what_a_step_needs_and_a_batch_that_fits() {
    let little = ("CUDA_EMULATOR_MEMORY", "6000000");
    let place = place!(32);
    let line = |batch: &str, out: &str| {
        format!("train --data fashion --epochs 1 --devices cuda:0 --batch {batch} --out {out}")
    };
    let run = |line: String| Done::of(place.command(line.split(' ')).env(little.0, little.1));
    let says = ["cuda:0 has too little memory", "a step of batch 8 needs"];
    let said = run(line("8", "full")).refused(1, &says).stderr;
    let fits = said.split("MiB were free; batch ").nth(1);
    let fits = fits.and_then(|text| text.split(" would fit").next());
    run(line(fits.expect("a batch that fits"), "fits")).succeeds();
}

#[test]
fn a_gpu_that_is_lost_ends_the_run_in_one_line_with_the_fix() {
    let says = ["one of cuda:0,cuda:1 no longer answers", "nvidia-smi"];
    fails(("CUDA_EMULATOR_FAULTS", "lost:60"), "cuda:0,cuda:1", &says);
}

#[test]
fn gpus_that_garble_what_they_send_each_other_go_through_the_host() {
    let place = place!(32);
    train(&place, "tiny.toml", "cpu", "on-cpu").succeeds();
    for fault in ["peer", "peer-corrupt"] {
        let out = format!("under-{fault}");
        let line = format!(
            "train --data fashion --epochs 1 --set batch=8 --model tiny.toml --devices cuda:0,cuda:1 --out {out}"
        );
        let mut command = place.command(line.split(' '));
        let done = Done::of(command.env("CUDA_EMULATOR_FAULTS", fault)).succeeds();
        assert_eq!(done.stderr.matches("host's memory").count(), 1, "{done:#?}");
        same_losses(&place, &out, "on-cpu");
        let mut doctor = place.command(["doctor"]);
        let said = Done::of(doctor.env("CUDA_EMULATOR_FAULTS", fault)).succeeds();
        let way = "cuda:0 to cuda:1 through the host's memory";
        assert!(said.stdout.contains(way), "{said:#?}");
    }
}

#[test]
fn doctor_meets_the_gpus() {
    let said = place!().tandem(["doctor"]).succeeds();
    for words in [
        "features    cuda",
        "cuda:1  ",
        "cuda:0 to cuda:1 directly",
        "compute capability 9.0",
    ] {
        assert!(said.stdout.contains(words), "{words}: {}", said.stdout);
    }
}
