//! `tandem show neighbours`: the training pictures most like a picture, figure 4 of the paper, right.

use std::sync::Arc;

use anyhow::Result;
use serde_json::{Value, json};
use tandem_alexnet::features::features;
use tandem_alexnet::neighbours::{Neighbour, Neighbours};
use tandem_alexnet::shapes::Shapes;
use tandem_data::{Part, Pictures, Subset};

use super::top5::BATCH;
use super::{Subject, pixels, tell};
use crate::args::{self, Global};
use crate::failure::Failure;
use crate::pictures::at_test;
use crate::report::counting::Counting;
use crate::report::neighbours::{Near, Row, draw};

pub fn run(args: &args::Neighbours, global: &Global) -> Result<()> {
    let subject = Subject::read(&args.run, &args.shown)?;
    let spec = subject.trained.network.spec();
    let layer = spec.last_hidden().ok_or_else(|| {
        let what = format!(
            "`{}` has no hidden layer to tell pictures apart by",
            spec.name
        );
        Failure::failed(
            what,
            "neighbours are for networks of two layers with weights or more",
        )
    })?;
    let set = subject.open(subject.part)?;
    let pictures = Subset::spread(set, args.count.into(), args.seed);
    let pictures = subject.prepare(pictures)?;
    let training = subject.open(Part::Train)?;
    let training = match args.among {
        Some(among) => Subset::spread(training, among.get(), 0),
        None => training,
    };
    let training = subject.prepare(training)?;

    let mut of = Vec::with_capacity(pictures.len());
    each(&subject, layer, &pictures, |_, row| of.push(row))?;
    let mut neighbours = Neighbours::of(of, args.nearest.into());
    let progress = Counting::new("comparing", training.len(), global.quiet);
    let done = each(&subject, layer, &training, |place, row| {
        neighbours.offer(place, &row);
        progress.add(1);
    });
    progress.finish();
    done?;

    let found = neighbours.found();
    let name = spec.layer_name(layer);
    let numbers = numbers(&name, &pictures, &training, found);
    tell(
        &numbers,
        args.shown.json,
        args.out.as_ref(),
        "neighbours.png",
        || {
            let features = Shapes::of(spec)?.layers[layer].output.values();
            let what = format!("nearest by the {features} values of {name}");
            let rows = found.iter().enumerate();
            let rows = rows.map(|(i, near)| row(&subject, &pictures, i, &training, near));
            draw(&subject.title(&what)?, &rows.collect::<Result<Vec<Row>>>()?)
        },
    )
}

fn each(
    subject: &Subject,
    layer: usize,
    pictures: &Arc<Pictures>,
    mut then: impl FnMut(usize, Vec<f32>),
) -> Result<()> {
    let trained = &subject.trained;
    features(
        &trained.network,
        layer,
        pictures,
        &trained.normalise,
        at_test(BATCH),
        |place, row| {
            then(place, row);
            Ok(())
        },
    )
}

fn row(
    subject: &Subject,
    pictures: &Pictures,
    i: usize,
    training: &Pictures,
    near: &[Neighbour],
) -> Result<Row> {
    let caption = |pictures: &Pictures, i: usize| {
        let class = subject.class(pictures.label(i)).map(str::to_owned);
        class.unwrap_or_else(|| pictures.name(i))
    };
    let neighbours = near.iter().map(|near| {
        let label = training.label(near.place);
        Ok(Near {
            picture: pixels(training, near.place)?,
            caption: caption(training, near.place),
            distance: near.distance,
            alike: pictures.label(i).is_none_or(|own| label == Some(own)),
        })
    });
    Ok(Row {
        picture: pixels(pictures, i)?,
        caption: caption(pictures, i),
        neighbours: neighbours.collect::<Result<_>>()?,
    })
}

fn numbers(
    layer: &str,
    pictures: &Pictures,
    training: &Pictures,
    found: &[Vec<Neighbour>],
) -> Value {
    let pictures: Vec<Value> = found
        .iter()
        .enumerate()
        .map(|(i, near)| {
            let near = near.iter().map(|near| {
                let place = near.place;
                let (image, class) = (training.name(place), training.label(place));
                json!({ "image": image, "class": class, "distance": near.distance })
            });
            let near: Vec<Value> = near.collect();
            json!({ "image": pictures.name(i), "class": pictures.label(i), "neighbours": near })
        })
        .collect();
    json!({ "layer": layer, "among": training.len(), "pictures": pictures })
}
