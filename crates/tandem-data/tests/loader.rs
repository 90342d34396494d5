//! Batches: in order, the same for any number of threads, and errors that arrive.

mod common;

use std::collections::HashSet;
use std::sync::Arc;

use common::Made;
use tandem_data::{
    Augment, Batch, Colour, CropPlace, DataError, Form, Images, Loader, LoaderOptions, Mirror,
    Normalise, Pictures, Preprocess, Share, Views, ten_views, view,
};

const SIX: Preprocess = Preprocess {
    side: 6,
    channels: 3,
};

fn options(threads: usize) -> LoaderOptions {
    LoaderOptions {
        batch: 16,
        threads,
        prefetch: 3,
        seed: 5,
        form: Form::Values,
        share: Share::WHOLE,
    }
}

fn pictures(count: usize) -> Arc<Pictures> {
    Arc::new(Pictures::prepare(Made::noise(count, 6, 3), SIX, 0.0).unwrap())
}

fn augment(pictures: &Pictures) -> Augment {
    let normalise = Normalise::Mean(pictures.mean().into());
    Augment {
        crop: 4,
        place: CropPlace::Random,
        mirror: Mirror::On,
        colour: Colour::Convnet,
        normalise,
    }
}

fn train(pictures: &Arc<Pictures>, threads: usize, epoch: u64, first: usize) -> Vec<Batch> {
    let augment = augment(pictures);
    let loader = Loader::train(pictures.clone(), augment, options(threads), epoch, first);
    loader.map(Result::unwrap).collect()
}

fn values(batch: &Batch) -> (&[f32], [usize; 4]) {
    match &batch.images {
        Images::Values { values, shape } => (values, *shape),
        Images::Bytes { .. } | Images::Draws(_) => panic!("values were asked for"),
    }
}

#[test]
fn any_number_of_threads_gives_the_same_batches() {
    let pictures = pictures(100);
    let one = train(&pictures, 1, 3, 0);
    assert_eq!(one.len(), 7);
    assert_eq!(values(&one[6]).1, [4, 3, 4, 4]);
    assert_eq!(one, train(&pictures, 2, 3, 0));
    assert_eq!(one, train(&pictures, 5, 3, 0));
    assert_ne!(one, train(&pictures, 1, 4, 0));
}

#[test]
fn an_epoch_can_start_at_any_batch() {
    let pictures = pictures(100);
    let whole = train(&pictures, 2, 1, 0);
    for first in [1, 4, 6, 7, 9] {
        assert_eq!(train(&pictures, 2, 1, first), whole[first.min(7)..]);
    }
}

#[test]
fn an_epoch_holds_every_picture_once_with_its_label() {
    let mut seen: Vec<usize> = Vec::new();
    for batch in train(&pictures(100), 3, 0, 0) {
        let (values, shape) = values(&batch);
        assert_eq!(values.len(), shape.iter().product::<usize>());
        for (index, label) in batch.indices.iter().zip(&batch.labels) {
            assert_eq!(*label as usize, index % 2);
        }
        seen.extend(&batch.indices);
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..100).collect::<Vec<_>>());
}

/// The place of a value by the definition: (byte + shift − mean) at the source, then mirrored.
#[test]
fn a_training_picture_is_its_draw_by_the_definition() {
    let pictures = pictures(40);
    let (augment, side, crop) = (augment(&pictures), 6, 4);
    for batch in train(&pictures, 2, 2, 0) {
        for (n, &index) in batch.indices.iter().enumerate() {
            let draw = augment.draw(5, 2, index, side, pictures.colour_basis());
            let bytes = pictures.picture(index).unwrap();
            for (at, got) in values(&batch).0[n * 48..(n + 1) * 48].iter().enumerate() {
                let (c, y, x) = (at / 16, at / crop % crop, at % crop);
                let x = if draw.mirror == Mirror::On {
                    crop - 1 - x
                } else {
                    x
                };
                let place = (draw.top + y) * side + draw.left + x;
                let want = f32::from(bytes[place * 3 + c]) + draw.shift[c]
                    - pictures.mean()[c * 36 + place];
                assert!((got - want).abs() < 1e-4, "{index} {at}: {got} for {want}");
            }
        }
    }
}

#[test]
fn ten_views_run_fastest_and_are_those_of_a_single_picture() {
    let pictures = pictures(20);
    let normalise = Normalise::Mean(pictures.mean().into());
    let loader = Loader::test(
        pictures.clone(),
        4,
        normalise.clone(),
        Views::Ten,
        options(2),
    );
    let batches: Vec<Batch> = loader.map(Result::unwrap).collect();
    assert_eq!(
        (values(&batches[0]).1, values(&batches[1]).1),
        ([160, 3, 4, 4], [40, 3, 4, 4])
    );
    assert_eq!(batches[1].indices, [16, 17, 18, 19]);
    for (v, got) in ten_views()
        .into_iter()
        .zip(values(&batches[1]).0[480..].chunks(48))
    {
        let bytes = pictures.picture(17).unwrap();
        assert_eq!(got, view(&bytes, SIX, 4, v, &normalise).unwrap());
    }
}

/// The draws of the batch are those of the pictures in it, and the bytes the pictures' own.
#[test]
fn bytes_come_with_the_draws_of_their_pictures() {
    let pictures = pictures(40);
    let augment = augment(&pictures);
    let options = LoaderOptions {
        form: Form::Bytes,
        ..options(2)
    };
    let loader = Loader::train(pictures.clone(), augment.clone(), options, 2, 0);
    let in_values = train(&pictures, 1, 2, 0);
    for (batch, other) in loader.map(Result::unwrap).zip(in_values) {
        assert_eq!(
            (&batch.labels, &batch.indices),
            (&other.labels, &other.indices)
        );
        let Images::Bytes {
            bytes,
            shape,
            draws,
        } = batch.images
        else {
            panic!("bytes were asked for");
        };
        assert_eq!(shape, [batch.indices.len(), 6, 6, 3]);
        let each = batch.indices.iter().zip(bytes.chunks(108)).zip(&draws);
        assert_eq!(each.len(), shape[0]);
        for ((&index, bytes), draw) in each {
            assert_eq!(bytes, &*pictures.picture(index).unwrap());
            let want = augment.draw(5, 2, index, 6, pictures.colour_basis());
            assert_eq!(*draw, want);
        }
    }
    let normalise = augment.normalise.clone();
    let mut loader = Loader::test(pictures.clone(), 4, normalise, Views::Ten, options);
    let batch = loader.nth(2).unwrap().unwrap();
    let Images::Bytes { shape, draws, .. } = batch.images else {
        panic!("bytes were asked for");
    };
    assert_eq!((shape, draws.len()), ([8, 6, 6, 3], 80));
    let places: Vec<_> = draws[70..]
        .iter()
        .map(|draw| (draw.top, draw.left))
        .collect();
    let five = [(0, 0), (0, 2), (2, 0), (2, 2), (1, 1)];
    assert_eq!(places, [five, five].concat());
}

#[test]
fn a_crop_or_mean_that_does_not_fit_is_the_first_and_only_item() {
    let pictures = pictures(20);
    let large = Augment {
        crop: 7,
        ..augment(&pictures)
    };
    let mut loader = Loader::train(pictures.clone(), large, options(2), 0, 0);
    assert!(matches!(loader.next(), Some(Err(DataError::Shape { .. }))));
    assert!(loader.next().is_none());
    let other = Normalise::Mean(vec![0.0; 5].into());
    let mut loader = Loader::test(pictures, 4, other, Views::Centre, options(2));
    assert!(matches!(
        loader.next(),
        Some(Err(DataError::Mean { found: 5, .. }))
    ));
}

/// Batch `b` of all processes together is batch `b` of one process with larger batches.
#[test]
fn processes_that_share_an_epoch_see_together_what_one_sees_alone() {
    let pictures = pictures(101);
    let indices = |batch, threads, share| -> Vec<Vec<usize>> {
        let options = LoaderOptions {
            batch,
            share,
            ..options(threads)
        };
        let loader = Loader::train(pictures.clone(), augment(&pictures), options, 3, 0);
        let batches = loader.batches();
        let indices: Vec<_> = loader.map(|batch| batch.unwrap().indices).collect();
        assert_eq!(indices.len(), batches);
        indices
    };
    let whole = indices(48, 2, Share::WHOLE);
    let shares = [0, 1, 2].map(|rank| Share::new(rank, 3).unwrap());
    let parts = shares.map(|share| indices(16, 2, share));
    assert_eq!(parts, shares.map(|share| indices(16, 5, share)));
    for (b, whole) in whole.iter().enumerate() {
        // The last two of the 101 are left out.
        let even = whole.len() / 3 * 3;
        for (place, &index) in whole[..even].iter().enumerate() {
            assert_eq!(parts[place % 3][b][place / 3], index);
        }
        assert!(parts.iter().all(|part| 3 * part[b].len() == even));
    }
}

#[test]
fn processes_that_share_a_test_see_every_picture_once() {
    let pictures = pictures(101);
    let mut seen: Vec<usize> = Vec::new();
    for rank in 0..3 {
        let options = LoaderOptions {
            share: Share::new(rank, 3).unwrap(),
            ..options(2)
        };
        let normalise = Normalise::Torchvision;
        let loader = Loader::test(pictures.clone(), 4, normalise, Views::Centre, options);
        seen.extend(loader.flat_map(|batch| batch.unwrap().indices));
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..101).collect::<Vec<_>>());
}

/// Batches that wait, the one that was taken, and none more, however long the epoch.
#[test]
fn an_epoch_of_any_length_lives_in_the_memory_of_its_first_batches() {
    let pictures = pictures(5000);
    for form in [Form::Values, Form::Bytes] {
        let options = LoaderOptions {
            batch: 4,
            form,
            ..options(3)
        };
        let loader = Loader::train(pictures.clone(), augment(&pictures), options, 0, 0);
        let mut places = HashSet::new();
        for batch in loader {
            places.insert(match batch.unwrap().images {
                Images::Values { values, .. } => values.as_ptr() as usize,
                Images::Bytes { bytes, .. } => bytes.as_ptr() as usize,
                Images::Draws(_) => unreachable!("pictures were asked for"),
            });
        }
        assert!(places.len() <= options.prefetch + 1, "{}", places.len());
    }
}
