//! `tandem data stats`.

use anyhow::Result;
use serde_json::json;
use tandem_alexnet::training_data::BAD_SHARE;
use tandem_data::{Part, Pictures, Preprocess};

use super::of;
use crate::args::Stats;
use crate::hub::located;
use crate::output::print;
use crate::report::table::{Align, grouped, table};

pub fn run(args: &Stats) -> Result<()> {
    let source = &args.source.source;
    let dataset = of(source, tandem_data::open(&located(source)?, Part::Train))?;
    let preprocess = dataset.pack().map_or(
        Preprocess {
            side: args.side.get(),
            channels: dataset.channels(),
        },
        tandem_data::Pack::preprocess,
    );
    let pictures = of(source, Pictures::prepare(dataset, preprocess, BAD_SHARE))?;

    let statistics = pictures.statistics();
    let basis = pictures.colour_basis();
    let mut counts = vec![0_u64; pictures.classes().len()];
    for label in (0..pictures.len()).filter_map(|i| pictures.label(i)) {
        counts[label as usize] += 1;
    }
    if args.source.json {
        let object = json!({
            "pictures": pictures.len(),
            "side": preprocess.side,
            "channels": preprocess.channels,
            "mean": statistics.mean,
            "standard_deviation": statistics.standard_deviation,
            "covariance": statistics.covariance,
            "eigenvalues": basis.values,
            "eigenvectors": basis.vectors,
            "classes": pictures.classes(),
            "pictures_by_class": counts,
        });
        return print(&format!("{object}\n"));
    }

    let names: &[&str] = if preprocess.channels == 1 {
        &["grey"]
    } else {
        &["red", "green", "blue"]
    };
    let mut head = vec![("of 0 to 255", Align::Left)];
    head.extend(names.iter().map(|name| (*name, Align::Right)));
    let row = |what: String, values: &[f64]| -> Vec<String> {
        std::iter::once(what)
            .chain(values.iter().map(|x| format!("{x:.3}")))
            .collect()
    };
    let mut rows = vec![
        row("mean".into(), &statistics.mean),
        row("standard deviation".into(), &statistics.standard_deviation),
    ];
    for (name, values) in names.iter().zip(&statistics.covariance) {
        rows.push(row(format!("covariance, {name}"), values));
    }
    for (value, vector) in basis.values.iter().zip(&basis.vectors) {
        rows.push(row(format!("eigenvalue {value:.1}, vector"), vector));
    }
    let classes: Vec<Vec<String>> = pictures
        .classes()
        .iter()
        .zip(&counts)
        .map(|(class, &count)| vec![class.clone(), grouped(count)])
        .collect();
    print(&format!(
        "{} training pictures of {side}x{side}x{channels}\n\n{}\n{}",
        grouped(pictures.len() as u64),
        table(&head, &rows),
        table(
            &[("class", Align::Left), ("pictures", Align::Right)],
            &classes
        ),
        side = preprocess.side,
        channels = preprocess.channels,
    ))
}
