//! `tandem data sample`.

use anyhow::Result;
use tandem_alexnet::training_data::BAD_SHARE;
use tandem_data::{
    Augment, Colour, CropPlace, DataError, Mirror, Normalise, Part, Pictures, Preprocess, Subset,
};

use super::of;
use crate::args::Sample;
use crate::hub::located;
use crate::output::print;
use crate::report::sheet::{self, Row};

/// Variations of a picture in a row.
const EPOCHS: u64 = 6;

/// Pictures that stand for the set where it is not packed: enough to tell its colours by.
const ENOUGH: usize = 256;

pub fn run(args: &Sample) -> Result<()> {
    let dataset = of(
        &args.source,
        tandem_data::open(&located(&args.source)?, Part::Train),
    )?;
    let count = args.count.get().min(dataset.len());
    let (preprocess, dataset) = match dataset.pack().map(tandem_data::Pack::preprocess) {
        Some(preprocess) => (preprocess, dataset),
        None => {
            let preprocess = Preprocess {
                side: args.side.get(),
                channels: dataset.channels(),
            };
            let some = Subset::spread(dataset, count.max(ENOUGH), args.seed);
            (preprocess, some)
        }
    };
    let pictures = of(
        &args.source,
        Pictures::prepare(dataset, preprocess, BAD_SHARE),
    )?;
    let crop = args
        .crop
        .map_or((preprocess.side * 7 / 8).max(1), usize::from);
    let augment = Augment {
        crop,
        place: CropPlace::Random,
        mirror: Mirror::On,
        colour: Colour::Convnet,
        // Nothing is subtracted: the values stay colours.
        normalise: Normalise::Mean(vec![0.0; preprocess.len()].into()),
    };
    let rows = Subset::places(pictures.len(), count, args.seed)
        .map(|i| row(&pictures, &augment, args.seed, i))
        .collect::<Result<Vec<_>, _>>()?;
    sheet::save(&rows, preprocess, crop, &args.out)?;
    print(&format!("{}\n", args.out.display()))
}

fn row(pictures: &Pictures, augment: &Augment, seed: u64, i: usize) -> Result<Row, DataError> {
    let label = pictures
        .label(i)
        .and_then(|label| pictures.classes().get(label as usize));
    Ok(Row {
        caption: format!(
            "{}   {}",
            label.map_or("", String::as_str),
            pictures.name(i)
        ),
        whole: pictures.picture(i)?.into_owned(),
        crops: (0..EPOCHS)
            .map(|epoch| augment.view(pictures, seed, epoch, i))
            .collect::<Result<_, _>>()?,
    })
}
