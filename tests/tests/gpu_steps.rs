//! What a training step asks of its GPUs, as the emulator writes it down (`CUDA_EMULATOR_TRACE`): the
//! host waits for the loss alone, only what the specification says crosses between two, neither
//! waits while it could compute, and both wait where they must.
#![cfg(feature = "cuda")]

use serde_json::Value;
use tandem_tests::{Done, Place, place};

const BATCH: usize = 8;

/// A line of the trace: a call, and the numbers or the kernel that follow.
struct Call {
    name: String,
    kernel: String,
    numbers: Vec<usize>,
}

impl Call {
    fn of(line: &str) -> Self {
        let mut words = line.split(' ');
        let name = words.next().unwrap_or_default().to_owned();
        let (numbers, kernel) = words.partition::<Vec<_>, _>(|word| word.parse::<usize>().is_ok());
        Self {
            name,
            kernel: kernel.concat(),
            numbers: numbers.iter().map(|word| word.parse().unwrap()).collect(),
        }
    }

    fn launches(&self, kernel: &str) -> bool {
        self.name == "launch" && self.kernel.starts_with(kernel)
    }
}

const TWO: &str = "cuda:0,cuda:1";

/// Three steps of `mini`, on a machine that has these faults.
fn train(place: &Place, devices: &str, faults: &str, out: &str) -> Done {
    let line = format!(
        "train --data fashion --epochs 1 --set batch={BATCH} --quiet --model mini --devices {devices} --out {out}"
    );
    let mut command = place.command(line.split(' '));
    command.env("CUDA_EMULATOR_TRACE", place.path("trace"));
    Done::of(command.env("CUDA_EMULATOR_FAULTS", faults))
}

/// The calls of each of three steps of `mini`, from the first batch's copy to the last update.
fn steps(place: &Place, devices: &str) -> Vec<Vec<Call>> {
    train(place, devices, "", "run").succeeds();
    let mut steps = vec![Vec::new()];
    let mut updated = false;
    for line in place.text("trace").lines() {
        let call = Call::of(line);
        let updates = call.launches("sgd_");
        if updated && !updates && call.name != "free" {
            steps.push(Vec::new());
        }
        updated = updates || updated && call.name == "free";
        steps.last_mut().expect("there is one").push(call);
    }
    // What came before the first step stands with it, and what came after the last is validation.
    let begins = |call: &Call| call.launches("augment_");
    let first = steps[0].iter().position(begins).expect("a first batch");
    steps[0].drain(..first);
    assert_eq!(steps.len(), 4);
    steps.pop();
    steps
}

fn indices(calls: &[Call], which: impl Fn(&Call) -> bool) -> Vec<usize> {
    (0..calls.len()).filter(|&i| which(&calls[i])).collect()
}

#[test]
fn the_host_waits_once_a_step_for_the_loss_when_the_way_back_is_queued() {
    let one = steps(&place!(24), "cuda:0");
    for step in one.into_iter().chain(steps(&place!(24), TWO)) {
        let reads = indices(&step, |call| call.name == "copy_to_host");
        let waits = indices(&step, |call| call.name == "synchronize");
        assert_eq!((reads.len(), waits.len()), (1, 1));
        let read = reads[0];
        // Four bytes of the first GPU, and the wait is for them.
        assert_eq!(
            (step[read].numbers.as_slice(), waits[0]),
            (&[0, 4][..], read + 1)
        );
        let computes = |call: &Call| call.name == "launch" || call.name == "product";
        let after = step[read..].iter().find(|call| computes(call));
        assert!(after.is_some_and(|call| call.launches("sgd_")));
        assert!(!step[..read].iter().any(|call| call.launches("sgd_")));
        // The place in the queue that the copy waits for is before the way back.
        let loss = indices(&step, |call| call.launches("nll_mean"))[0];
        let mark = step[loss + 1..].iter().find(|call| call.name != "free");
        assert!(mark.is_some_and(|call| call.name == "record"));
    }
}

#[test]
fn the_other_towers_half_crosses_where_a_layer_sees_both_and_nothing_else() {
    let place = place!(24);
    let line = format!("info --model mini --batch {BATCH} --devices cuda:0,cuda:1 --json");
    let said = place.tandem(line.split(' ')).succeeds();
    let info: Value = serde_json::from_str(&said.stdout).expect("JSON");
    let layers = info["layers"].as_array().expect("layers");
    let number = |value: &Value| value.as_u64().expect("a number") as usize;
    let crossings = |layer: &Value| -> Vec<[usize; 3]> {
        let all = layer["crossings"].as_array().expect("crossings");
        let crossing = |c: &Value| {
            let bytes = BATCH * number(&c["bytes"]);
            [number(&c["from_tower"]), number(&c["to_tower"]), bytes]
        };
        all.iter().map(crossing).collect()
    };
    let forward = layers.iter().flat_map(crossings);
    // The gradient takes the same way back.
    let backward = layers.iter().rev().flat_map(crossings);
    let backward = backward.map(|[from, to, bytes]| [to, from, bytes]);
    let want: Vec<[usize; 3]> = forward.chain(backward).collect();
    assert_eq!(
        want.len(),
        2 * 5,
        "conv3 and fc5 in both towers, fc6 in one"
    );
    for step in steps(&place, TWO) {
        let copies = indices(&step, |call| call.name == "copy_peer");
        let got: Vec<_> = copies.iter().map(|&i| step[i].numbers.clone()).collect();
        assert_eq!(got, want);
    }
}

/// If products took their multiply-adds and all else no time, and a GPU waited where its queue says,
/// two GPUs would take so much of the time of one.
fn share_of_one_gpus_time(step: &[Call]) -> f64 {
    let (mut clocks, mut work, mut recorded) = ([0; 2], 0, 0);
    for call in step {
        match (call.name.as_str(), call.numbers.as_slice()) {
            ("product", [gpu, sizes @ ..]) => {
                let cost: usize = sizes.iter().product();
                clocks[*gpu] += cost;
                work += cost;
            }
            // An event is waited for before the next one is recorded.
            ("record", [gpu]) => recorded = clocks[*gpu],
            ("wait", [gpu]) => clocks[*gpu] = clocks[*gpu].max(recorded),
            _ => {}
        }
    }
    clocks[0].max(clocks[1]) as f64 / work as f64
}

/// Were a tower to hand on its half only after it has computed conv3 and fc5 itself, it would be 0.63.
#[test]
fn both_gpus_compute_at_the_same_time() {
    for step in steps(&place!(24), TWO) {
        let share = share_of_one_gpus_time(&step);
        assert!((0.5..0.51).contains(&share), "{share}");
    }
}

/// The waits of the second step for an event, each with the work that follows and whether the emulator
/// reports that streams are in no order if that one wait is left out.
fn waits_left_out(faults: &str) -> Vec<(String, bool)> {
    let place = place!(24);
    train(&place, TWO, faults, "whole").succeeds();
    let calls: Vec<Call> = place.text("trace").lines().map(Call::of).collect();
    let updates = |i: &usize| calls[*i].launches("sgd_");
    let first = (0..calls.len()).find(updates).expect("an update");
    let between = |i: &usize| calls[i - 1].launches("sgd_") && !updates(i);
    let begins = (first + 1..calls.len())
        .find(between)
        .expect("a second step");
    let ends = (begins..calls.len())
        .find(updates)
        .expect("a second update");
    let waits = indices(&calls, |call| call.name == "wait");
    let within = waits
        .iter()
        .enumerate()
        .filter(|(_, i)| (begins..ends).contains(*i));
    within
        .map(|(number, &i)| {
            let out = format!("without-{number}");
            let done = train(&place, TWO, &format!("{faults},deaf:{number}"), &out);
            let reported = done.stderr.contains("streams in no order");
            assert_eq!(reported, done.code != Some(0), "{done:#?}");
            let memory = |call: &&Call| ["allocate", "free"].contains(&call.name.as_str());
            let next = calls[i + 1..].iter().find(|call| !memory(call));
            (next.expect("an update").name.clone(), reported)
        })
        .collect()
}

/// Of the waits before calls named `before`, how many there are and how many are missed when left out.
fn missed(waits: &[(String, bool)], before: &str) -> (usize, usize) {
    let these: Vec<bool> = waits
        .iter()
        .filter(|w| w.0 == before)
        .map(|w| w.1)
        .collect();
    (
        these.len(),
        these.iter().filter(|reported| **reported).count(),
    )
}

/// A batch is three tensors for each GPU and the labels for the first, each copied into a stage and out
/// of it; the loss comes back once. conv3 and fc5 see the other tower's half both ways, fc6 one way:
/// five crossings, and five of gradients. Where both halves cross at once the first of them has made
/// the second's receiver wait already.
#[test]
fn every_wait_that_a_step_needs_is_missed() {
    let waits = waits_left_out("");
    assert_eq!(missed(&waits, "copy_to_device"), (7, 7), "{waits:?}");
    assert_eq!(missed(&waits, "copy"), (7, 7), "{waits:?}");
    assert_eq!(missed(&waits, "copy_to_host"), (1, 1), "{waits:?}");
    assert_eq!(missed(&waits, "copy_peer"), (10, 8), "{waits:?}");
}

/// The same through the host's memory, which a sender may not write before it was read: of that the
/// other GPU's answer has mostly told it already.
#[test]
fn every_wait_on_the_way_through_the_host_is_missed() {
    let waits = waits_left_out("peer");
    assert_eq!(
        missed(&waits, "copy_to_device"),
        (7 + 10, 7 + 10),
        "{waits:?}"
    );
    assert_eq!(missed(&waits, "copy"), (7, 7), "{waits:?}");
    assert_eq!(missed(&waits, "copy_to_host"), (1 + 10, 1 + 2), "{waits:?}");
}
