//! What of a run is published: its files, in a folder, with nothing of the machine that trained it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tandem_alexnet::checkpoint::CONFIG;
use tandem_alexnet::config::TrainConfig;
use tandem_alexnet::error::ConfigError;
use tandem_alexnet::metrics::METRICS;
use tandem_alexnet::shapes::Shapes;
use tandem_alexnet::weights::Weights;

use super::card::Card;
use crate::report::filters::{self, Conv1};
use crate::report::metrics::Metrics;
use crate::report::{curves, picture};
use crate::weights;

pub const WEIGHTS: &str = "model.safetensors";
pub const LABELS: &str = "labels.txt";
pub const README: &str = "README.md";
pub const CURVES: &str = "curves.png";
pub const FILTERS: &str = "filters.png";

/// A run's files as they are published.
pub struct Publication {
    /// Where the weights are.
    pub weights: PathBuf,
    /// The names of the others.
    pub others: Vec<&'static str>,
    /// A commit's first line.
    pub summary: String,
}

impl Publication {
    /// Makes all files but the weights in `folder`, for the run (or weights file) `run` as `name`.
    pub fn make(run: &str, name: &str, licence: Option<&str>, folder: &Path) -> Result<Self> {
        let mut file = weights::file(run)?;
        let mut weights = Weights::read(&file)?;
        // The file says under what terms it is, wherever it goes.
        if licence.is_some() && weights.licence.as_deref() != licence {
            weights.licence = licence.map(str::to_owned);
            file = folder.join(WEIGHTS);
            weights.replace(&file)?;
        }
        let config = config(run)?;
        let metrics = metrics(run)?;
        let mut others = vec![LABELS, README];
        put(folder, LABELS, labels(&weights.classes).as_bytes())?;
        if let Some(config) = &config {
            put(folder, CONFIG, config.to_toml().as_bytes())?;
            others.push(CONFIG);
        }
        // Drawn anew: over a run's own curves stands where its data was.
        if let Some(metrics) = &metrics {
            let title = title(&weights, config.as_ref())?;
            curves::save(metrics, &title, &folder.join(CURVES))?;
            others.push(CURVES);
        }
        if let Some(conv1) = Conv1::of(&weights.spec, &weights.parameters)? {
            picture::save(&filters::draw(&conv1)?.png()?, &folder.join(FILTERS))?;
            others.push(FILTERS);
        }
        let card = Card {
            name,
            weights: &weights,
            config: config.as_ref(),
            metrics: metrics.as_ref(),
            pictures: &others,
        };
        put(folder, README, card.text()?.as_bytes())?;
        Ok(Self {
            summary: card.summary(),
            weights: file,
            others,
        })
    }
}

/// The run's settings, without where things lie on this machine; none of a weights file alone.
fn config(run: &str) -> Result<Option<TrainConfig>> {
    let Some((text, path)) = beside(run, CONFIG)? else {
        return Ok(None);
    };
    let mut config = match TrainConfig::parse(&text, &path.display().to_string()) {
        // It was not trained here: what it is stands in its weights.
        Err(ConfigError::Imported { .. }) => return Ok(None),
        parsed => parsed?,
    };
    config.data = public(&config.data);
    if let Some(start) = config.start_from.take() {
        config.start_from = Some(public(&start.to_string_lossy()).into());
    }
    Ok(Some(config))
}

fn metrics(run: &str) -> Result<Option<Metrics>> {
    let path = Path::new(run).join(METRICS);
    path.exists().then(|| Metrics::read(&path)).transpose()
}

fn beside(run: &str, name: &str) -> Result<Option<(String, PathBuf)>> {
    let path = Path::new(run).join(name);
    if !path.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(&path);
    let text = text.with_context(|| format!("reading {}", path.display()))?;
    Ok(Some((text, path)))
}

/// Where pictures or weights are, for others: a name of the hub as it is, of a path the last part.
fn public(place: &str) -> String {
    if place.starts_with("hf:") {
        return place.to_owned();
    }
    let last = Path::new(place).file_name();
    let last = last.map(|name| name.to_string_lossy().into_owned());
    last.unwrap_or_else(|| "pictures".to_owned())
}

/// The classes, one a line, in their order.
fn labels(classes: &[String]) -> String {
    let line = |class: &String| class.replace(['\n', '\r'], " ") + "\n";
    classes.iter().map(line).collect()
}

/// What stands over the curves.
fn title(weights: &Weights, config: Option<&TrainConfig>) -> Result<String> {
    let parameters = crate::report::table::grouped(Shapes::of(&weights.spec)?.parameters());
    let data = config.map_or(String::new(), |config| format!(" on {}", config.data));
    Ok(format!(
        "{} ({parameters} parameters){data}",
        weights.spec.name
    ))
}

fn put(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = folder.join(name);
    fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_path_only_the_last_part_is_public() {
        assert_eq!(public("/home/someone/secret project/birds/"), "birds");
        assert_eq!(public("../birds"), "birds");
        assert_eq!(public("/"), "pictures");
        assert_eq!(public("builtin"), "builtin");
        assert_eq!(public("hf:owner/birds@v1"), "hf:owner/birds@v1");
    }

    #[test]
    fn a_class_is_a_line_whatever_is_in_its_name() {
        let classes = ["tench", "a\nb"].map(str::to_owned);
        assert_eq!(labels(&classes), "tench\na b\n");
    }
}
