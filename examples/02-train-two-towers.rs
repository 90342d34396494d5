//! Trains `mini`, two towers on two devices, on a few of the pictures that come with Tandem: what
//! `tandem train` does, from a few lines of Rust.

use anyhow::Result;
use candle_core::{Device, Module, Tensor};
use tandem_alexnet::checkpoint::RunDirectory;
use tandem_alexnet::config::TrainConfig;
use tandem_alexnet::spec::Spec;
use tandem_alexnet::trainer::{Beginning, Ending, Event, Flow, Trainer};
use tandem_alexnet::training_data::TrainingData;

fn main() -> Result<()> {
    // A preset with its recipe; `set` takes what `tandem train --set` takes.
    let mut config = TrainConfig::for_model(Spec::preset("mini")?)?;
    for setting in [
        "epochs=2",
        "train_pictures=480",
        "batch=8",
        "devices=cpu,cpu",
        "rate.initial=0.02",
    ] {
        config.set(setting)?;
    }
    // Both parts of the data, prepared for the network's input; `--data` names it the same way.
    let data = TrainingData::read(&config, "builtin")?;

    let folder = tempfile::tempdir()?;
    let run = RunDirectory::create(&folder.path().join("run"), &config)?;
    let mut trainer = Trainer::new(config, data, run, Beginning::New(None))?;
    let mut errors = Vec::new();
    let ending = trainer.train(&mut |event| {
        if let Event::Epoch(report, _) = event {
            println!(
                "epoch {}: loss {:.3}, top-1 error {:.3}",
                report.epoch, report.loss, report.top1_error
            );
            errors.push(report.top1_error);
        }
        Flow::Continue
    })?;
    assert_eq!(ending, Ending::Done);
    assert!(
        errors.last() < Some(&0.7),
        "nine of ten would be chance: {errors:?}"
    );

    // A network is a candle module: pictures (N, C, crop, crop) to scores (N, classes).
    let network = trainer.network();
    let picture = Tensor::zeros((1, 1, 28, 28), candle_core::DType::F32, &Device::Cpu)?;
    let scores = Module::forward(network, &picture)?;
    assert_eq!(scores.dims(), [1, 10]);
    Ok(())
}

#[test]
fn two_towers_learn() {
    main().unwrap();
}
