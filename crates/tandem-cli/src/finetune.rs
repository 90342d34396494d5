//! `tandem finetune`: a training run that starts from weights. What it is told of its own becomes the
//! run's settings; the rest is `tandem train`.

use std::process::ExitCode;

use anyhow::Result;
use tandem_alexnet::config::{Crop, LastLayer, MeanOf, TrainConfig};
use tandem_alexnet::parameters;
use tandem_alexnet::spec::{Layer, Spec};
use tandem_alexnet::tuning::{Factor, selected};
use tandem_alexnet::weights::Weights;

use crate::args::{Finetune, Global};
use crate::failure::Failure;
use crate::report::progress::{rounded, write_line};
use crate::weights::Found;
use crate::{settings, start, train};

/// A trunk that has learned is changed slowly: its recipe's rate divided by this.
const SLOWER: f64 = 3.0;

pub fn run(args: &Finetune, global: &Global) -> Result<ExitCode> {
    let found = Found::read(&args.from)?;
    let Weights { spec, classes, .. } = &found.weights;
    let mut config = TrainConfig::for_model(spec.clone())?;
    config.rate.initial /= SLOWER;
    if let Some(file) = &args.recipe.config {
        config.put_file_over(file)?;
    }
    start::forget(&mut config);
    config.start.mean = MeanOf::Weights;
    // The weights' own, unless a setting says another.
    config.licence = found.weights.licence.clone().or(config.licence);
    tell(&mut config, args, spec)?;
    settings::flags(&mut config, &args.recipe)?;
    if config.start_from.is_some() {
        let what = "--set start_from beside --from: both say what to start from";
        return Err(Failure::usage(what, "say --from alone").into());
    }
    last_layer_as_its_recipe(&mut config, spec)?;
    start::note(&mut config, &found)?;
    if !global.quiet {
        write_line(&words(&config, spec, args, classes.len())?);
        if let Some(licence) = &config.licence {
            write_line(&format!("the licence of what comes of it: {licence}"));
        }
    }
    train::begin(config, Some(found.weights), args.out.as_deref(), global)
}

/// Puts finetune's own flags into the settings.
fn tell(config: &mut TrainConfig, args: &Finetune, spec: &Spec) -> Result<()> {
    if args.probe {
        config.freeze = all_but_the_last(spec);
        config.augment.crop = Crop::Centre;
        config.augment.mirror = false;
        config.augment.colour = tandem_alexnet::config::Colour::Off;
    } else if !args.freeze.is_empty() {
        config.freeze.clone_from(&args.freeze);
    }
    if args.keep_classes {
        config.start.last_layer = LastLayer::RowsByName;
    }
    for rate in &args.rates {
        let (layers, factor) = rate.split_once('=').ok_or_else(|| {
            Failure::usage(
                format!("--rate {rate} is no rate of a layer"),
                "say which and how much: --rate fc8=10x",
            )
        })?;
        let factor: Factor = factor.parse().map_err(Failure::from_typing)?;
        config.rate.layers.insert(layers.trim().to_owned(), factor);
    }
    if let Some(steps) = args.warm_up {
        config.rate.warm_up_steps = steps;
    }
    if let Some(weights) = args.class_weights {
        config.class_weights = weights.into();
    }
    if let Some(patience) = args.patience {
        config.early_stop_epochs = Some(patience.get());
    }
    config
        .check("the command line")
        .map_err(|error| Failure::from_typing(error).into())
}

/// From the first layer with weights to the one before the last; nothing where there is but one.
fn all_but_the_last(spec: &Spec) -> Vec<String> {
    let named: Vec<&str> = spec.layers.iter().filter_map(Layer::name).collect();
    match named.as_slice() {
        [first, .., before, _] => vec![format!("{first}..{before}")],
        [first, _] => vec![(*first).to_owned()],
        _ => Vec::new(),
    }
}

/// A new last layer has all to learn: it takes the rate that the others' is a part of, unless it was
/// told one.
fn last_layer_as_its_recipe(config: &mut TrainConfig, spec: &Spec) -> Result<()> {
    let last = spec.layers.len() - 1;
    let kept = config.start.last_layer == LastLayer::RowsByName;
    let holds =
        |selection: &String| -> Result<bool> { Ok(selected(spec, selection)?.contains(&last)) };
    let told = config.rate.layers.keys().chain(&config.freeze);
    let told: Vec<bool> = told.map(holds).collect::<Result<_>>()?;
    if !kept && !told.contains(&true) {
        let factor = Factor::new(SLOWER).expect("it is positive");
        config.rate.layers.insert(spec.layer_name(last), factor);
    }
    Ok(())
}

/// What is learned, in one line. How large a new last layer is depends on the data, and is said with it.
fn words(config: &TrainConfig, spec: &Spec, args: &Finetune, classes: usize) -> Result<String> {
    let tuning = config.tuning(spec)?;
    let mut layers = Vec::new();
    for parameter in parameters::of(spec)? {
        if let Some(factor) = tuning.factor(parameter.layer) {
            let layer = spec.layer_name(parameter.layer);
            let rate = config.rate.initial * factor;
            let entry = format!("{layer} at {}", rounded(rate));
            if layers.last() != Some(&entry) {
                layers.push(entry);
            }
        }
    }
    Ok(format!(
        "starts from {} ({classes} classes); what learns, at which rate: {}",
        args.from,
        layers.join(", ")
    ))
}
