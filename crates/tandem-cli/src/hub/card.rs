//! The model card: README.md with what the hub reads at its head.
//!
//! <https://huggingface.co/docs/hub/model-cards>

use anyhow::Result;
use tandem_alexnet::config::TrainConfig;
use tandem_alexnet::shapes::Shapes;
use tandem_alexnet::spec::Normalise;
use tandem_alexnet::weights::Weights;

use super::publication::{CURVES, FILTERS, LABELS, WEIGHTS};
use crate::report::metrics::{Metrics, Validated};
use crate::report::progress::rounded;
use crate::report::table::grouped;

/// Licences that the hub knows by SPDX's name in small letters; others it calls `other`.
const KNOWN_LICENCES: &[&str] = &[
    "afl-3.0",
    "apache-2.0",
    "artistic-2.0",
    "bsd-2-clause",
    "bsd-3-clause",
    "bsd-3-clause-clear",
    "bsl-1.0",
    "cc-by-2.0",
    "cc-by-3.0",
    "cc-by-4.0",
    "cc-by-nc-2.0",
    "cc-by-nc-3.0",
    "cc-by-nc-4.0",
    "cc-by-nc-nd-3.0",
    "cc-by-nc-nd-4.0",
    "cc-by-nc-sa-2.0",
    "cc-by-nc-sa-3.0",
    "cc-by-nc-sa-4.0",
    "cc-by-nd-4.0",
    "cc-by-sa-3.0",
    "cc-by-sa-4.0",
    "cc0-1.0",
    "ecl-2.0",
    "epl-1.0",
    "epl-2.0",
    "eupl-1.1",
    "eupl-1.2",
    "isc",
    "lppl-1.3c",
    "mit",
    "mpl-2.0",
    "ms-pl",
    "ncsa",
    "ofl-1.1",
    "osl-3.0",
    "postgresql",
    "unlicense",
    "wtfpl",
    "zlib",
];

/// What a card is made of.
pub struct Card<'a> {
    /// `OWNER/NAME`.
    pub name: &'a str,
    pub weights: &'a Weights,
    pub config: Option<&'a TrainConfig>,
    pub metrics: Option<&'a Metrics>,
    /// The files beside it.
    pub pictures: &'a [&'static str],
}

impl Card<'_> {
    pub fn text(&self) -> Result<String> {
        let Weights { spec, classes, .. } = self.weights;
        let short = self.short_name();
        let parameters = grouped(Shapes::of(spec)?.parameters());
        let towers = Shapes::of(spec)?.towers();
        let mut text = self.head();
        text += &format!(
            "# {short}\n\n\
             `{}`, a network of AlexNet's kind ({parameters} parameters, {towers} {}) for {} classes, \
             for [Tandem]({}).\n\n",
            spec.name,
            if towers == 1 { "tower" } else { "towers" },
            classes.len(),
            env!("CARGO_PKG_REPOSITORY"),
        );
        text += &self.usage();
        text += &self.results();
        text += &self.training();
        Ok(text)
    }

    /// The epochs and the error in one line.
    pub fn summary(&self) -> String {
        let Weights { spec, epoch, .. } = self.weights;
        let error = self.measured().map_or(String::new(), |measured| {
            format!(", top-1 error {}", percent(measured.top1_error))
        });
        format!("{} after {epoch} epochs{error}", spec.name)
    }

    fn short_name(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or(self.name)
    }

    /// What was measured of these very weights.
    fn measured(&self) -> Option<&Validated> {
        let step = self.weights.step;
        let mut measured = self.metrics?.validated.iter();
        measured.find(|measured| measured.step == step)
    }

    /// What the hub reads, in YAML. Strings are written as JSON has them, which is YAML too.
    fn head(&self) -> String {
        let mut lines = vec!["---".to_owned()];
        if let Some(licence) = &self.weights.licence {
            let known = licence.to_ascii_lowercase();
            if KNOWN_LICENCES.contains(&known.as_str()) {
                lines.push(format!("license: {known}"));
            } else {
                lines.push("license: other".to_owned());
                lines.push(format!("license_name: {}", quoted(&known)));
            }
        }
        lines.push("library_name: tandem".to_owned());
        lines.push("pipeline_tag: image-classification".to_owned());
        lines.push("tags:\n- alexnet\n- image-classification\n- safetensors".to_owned());
        if let Some(data) = self.config.and_then(|config| of_the_hub(&config.data)) {
            lines.push(format!("datasets:\n- {}", quoted(data)));
        }
        let source = match self.config {
            Some(config) => config.start.origin.as_deref(),
            // Nothing was trained: what was imported is what it is.
            None => self.weights.origin.as_deref(),
        };
        let source = source.map(|source| source.strip_prefix("imported from ").unwrap_or(source));
        if let Some(model) = source.and_then(of_the_hub) {
            lines.push(format!("base_model: {}", quoted(model)));
        }
        lines.push("metrics:\n- accuracy".to_owned());
        if let (Some(measured), Some(config)) = (self.measured(), self.config) {
            lines.push(self.index(measured, config));
        }
        lines.push("---\n\n".to_owned());
        lines.join("\n")
    }

    fn index(&self, measured: &Validated, config: &TrainConfig) -> String {
        let data = of_the_hub(&config.data).unwrap_or(&config.data);
        let metric = |name: &str, error: f64| {
            format!(
                "\n    - type: accuracy\n      name: {name}\n      value: {:.4}\n      verified: false",
                1.0 - error
            )
        };
        let mut metrics = metric("Top-1 accuracy", measured.top1_error);
        if let Some(error) = measured.top5_error {
            metrics += &metric("Top-5 accuracy", error);
        }
        format!(
            "model-index:\n- name: {}\n  results:\n  - task:\n      type: image-classification\n    \
             dataset:\n      type: {data}\n      name: {data}\n      split: validation\n    \
             metrics:{metrics}",
            quoted(self.short_name()),
            data = quoted(data),
        )
    }

    fn usage(&self) -> String {
        let (name, input) = (self.name, &self.weights.spec.input);
        let colours = match self.weights.spec.input_channels() {
            1 => "grey",
            _ => "RGB",
        };
        let normalised = match input.normalise {
            Normalise::Mean => "the training mean (`input.mean`) is subtracted",
            Normalise::Torchvision => "values are 0 to 1, normalised as torchvision does",
        };
        format!(
            "## Use\n\n```\n\
             tandem predict --weights hf:{name} picture.jpg\n\
             tandem eval --weights hf:{name} --data DIR\n\
             tandem hub pull {name}\n```\n\n\
             `{WEIGHTS}` has the parameters under the names of one network (`conv1.weight` …), and in \
             its metadata the layers (`spec`) and the classes (`classes`), which are in `{LABELS}` too. \
             Pictures are {colours}: the shorter side is scaled to {side}, the centre cut to \
             {crop} × {crop}, and {normalised}.\n\n",
            side = input.side,
            crop = input.crop,
        )
    }

    /// The errors of these weights, and of the run's last epoch.
    fn results(&self) -> String {
        let mut rows = Vec::new();
        if let Some(measured) = self.measured() {
            rows.push(("these weights", measured));
        }
        let last = self.metrics.and_then(|metrics| metrics.validated.last());
        if let Some(last) = last.filter(|last| last.step != self.weights.step) {
            rows.push(("the run's last epoch", last));
        }
        let has = |picture: &str| self.pictures.contains(&picture);
        let mut text = String::new();
        if !rows.is_empty() {
            text += "## Results\n\nOn the validation pictures, one centre crop each:\n\n\
                     | | epoch | top-1 error | top-5 error |\n|---|---|---|---|\n";
            for (what, row) in rows {
                let top5 = row.top5_error.map_or("".to_owned(), percent);
                let top1 = percent(row.top1_error);
                text += &format!("| {what} | {:.0} | {top1} | {top5} |\n", row.epoch);
            }
            text += "\n";
        }
        if has(CURVES) {
            text += &format!("![Loss and errors by step]({CURVES})\n\n");
        }
        if has(FILTERS) {
            text += &format!("The first layer's filters:\n\n![Filters of conv1]({FILTERS})\n\n");
        }
        text
    }

    fn training(&self) -> String {
        let origin = self.weights.origin.as_ref();
        let origin = origin.map_or(String::new(), |origin| format!("Origin: {origin}.\n"));
        let Some(config) = self.config else {
            return origin;
        };
        let data = match of_the_hub(&config.data) {
            Some(data) => format!("[{data}](https://huggingface.co/datasets/{data})"),
            None if config.data == "builtin" => {
                "6,000 pictures of Fashion-MNIST that come with Tandem".to_owned()
            }
            None => format!("`{}`", config.data.replace('`', "'")),
        };
        let start = match &config.start_from {
            Some(start) if of_the_hub(&start.to_string_lossy()).is_none() => {
                let named = |text: &str| text.replace('`', "'");
                let origin = config.start.origin.as_deref().unwrap_or("other weights");
                format!(
                    " It starts from {}, which has to be `{}` in the folder that this is run in.",
                    named(origin.strip_prefix("imported from ").unwrap_or(origin)),
                    named(&start.to_string_lossy()),
                )
            }
            _ => String::new(),
        };
        format!(
            "## Training\n\n{origin}\n\
             On {data}: {} of {} epochs, {} pictures an update, stochastic gradient descent with \
             momentum {} and weight decay {}, rate {} at first, seed {}. \
             `config.toml` has every setting; `tandem train --config config.toml --data DIR` does the \
             same again.{start}\n",
            self.weights.epoch,
            config.epochs,
            config.batch * config.accumulate,
            config.sgd.momentum,
            config.sgd.weight_decay,
            rounded(config.rate.initial),
            config.seed,
        )
    }
}

/// The repository of a data set of the hub.
fn of_the_hub(data: &str) -> Option<&str> {
    data.strip_prefix("hf:")?.split(['@', ':']).next()
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}
