//! What a change is worth: the error with it less the error without it, beside the published figure.

use super::results::{Results, Top};
use crate::experiment::{self, ErrorOf, Experiment};
use crate::interval::difference;
use crate::page::{Effect, Estimate, Judgement, Published, Unit, Verdict, words};
use crate::plan::full_name;

/// The lines of the summary, and the verdict on the top-1 error.
pub fn judge(
    effect: &experiment::Effect,
    experiment: &Experiment,
    results: &Results,
) -> (Vec<Effect>, Option<Verdict>) {
    let with = full_name(experiment.name, &effect.with);
    let without = full_name(experiment.name, &effect.without);
    let top1 = {
        let errors = |name: &str| results.errors_of(name, effect.of);
        in_points(&errors(&with), &errors(&without))
    };
    let published = effect.top1.map(|value| Published {
        words: effect
            .words
            .clone()
            .unwrap_or_else(|| words::difference(value, 1)),
        value,
    });
    let several = experiment.effects.len() > 1;
    let name = |error: &str| match several {
        true => format!("{}, {error}", effect.title),
        false => error.to_owned(),
    };
    let mut shown = vec![Effect {
        name: name(match effect.of {
            ErrorOf::Test => "top-1 error",
            ErrorOf::Training => "training error",
        }),
        unit: Unit::Points,
        published,
        measured: top1,
    }];
    if let Some(value) = effect.top5 {
        let errors = |name: &str| results.errors(name, Top::Five);
        shown.push(Effect {
            name: name("top-5 error"),
            unit: Unit::Points,
            published: Some(Published {
                words: words::difference(value, 1),
                value,
            }),
            measured: in_points(&errors(&with), &errors(&without)),
        });
    }
    // Where the paper does not say which way it goes there is nothing to confirm.
    let claimed = effect.top1.is_some() || effect.direction.is_some();
    (shown, claimed.then(|| verdict(effect, top1)))
}

/// The difference of two errors, in points.
pub fn in_points(with: &[f64], without: &[f64]) -> Option<Estimate> {
    let points = |errors: &[f64]| errors.iter().map(|error| 100.0 * error).collect::<Vec<_>>();
    difference(&points(with), &points(without))
}

/// `−0.61 points (−0.93 to −0.29)`.
pub fn points(estimate: Estimate) -> String {
    let value = words::difference(estimate.value, 2);
    match estimate.interval {
        Some((low, high)) => format!(
            "{value} points ({} to {})",
            words::difference(low, 2),
            words::difference(high, 2)
        ),
        None => format!("{value} points"),
    }
}

/// Every published effect is that the error falls.
fn verdict(effect: &experiment::Effect, measured: Option<Estimate>) -> Verdict {
    let title = capital(&effect.title);
    let error = match effect.of {
        ErrorOf::Test => "the top-1 error",
        ErrorOf::Training => "the training error",
    };
    let Some(estimate) = measured else {
        return Verdict {
            judgement: Judgement::NotMeasured,
            words: format!("{title}: not measured."),
        };
    };
    let (judgement, why) = match estimate.interval {
        Some((_, high)) if high < 0.0 => (Judgement::Confirmed, "it helps here too"),
        Some((low, _)) if low > 0.0 => (Judgement::NotOnThisData, "here it does harm"),
        Some(_) => (Judgement::Undecided, "no difference is seen"),
        None => (
            Judgement::Undecided,
            "nothing can be said of so few networks",
        ),
    };
    Verdict {
        judgement,
        words: format!("{title} changes {error} by {}: {why}.", points(estimate)),
    }
}

fn capital(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}
