//! `tandem data info`.

use std::fmt::Write as _;

use anyhow::Result;
use serde_json::{Value, json};
use tandem_data::pack::Encoding;
use tandem_data::{Dataset, Opened};

use super::{nothing_held_out, of};
use crate::args::Source;
use crate::hub::located;
use crate::output::print;
use crate::report::table::{Align, grouped, table};

/// Classes and left-out pictures that are listed before the list is cut.
const LISTED: usize = 10;

pub fn run(args: &Source) -> Result<()> {
    let parts = of(&args.source, tandem_data::open_all(&located(&args.source)?))?;
    print(&if args.json {
        format!("{}\n", json(&parts))
    } else {
        words(&args.source, &parts)
    })
}

/// The fewest and the most pictures a class has; none of a part without labels.
fn balance(dataset: &dyn Dataset) -> Option<(usize, usize)> {
    let mut counts = vec![0; dataset.classes().len()];
    for i in 0..dataset.len() {
        counts[dataset.label(i)? as usize] += 1;
    }
    Some((*counts.iter().min()?, *counts.iter().max()?))
}

fn words(source: &str, parts: &[Opened]) -> String {
    let classes = parts[0].1.classes();
    let mut text = match classes.len() {
        1 => format!("{source}: one class\n\n"),
        count => format!("{source}: {} classes\n\n", grouped(count as u64)),
    };
    let rows: Vec<Vec<String>> = parts
        .iter()
        .map(|(part, dataset)| {
            let each = match balance(&**dataset) {
                None => "no labels".to_owned(),
                Some((least, most)) if least == most => grouped(most as u64),
                Some((least, most)) => {
                    format!("{} to {}", grouped(least as u64), grouped(most as u64))
                }
            };
            let first = dataset.name(0);
            vec![
                part.name().to_owned(),
                grouped(dataset.len() as u64),
                each,
                kind(&**dataset),
                first,
            ]
        })
        .collect();
    let head = [
        ("part", Align::Left),
        ("pictures", Align::Right),
        ("a class", Align::Right),
        ("kind", Align::Left),
        ("the first", Align::Left),
    ];
    text.push_str(&table(&head, &rows));
    text.push('\n');
    if let Some(note) = nothing_held_out(parts.iter().map(|(part, _)| *part)) {
        let _ = writeln!(text, "{note}\n");
    }
    for (label, class) in classes.iter().enumerate().take(LISTED) {
        let _ = writeln!(text, "class {label}: {class}");
    }
    if classes.len() > LISTED {
        let _ = writeln!(
            text,
            "… and {} more",
            grouped((classes.len() - LISTED) as u64)
        );
    }
    for (part, dataset) in parts {
        let left_out = dataset.pack().map_or(&[][..], |pack| pack.left_out());
        for (name, reason) in left_out.iter().take(LISTED) {
            let _ = writeln!(text, "left out of {}: {name}: {reason}", part.name());
        }
        if left_out.len() > LISTED {
            let _ = writeln!(text, "… and {} more", left_out.len() - LISTED);
        }
    }
    text
}

/// What the pictures are.
fn kind(dataset: &dyn Dataset) -> String {
    let channels = match dataset.channels() {
        1 => "grey",
        _ => "colour",
    };
    match dataset.pack() {
        None => channels.to_owned(),
        Some(pack) => {
            let side = pack.preprocess().side;
            let encoding = match pack.encoding() {
                Encoding::Raw => "raw".to_owned(),
                Encoding::Jpeg(quality) => format!("JPEG {quality}"),
            };
            format!("{channels}, packed {side}x{side}, {encoding}")
        }
    }
}

fn json(parts: &[Opened]) -> Value {
    let part = |(part, dataset): &Opened| {
        let pack = dataset.pack().map(|pack| {
            json!({
                "side": pack.preprocess().side,
                "encoding": pack.encoding(),
                "shards": pack.shards().len(),
                "left_out": pack.left_out(),
            })
        });
        let described = json!({
            "pictures": dataset.len(),
            "labelled": dataset.label(0).is_some(),
            "channels": dataset.channels(),
            "fingerprint": format!("{:016x}", dataset.fingerprint()),
            "pack": pack,
        });
        (part.name().to_owned(), described)
    };
    let listed: serde_json::Map<_, _> = parts.iter().map(part).collect();
    json!({ "classes": parts[0].1.classes(), "parts": listed })
}
