//! `tandem data verify`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use rayon::prelude::*;

use super::of;
use crate::args::{Global, Verify};
use crate::hub::located;
use crate::output::print;
use crate::report::counting::Counting;
use crate::report::table::grouped;

pub fn run(args: &Verify, global: &Global) -> Result<ExitCode> {
    let folder = Path::new(&args.source);
    let (pictures, damage) = if folder.join("pack.json").is_file() {
        let total = of(&args.source, tandem_data::pack::Description::read(folder))?
            .parts
            .values()
            .map(|part| part.pictures as usize)
            .sum();
        let progress = Counting::new("comparing checksums of", total, global.quiet);
        let damage = of(
            &args.source,
            tandem_data::pack::verify(folder, &|done| progress.add(done)),
        )?;
        progress.finish();
        (
            total,
            damage
                .iter()
                .map(|damage| damage.error.to_string())
                .collect(),
        )
    } else {
        decode_all(&args.source, global)?
    };
    if damage.is_empty() {
        print(&format!(
            "{} pictures, all whole\n",
            grouped(pictures as u64)
        ))?;
        return Ok(ExitCode::SUCCESS);
    }
    print(
        &damage
            .iter()
            .map(|line| format!("{line}\n"))
            .collect::<String>(),
    )?;
    Ok(ExitCode::FAILURE)
}

/// Decodes every picture of every part.
fn decode_all(source: &str, global: &Global) -> Result<(usize, Vec<String>)> {
    let parts = of(source, tandem_data::open_all(&located(source)?))?;
    let total = parts.iter().map(|(_, dataset)| dataset.len()).sum();
    let progress = Counting::new("decoding", total, global.quiet);
    let mut damage = Vec::new();
    for (_, dataset) in &parts {
        let wrong = (0..dataset.len()).into_par_iter().filter_map(|i| {
            let picture = dataset.picture(i);
            progress.add(1);
            picture.err().map(|error| error.to_string())
        });
        damage.par_extend(wrong);
    }
    progress.finish();
    Ok((total, damage))
}
