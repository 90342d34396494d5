//! The settings of a training run: the model's recipe, over it the file, the flags, the `--set`s.

use anyhow::Result;
use tandem_alexnet::config::TrainConfig;

use crate::args::Recipe;
use crate::failure::Failure;
use crate::start;

/// What a new run is told, resolved and checked.
pub fn resolve(args: &Recipe) -> Result<TrainConfig> {
    let mut config = TrainConfig::resolve(args.model.as_deref(), args.config.as_deref())?;
    flags(&mut config, args)?;
    Ok(config)
}

/// Puts the flags and the `--set`s over `config`.
pub fn flags(config: &mut TrainConfig, args: &Recipe) -> Result<()> {
    if let Some(data) = &args.data {
        config.data.clone_from(data);
    }
    if let Some(epochs) = args.epochs {
        config.epochs = epochs.get() as u64;
    }
    if let Some(batch) = args.batch {
        config.batch = batch.get();
    }
    if let Some(devices) = &args.devices {
        config.devices = devices.clone();
    }
    if let Some(seed) = args.seed {
        config.seed = seed;
    }
    for setting in &args.settings {
        if setting.trim_start().starts_with("start_from") {
            start::forget(config);
        }
        config.set(setting).map_err(Failure::from_typing)?;
    }
    config
        .check("the command line")
        .map_err(Failure::from_typing)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};
    use crate::failure::exit_code;

    fn resolved(line: &str) -> Result<TrainConfig> {
        let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
        let Command::Train(args) = cli.command else {
            panic!("not train")
        };
        resolve(&args.recipe)
    }

    #[test]
    fn nothing_typed_is_the_recipe_of_mini() {
        let mini = TrainConfig::resolve(Some("mini"), None).unwrap();
        assert_eq!(resolved("tandem train").unwrap(), mini);
    }

    #[test]
    fn flags_stand_over_the_file_and_set_over_both() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mine.toml");
        fs::write(&file, "epochs = 3\nbatch = 16\nseed = 5\n").unwrap();
        let line = format!(
            "tandem train --config {} --epochs 4 --seed 9 --set seed=11",
            file.display()
        );
        let config = resolved(&line).unwrap();
        assert_eq!((config.epochs, config.batch, config.seed), (4, 16, 11));
    }

    #[test]
    fn a_setting_that_does_not_exist_is_wrong_usage_and_names_the_nearest() {
        let error = resolved("tandem train --set sgd.momentun=0.8").unwrap_err();
        assert!(format!("{error:#}").contains("sgd.momentum"), "{error:#}");
        assert_eq!(exit_code(&error), Some(2));
        let error = resolved("tandem train --set momentum").unwrap_err();
        assert_eq!(exit_code(&error), Some(2));
    }

    #[test]
    fn devices_that_do_not_suit_the_towers_are_wrong_usage() {
        let error = resolved("tandem train --devices cpu,cpu,cpu").unwrap_err();
        assert_eq!(exit_code(&error), Some(2));
    }
}
