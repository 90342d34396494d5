//! `tandem show top5`: pictures with their likeliest classes, figure 4 of the paper, left.

use std::num::NonZeroUsize;
use std::sync::Arc;

use anyhow::Result;
use serde::Serialize;
use tandem_alexnet::evaluation::predict;
use tandem_data::{Pictures, Subset, Views};

use super::{Subject, caption, pixels, tell};
use crate::args::{Global, Top5};
use crate::failure::Failure;
use crate::pictures::at_test;
use crate::predict::{Prediction, likeliest};
use crate::report::counting::Counting;
use crate::report::panel::{Guess, Judged, draw};

/// Bars a picture.
const GUESSES: usize = 5;
/// Pictures a step.
pub(super) const BATCH: NonZeroUsize = NonZeroUsize::new(64).expect("it is more than none");

/// A picture and its guesses, as `--json` prints them.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(skip)]
    place: usize,
    image: String,
    class: usize,
    label: String,
    /// The likeliest first.
    predictions: Vec<Prediction>,
}

impl Shown {
    fn is_wrong(&self) -> bool {
        self.predictions
            .first()
            .is_none_or(|best| best.class != self.class)
    }
}

pub fn run(args: &Top5, global: &Global) -> Result<()> {
    let subject = Subject::read(&args.run, &args.shown)?;
    let set = subject.open_labelled("the right class is to stand under each")?;
    let count = usize::from(args.count);
    let set = match args.wrong {
        true => set,
        false => Subset::spread(set, count, args.seed),
    };
    let pictures = subject.prepare(set)?;
    let mut shown = judge(&subject, &pictures, args.wrong, global)?;
    let looked_at = pictures.len();
    if args.wrong {
        shown = some(shown, count, args.seed);
        if shown.is_empty() {
            let what = format!("of {looked_at} pictures the network gets none wrong");
            return Err(Failure::failed(what, "without --wrong there is a panel to see").into());
        }
    }
    let numbers = serde_json::json!({ "pictures": shown });
    tell(
        &numbers,
        args.shown.json,
        args.out.as_ref(),
        "top5.png",
        || {
            let judged = shown.iter().map(|one| judged(&pictures, one));
            let judged: Vec<Judged> = judged.collect::<Result<_>>()?;
            let bars = subject.trained.classes.len().min(GUESSES);
            let what = match args.wrong {
                true => format!("mistakes and their {bars} likeliest classes"),
                false => format!("the {bars} likeliest classes"),
            };
            draw(&subject.title(&what)?, &judged)
        },
    )
}

/// The guesses for all `pictures`, or of those alone that the network gets wrong.
fn judge(
    subject: &Subject,
    pictures: &Arc<Pictures>,
    wrong: bool,
    global: &Global,
) -> Result<Vec<Shown>> {
    let trained = &subject.trained;
    let mut shown = Vec::new();
    let progress = Counting::new("looking", pictures.len(), global.quiet);
    let done = predict(
        &trained.network,
        pictures,
        &trained.normalise,
        Views::Centre,
        at_test(BATCH),
        |place, row| {
            progress.add(1);
            let class = subject.label(pictures, place)?;
            let one = Shown {
                place,
                image: pictures.name(place),
                class,
                label: trained.classes[class].clone(),
                predictions: likeliest(&row, &trained.classes, GUESSES),
            };
            if !wrong || one.is_wrong() {
                shown.push(one);
            }
            Ok::<_, anyhow::Error>(())
        },
    );
    progress.finish();
    done.map(|()| shown)
}

/// `count` of them, evenly apart.
fn some(shown: Vec<Shown>, count: usize, seed: u64) -> Vec<Shown> {
    let mut all: Vec<Option<Shown>> = shown.into_iter().map(Some).collect();
    let places = Subset::places(all.len(), count, seed);
    let places: Vec<usize> = places.collect();
    places
        .into_iter()
        .filter_map(|place| all[place].take())
        .collect()
}

fn judged(pictures: &Pictures, one: &Shown) -> Result<Judged> {
    let guess = |prediction: &Prediction| Guess {
        class: caption(&prediction.label).to_owned(),
        probability: prediction.probability,
        right: prediction.class == one.class,
    };
    Ok(Judged {
        picture: pixels(pictures, one.place)?,
        class: caption(&one.label).to_owned(),
        guesses: one.predictions.iter().map(guess).collect(),
    })
}
