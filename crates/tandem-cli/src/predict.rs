//! `tandem predict`: what is in a picture.

mod submission;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use candle_core::{Device, Tensor};
use serde::Serialize;
use tandem_alexnet::evaluation::{predict, probabilities, view_means};
use tandem_alexnet::trained::Trained;
use tandem_data::{Pictures, View, decode, ten_views, view};

use crate::args::{Global, Predict, Views};
use crate::output::print;
use crate::pictures::{at_test, prepare};
use crate::weights::Found;

/// One picture's result, as `--json` prints it on a line.
#[derive(Debug, Serialize)]
struct Predicted {
    image: String,
    /// The likeliest first.
    predictions: Vec<Prediction>,
}

/// A class and how likely it is.
#[derive(Debug, Serialize)]
pub struct Prediction {
    pub class: usize,
    pub label: String,
    /// 0 to 1.
    pub probability: f32,
}

pub fn run(args: &Predict, global: &Global) -> Result<()> {
    let Found { file, weights, .. } = Found::read(&args.weights)?;
    let trained = Trained::new(weights, &file, &args.devices)?;
    match (&args.data, &args.submission) {
        (None, _) => files(&trained, args),
        (Some(data), None) => set(&trained, data, args),
        (Some(data), Some(answer)) => submission::write(&trained, data, answer, args, global),
    }
}

fn files(trained: &Trained, args: &Predict) -> Result<()> {
    // Every picture's line as soon as it is known: pictures before one that fails are not lost.
    for picture in &args.pictures {
        let probabilities = look(trained, picture, args.views)?;
        tell(trained, args, picture.display().to_string(), &probabilities)?;
    }
    Ok(())
}

fn set(trained: &Trained, data: &str, args: &Predict) -> Result<()> {
    let pictures = prepare(data, args.part.into(), trained.network.spec())?;
    each(trained, &pictures, args, |i, row| {
        tell(trained, args, pictures.name(i), &row)
    })
}

/// Gives `then` the probabilities of each of `pictures`.
fn each(
    trained: &Trained,
    pictures: &Arc<Pictures>,
    args: &Predict,
    then: impl FnMut(usize, Vec<f32>) -> Result<()>,
) -> Result<()> {
    let options = at_test(args.batch);
    let Trained {
        network, normalise, ..
    } = trained;
    predict(
        network,
        pictures,
        normalise,
        args.views.into(),
        options,
        then,
    )
}

fn tell(trained: &Trained, args: &Predict, image: String, probabilities: &[f32]) -> Result<()> {
    let predicted = Predicted {
        image,
        predictions: likeliest(probabilities, &trained.classes, args.top.get()),
    };
    print(&if args.json {
        serde_json::to_string(&predicted)? + "\n"
    } else {
        predicted.words()
    })
}

/// The probability of each class for the picture in the file `picture`.
fn look(trained: &Trained, picture: &Path, views: Views) -> Result<Vec<f32>> {
    let Trained {
        network,
        normalise,
        preprocess,
        ..
    } = trained;
    let crop = network.spec().input.crop;
    let pixels = preprocess.apply(&decode(picture)?);
    let views = match views {
        Views::One => vec![View::Centre],
        Views::Ten => ten_views().to_vec(),
    };
    let mut values = Vec::new();
    for &seen in &views {
        values.extend(view(&pixels, *preprocess, crop, seen, normalise)?);
    }
    let shape = (views.len(), preprocess.channels, crop, crop);
    let x = Tensor::from_vec(values, shape, &Device::Cpu)?;
    let mut rows = view_means(&probabilities(network, &x)?, 1);
    rows.pop().context("the network gave no scores")
}

/// The `top` likeliest classes; of equal ones the first.
pub fn likeliest(probabilities: &[f32], labels: &[String], top: usize) -> Vec<Prediction> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    let prediction = |&class: &usize| Prediction {
        class,
        label: labels.get(class).cloned().unwrap_or_default(),
        probability: probabilities[class],
    };
    order.iter().take(top).map(prediction).collect()
}

impl Predicted {
    fn words(&self) -> String {
        let mut text = format!("{}\n", self.image);
        for Prediction {
            label, probability, ..
        } in &self.predictions
        {
            text.push_str(&format!("  {:5.1} %  {label}\n", 100.0 * probability));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn predicted(top: usize) -> Predicted {
        let labels = ["Trouser", "Dress", "Coat"].map(str::to_owned);
        Predicted {
            image: "a.png".to_owned(),
            predictions: likeliest(&[0.25, 0.5, 0.25], &labels, top),
        }
    }

    #[test]
    fn the_likeliest_comes_first_and_equals_keep_their_order() {
        let classes: Vec<usize> = predicted(9).predictions.iter().map(|p| p.class).collect();
        assert_eq!(classes, [1, 0, 2]);
        assert_eq!(predicted(2).predictions.len(), 2);
    }

    #[test]
    fn the_json_is_the_contract_s() {
        assert_eq!(
            serde_json::to_string(&predicted(1)).unwrap(),
            r#"{"image":"a.png","predictions":[{"class":1,"label":"Dress","probability":0.5}]}"#
        );
    }

    #[test]
    fn people_read_percentages() {
        assert_eq!(
            predicted(2).words(),
            "a.png\n   50.0 %  Dress\n   25.0 %  Trouser\n"
        );
    }
}
