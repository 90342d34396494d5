//! `tandem bench`: how long a step, an operation or a batch of pictures takes.

#[cfg_attr(
    not(feature = "cuda"),
    allow(dead_code, reason = "what only a GPU gives")
)]
mod kernels;
mod loader;
mod network;
mod operations;
mod stopwatch;

use anyhow::Result;
use serde::Serialize;
use tandem_alexnet::placement::{DeviceName, Placement};
use tandem_alexnet::precision::Precision;
use tandem_alexnet::shapes::Shapes;
use tandem_alexnet::spec::Spec;

use crate::args::{Bench, BenchMode, ElementType};
use crate::failure::Failure;
use crate::memory;
use crate::output::print;
use crate::report::table::{Align, bytes, grouped, table};
use kernels::OnGpu;
use loader::Stage;
use stopwatch::Stopwatch;

/// One measurement, as `--json` prints it: these keys, on a GPU the range and those of [`OnGpu`], of
/// `data` its stages, and no others.
#[derive(Debug, Serialize)]
struct Measured {
    mode: &'static str,
    model: String,
    device: String,
    batch: usize,
    threads: usize,
    /// The median over the steps timed; of `data` the mean.
    seconds_per_step: f64,
    images_per_second: f64,
    /// Of the whole process; null where the system does not say.
    peak_memory_bytes: Option<u64>,
    /// The fastest and the slowest step timed, on GPUs only.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds_range: Option<(f64, f64)>,
    #[serde(flatten)]
    gpu: Option<OnGpu>,
    /// Of `--mode train` and `infer` on GPUs only.
    #[serde(flatten)]
    network: Option<NetworkOnGpu>,
    /// Of `--mode data` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    stages: Option<Vec<Stage>>,
}

/// A network on GPUs: the first one's name, by which the emulator's times are told to mean nothing, and
/// what it computed in.
#[derive(Debug, Serialize)]
struct NetworkOnGpu {
    device_name: String,
    precision: String,
}

pub fn run(args: &Bench) -> Result<()> {
    let (measured, watch) = measure(args)?;
    let text = if args.json {
        serde_json::to_string(&measured)? + "\n"
    } else {
        words(&measured, &watch)
    };
    print(&text)
}

fn measure(args: &Bench) -> Result<(Measured, Stopwatch)> {
    let spec = Spec::named(&args.model)?;
    let shapes = Shapes::of(&spec)?;
    args.devices.check(shapes.towers())?;

    let precision = Precision::from(args.precision);
    let network = matches!(args.mode, BenchMode::Train | BenchMode::Infer);
    let operation = !network && args.mode != BenchMode::Data;
    if !operation && args.dtype != ElementType::F32 {
        let what = format!(
            "--dtype {} for --mode {}",
            args.dtype.name(),
            args.mode.name()
        );
        let hint = "--dtype is of single operations; train and infer take --precision";
        return Err(Failure::usage(what, hint).into());
    }
    if !network && precision != Precision::F32 {
        let what = format!("--precision {} for --mode {}", precision, args.mode.name());
        let hint = "it is of train and infer; a single operation takes --dtype";
        return Err(Failure::usage(what, hint).into());
    }

    let mut watch = Stopwatch::new(args.warmup, args.steps.get());
    memory::forget_peak();
    let (mut gpu, mut stages) = (None, None);
    match args.mode {
        BenchMode::Lrn
        | BenchMode::Pool
        | BenchMode::LrnPool
        | BenchMode::Conv
        | BenchMode::Linear
        | BenchMode::Dropout
        | BenchMode::Softmax
        | BenchMode::Sgd
        | BenchMode::Augment => gpu = operations::time(&spec, &shapes, args, &mut watch)?,
        BenchMode::Train => network::train(&spec, args, &mut watch)?,
        BenchMode::Infer => network::infer(&spec, args, &mut watch)?,
        BenchMode::Data => stages = Some(loader::time(&spec, args, &mut watch)?),
    }
    let seconds_per_step = match args.mode {
        BenchMode::Data => watch.mean(),
        _ => watch.median(),
    };
    let on_gpu = args.devices.devices().iter().any(|d| *d != DeviceName::Cpu);
    let measured = Measured {
        mode: args.mode.name(),
        model: spec.name,
        device: match operation {
            // It is timed on one.
            true => args.devices.devices()[0].to_string(),
            false => args.devices.to_string(),
        },
        batch: args.batch.get(),
        threads: rayon::current_num_threads(),
        seconds_per_step,
        images_per_second: args.batch.get() as f64 / seconds_per_step,
        peak_memory_bytes: memory::peak_resident_bytes(),
        seconds_range: on_gpu.then(|| watch.range()),
        network: match network {
            true => on_gpus(&args.devices, precision)?,
            false => None,
        },
        gpu,
        stages,
    };
    Ok((measured, watch))
}

#[cfg(feature = "cuda")]
fn on_gpus(devices: &Placement, precision: Precision) -> Result<Option<NetworkOnGpu>> {
    for device in devices.open()? {
        if let Some(gpu) = tandem_ops::cuda::driver::gpu(&device)? {
            return Ok(Some(NetworkOnGpu {
                device_name: gpu.name,
                precision: precision.to_string(),
            }));
        }
    }
    Ok(None)
}

#[cfg(not(feature = "cuda"))]
fn on_gpus(_: &Placement, _: Precision) -> Result<Option<NetworkOnGpu>> {
    Ok(None)
}

fn words(measured: &Measured, watch: &Stopwatch) -> String {
    let Measured {
        mode,
        model,
        device,
        batch,
        threads,
        ..
    } = measured;
    let on = match &measured.network {
        Some(on) => format!("{device} ({}), {}", on.device_name, on.precision),
        None => device.clone(),
    };
    let mut text = format!("{mode} of {model} on {on}: batch {batch}, {threads} threads\n\n");
    let parts = watch.parts();
    if !parts.is_empty() {
        let head = [("part", Align::Left), ("median", Align::Right)];
        let rows: Vec<_> = parts
            .into_iter()
            .map(|(name, seconds)| vec![name, milliseconds(seconds)])
            .collect();
        text.push_str(&table(&head, &rows));
        text.push('\n');
    }
    if let Some(gpu) = &measured.gpu {
        text.push_str(&gpu.words());
        text.push('\n');
    }
    if let Some(stages) = &measured.stages {
        let head = [("stage", Align::Left), ("images/s", Align::Right)];
        let rows: Vec<_> = stages
            .iter()
            .map(|s| vec![s.stage.to_owned(), grouped(s.images_per_second as u64)])
            .collect();
        text.push_str(&table(&head, &rows));
        text.push_str("\nthe whole loader:\n");
    }
    let figure = if measured.stages.is_some() {
        "mean"
    } else {
        "median"
    };
    let (fastest, slowest) = watch.range();
    text.push_str(&format!(
        "{} a step ({figure} of {}; {} to {})\n{:.1} images/s\n",
        milliseconds(measured.seconds_per_step),
        watch.steps(),
        milliseconds(fastest),
        milliseconds(slowest),
        measured.images_per_second,
    ));
    if let Some(peak) = measured.peak_memory_bytes {
        text.push_str(&format!("{} of the host's memory at most\n", bytes(peak)));
    }
    text
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.2} ms", 1000.0 * seconds)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    #[test]
    fn an_element_type_that_would_be_ignored_is_refused() {
        for line in [
            "bench --mode train --dtype bf16",
            "bench --mode lrn --precision bf16",
            "bench --mode data --precision bf16",
            "bench --mode data --dtype bf16",
        ] {
            let words = std::iter::once("tandem").chain(line.split(' '));
            let Command::Bench(args) = Cli::try_parse_from(words).unwrap().command else {
                panic!("not bench")
            };
            let Err(error) = measure(&args) else {
                panic!("{line} is taken")
            };
            let error = error.to_string();
            assert!(error.contains("bf16 for --mode"), "{error}");
        }
    }

    #[test]
    fn the_json_has_the_keys_of_the_contract_and_no_others() {
        let measured = Measured {
            mode: "lrn",
            model: "alexnet".to_owned(),
            device: "cpu".to_owned(),
            batch: 64,
            threads: 2,
            seconds_per_step: 0.5,
            images_per_second: 128.0,
            peak_memory_bytes: None,
            seconds_range: None,
            network: None,
            gpu: None,
            stages: None,
        };
        let json = serde_json::to_string(&measured).unwrap();
        assert_eq!(
            json,
            r#"{"mode":"lrn","model":"alexnet","device":"cpu","batch":64,"threads":2,"seconds_per_step":0.5,"images_per_second":128.0,"peak_memory_bytes":null}"#
        );
    }
}
