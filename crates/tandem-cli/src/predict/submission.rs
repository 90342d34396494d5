//! `--submission`: answers as ILSVRC's server takes them (the devkit's readme, "classification"): a line
//! a picture in the order of their names, the five likeliest classes by their `ILSVRC2012_ID`.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use tandem_alexnet::trained::Trained;
use tandem_data::ilsvrc_ids;

use super::{each, likeliest};
use crate::args::{Global, Predict};
use crate::failure::Failure;
use crate::hub::located;
use crate::output::print;
use crate::pictures::prepare;
use crate::report::counting::Counting;

/// Answers a line.
const ANSWERS: usize = 5;

pub fn write(
    trained: &Trained,
    data: &str,
    answer: &Path,
    args: &Predict,
    global: &Global,
) -> Result<()> {
    let devkit = located(args.devkit.as_deref().unwrap_or(data))?;
    let ids = ilsvrc_ids(&devkit, &trained.classes)?;
    let pictures = prepare(data, args.part.into(), trained.network.spec())?;
    if let Some((name, reason)) = pictures.bad().first() {
        let what =
            format!("{name} does not decode ({reason}), and a submission answers every picture");
        return Err(Failure::failed(what, "fetch the picture again").into());
    }
    let progress = Counting::new("predicting", pictures.len(), global.quiet);
    let mut lines = Vec::with_capacity(pictures.len());
    let done = each(trained, &pictures, args, |i, row| {
        let best = likeliest(&row, &trained.classes, ANSWERS);
        let mut line = String::new();
        for prediction in best {
            let separator = if line.is_empty() { "" } else { " " };
            write!(line, "{separator}{}", ids[prediction.class])?;
        }
        lines.push((pictures.key(i), line));
        progress.add(1);
        Ok(())
    });
    progress.finish();
    done?;
    // A pack has an order of its own.
    lines.sort();
    let text: String = lines.iter().map(|(_, line)| format!("{line}\n")).collect();
    fs::write(answer, text).with_context(|| format!("writing {}", answer.display()))?;
    print(&format!("{}\n", answer.display()))
}
