//! `tandem data pack`.

use std::path::Path;

use anyhow::Result;
use serde_json::json;
use tandem_data::Preprocess;
use tandem_data::pack::{Description, Encoding, PackOptions, Plan, PlannedPart};

use super::{nothing_held_out, of};
use crate::args::{Global, Pack};
use crate::failure::Failure;
use crate::hub::located;
use crate::output::{print, typed};
use crate::report::counting::Counting;
use crate::report::progress::clock;
use crate::report::table::{Align, bytes, grouped, table};

pub fn run(args: &Pack, global: &Global) -> Result<()> {
    if !(0.0..=1.0).contains(&args.bad_share) {
        let what = format!("--bad-share is {}, and must be 0 to 1", args.bad_share);
        return Err(Failure::usage(what, "0.01 allows one picture of a hundred").into());
    }
    let options = PackOptions {
        preprocess: Preprocess {
            side: args.side.get(),
            channels: if args.grey { 1 } else { 3 },
        },
        encoding: args.jpeg.map_or(Encoding::Raw, Encoding::Jpeg),
        bad_share: args.bad_share,
    };
    let plan = of(&args.source, Plan::new(&located(&args.source)?, options))?;
    let parts = plan.parts();
    if !global.quiet {
        eprint_lines(&planned(&parts, options, &args.out));
        if let Some(note) = nothing_held_out(parts.iter().map(|part| part.part)) {
            eprint_lines(note);
        }
    }
    let total = parts.iter().map(|part| part.pictures).sum();
    let progress = Counting::new("packing", total, global.quiet);
    let packed = plan.run(&args.out, &|pictures| progress.add(pictures));
    let took = progress.finish();
    let packed = packed?;
    let text = if args.json {
        json(&packed, &args.out)
    } else {
        format!("{}packed in {}\n", words(&packed, &args.out), clock(took))
    };
    print(&text)
}

/// What is going to happen, before the first picture is read.
fn planned(parts: &[PlannedPart], options: PackOptions, out: &Path) -> String {
    let Preprocess { side, channels } = options.preprocess;
    let list: Vec<String> = parts
        .iter()
        .map(|part| format!("{} {}", grouped(part.pictures as u64), part.part.name()))
        .collect();
    let size = bytes(parts.iter().map(|part| part.bytes).sum());
    let size = match options.encoding {
        Encoding::Raw => format!("{size} of raw bytes"),
        Encoding::Jpeg(quality) => format!("about {size} of JPEG of quality {quality}"),
    };
    format!(
        "{} pictures, each {side}x{side}x{channels}: {size} in {}",
        list.join(" + "),
        typed(out)
    )
}

fn words(packed: &Description, out: &Path) -> String {
    let rows: Vec<Vec<String>> = packed
        .parts
        .iter()
        .map(|(name, part)| {
            vec![
                name.clone(),
                grouped(part.pictures),
                part.shards.len().to_string(),
                bytes(part.bytes(out)),
                part.left_out.len().to_string(),
            ]
        })
        .collect();
    let head = [
        ("part", Align::Left),
        ("pictures", Align::Right),
        ("shards", Align::Right),
        ("size", Align::Right),
        ("left out", Align::Right),
    ];
    let mut text = table(&head, &rows);
    if packed.parts.values().any(|part| !part.left_out.is_empty()) {
        text.push_str(
            "what was left out, and why, is listed in pack.json and by `tandem data info`\n",
        );
    }
    text
}

fn json(packed: &Description, out: &Path) -> String {
    let part = |(name, part): (&String, &tandem_data::pack::PartDescription)| {
        let described = json!({
            "pictures": part.pictures,
            "shards": part.shards.len(),
            "bytes": part.bytes(out),
            "left_out": part.left_out,
        });
        (name.clone(), described)
    };
    let parts: serde_json::Map<_, _> = packed.parts.iter().map(part).collect();
    format!(
        "{}\n",
        json!({ "out": out.display().to_string(), "parts": parts })
    )
}

/// Not `eprintln!`, which panics where nobody reads standard error any more.
fn eprint_lines(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
