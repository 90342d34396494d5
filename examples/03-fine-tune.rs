//! Starts from trained weights and learns other classes, the convolutions frozen: what
//! `tandem finetune` does.
//!
//! ```text
//! cargo run --release -p tandem-examples --example 03-fine-tune -- WEIGHTS DATA
//! cargo run --release -p tandem-examples --example 03-fine-tune -- hf:OWNER/NAME ~/flowers
//! ```
//!
//! WEIGHTS is a file, or a model of the hub, which is downloaded into the cache that Python shares.
//! Without arguments it makes weights of its own first: `mini` after one epoch of a few pictures.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tandem_alexnet::checkpoint::{BEST, RunDirectory};
use tandem_alexnet::config::{MeanOf, TrainConfig};
use tandem_alexnet::trainer::{Beginning, Event, Flow, Trainer};
use tandem_alexnet::training_data::TrainingData;
use tandem_alexnet::weights::Weights;
use tandem_hub::Wanted;

/// Trains as `config` says into the folder `out`, and returns the weights of the best epoch.
fn train(config: TrainConfig, out: &Path) -> Result<PathBuf> {
    let data = TrainingData::read(&config, &config.data)?;
    let source = config
        .start_from
        .as_deref()
        .map(Weights::read)
        .transpose()?;
    // Weights that do not suit the pictures are found here, before there is a run.
    Trainer::check(&config, &data, source.as_ref())?;
    let run = RunDirectory::create(out, &config)?;
    Trainer::new(config, data, run, Beginning::New(source))?.train(&mut |event| {
        if let Event::Epoch(report, _) = event {
            println!(
                "epoch {}: top-1 error {:.3}",
                report.epoch, report.top1_error
            );
        }
        Flow::Continue
    })?;
    Ok(out.join(BEST))
}

/// The settings of a run on `data` that starts from the weights in `file`, its convolutions frozen.
fn from_weights(file: &Path, data: &str) -> Result<TrainConfig> {
    let weights = Weights::read(file)?;
    let layers = weights.spec.layers.iter().filter_map(|layer| layer.name());
    let convolutions: Vec<&str> = layers.filter(|name| name.starts_with("conv")).collect();
    let (first, last) = (convolutions.first(), convolutions.last());
    let range = first
        .zip(last)
        .map(|(first, last)| format!("{first}..{last}"));
    // The network is that of the weights, and so is what is done to pictures before it.
    let mut config = TrainConfig::for_model(weights.spec)?;
    config.data = data.to_owned();
    config.start_from = Some(file.to_owned());
    config.start.mean = MeanOf::Weights;
    config.freeze = range.into_iter().collect();
    Ok(config)
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [weights, data] => {
            let out = Path::new("runs/fine-tuned");
            let file = match weights.starts_with("hf:") {
                true => tandem_hub::model(&weights.parse()?, Wanted::Weights, &mut |_| ())?.path(),
                false => weights.into(),
            };
            let best = train(from_weights(&file, data)?, out)?;
            println!("{}", best.display());
            Ok(())
        }
        _ => with_weights_of_its_own(),
    }
}

fn with_weights_of_its_own() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut config = TrainConfig::resolve(Some("mini"), None)?;
    config.set("epochs=1")?;
    config.set("train_pictures=320")?;
    let source = train(config, &folder.path().join("source"))?;

    let mut config = from_weights(&source, "builtin")?;
    config.set("epochs=2")?;
    config.set("train_pictures=320")?;
    let tuned = train(config, &folder.path().join("tuned"))?;

    let [before, after] = [source, tuned].map(|file| Weights::read(&file));
    let (before, after) = (before?.parameters, after?.parameters);
    let bytes = |name: &str, of: &std::collections::BTreeMap<_, candle_core::Tensor>| {
        let tensor = of.get(name).context("a layer of mini")?;
        Ok::<_, anyhow::Error>(tensor.flatten_all()?.to_vec1::<f32>()?)
    };
    assert_eq!(
        bytes("conv4.weight", &before)?,
        bytes("conv4.weight", &after)?
    );
    assert_ne!(bytes("fc5.weight", &before)?, bytes("fc5.weight", &after)?);
    Ok(())
}

#[test]
fn frozen_layers_stay_and_the_others_learn() {
    with_weights_of_its_own().unwrap();
}
