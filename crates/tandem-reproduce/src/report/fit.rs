//! Whether a network learns labels by heart that mean nothing (Zhang et al. 2017).

use tandem_alexnet::shapes::Shapes;

use super::percent;
use super::results::{Results, Top};
use crate::experiment::{Experiment, Fit};
use crate::interval::mean;
use crate::page::{
    Axis, Block, Chart, Column, Judgement, Plot, Scale, Series, Table, Verdict, words,
};
use crate::plan::full_name;

pub fn judge(fit: &Fit, experiment: &Experiment, results: &Results) -> Verdict {
    let name = full_name(experiment.name, &fit.of);
    let training = mean(&results.training_errors(&name));
    let test = mean(&results.errors(&name, Top::One));
    let classes = results.config(&name).map(|config| config.model.classes);
    let (Some(training), Some(test), Some(classes)) = (training, test, classes) else {
        return Verdict {
            judgement: Judgement::NotMeasured,
            words: "Random labels were not measured.".to_owned(),
        };
    };
    let by_heart = training.value < fit.error;
    // Guessing is wrong in all but one case in so many.
    let chance = 1.0 - 1.0 / classes as f64;
    Verdict {
        judgement: if by_heart {
            Judgement::Confirmed
        } else {
            Judgement::NotOnThisData
        },
        words: format!(
            "Random labels are learned to a training error of {} ({} was asked), and the test error is \
             {}, where guessing gives {}.",
            percent(training.value),
            percent(fit.error),
            percent(test.value),
            percent(chance)
        ),
    }
}

pub fn blocks(experiment: &Experiment, results: &Results) -> Vec<Block> {
    let arms = || {
        experiment
            .arms
            .iter()
            .map(|arm| (arm, full_name(experiment.name, &arm.name)))
    };
    let rows = arms().map(|(arm, name)| {
        let share = |errors: Vec<f64>| mean(&errors).map_or_else(String::new, |e| percent(e.value));
        vec![
            arm.title.clone(),
            share(results.training_errors(&name)),
            share(results.errors(&name, Top::One)),
        ]
    });
    let table = Table {
        caption: "After the last epoch".to_owned(),
        columns: Column::words_then_numbers(&["Data", "training error", "test error"]),
        rows: rows.collect(),
        emphasis: None,
        note: None,
    };
    let series = arms().map(|(arm, name)| Series {
        name: arm.title.clone(),
        points: results.curve(&name, |line| line.training_top1_error),
    });
    let chart = Chart {
        caption: "Training error by epoch".to_owned(),
        plot: Plot::Lines {
            x: Axis {
                label: "epoch".to_owned(),
                scale: Scale::Linear,
            },
            y: Axis {
                label: "training error".to_owned(),
                scale: Scale::Percent,
            },
            series: series.collect(),
        },
    };
    let mut blocks = vec![Block::Table(table), Block::Chart(chart)];
    blocks.extend(
        arms()
            .next()
            .and_then(|(_, name)| rule_of_ten(&name, results)),
    );
    blocks
}

/// How many parameters there are for a picture: the textbook wants ten pictures a parameter.
fn rule_of_ten(arm: &str, results: &Results) -> Option<Block> {
    let config = results.config(arm)?;
    let parameters = Shapes::of(&config.model).ok()?.parameters();
    let pictures = config.train_pictures?;
    let ratio = parameters as f64 / pictures as f64;
    Some(Block::Text(format!(
        "The network has {parameters} parameters and learns {pictures} pictures: {} parameters a \
         picture, where the rule of ten wants ten pictures a parameter. The paper's has 60 million for \
         1.2 million pictures, 50 a picture.",
        words::number(ratio, 0)
    )))
}
