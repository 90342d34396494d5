//! `tandem import`: weights of another framework into a folder of ours.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;
use tandem_alexnet::parameters;
use tandem_alexnet::spec::{Normalise, Spec};
use tandem_formats::{ChannelOrder, FormatError, Imported, Options, Problem, Suggestion};

use crate::args::{Import, NormaliseName};
use crate::failure::Failure;
use crate::hub;
use crate::output::{print, typed};
use crate::weights::{at_commit, located};

/// What was made, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Made<'a> {
    directory: &'a Path,
    weights: &'a Path,
    format: String,
    model: &'a str,
    parameters: usize,
    classes: usize,
    origin: Option<&'a str>,
    licence: Option<&'a str>,
    notes: &'a [String],
}

pub fn run(args: &Import) -> Result<()> {
    let options = Options {
        model: args.model.as_deref().map(Spec::named).transpose()?,
        labels: args.labels.as_deref().map(labels).transpose()?,
        mean: args.mean.clone(),
        normalise: args.normalise.map(|how| match how {
            NormaliseName::Mean => Normalise::Mean,
            NormaliseName::Torchvision => Normalise::Torchvision,
        }),
        order: args.bgr.then_some(ChannelOrder::Bgr),
    };
    let (file, pinned) = located(&args.file, |named| Ok(named.into()))?;
    let mut imported = read(&args.file, &file, pinned.as_deref(), &options)?;
    if args.licence.is_some() {
        imported.weights.licence.clone_from(&args.licence);
    }
    let (directory, file) = write(&imported, args.out.as_deref())?;
    let weights = &imported.weights;
    let made = Made {
        directory: &directory,
        weights: &file,
        format: imported.format.to_string(),
        model: &weights.spec.name,
        parameters: parameters::of(&weights.spec)?.iter().map(|p| p.len()).sum(),
        classes: weights.classes.len(),
        origin: weights.origin.as_deref(),
        licence: weights.licence.as_deref(),
        notes: &imported.notes,
    };
    print(&if args.json {
        serde_json::to_string(&made)? + "\n"
    } else {
        made.words()
    })
}

/// Reads the `file` that `named` on the command line stands for, whatever framework wrote it; of the hub's
/// its `pinned` name, too.
pub fn read(named: &str, file: &Path, pinned: Option<&str>, options: &Options) -> Result<Imported> {
    let imported = whole(file, pinned, options);
    let mut imported = imported.map_err(|error| hinted(error, named))?;
    if let Some(pinned) = pinned
        && let Some(origin) = &mut imported.weights.origin
        && let Some(name) = origin.strip_prefix("imported from ")
    {
        *origin = format!("imported from {} as {name}", at_commit(pinned));
    }
    Ok(imported)
}

/// The model in `file`; of the hub's, files that it names for its values are fetched when it does.
fn whole(file: &Path, pinned: Option<&str>, options: &Options) -> Result<Imported, FormatError> {
    let mut fetched = BTreeSet::new();
    loop {
        let imported = tandem_formats::import(file, options);
        let Err(error) = &imported else {
            return imported;
        };
        let (Problem::External { location, .. }, Some(pinned)) = (&*error.problem, pinned) else {
            return imported;
        };
        let folder = pinned.rfind(['/', ':']).map_or(0, |end| end + 1);
        let there = format!("{}{location}", &pinned[..folder]);
        if !fetched.insert(location.clone()) || hub::weights(&there).is_err() {
            return imported;
        }
    }
}

fn hinted(error: FormatError, named: &str) -> anyhow::Error {
    let import = format!("tandem import {}", typed(Path::new(named)));
    let hint = match &*error.problem {
        Problem::Read(cause) if cause.kind() == io::ErrorKind::IsADirectory => {
            "it is a folder: name the weights file in it".to_owned()
        }
        Problem::Refused { .. } => {
            "a file of tensors alone needs none of that: ask its author for safetensors, or, where \
                                    you trust this file, make one with PyTorch"
                .to_owned()
        }
        Problem::UnknownNames {
            suggestion: Suggestion::Exact(_),
            ..
        } => format!(
            "say which network it is, as in {import} --model alexnet; tensors must be called conv1.weight to \
             fc8.bias, or as torchvision calls them"
        ),
        Problem::UnknownNames { .. } => format!(
            "Tandem reads AlexNet and its like; {import} --model alexnet (or another preset, or a TOML file) \
             lists each layer that does not fit it"
        ),
        Problem::DoesNotFit { .. } => format!(
            "if it is of another network, say which: {import} --model NAME (a preset, or a TOML file)"
        ),
        Problem::NoMean => {
            "weights that Tandem wrote have it; put it into the file as a tensor `input.mean` of \
             (channels, side, side), 0 to 255"
                .to_owned()
        }
        _ => return error.into(),
    };
    Failure::failed(error.to_string(), hint).into()
}

fn write(imported: &Imported, out: Option<&Path>) -> Result<(PathBuf, PathBuf)> {
    let directory = match out {
        Some(out) => out.to_owned(),
        None => (1..)
            .map(|n| PathBuf::from(format!("runs/{}-{n}", imported.weights.spec.name)))
            .find(|path| path.symlink_metadata().is_err())
            .context("every number is taken")?,
    };
    let file = imported
        .write(&directory)
        .map_err(|error| Failure::failed(error.to_string(), "choose another --out"))?;
    Ok((directory, file))
}

/// The lines of the file at `path`, without empty ones at its end.
fn labels(path: &Path) -> Result<Vec<String>> {
    let text = match std::fs::metadata(path) {
        Ok(about) if !about.is_file() && !about.is_dir() => {
            Err(io::Error::other("it is no plain file"))
        }
        _ => std::fs::read_to_string(path),
    };
    let text = text.with_context(|| format!("cannot read the labels {}", path.display()))?;
    Ok(text
        .trim_end()
        .lines()
        .map(|l| l.trim().to_owned())
        .collect())
}

impl Made<'_> {
    fn words(&self) -> String {
        let mut text = format!(
            "{}: `{}`, {} parameters, {} classes, from {}\n",
            self.weights.display(),
            self.model,
            self.parameters,
            self.classes,
            self.format,
        );
        for note in self.notes {
            text.push_str(&format!("note: {note}\n"));
        }
        text.push_str(&format!(
            "now: tandem predict --weights {} PICTURE\n",
            typed(self.directory)
        ));
        text
    }
}
