//! `tandem show …`: looking inside a trained network.

mod activations;
mod confusion;
mod filters;
mod neighbours;
mod top5;

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use image::RgbImage;
use serde::Serialize;
use tandem_alexnet::error::NetworkError;
use tandem_alexnet::placement::Placement;
use tandem_alexnet::trained::Trained;
use tandem_data::{Dataset, Part, Pictures};

use crate::args::{Global, Show, ShowCommand, Shown};
use crate::failure::Failure;
use crate::gpu;
use crate::hub::located;
use crate::output::print;
use crate::pictures::{check_classes, fit};
use crate::report::figure::{Figure, Target};
use crate::report::picture;
use crate::weights::{self, Found};

pub fn run(args: &Show, global: &Global) -> Result<()> {
    let on =
        |devices: &Placement, done: Result<()>| done.map_err(|error| gpu::explain(error, devices));
    match &args.command {
        ShowCommand::Filters(args) => filters::run(args),
        ShowCommand::Activations(args) => on(&args.shown.devices, activations::run(args)),
        ShowCommand::Top5(args) => on(&args.shown.devices, top5::run(args, global)),
        ShowCommand::Neighbours(args) => on(&args.shown.devices, neighbours::run(args, global)),
        ShowCommand::Confusion(args) => on(&args.shown.devices, confusion::run(args, global)),
    }
}

/// A trained network, and the data to look at it with.
struct Subject {
    trained: Trained,
    file: PathBuf,
    run: String,
    /// As `--data` takes it, once it is asked for.
    data: OnceCell<String>,
    part: Part,
}

impl Subject {
    fn read(run: &str, shown: &Shown) -> Result<Self> {
        let Found { file, weights, .. } = Found::read(run)?;
        Ok(Self {
            trained: Trained::new(weights, &file, &shown.devices)?,
            file,
            run: run.to_owned(),
            data: shown
                .data
                .clone()
                .map_or_else(OnceCell::new, OnceCell::from),
            part: shown.part.into(),
        })
    }

    /// The data named, else what the run learned from.
    fn data(&self) -> Result<&str> {
        match self.data.get() {
            Some(data) => Ok(data),
            None => {
                let data = weights::data(&self.run)?;
                Ok(self.data.get_or_init(|| data))
            }
        }
    }

    /// One part of the data, of the classes that the network has learned.
    fn open(&self, part: Part) -> Result<Arc<dyn Dataset>> {
        let data = self.data()?;
        let set = tandem_data::open(&located(data)?, part)?;
        check_classes(&self.trained.classes, &self.file, set.classes(), data)?;
        Ok(set)
    }

    /// The part to be shown; whoever calls says what its labels are for.
    fn open_labelled(&self, what_for: &str) -> Result<Arc<dyn Dataset>> {
        let set = self.open(self.part)?;
        if !set.is_empty() && set.label(0).is_none() {
            let (part, data) = (self.part.name(), self.data()?);
            let what = format!("the {part} pictures of {data} have no labels, and {what_for}");
            return Err(Failure::failed(what, "those of --part validation have").into());
        }
        Ok(set)
    }

    fn prepare(&self, set: Arc<dyn Dataset>) -> Result<Arc<Pictures>> {
        fit(set, self.data()?, self.trained.network.spec())
    }

    /// The class of a picture of a labelled part.
    fn label(&self, pictures: &Pictures, i: usize) -> Result<usize> {
        let label = pictures.label(i).ok_or_else(|| NetworkError::Unlabelled {
            picture: pictures.name(i),
        })?;
        Ok(label as usize)
    }

    /// The class of a picture as a caption; without a label none.
    fn class(&self, label: Option<u32>) -> Option<&str> {
        let class = self.trained.classes.get(label? as usize)?;
        Some(caption(class))
    }

    /// The title of a figure.
    fn title(&self, what: &str) -> Result<String> {
        let (part, network) = (self.part.name(), &self.trained.network.spec().name);
        // A run remembers the whole path of its data, which no title has room for.
        let data = self.data()?;
        let path = Path::new(data);
        let folder = path.file_name().filter(|_| path.exists());
        let data = folder.map_or(data.into(), |name| name.to_string_lossy());
        Ok(format!("{network} on {data}, {part} pictures: {what}"))
    }
}

/// What people call a class: of ILSVRC's names the first, without the WNID.
fn caption(class: &str) -> &str {
    let name = match class.split_once(' ') {
        Some((wnid, name)) if is_wnid(wnid) => name,
        _ => class,
    };
    name.split(", ").next().unwrap_or(name)
}

fn is_wnid(word: &str) -> bool {
    let digits = word.strip_prefix('n').unwrap_or_default();
    digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// A prepared picture.
fn pixels(pictures: &Pictures, i: usize) -> Result<RgbImage> {
    let bytes = pictures.picture(i)?;
    Ok(picture::of_bytes(&bytes, pictures.preprocess()))
}

/// Writes the figure and prints where it is; with `--json` prints `numbers`, and draws only where
/// `--out` asks for it.
fn tell(
    numbers: &impl Serialize,
    json: bool,
    out: Option<&Target>,
    usual: &str,
    draw: impl FnOnce() -> Result<Figure>,
) -> Result<()> {
    let usual: Target = usual.parse().map_err(anyhow::Error::msg)?;
    let out = out.or((!json).then_some(&usual));
    if let Some(out) = out {
        save(&draw()?, out)?;
    }
    print(&match (json, out) {
        (false, Some(out)) => format!("{}\n", out.path().display()),
        _ => serde_json::to_string(numbers).context("writing JSON")? + "\n",
    })
}

fn save(figure: &Figure, out: &Target) -> Result<()> {
    figure.save(out).context(Failure::failed(
        format!("--out {}", out.path().display()),
        "name a file in a folder that is there and can be written to",
    ))
}

#[cfg(test)]
mod tests {
    use super::caption;

    #[test]
    fn classes_are_called_by_their_first_name() {
        assert_eq!(caption("n01440764 tench, Tinca tinca"), "tench");
        assert_eq!(caption("Ankle boot"), "Ankle boot");
        assert_eq!(caption("T-shirt/top"), "T-shirt/top");
        assert_eq!(caption("n01440764"), "n01440764");
    }
}
