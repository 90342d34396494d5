//! `tandem hub pull`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tandem_alexnet::checkpoint::{BEST, CONFIG, LAST};
use tandem_alexnet::weights::Weights;
use tandem_hub::{Name, Wanted};

use super::download::model;
use super::publication::{CURVES, FILTERS, LABELS, README};
use crate::args;
use crate::failure::Failure;
use crate::output::{print, typed};
use crate::weights::is_ours;

/// What is fetched with the weights, where there is such.
const BESIDE: &[&str] = &[CONFIG, LABELS, README, CURVES, FILTERS];

pub fn run(args: &args::Pull) -> Result<()> {
    let named = format!("hf:{}", args.name.trim_start_matches("hf:"));
    let name: Name = named.parse().map_err(Failure::from_typing)?;
    let short = name.repository().rsplit('/').next().unwrap_or_default();
    let out = args.out.clone();
    let out = out.unwrap_or_else(|| Path::new("runs").join(short));
    super::refuse_if_there(&out)?;
    let model = model(&named, Wanted::WeightsWith(BESIDE))?;
    if !is_ours(&model.path()) {
        let what = format!("{named}: these weights are not Tandem's, and make no run directory");
        let hint = format!("make a folder like a run's with: tandem import {named}");
        return Err(Failure::failed(what, hint).into());
    }
    // What cannot be used should not become a run.
    Weights::read(&model.path())?;
    let copy = |from: PathBuf, to: PathBuf| {
        fs::copy(&from, &to).with_context(|| format!("writing {}", to.display()))
    };
    super::fresh(&out, |folder| {
        copy(model.path(), folder.join(BEST))?;
        // Weights without their state are refused by --resume; without weights it would begin anew,
        // in their place.
        if fs::hard_link(folder.join(BEST), folder.join(LAST)).is_err() {
            copy(model.path(), folder.join(LAST))?;
        }
        for file in &model.companions {
            let last = file.rsplit('/').next().unwrap_or(file);
            copy(model.folder.join(file), folder.join(last))?;
        }
        Ok(())
    })?;
    let place = typed(&out);
    print(&format!(
        "{place}\ncommit {}\ntandem predict --weights {place} PICTURE\n",
        model.commit
    ))
}
