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
use crate::weights::{Found, is_ours};

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
        let Found {
            mut file,
            mut weights,
            ..
        } = Found::read(run)?;
        // The file says under what terms it is, wherever it goes; and it is Tandem's.
        let has_another = licence.is_some() && weights.licence.as_deref() != licence;
        if has_another || !is_ours(&file) {
            weights.licence = licence.map(str::to_owned).or(weights.licence);
            file = folder.join(WEIGHTS);
            weights.replace(&file)?;
        }
        let (config, settings) = config(run, licence)?;
        let metrics = metrics(run)?;
        let mut others = vec![LABELS, README];
        put(folder, LABELS, labels(&weights.classes).as_bytes())?;
        if let Some(settings) = &settings {
            put(folder, CONFIG, settings.as_bytes())?;
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

/// The run's settings and their text, without where things lie on this machine; none of a weights file
/// alone, and of imported weights the text alone.
fn config(run: &str, licence: Option<&str>) -> Result<(Option<TrainConfig>, Option<String>)> {
    let Some((text, path)) = beside(run, CONFIG)? else {
        return Ok((None, None));
    };
    let mut config = match TrainConfig::parse(&text, &path.display().to_string()) {
        Err(ConfigError::Imported { .. }) => return Ok((None, Some(imported(&text, licence)))),
        parsed => parsed?,
    };
    config.data = public(&config.data);
    if licence.is_some() {
        config.licence = licence.map(str::to_owned);
    }
    if let Some(start) = config.start_from.take() {
        config.start_from = Some(public(&start.to_string_lossy()).into());
    }
    let text = config.to_toml();
    Ok((Some(config), Some(text)))
}

/// What an import says of itself, for others.
fn imported(text: &str, licence: Option<&str>) -> String {
    let line = |line: &str| match licence {
        // The weights say so too.
        Some(licence) if line.starts_with("licence = ") => format!("licence = \"{licence}\"\n"),
        _ => format!("{}\n", without_places(line)),
    };
    text.lines().map(line).collect()
}

/// `text` with the last part alone of each path that begins at a root, a home or a folder above. A path
/// may have spaces: it ends with the quotes or brackets around it.
fn without_places(text: &str) -> String {
    let around = ['"', '\'', '`', '(', ')'];
    let shortened = |piece: &str| {
        let (inside, end) = piece.split_at(piece.trim_end_matches(around).len());
        let begins = |at: &usize| is_place(&inside[*at..]);
        let after_space = inside
            .match_indices(char::is_whitespace)
            .map(|(at, space)| at + space.len());
        match [0].into_iter().chain(after_space).find(begins) {
            Some(at) => {
                let mut parts = inside[at..].rsplit(['/', '\\']);
                let last = parts.find(|part| !part.is_empty()).unwrap_or_default();
                format!("{}{last}{end}", &inside[..at])
            }
            None => piece.to_owned(),
        }
    };
    text.split_inclusive(around).map(shortened).collect()
}

fn is_place(text: &str) -> bool {
    let is_drive = || {
        let mut chars = text.chars();
        chars.next().is_some_and(|c| c.is_ascii_alphabetic())
            && chars.next() == Some(':')
            && matches!(chars.next(), Some('/' | '\\'))
    };
    ["/", "\\\\", "~", "./", "../", "file:"]
        .iter()
        .any(|start| text.starts_with(start))
        || is_drive()
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
    fn of_imported_weights_all_is_public_but_places_and_another_licence() {
        for (line, published) in [
            (r#"format = "PyTorch, ZIP""#, r#"format = "PyTorch, ZIP""#),
            (r#"data = "/home/me/my birds/a.pth""#, r#"data = "a.pth""#),
            (r#"a = 'C:\me\a.pth'"#, "a = 'a.pth'"),
            (r#"a = "C:\\me\\a.pth""#, r#"a = "a.pth""#),
            (
                r#""the mean (/me/my nets/mean.npy) of 3/4, see ~/nets and more","#,
                r#""the mean (mean.npy) of 3/4, see nets and more","#,
            ),
            (r#"    "bath/shower","#, r#"    "bath/shower","#),
            ("url = 'https://a.org/b'", "url = 'https://a.org/b'"),
        ] {
            assert_eq!(imported(line, None), format!("{published}\n"));
        }
        let licence = "licence = \"mit\"\n";
        assert_eq!(imported(licence, None), licence);
        assert_eq!(imported(licence, Some("x-own")), "licence = \"x-own\"\n");
    }

    #[test]
    fn a_class_is_a_line_whatever_is_in_its_name() {
        let classes = ["tench", "a\nb"].map(str::to_owned);
        assert_eq!(labels(&classes), "tench\na b\n");
    }
}
