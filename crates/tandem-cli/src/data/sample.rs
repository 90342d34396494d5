//! `tandem data sample`.

use std::sync::Arc;

use anyhow::Result;
use tandem_data::{
    Augment, Colour, DataError, Dataset, Mirror, Normalise, Part, Picture, Pictures, Preprocess,
};

use super::of;
use crate::args::Sample;
use crate::hub::located;
use crate::output::print;
use crate::pictures::BAD_SHARE;
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
            let few = Few::spread(dataset, count.max(ENOUGH), args.seed);
            (preprocess, Arc::new(few) as Arc<dyn Dataset>)
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
        mirror: Mirror::On,
        colour: Colour::Convnet,
        // Nothing is subtracted: the values stay colours.
        normalise: Normalise::Mean(vec![0.0; preprocess.len()].into()),
    };
    let rows = places(pictures.len(), count, args.seed)
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

/// `count` places of `total`, evenly apart, beginning where `seed` says.
fn places(total: usize, count: usize, seed: u64) -> impl Iterator<Item = usize> {
    let count = count.min(total);
    (0..count).map(move |i| (i * total / count + seed as usize % total) % total)
}

/// Some pictures of a set.
struct Few {
    all: Arc<dyn Dataset>,
    places: Vec<usize>,
}

impl Few {
    fn spread(all: Arc<dyn Dataset>, count: usize, seed: u64) -> Self {
        let places = places(all.len(), count, seed).collect();
        Self { all, places }
    }
}

impl Dataset for Few {
    fn len(&self) -> usize {
        self.places.len()
    }
    fn classes(&self) -> &[String] {
        self.all.classes()
    }
    fn label(&self, i: usize) -> Option<u32> {
        self.all.label(self.places[i])
    }
    fn picture(&self, i: usize) -> Result<Picture, DataError> {
        self.all.picture(self.places[i])
    }
    fn name(&self, i: usize) -> String {
        self.all.name(self.places[i])
    }
    fn key(&self, i: usize) -> String {
        self.all.key(self.places[i])
    }
    fn channels(&self) -> usize {
        self.all.channels()
    }
    fn fingerprint(&self) -> u64 {
        self.all.fingerprint()
    }
}

#[cfg(test)]
mod tests {
    use super::places;

    #[test]
    fn places_are_apart_and_inside() {
        let of = |total, count, seed| places(total, count, seed).collect::<Vec<_>>();
        assert_eq!(of(100, 4, 0), [0, 25, 50, 75]);
        assert_eq!(of(100, 4, 130), [30, 55, 80, 5]);
        assert_eq!(of(2, 5, 0), [0, 1]);
    }
}
