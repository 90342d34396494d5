//! The paper's tables of results, with ours beside theirs.

use super::percent;
use super::results::{Results, Top};
use crate::experiment::{self, Experiment};
use crate::interval::mean;
use crate::page::{Block, Column, Table};
use crate::plan::full_name;

pub fn blocks(experiment: &Experiment, results: &Results) -> Vec<Block> {
    let tables = experiment.tables.iter();
    tables
        .map(|table| Block::Table(beside(table, experiment, results)))
        .collect()
}

fn beside(table: &experiment::Table, experiment: &Experiment, results: &Results) -> Table {
    let column = |name: String, numeric| Column { name, numeric };
    let mut columns = vec![column("Method".to_owned(), false)];
    let published = table.columns.iter();
    columns.extend(published.map(|name| column(format!("published {name}"), true)));
    columns.extend(["ours top-1", "ours top-5"].map(|name| column(name.to_owned(), true)));
    let mut missing = false;
    let rows = table.rows.iter().map(|row| {
        let mut cells = vec![row.method.clone()];
        let published = row.published.iter();
        cells.extend(published.map(|value| match value.is_empty() {
            true => "–".to_owned(),
            false => format!("{value}\u{a0}%"),
        }));
        let name = full_name(experiment.name, &row.ours);
        for top in [Top::One, Top::Five] {
            let error = mean(&results.errors(&name, top));
            missing |= error.is_none();
            cells.push(error.map_or_else(|| "not measured".to_owned(), |e| percent(e.value)));
        }
        cells
    });
    let rows = rows.collect();
    Table {
        caption: table.title.clone(),
        columns,
        rows,
        emphasis: None,
        note: missing.then(|| {
            "Not measured: sparse coding and SIFT are by scripts/baselines, CNN* needs a second set \
             (--second)."
                .to_owned()
        }),
    }
}
