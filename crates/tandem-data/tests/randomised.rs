//! The randomisation tests of Zhang et al. 2017.

mod common;

use std::sync::Arc;

use common::{Made, refused_words};
use tandem_data::pack::{Encoding, PackOptions, Plan};
use tandem_data::{
    DataError, Dataset, Part, Picture, Pictures, PixelOrder, Preprocess, Randomisation, Randomised,
    open,
};

const AS_IT_IS: Randomisation = Randomisation {
    label_probability: 0.0,
    pixels: PixelOrder::Original,
    seed: 3,
};

fn randomised(all: &Arc<dyn Dataset>, how: Randomisation) -> Randomised {
    of_part(all, Part::Train, how)
}

fn of_part(all: &Arc<dyn Dataset>, part: Part, how: Randomisation) -> Randomised {
    Randomised::new(Arc::clone(all), part, how).unwrap()
}

fn labels(set: &dyn Dataset) -> Vec<u32> {
    (0..set.len()).map(|i| set.label(i).unwrap()).collect()
}

fn with_labels(all: &Arc<dyn Dataset>, label_probability: f64, seed: u64) -> Vec<u32> {
    let how = Randomisation {
        label_probability,
        seed,
        ..AS_IT_IS
    };
    labels(&randomised(all, how))
}

fn pixels(pixels: PixelOrder, seed: u64) -> Randomisation {
    Randomisation {
        pixels,
        seed,
        ..AS_IT_IS
    }
}

/// A picture whose pixels say where they lie, `i` in the last channel.
fn ramp(width: usize, height: usize, i: u8) -> Picture {
    let pixels = (0..height).flat_map(|y| (0..width).flat_map(move |x| [x as u8, y as u8, i]));
    Picture {
        width,
        height,
        channels: 3,
        pixels: pixels.collect(),
    }
}

/// Where the pixels of a [`ramp`] came from: its first two channels.
fn places(set: &dyn Dataset, i: usize) -> Vec<[u8; 2]> {
    let picture = set.picture(i).unwrap();
    let pixels = picture.pixels.as_chunks::<3>().0;
    pixels.iter().map(|&[x, y, _]| [x, y]).collect()
}

fn ramps() -> Arc<dyn Dataset> {
    Made::of((0..6).map(|i| Ok(ramp(9, 7, i))).collect())
}

#[test]
fn a_share_p_of_the_labels_is_drawn_anew_and_one_in_c_of_those_stays_true() {
    let all = open("builtin", Part::Train).unwrap();
    let truth = labels(&*all);
    for p in [0.0, 0.2, 0.5, 1.0] {
        let drawn = with_labels(&all, p, 3);
        let changed = truth.iter().zip(&drawn).filter(|(a, b)| a != b).count();
        let share = changed as f64 / truth.len() as f64;
        let wanted = p * 0.9;
        // Four standard deviations of a binomial of 6,000.
        let bound = 4.0 * (wanted * (1.0 - wanted) / 6000.0).sqrt();
        assert!((share - wanted).abs() <= bound, "{p}: {share}");
        // Uniform: each class keeps its 600, within four of theirs.
        for class in 0..10 {
            let count = drawn.iter().filter(|&&label| label == class).count();
            assert!(count.abs_diff(600) <= 93, "{p}: {count} of class {class}");
        }
    }
}

#[test]
fn labels_replaced_at_one_probability_are_replaced_by_the_same_at_a_higher_one() {
    let all = open("builtin", Part::Train).unwrap();
    let truth = labels(&*all);
    let (some, more) = (with_labels(&all, 0.3, 3), with_labels(&all, 0.6, 3));
    let mut replaced = truth.iter().zip(&some).zip(&more);
    assert!(replaced.all(|((truth, some), more)| some == truth || some == more));
}

#[test]
fn draws_are_those_of_seed_part_and_place_and_never_change() {
    let all = open("builtin", Part::Train).unwrap();
    let drawn = with_labels(&all, 1.0, 3);
    assert_eq!(drawn, with_labels(&all, 1.0, 3));
    assert_ne!(drawn, with_labels(&all, 1.0, 4));
    let how = Randomisation {
        label_probability: 1.0,
        ..AS_IT_IS
    };
    assert_ne!(drawn, labels(&of_part(&all, Part::Validation, how)));
    assert_eq!(drawn[..12], [9, 4, 9, 3, 3, 8, 2, 5, 4, 5, 4, 4]);
    let set = randomised(&ramps(), pixels(PixelOrder::Shuffled, 3));
    assert_eq!(places(&set, 0)[..4], [[2, 5], [2, 1], [8, 2], [0, 2]]);
    let set = randomised(&ramps(), pixels(PixelOrder::Random, 3));
    assert_eq!(places(&set, 0)[..4], [[1, 5], [8, 0], [2, 5], [0, 1]]);
}

#[test]
fn pixels_change_places_and_their_channels_stay_together() {
    let all = ramps();
    for order in [PixelOrder::Shuffled, PixelOrder::Random] {
        let set = randomised(&all, pixels(order, 3));
        for i in 0..all.len() {
            let (mut before, mut after) = (places(&*all, i), places(&set, i));
            assert_ne!(before, after);
            before.sort_unstable();
            after.sort_unstable();
            assert_eq!(before, after);
            let picture = set.picture(i).unwrap();
            assert_eq!((picture.width, picture.height), (9, 7));
            assert!(
                picture
                    .pixels
                    .iter()
                    .skip(2)
                    .step_by(3)
                    .all(|&x| x == i as u8)
            );
        }
    }
}

#[test]
fn shuffled_pixels_are_placed_alike_in_every_picture_of_every_part() {
    let all = ramps();
    let set = randomised(&all, pixels(PixelOrder::Shuffled, 3));
    let other = of_part(&all, Part::Validation, pixels(PixelOrder::Shuffled, 3));
    for i in 0..all.len() {
        assert_eq!(places(&set, i), places(&set, 0));
        assert_eq!(places(&other, i), places(&set, 0));
    }
    let seed = randomised(&all, pixels(PixelOrder::Shuffled, 4));
    assert_ne!(places(&seed, 0), places(&set, 0));
}

#[test]
fn random_pixels_are_placed_otherwise_in_every_picture_of_every_part() {
    let all = ramps();
    let how = |seed| pixels(PixelOrder::Random, seed);
    let sets = [
        randomised(&all, how(3)),
        randomised(&all, how(4)),
        of_part(&all, Part::Validation, how(3)),
    ];
    let placed = || {
        sets.iter()
            .flat_map(|set| (0..set.len()).map(|i| places(set, i)))
            .collect::<Vec<_>>()
    };
    let first = placed();
    assert_eq!(first, placed());
    for (i, one) in first.iter().enumerate() {
        assert!(!first[..i].contains(one), "{i}");
    }
}

#[test]
fn pictures_of_other_sizes_are_refused_by_name_and_packed_they_are_not() {
    let folder = common::folder_of_pictures(&["cat", "dog"], 20);
    let odd = folder.path().join("dog/0003.png");
    image::RgbImage::from_fn(9, 12, |x, y| image::Rgb([9 * x as u8, 9 * y as u8, 0]))
        .save(&odd)
        .unwrap();
    let all = open(folder.path().to_str().unwrap(), Part::Train).unwrap();
    let at = (0..all.len())
        .find(|&i| all.name(i) == odd.display().to_string())
        .unwrap();
    for order in [PixelOrder::Shuffled, PixelOrder::Random] {
        let set = randomised(&all, pixels(order, 3));
        set.picture(at - 1).unwrap();
        refused_words(
            &set.picture(at).unwrap_err(),
            &[
                "dog/0003.png has 12 rows of 9",
                "9 of 12",
                "tandem data pack",
            ],
        );
    }
    // Where they keep their places, sizes do not matter.
    randomised(&all, AS_IT_IS).picture(at).unwrap();

    let out = tempfile::tempdir().unwrap();
    let options = PackOptions {
        preprocess: Preprocess {
            side: 8,
            channels: 3,
        },
        encoding: Encoding::Raw,
        bad_share: 0.0,
    };
    let plan = Plan::new(folder.path().to_str().unwrap(), options).unwrap();
    plan.run(out.path(), &|_| ()).unwrap();
    let packed = open(out.path().to_str().unwrap(), Part::Train).unwrap();
    let set = randomised(&packed, pixels(PixelOrder::Random, 3));
    let pictures = Pictures::prepare(Arc::new(set), options.preprocess, 0.0).unwrap();
    for i in 0..pictures.len() {
        let mut before = packed.picture(i).unwrap().pixels;
        let mut after = pictures.picture(i).unwrap().into_owned();
        assert_ne!(before, after);
        before.sort_unstable();
        after.sort_unstable();
        assert_eq!(before, after);
    }

    // With labels alone random, the pictures are read from the pack as they lie.
    let how = Randomisation {
        label_probability: 1.0,
        ..AS_IT_IS
    };
    let set = randomised(&packed, how);
    let drawn = labels(&set);
    assert_ne!(drawn, labels(&*packed));
    let plain = Pictures::prepare(packed, options.preprocess, 0.0).unwrap();
    let random = Pictures::prepare(Arc::new(set), options.preprocess, 0.0).unwrap();
    assert_ne!(random.fingerprint(), plain.fingerprint());
    assert_eq!(random.mean(), plain.mean());
    for (i, &label) in drawn.iter().enumerate() {
        assert_eq!(random.picture(i).unwrap(), plain.picture(i).unwrap());
        assert_eq!(random.label(i), Some(label));
    }
}

#[test]
fn a_picture_that_does_not_decode_stays_an_error_and_gives_no_size() {
    let all = Made::of(vec![Err("gone"), Ok(ramp(4, 3, 1)), Ok(ramp(4, 3, 2))]);
    let set = randomised(&all, pixels(PixelOrder::Shuffled, 3));
    refused_words(&set.picture(0).unwrap_err(), &["picture 0", "gone"]);
    assert_eq!(places(&set, 1), places(&set, 2));
}

#[test]
fn what_is_no_probability_is_refused() {
    for label_probability in [-0.1, 1.5, f64::NAN] {
        let how = Randomisation {
            label_probability,
            ..AS_IT_IS
        };
        let error = Randomised::new(ramps(), Part::Train, how).err().unwrap();
        assert!(matches!(error, DataError::Probability { .. }), "{error}");
    }
}

#[test]
fn every_choice_is_in_the_fingerprint() {
    let all = ramps();
    let choices = [
        AS_IT_IS,
        pixels(PixelOrder::Original, 4),
        pixels(PixelOrder::Shuffled, 3),
        pixels(PixelOrder::Random, 3),
        Randomisation {
            label_probability: 0.5,
            ..AS_IT_IS
        },
        Randomisation {
            label_probability: 0.25,
            ..AS_IT_IS
        },
    ];
    let mut prints = vec![all.fingerprint()];
    prints.extend(choices.map(|how| randomised(&all, how).fingerprint()));
    prints.push(of_part(&all, Part::Test, AS_IT_IS).fingerprint());
    assert_eq!(prints[1], randomised(&all, AS_IT_IS).fingerprint());
    for (i, one) in prints.iter().enumerate() {
        assert!(!prints[..i].contains(one), "{prints:?}");
    }
}
