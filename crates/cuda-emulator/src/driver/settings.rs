//! What the environment asks for.

use std::path::PathBuf;

use crate::machine::launch::{Checks, Settings};

use super::inject::Injected;
use super::report;

/// The emulator's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// `CUDA_EMULATOR_DEVICES`, 1 unless given.
    pub devices: usize,
    /// `CUDA_EMULATOR_MEMORY`: bytes of each device, 8 GiB unless given.
    pub memory: u64,
    /// `CUDA_EMULATOR_SEED`, `CUDA_EMULATOR_BUDGET` and `CUDA_EMULATOR_CHECKS`.
    pub settings: Settings,
    /// `CUDA_EMULATOR_TRACE`: where to write what was asked of the devices.
    pub trace: Option<PathBuf>,
    /// `CUDA_EMULATOR_FAULTS`.
    pub injected: Injected,
}

impl Default for Configuration {
    fn default() -> Self {
        let checks = Checks {
            races: true,
            unwritten: true,
            streams: true,
        };
        Configuration {
            devices: 1,
            memory: 8 << 30,
            settings: Settings {
                seed: 0,
                budget: 1 << 36,
                checks,
            },
            trace: None,
            injected: Injected::default(),
        }
    }
}

impl Configuration {
    /// From the process's environment; a value that cannot be read stops the process, so that a test does
    /// not pass by accident.
    pub fn from_environment() -> Configuration {
        let read = |name: &str| std::env::var(name).ok();
        match Configuration::parse(read) {
            Ok(configuration) => configuration,
            Err(message) => {
                report(&message);
                std::process::exit(1);
            }
        }
    }

    /// From anything that gives values to names.
    pub fn parse(read: impl Fn(&str) -> Option<String>) -> Result<Configuration, String> {
        let mut configuration = Configuration::default();
        let number = |name: &str, otherwise: u64| match read(name) {
            None => Ok(otherwise),
            Some(text) => text
                .trim()
                .parse::<u64>()
                .map_err(|_| format!("{name}={text} is not a number")),
        };
        configuration.devices = number("CUDA_EMULATOR_DEVICES", 1)? as usize;
        configuration.memory = number("CUDA_EMULATOR_MEMORY", configuration.memory)?;
        configuration.settings.seed = number("CUDA_EMULATOR_SEED", 0)?;
        let budget = &mut configuration.settings.budget;
        *budget = number("CUDA_EMULATOR_BUDGET", *budget)?;
        if configuration.devices > 16 {
            return Err("CUDA_EMULATOR_DEVICES is at most 16".into());
        }
        if let Some(list) = read("CUDA_EMULATOR_FAULTS") {
            configuration.injected = Injected::parse(&list)?;
        }
        configuration.trace = read("CUDA_EMULATOR_TRACE").map(PathBuf::from);
        if let Some(list) = read("CUDA_EMULATOR_CHECKS") {
            let mut checks = Checks {
                races: false,
                unwritten: false,
                streams: false,
            };
            for word in list.split(',').map(str::trim).filter(|w| !w.is_empty()) {
                match word {
                    "races" => checks.races = true,
                    "unwritten" => checks.unwritten = true,
                    "streams" => checks.streams = true,
                    other => {
                        return Err(format!(
                            "CUDA_EMULATOR_CHECKS={other}: `races`, `unwritten` and `streams` are known"
                        ));
                    }
                }
            }
            configuration.settings.checks = checks;
        }
        Ok(configuration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &'static str, value: &'static str) -> Result<Configuration, String> {
        Configuration::parse(move |n| (n == name).then(|| value.to_string()))
    }

    #[test]
    fn values_are_read_and_nonsense_is_refused() {
        assert_eq!(with("CUDA_EMULATOR_DEVICES", "2").map(|c| c.devices), Ok(2));
        assert_eq!(
            with("CUDA_EMULATOR_SEED", "7").map(|c| c.settings.seed),
            Ok(7)
        );
        assert!(with("CUDA_EMULATOR_DEVICES", "two").is_err());
        assert!(with("CUDA_EMULATOR_CHECKS", "everything").is_err());
        assert_eq!(
            with("CUDA_EMULATOR_CHECKS", "").map(|c| c.settings.checks.races),
            Ok(false)
        );
    }
}
