//! `tandem ensemble eval`: the errors of members and of the mean of their probabilities.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tandem_alexnet::ensemble::{Ensemble, ask};
use tandem_alexnet::error::NetworkError;
use tandem_alexnet::evaluation::Evaluation;
use tandem_alexnet::trained::Trained;
use tandem_data::Part;

use crate::args::{EnsembleEval, Global};
use crate::failure::Failure;
use crate::hub::located;
use crate::output::print;
use crate::pictures::{at_test, check_classes};
use crate::report::counting::Counting;
use crate::report::table::{Align, grouped, table};
use crate::weights::Found;

pub fn run(args: &EnsembleEval, global: &Global) -> Result<()> {
    let (first, classes) = common_classes(&args.weights)?;
    let ensemble = measure(&first, &classes, args, global)?;
    print(&match args.json {
        true => format!("{}\n", numbers(&args.weights, &ensemble)),
        false => words(&args.weights, &ensemble),
    })
}

/// The file of the first of the members, and the classes that all have learned. Reads every file whole:
/// one that is damaged is found before anything is computed.
fn common_classes(named: &[String]) -> Result<(PathBuf, Vec<String>)> {
    let mut first: Option<(PathBuf, Vec<String>)> = None;
    for name in named {
        let Found { file, weights, .. } = Found::read(name)?;
        let classes = weights.classes;
        let Some((_, first)) = &first else {
            first = Some((file, classes));
            continue;
        };
        if let Some(difference) = difference(&classes, first) {
            let what = format!("{name} is no member for {}: {difference}", named[0]);
            let hint = "members are networks that learned the same classes in the same order";
            return Err(Failure::failed(what, hint).into());
        }
    }
    first.context("there is no member")
}

/// How the classes of a member differ from those of the first.
fn difference(classes: &[String], first: &[String]) -> Option<String> {
    if classes.len() != first.len() {
        let (own, others) = (classes.len(), first.len());
        return Some(format!("it tells {own} classes apart, not {others}"));
    }
    let (class, (own, other)) = classes
        .iter()
        .zip(first)
        .enumerate()
        .find(|(_, (own, other))| own != other)?;
    Some(format!("its class {class} is `{own}`, not `{other}`"))
}

fn measure(
    first: &Path,
    classes: &[String],
    args: &EnsembleEval,
    global: &Global,
) -> Result<Ensemble> {
    let set = tandem_data::open(&located(&args.data)?, Part::Validation)?;
    check_classes(classes, first, set.classes(), &args.data)?;
    let progress = Counting::new("asking", args.weights.len() * set.len(), global.quiet);
    let (views, options) = (args.views.into(), at_test(args.batch));
    let members = args.weights.iter().map(|named| {
        let Found { file, weights, .. } = Found::read_quietly(named)?;
        Ok(Trained::new(weights, &file, &args.devices)?)
    });
    let asked = ask(members, &set, views, options, || progress.add(1));
    progress.finish();
    let asked = asked.map_err(|error: anyhow::Error| match error.downcast_ref() {
        Some(NetworkError::Data(_)) => error.context(format!("--data {}", args.data)),
        _ => error,
    });
    asked?.context("there is no member")
}

fn words(named: &[String], ensemble: &Ensemble) -> String {
    let head = [
        ("member", Align::Left),
        ("top-1 error", Align::Right),
        ("top-5 error", Align::Right),
        ("loss", Align::Right),
    ];
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
    let row = |name: &str, of: &Evaluation| {
        let loss = format!("{:.4}", of.loss);
        vec![
            name.to_owned(),
            percent(of.top1_error),
            percent(of.top5_error),
            loss,
        ]
    };
    let mut rows: Vec<Vec<String>> = named
        .iter()
        .zip(&ensemble.members)
        .map(|(name, member)| row(name, member))
        .collect();
    rows.push(vec![
        "mean of members".to_owned(),
        percent(ensemble.mean_top1_error()),
        percent(ensemble.mean_top5_error()),
    ]);
    rows.push(row("ensemble", &ensemble.together));
    format!(
        "{}\nOf {} pictures the members differ in their best guess on {}, and two of them on {}.\n",
        table(&head, &rows),
        grouped(ensemble.together.images as u64),
        percent(ensemble.disagreement),
        percent(ensemble.pairwise_disagreement),
    )
}

fn numbers(named: &[String], ensemble: &Ensemble) -> Value {
    let members = named.iter().zip(&ensemble.members).map(|(name, member)| {
        json!({
            "weights": name,
            "top1_error": member.top1_error,
            "top5_error": member.top5_error,
            "loss": member.loss,
        })
    });
    let members: Vec<Value> = members.collect();
    let together = &ensemble.together;
    json!({
        "images": together.images,
        "members": members,
        "mean_top1_error": ensemble.mean_top1_error(),
        "mean_top5_error": ensemble.mean_top5_error(),
        "top1_error": together.top1_error,
        "top5_error": together.top5_error,
        "loss": together.loss,
        "disagreement": ensemble.disagreement,
        "pairwise_disagreement": ensemble.pairwise_disagreement,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluation(top1_error: f64) -> Evaluation {
        Evaluation {
            images: 1000,
            top1_error,
            top5_error: 0.004,
            loss: 0.35,
        }
    }

    #[test]
    fn members_stand_over_their_mean_and_what_they_are_together() {
        let ensemble = Ensemble {
            members: vec![evaluation(0.11), evaluation(0.09)],
            together: evaluation(0.085),
            disagreement: 0.07,
            pairwise_disagreement: 0.07,
        };
        let named = ["runs/a".to_owned(), "runs/b".to_owned()];
        assert_eq!(
            words(&named, &ensemble),
            "\
member           top-1 error  top-5 error    loss
runs/a               11.00 %       0.40 %  0.3500
runs/b                9.00 %       0.40 %  0.3500
mean of members      10.00 %       0.40 %
ensemble              8.50 %       0.40 %  0.3500

Of 1,000 pictures the members differ in their best guess on 7.00 %, and two of them on 7.00 %.
"
        );
    }

    #[test]
    fn what_classes_differ_in_is_named() {
        let classes = |list: &[&str]| list.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>();
        let first = classes(&["Coat", "Dress"]);
        assert_eq!(difference(&first, &first), None);
        let other = difference(&classes(&["Coat", "Boot"]), &first).unwrap();
        assert_eq!(other, "its class 1 is `Boot`, not `Dress`");
        let fewer = difference(&classes(&["Coat"]), &first).unwrap();
        assert_eq!(fewer, "it tells 1 classes apart, not 2");
    }
}
