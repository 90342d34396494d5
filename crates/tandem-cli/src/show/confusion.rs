//! `tandem show confusion`: which class is taken for which.

use anyhow::Result;
use serde_json::{Value, json};
use tandem_alexnet::confusion::Confusion;
use tandem_alexnet::evaluation::{likeliest, predict};
use tandem_data::Views;

use super::top5::BATCH;
use super::{Subject, caption, tell};
use crate::args::{self, Global};
use crate::pictures::at_test;
use crate::report::confusion::draw;
use crate::report::counting::Counting;
use crate::report::table::grouped;

pub fn run(args: &args::Confusion, global: &Global) -> Result<()> {
    let subject = Subject::read(&args.run, &args.shown)?;
    let set = subject.open_labelled("guesses are compared with them")?;
    let pictures = subject.prepare(set)?;
    let trained = &subject.trained;
    let classes = &trained.classes;
    let mut confusion = Confusion::new(classes.len());
    let progress = Counting::new("looking", pictures.len(), global.quiet);
    let done = predict(
        &trained.network,
        &pictures,
        &trained.normalise,
        Views::Centre,
        at_test(BATCH),
        |place, row| {
            progress.add(1);
            confusion.add(subject.label(&pictures, place)?, likeliest(&row));
            Ok::<_, anyhow::Error>(())
        },
    );
    progress.finish();
    done?;
    let numbers = numbers(classes, &confusion);
    tell(
        &numbers,
        args.shown.json,
        args.out.as_ref(),
        "confusion.png",
        || {
            let names: Vec<String> = classes
                .iter()
                .map(|class| caption(class).to_owned())
                .collect();
            let what = format!(
                "top-1 error {:.2} % of {}",
                100.0 * confusion.top1_error(),
                grouped(confusion.images())
            );
            draw(&subject.title(&what)?, &names, &confusion)
        },
    )
}

/// Rows are right classes; `shares` are those of a row, `errors` those of the classes.
fn numbers(classes: &[String], confusion: &Confusion) -> Value {
    let rows = 0..classes.len();
    let counts: Vec<&[u64]> = rows.clone().map(|row| confusion.row(row)).collect();
    let share = |row: usize| -> Vec<_> {
        let columns = 0..classes.len();
        columns.map(|column| confusion.share(row, column)).collect()
    };
    json!({
        "images": confusion.images(),
        "top1_error": confusion.top1_error(),
        "classes": classes,
        "counts": counts,
        "shares": rows.clone().map(share).collect::<Vec<_>>(),
        "errors": rows.map(|row| confusion.error(row)).collect::<Vec<_>>(),
    })
}
