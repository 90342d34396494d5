//! `tandem reproduce --plan`: the runs, what they cost, and how long they take here.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor};
use tandem_alexnet::network::{Network, Pass};
use tandem_reproduce::execute::{Means, missing};
use tandem_reproduce::plan::{Plan, Run, Sizes};
use tandem_reproduce::study::Study;

use crate::output::print;
use crate::report::progress::clock;
use crate::report::table::{Align, count, grouped, table};

/// Steps that are timed, after one that is not. The fastest counts: what else the machine does is not asked.
const STEPS: u32 = 5;

pub fn print_plan(
    plan: &Plan,
    sizes: &Sizes,
    study: Option<&Study>,
    means: &Means,
) -> Result<ExitCode> {
    let missing = match study {
        Some(study) => missing(plan, study)?,
        None => plan.runs.iter().collect(),
    };
    let mut arms: Vec<(&str, Vec<&Run>)> = Vec::new();
    for run in &plan.runs {
        match arms.last_mut() {
            Some((arm, runs)) if *arm == run.arm => runs.push(run),
            _ => arms.push((&run.arm, vec![run])),
        }
    }
    let left = |run: &Run| {
        missing
            .iter()
            .any(|left| left.arm == run.arm && left.seed == run.seed)
    };
    let mut rows = Vec::new();
    let (mut cost, mut networks) = (0.0, 0);
    for (arm, runs) in &arms {
        let one = runs[0].cost(sizes.of(&runs[0].config.data))?;
        let to_train = runs.iter().filter(|run| left(run)).count();
        networks += to_train;
        cost += one * to_train as f64;
        rows.push(vec![
            (*arm).to_owned(),
            to_train.to_string(),
            runs[0].config.epochs.to_string(),
            grouped(runs[0].pictures(sizes.of(&runs[0].config.data)) / runs[0].config.epochs),
            count(one as u64),
        ]);
    }
    let head = [
        ("arm", Align::Left),
        ("networks", Align::Right),
        ("epochs", Align::Right),
        ("pictures", Align::Right),
        ("multiply-adds each", Align::Right),
    ];
    let mut text = table(&head, &rows);
    text.push_str(&format!(
        "\n{networks} networks, {} multiply-adds, {} measurements\n",
        count(cost as u64),
        plan.measurements.len()
    ));
    if let Some(run) = plan.runs.iter().find(|run| left(run)) {
        let seconds = cost / speed(run, means)?;
        text.push_str(&format!(
            "about {} on {} by a step of {} timed just now; validation comes on top, a tenth or so\n",
            clock(Duration::from_secs_f64(seconds)),
            means.devices,
            run.arm,
        ));
    }
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Multiply-adds a second of a step of `run` with all threads.
fn speed(run: &Run, means: &Means) -> Result<f64> {
    let spec = &run.config.model;
    let batch = run.config.batch;
    let network = Network::initial(spec, &means.devices, 0)?;
    let (channels, crop) = (spec.input_channels(), spec.input.crop);
    let x = Tensor::rand(-1f32, 1f32, (batch, channels, crop, crop), &Device::Cpu)?;
    let labels = Tensor::zeros(batch, DType::U32, &Device::Cpu)?;
    let mut fastest = Duration::MAX;
    for step in 0..=STEPS {
        let begun = Instant::now();
        let pass = Pass::Train {
            seed: 0,
            step: step.into(),
            part: 0,
        };
        let outcome = network
            .gradients(&x, &labels, pass)
            .context("timing a step")?;
        outcome.loss.read()?;
        network.synchronize()?;
        if step > 0 {
            fastest = fastest.min(begun.elapsed());
        }
    }
    let one = run.cost(1)? / (run.pictures(1) as f64);
    Ok(one * batch as f64 / fastest.as_secs_f64())
}
