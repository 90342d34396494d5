//! What a frozen trunk makes of the pictures, computed once and kept in memory.
//!
//! Only where a picture is seen in a few fixed views, at most ten: a random crop or colour gives the
//! trunk another picture each time. An epoch then sees the same views, drawn the same way, as it would
//! without this; it only does not compute the trunk again.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use tandem_data::{
    Augment, Colour, CropPlace, Draw, Loader, LoaderOptions, Mirror, Normalise, Pictures,
};

use crate::error::NetworkError;
use crate::evaluation::{Evaluation, Score, label, probabilities};
use crate::input::{Feed, Input};
use crate::network::{Network, Pass};
use crate::trainer::Flow;
use crate::training_data::TrainingData;

/// Bytes of features of all parts that are kept at most; of more, none are, and the trunk is computed
/// for each batch.
pub(crate) const MAX_BYTES: u64 = 8 << 30;

/// How pictures are taken through a network.
pub(crate) struct Lesson<'a> {
    pub(crate) network: &'a Network,
    pub(crate) normalise: &'a Normalise,
    pub(crate) options: LoaderOptions,
}

/// The features of every part of a run's pictures.
pub(crate) struct CachedData {
    pub(crate) train: Cached,
    pub(crate) validation: Cached,
    pub(crate) measured: Option<Cached>,
}

/// The features of some pictures, in each of their views.
pub(crate) struct Cached {
    /// Layers of the trunk.
    layers: usize,
    /// Of one picture: (C, H, W) or (F).
    shape: Vec<usize>,
    views: Vec<Draw>,
    /// Picture after picture, of each view after view.
    values: Vec<f32>,
}

impl CachedData {
    /// Takes `data` through the trunk: training pictures in `views`, the others in their centre. `watch`
    /// is told how many are done of how many, and may stop it: none then.
    pub(crate) fn of(
        lesson: &Lesson<'_>,
        data: &TrainingData,
        views: Vec<Draw>,
        mut watch: impl FnMut(usize, usize) -> Flow,
    ) -> Result<Option<Self>, NetworkError> {
        let measured = data.measured.as_ref();
        let parts = [Some(&data.train), Some(&data.validation), measured];
        let all: usize = parts.iter().flatten().map(|part| part.len()).sum();
        let centre = centre(lesson, &data.validation);
        let mut done = 0;
        let mut one = |pictures: &Arc<Pictures>, views: Vec<Draw>| {
            Cached::of(lesson, pictures, views, |more| {
                done += more;
                watch(done, all)
            })
        };
        let Some(train) = one(&data.train, views)? else {
            return Ok(None);
        };
        let Some(validation) = one(&data.validation, centre.clone())? else {
            return Ok(None);
        };
        let measured = match measured {
            None => None,
            Some(pictures) => match one(pictures, centre)? {
                None => return Ok(None),
                found => found,
            },
        };
        Ok(Some(Self {
            train,
            validation,
            measured,
        }))
    }
}

impl Lesson<'_> {
    /// Bytes of the features of `data`, its training pictures in so many `views`.
    pub(crate) fn bytes(&self, data: &TrainingData, views: usize) -> u64 {
        let measured = data.measured.as_ref().map_or(0, |part| part.len());
        let seen = data.train.len() * views + data.validation.len() + measured;
        seen as u64 * 4 * self.features() as u64
    }

    /// Values that the trunk gives for a picture.
    fn features(&self) -> usize {
        let trunk = self.network.tuning().trunk();
        self.network.shapes().layers[trunk - 1].output.values()
    }
}

/// The one view of a test picture.
fn centre(lesson: &Lesson<'_>, pictures: &Pictures) -> Vec<Draw> {
    let augment = Augment {
        crop: lesson.network.spec().input.crop,
        place: CropPlace::Centre,
        mirror: Mirror::Off,
        colour: Colour::Off,
        normalise: lesson.normalise.clone(),
    };
    let views = augment.views(pictures.preprocess().side);
    views.expect("nothing of it is random")
}

impl Cached {
    fn of(
        lesson: &Lesson<'_>,
        pictures: &Arc<Pictures>,
        views: Vec<Draw>,
        mut watch: impl FnMut(usize) -> Flow,
    ) -> Result<Option<Self>, NetworkError> {
        let (network, crop) = (lesson.network, lesson.network.spec().input.crop);
        let layers = network.tuning().trunk();
        let feed = Feed::new(network, pictures.preprocess(), lesson.normalise)?;
        let options = LoaderOptions {
            form: feed.form(),
            ..lesson.options
        };
        let normalise = lesson.normalise.clone();
        let loader = Loader::fixed(pictures.clone(), crop, normalise, views.clone(), options);
        let mut shape = Vec::new();
        let mut values = Vec::with_capacity(pictures.len() * views.len() * lesson.features());
        for batch in loader {
            let batch = batch?;
            let input = feed.input(batch.images)?;
            let output = network.forward_to(input, layers - 1, Pass::Test)?;
            shape = output.dims()[1..].to_vec();
            values.extend(
                output
                    .to_device(&Device::Cpu)?
                    .flatten_all()?
                    .to_vec1::<f32>()?,
            );
            if watch(batch.indices.len()) == Flow::Stop {
                return Ok(None);
            }
        }
        Ok(Some(Self {
            layers,
            shape,
            views,
            values,
        }))
    }

    /// The features of pictures by their places, each in the view of its draw.
    pub(crate) fn batch(&self, places: &[usize], draws: &[Draw]) -> candle_core::Result<Input> {
        let size: usize = self.shape.iter().product();
        let mut values = Vec::with_capacity(places.len() * size);
        for (place, draw) in places.iter().zip(draws) {
            let view = self.views.iter().position(|view| view == draw);
            let view = view.ok_or_else(|| {
                candle_core::Error::msg(format!("{draw:?} is none of the views that are kept"))
            })?;
            let at = (place * self.views.len() + view) * size;
            values.extend_from_slice(&self.values[at..at + size]);
        }
        let mut shape = vec![places.len()];
        shape.extend(&self.shape);
        let values = Tensor::from_vec(values, shape, &Device::Cpu)?;
        Ok(Input::after(self.layers, values))
    }

    /// The error on `pictures`, which these are the features of.
    pub(crate) fn evaluate(
        &self,
        network: &Network,
        pictures: &Pictures,
        batch: usize,
    ) -> Result<Evaluation, NetworkError> {
        let mut score = Score::default();
        let places: Vec<usize> = (0..pictures.len()).collect();
        for places in places.chunks(batch.max(1)) {
            let draws = vec![self.views[0]; places.len()];
            let rows = probabilities(network, self.batch(places, &draws)?)?;
            for (&place, row) in places.iter().zip(&rows) {
                score.add(row, label(pictures, place)?);
            }
        }
        Ok(score.evaluation())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tandem_data::{Form, Part, Share};

    use super::*;
    use crate::checkpoint::RunDirectory;
    use crate::config::TrainConfig;
    use crate::spec::Spec;
    use crate::trainer::{Beginning, Ending, Event, Trainer};
    use crate::training_data::prepare;
    use crate::tuning::Tuning;

    /// `mini` for crops of 24 from 28, its convolutions frozen.
    fn network() -> Network {
        let mut spec = Spec::preset("mini").unwrap().for_data(10, 1).unwrap();
        spec.input.crop = 24;
        let tuning = Tuning::of(&spec, &["conv1..conv4".to_owned()], &BTreeMap::new()).unwrap();
        let network = Network::initial(&spec, &"cpu".parse().unwrap(), 1).unwrap();
        network.tuned(tuning)
    }

    fn augment(place: CropPlace, mirror: Mirror) -> Augment {
        Augment {
            crop: 24,
            place,
            mirror,
            colour: Colour::Off,
            normalise: Normalise::Torchvision,
        }
    }

    #[test]
    fn a_step_from_kept_features_is_the_step_from_the_pictures() {
        let network = network();
        let set = tandem_data::open("builtin", Part::Validation).unwrap();
        let set = tandem_data::Subset::spread(set, 24, 0);
        let pictures = prepare(set, network.spec()).unwrap();
        let options = LoaderOptions {
            batch: 8,
            threads: 1,
            prefetch: 1,
            seed: 4,
            form: Form::Values,
            share: Share::WHOLE,
        };
        let normalise = &Normalise::Torchvision;
        let lesson = Lesson {
            network: &network,
            normalise,
            options,
        };
        let augment = augment(CropPlace::Corners, Mirror::On);
        let views = augment.views(28).unwrap();
        assert_eq!(views.len(), 10);
        let kept = Cached::of(&lesson, &pictures, views, |_| Flow::Continue);
        let kept = kept.unwrap().unwrap();
        let feed = Feed::new(&network, pictures.preprocess(), normalise).unwrap();
        let batches = |form| {
            let options = LoaderOptions { form, ..options };
            Loader::train(pictures.clone(), augment.clone(), options, 2, 0)
        };
        let mut seen = Vec::new();
        for (drawn, whole) in batches(Form::Draws).zip(batches(Form::Values)) {
            let (drawn, whole) = (drawn.unwrap(), whole.unwrap());
            assert_eq!(drawn.indices, whole.indices);
            let tandem_data::Images::Draws(draws) = drawn.images else {
                panic!("draws were asked for");
            };
            seen.extend(draws.clone());
            let kept = kept.batch(&drawn.indices, &draws).unwrap();
            let pass = Pass::Train {
                seed: 1,
                step: 1,
                part: 0,
            };
            let labels = Tensor::new(whole.labels, &Device::Cpu).unwrap();
            let [from_pictures, from_kept] =
                [feed.input(whole.images).unwrap(), kept].map(|input| {
                    let outcome = network.gradients(input, &labels, pass).unwrap();
                    outcome.loss.read().unwrap()
                });
            let apart = (from_pictures - from_kept).abs();
            assert!(apart < 1e-6, "{from_pictures} {from_kept}");
        }
        seen.dedup();
        assert!(
            seen.len() > 5,
            "pictures are seen in several of their views"
        );
    }

    #[test]
    fn more_than_is_kept_is_said_before_anything_is_computed() {
        let text = Spec::preset("mini").unwrap().to_toml();
        let wide = text.replacen("channels = 32", "channels = 8192", 1);
        let mut config = TrainConfig::for_model(Spec::parse(&wide).unwrap()).unwrap();
        config.freeze = vec!["conv1".to_owned()];
        config.augment.mirror = false;
        let part = |part, count| {
            let set = tandem_data::open("builtin", part).unwrap();
            prepare(tandem_data::Subset::spread(set, count, 0), &config.model).unwrap()
        };
        let data = TrainingData {
            train: part(Part::Train, 1700),
            validation: part(Part::Validation, 10),
            measured: None,
            name: "builtin".to_owned(),
        };
        let folder = tempfile::tempdir().unwrap();
        let run = RunDirectory::create(&folder.path().join("run"), &config).unwrap();
        let mut trainer = Trainer::new(config, data, run, Beginning::New(None)).unwrap();
        let mut told = Vec::new();
        let ended = trainer.train(&mut |event| {
            if let Event::TooManyFeatures { bytes, .. } = event {
                told.push(bytes);
            }
            Flow::Stop
        });
        assert_eq!(ended.unwrap(), Ending::Stopped);
        // conv1, LRN and the pool after it: 13x13.
        assert_eq!(told, [1710 * 8192 * 13 * 13 * 4]);
    }

    #[test]
    fn views_are_few_where_nothing_is_random() {
        let count = |place, mirror, side| {
            let views = augment(place, mirror).views(side);
            views.map(|views| views.len())
        };
        assert_eq!(count(CropPlace::Random, Mirror::On, 28), None);
        assert_eq!(count(CropPlace::Random, Mirror::On, 24), Some(2));
        assert_eq!(count(CropPlace::Centre, Mirror::Off, 28), Some(1));
        assert_eq!(count(CropPlace::Corners, Mirror::Off, 28), Some(5));
        assert_eq!(count(CropPlace::Corners, Mirror::On, 24), Some(2));
        let colour = Augment {
            colour: Colour::Convnet,
            ..augment(CropPlace::Centre, Mirror::Off)
        };
        assert_eq!(colour.views(28), None);
    }
}
