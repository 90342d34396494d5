//! The experiments, as files: a base and one change each.

use serde::Deserialize;
use tandem_alexnet::spec::Spec;

use crate::change::Change;
use crate::error::ReproduceError;

/// What every run starts from, `experiments/base.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// Settings of a run, as `tandem train --set` takes them.
    pub set: Vec<String>,
    pub full: Size,
    pub quick: Size,
    pub model: Spec,
}

/// How much is measured.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Size {
    pub seeds: u64,
    pub set: Vec<String>,
}

/// One experiment of the paper, `experiments/NAME.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct Experiment {
    #[serde(skip)]
    pub name: &'static str,
    pub title: String,
    /// Where it stands: "Section 3.3".
    pub paper: String,
    pub question: String,
    /// Words that the report sets under the question.
    #[serde(default)]
    pub about: String,
    /// Runs of each arm, instead of as many as the study has.
    pub seeds: Option<u64>,
    /// Whether it needs a second set of pictures.
    #[serde(default)]
    pub needs_second: bool,
    /// Settings of all its arms.
    #[serde(default)]
    pub set: Vec<String>,
    /// The same of a quick study, over these.
    #[serde(default)]
    pub quick: Vec<String>,
    /// Changes to the network of all its arms.
    #[serde(default, rename = "change")]
    pub changes: Vec<Change>,
    #[serde(default, rename = "arm")]
    pub arms: Vec<Arm>,
    #[serde(default, rename = "measure")]
    pub measures: Vec<Measure>,
    #[serde(default, rename = "effect")]
    pub effects: Vec<Effect>,
    pub race: Option<Race>,
    pub fit: Option<Fit>,
    pub ensemble: Option<Gain>,
    #[serde(default, rename = "table")]
    pub tables: Vec<Table>,
}

/// Networks trained alike but for their seeds. It is called `EXPERIMENT/NAME`; the base is `base`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arm {
    pub name: String,
    pub title: String,
    #[serde(default)]
    pub set: Vec<String>,
    #[serde(default, rename = "change")]
    pub changes: Vec<Change>,
    /// The arm whose first weights it starts from.
    pub start_from: Option<String>,
    #[serde(default)]
    pub data: Which,
}

/// Which pictures an arm learns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Which {
    #[default]
    First,
    /// Those of `--second`.
    Second,
}

/// Something measured with trained networks, `EXPERIMENT/NAME`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measure {
    pub name: String,
    pub title: String,
    /// Each network of this arm on its own.
    pub of: Option<String>,
    /// Or these together, their probabilities averaged.
    #[serde(default)]
    pub members: Vec<Members>,
    /// Views of a picture, 1 or 10.
    #[serde(default = "one")]
    pub views: usize,
}

/// Some networks of an arm.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Members {
    pub arm: String,
    pub seeds: u64,
}

/// What a change is worth: the error with it less the error without it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Effect {
    pub title: String,
    pub with: String,
    pub without: String,
    /// Published differences, in points.
    pub top1: Option<f64>,
    pub top5: Option<f64>,
    /// The published top-1 difference where it is not a plain number.
    pub words: Option<String>,
    /// Where the paper gives no figure: which way it says the error goes.
    pub direction: Option<Direction>,
    #[serde(default)]
    pub of: ErrorOf,
}

/// Which way the paper says an error goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    Down,
}

/// Whose error is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorOf {
    #[default]
    Test,
    /// Of the training pictures, without dropout.
    Training,
}

/// Which arm first falls to a training error.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Race {
    /// The training error to reach, 0 to 1.
    pub error: f64,
    /// Arms from the one that should be first.
    pub order: Vec<String>,
    /// How many times as long the second takes.
    pub published: f64,
}

/// Whether an arm learns its training pictures by heart.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fit {
    pub of: String,
    /// The training error that counts as by heart, 0 to 1.
    pub error: f64,
}

/// What averaging is worth against the mean of the members.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gain {
    /// The measure of the members together.
    pub of: String,
    pub top1: f64,
    pub top5: f64,
}

/// A table of the paper with ours beside it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    pub title: String,
    /// Of the published figures, per cent.
    pub columns: Vec<String>,
    pub rows: Vec<Row>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    pub method: String,
    /// One a column, empty where the paper has none.
    pub published: Vec<String>,
    /// The arm or measure that stands beside it.
    pub ours: String,
}

fn one() -> usize {
    1
}

/// Every experiment, in the order of the report.
const FILES: [(&str, &str); 16] = [
    ("results", include_str!("../experiments/results.toml")),
    (
        "activations",
        include_str!("../experiments/activations.toml"),
    ),
    ("two-gpu", include_str!("../experiments/two-gpu.toml")),
    (
        "connectivity",
        include_str!("../experiments/connectivity.toml"),
    ),
    ("lrn", include_str!("../experiments/lrn.toml")),
    ("overlap", include_str!("../experiments/overlap.toml")),
    ("pooling", include_str!("../experiments/pooling.toml")),
    ("depth", include_str!("../experiments/depth.toml")),
    (
        "augmentation",
        include_str!("../experiments/augmentation.toml"),
    ),
    ("dropout", include_str!("../experiments/dropout.toml")),
    (
        "weight-decay",
        include_str!("../experiments/weight-decay.toml"),
    ),
    ("views", include_str!("../experiments/views.toml")),
    ("ensemble", include_str!("../experiments/ensemble.toml")),
    ("star", include_str!("../experiments/star.toml")),
    (
        "random-labels",
        include_str!("../experiments/random-labels.toml"),
    ),
    ("baselines", include_str!("../experiments/baselines.toml")),
];

/// The name of every experiment.
pub fn names() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(name, _)| *name)
}

/// What all experiments start from.
pub fn base() -> Base {
    toml::from_str(include_str!("../experiments/base.toml"))
        .expect("the shipped base is read by a test")
}

/// The experiment called `name`, or every one for `all`.
///
/// # Errors
///
/// When there is none of that name.
pub fn named(name: &str) -> Result<Vec<Experiment>, ReproduceError> {
    let wanted: Vec<_> = FILES
        .iter()
        .filter(|(known, _)| name == "all" || *known == name)
        .collect();
    if wanted.is_empty() {
        return Err(ReproduceError::UnknownExperiment {
            name: name.to_owned(),
            hint: tandem_alexnet::nearest::hint(name, names()),
            known: names().collect::<Vec<_>>().join(", "),
        });
    }
    let read = |&&(name, text): &&(&'static str, &str)| {
        let experiment: Experiment =
            toml::from_str(text).expect("shipped experiments are read by a test");
        Experiment { name, ..experiment }
    };
    Ok(wanted.iter().map(read).collect())
}

#[cfg(test)]
mod tests {
    use tandem_alexnet::config::TrainConfig;
    use tandem_alexnet::placement::Placement;

    use super::*;

    #[test]
    fn every_shipped_experiment_reads_and_asks_something() {
        base();
        for experiment in named("all").unwrap() {
            assert!(experiment.question.ends_with('?'), "{}", experiment.name);
            let asks = experiment.effects.len() + experiment.tables.len();
            let also = experiment.race.is_some()
                || experiment.fit.is_some()
                || experiment.ensemble.is_some();
            assert!(asks > 0 || also, "{}", experiment.name);
        }
    }

    #[test]
    fn the_lists_of_a_published_row_are_as_long_as_its_table_is_wide() {
        for table in named("results").unwrap().remove(0).tables {
            assert!(
                table
                    .rows
                    .iter()
                    .all(|row| row.published.len() == table.columns.len())
            );
        }
    }

    #[test]
    fn an_unknown_experiment_is_named_with_the_nearest() {
        let error = named("lrm").unwrap_err().to_string();
        assert!(
            error.contains("`lrm`") && error.contains("did you mean `lrn`"),
            "{error}"
        );
    }

    #[test]
    fn the_full_run_is_the_paper_s() {
        let text = include_str!("../../../docs/ilsvrc2012.toml");
        let mut config = TrainConfig::parse(text, "ilsvrc2012.toml").unwrap();
        assert_eq!(config.devices.to_string(), "cuda:0,cuda:1");
        config.devices = Placement::cpu();
        let paper = TrainConfig::for_model(Spec::preset("alexnet").unwrap()).unwrap();
        assert_eq!(config, paper);
    }
}
