//! Preprocessing, the mean, the colours, and crops against plain arithmetic.

mod common;

use common::Made;
use proptest::prelude::*;
use tandem_data::{
    Augment, Colour, CropPlace, DataError, Mirror, Normalise, Part, Picture, Pictures, Preprocess,
    ten_views, view,
};

fn picture(width: usize, height: usize, channels: usize, pixels: Vec<u8>) -> Picture {
    Picture {
        width,
        height,
        channels,
        pixels,
    }
}

#[test]
fn a_picture_that_fits_is_left_as_it_is() {
    let pixels: Vec<u8> = (0..27).collect();
    let same = Preprocess {
        side: 3,
        channels: 3,
    }
    .apply(&picture(3, 3, 3, pixels.clone()));
    assert_eq!(same, pixels);
}

#[test]
fn the_centre_of_tall_and_wide_pictures_is_kept_when_scaled() {
    // Bright but for dark ends, which lie beyond the centre square and the filter's reach.
    let tall: Vec<u8> = (0..16)
        .map(|row| if (2..14).contains(&row) { 200 } else { 0 })
        .flat_map(|value| [value; 8])
        .collect();
    let scaled = Preprocess {
        side: 4,
        channels: 1,
    }
    .apply(&picture(8, 16, 1, tall));
    assert_eq!(scaled, [200; 16]);
    let wide: Vec<u8> = (0..8)
        .flat_map(|_| (0..16).map(|x| if (2..14).contains(&x) { 200 } else { 0 }))
        .collect();
    let scaled = Preprocess {
        side: 16,
        channels: 1,
    }
    .apply(&picture(16, 8, 1, wide));
    assert_eq!(scaled, [200; 256]);
}

#[test]
fn grey_and_colour_turn_into_each_other() {
    let grey = Preprocess {
        side: 1,
        channels: 1,
    };
    assert_eq!(grey.apply(&picture(1, 1, 3, vec![255, 0, 0])), [76]);
    assert_eq!(grey.apply(&picture(1, 1, 3, vec![255; 3])), [255]);
    let colour = Preprocess {
        side: 1,
        channels: 3,
    };
    assert_eq!(colour.apply(&picture(1, 1, 1, vec![7])), [7, 7, 7]);
}

#[test]
fn an_impossible_preprocessing_is_an_error() {
    for (side, channels) in [(0, 3), (4, 2), (4, 0), (1 << 40, 3)] {
        let error = Pictures::prepare(Made::noise(1, 4, 3), Preprocess { side, channels }, 0.0)
            .unwrap_err();
        assert!(matches!(error, DataError::Shape { .. }), "{error}");
    }
}

#[test]
fn mean_and_covariance_are_those_of_the_plain_formula() {
    let (count, side) = (200, 5);
    let data = Made::noise(count, side, 3);
    let all: Vec<Vec<u8>> = (0..count)
        .map(|i| data.picture(i).unwrap().pixels)
        .collect();
    let pictures = Pictures::prepare(data, Preprocess { side, channels: 3 }, 0.0).unwrap();
    for c in 0..3 {
        for place in 0..side * side {
            let want = all.iter().map(|p| f64::from(p[place * 3 + c])).sum::<f64>() / count as f64;
            let got = f64::from(pictures.mean()[c * side * side + place]);
            assert!((got - want).abs() < 1e-4, "{c} {place}: {got} for {want}");
        }
    }
    let channel = |c: usize| {
        all.iter()
            .flatten()
            .skip(c)
            .step_by(3)
            .map(|&x| f64::from(x))
    };
    let pixels = (count * side * side) as f64;
    for (a, b) in [(0, 0), (0, 1), (2, 1), (2, 2)] {
        let (mean_a, mean_b) = (
            channel(a).sum::<f64>() / pixels,
            channel(b).sum::<f64>() / pixels,
        );
        let want = channel(a)
            .zip(channel(b))
            .map(|(x, y)| (x - mean_a) * (y - mean_b))
            .sum::<f64>()
            / pixels;
        let got = pictures.statistics().covariance[a][b];
        assert!((got - want).abs() < 1e-6, "{a} {b}: {got} for {want}");
    }
}

#[test]
fn preparing_is_the_same_with_one_thread_and_with_four() {
    let prepare = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let mut made: Vec<_> = (0..500)
                .map(|i| Ok(picture(2, 2, 1, vec![(i % 256) as u8; 4])))
                .collect();
            made[7] = Err("gone");
            made[444] = Err("gone");
            let preprocess = Preprocess {
                side: 3,
                channels: 3,
            };
            let p = Pictures::prepare(Made::of(made), preprocess, 0.1).unwrap();
            let bytes: Vec<u8> = (0..p.len())
                .flat_map(|i| p.picture(i).unwrap().to_vec())
                .collect();
            let colours = p.colour_basis().clone();
            (
                bytes,
                p.mean().to_vec(),
                colours,
                p.bad().to_vec(),
                p.fingerprint(),
            )
        })
    };
    assert_eq!(prepare(1), prepare(4));
}

#[test]
fn the_mean_of_the_shipped_pictures_is_that_of_fashion_mnist() {
    let data = tandem_data::open("builtin", Part::Train).unwrap();
    let pictures = Pictures::prepare(
        data,
        Preprocess {
            side: 28,
            channels: 1,
        },
        0.0,
    )
    .unwrap();
    let mean = pictures.mean().iter().sum::<f32>() / 784.0 / 255.0;
    // 0.2860 and 0.3530 over the full set.
    assert!((mean - 0.286).abs() < 0.003, "{mean}");
    let deviation = pictures.statistics().standard_deviation[0] / 255.0;
    assert!((deviation - 0.353).abs() < 0.003, "{deviation}");
}

fn augment(colour: Colour) -> Augment {
    Augment {
        crop: 3,
        place: CropPlace::Random,
        mirror: Mirror::On,
        colour,
        normalise: Normalise::Torchvision,
    }
}

#[test]
fn crops_and_mirrors_come_out_evenly() {
    let basis = Pictures::prepare(
        Made::noise(1, 4, 3),
        Preprocess {
            side: 4,
            channels: 3,
        },
        0.0,
    )
    .unwrap();
    let mut seen = std::collections::BTreeMap::new();
    for index in 0..4000 {
        let draw = augment(Colour::Off).draw(1, 2, index, 4, basis.colour_basis());
        assert_eq!(draw.shift, [0.0; 3]);
        *seen
            .entry((draw.top, draw.left, draw.mirror == Mirror::On))
            .or_insert(0) += 1;
    }
    assert_eq!(seen.len(), 8);
    assert!(seen.values().all(|&n| (400..600).contains(&n)), "{seen:?}");
}

#[test]
fn colour_shifts_have_the_spread_of_both_conventions() {
    let pictures = Pictures::prepare(
        Made::noise(50, 8, 3),
        Preprocess {
            side: 8,
            channels: 3,
        },
        0.0,
    )
    .unwrap();
    let basis = pictures.colour_basis();
    for (colour, want) in [
        // Σ over channels of the variance is Σₖ (0.1 weightₖ)², as the vectors are of length one.
        (
            Colour::Convnet,
            basis.values.iter().map(|l| 0.01 * l).sum::<f64>(),
        ),
        (
            Colour::Torch,
            basis
                .values
                .iter()
                .map(|l| (0.1 * l / 255.0).powi(2))
                .sum::<f64>(),
        ),
    ] {
        let draws = 4000;
        let got = (0..draws)
            .flat_map(|i| augment(colour).draw(3, 0, i, 8, basis).shift)
            .map(|s| f64::from(s).powi(2))
            .sum::<f64>()
            / draws as f64;
        assert!(
            (got / want - 1.0).abs() < 0.1,
            "{colour:?}: {got} for {want}"
        );
    }
}

#[test]
fn switching_colour_and_mirror_off_leaves_the_crops_alone() {
    let pictures = Pictures::prepare(
        Made::noise(5, 8, 3),
        Preprocess {
            side: 8,
            channels: 3,
        },
        0.0,
    )
    .unwrap();
    let plain = Augment {
        mirror: Mirror::Off,
        ..augment(Colour::Off)
    };
    for index in 0..50 {
        let a = plain.draw(9, 4, index, 8, pictures.colour_basis());
        let b = augment(Colour::Convnet).draw(9, 4, index, 8, pictures.colour_basis());
        assert_eq!((a.top, a.left, a.mirror), (b.top, b.left, Mirror::Off));
    }
}

#[test]
fn ten_views_are_the_corners_the_centre_and_their_mirrors() {
    let pixels: Vec<u8> = (0..16).collect();
    let preprocess = Preprocess {
        side: 4,
        channels: 1,
    };
    let nought = Normalise::Mean(vec![0.0; 16].into());
    let first: Vec<Vec<f32>> = ten_views()
        .iter()
        .map(|&v| view(&pixels, preprocess, 2, v, &nought).unwrap())
        .collect();
    let want = [
        [0., 1., 4., 5.],
        [2., 3., 6., 7.],
        [8., 9., 12., 13.],
        [10., 11., 14., 15.],
        [5., 6., 9., 10.],
    ];
    for (i, [a, b, c, d]) in want.into_iter().enumerate() {
        assert_eq!(first[i], [a, b, c, d]);
        assert_eq!(first[i + 5], [b, a, d, c]);
    }
}

#[test]
fn torchvision_values_are_those_of_its_normalize() {
    // (x / 255 − mean) / std in NumPy, for x = 0, 128 and 255 in red, green and blue.
    let preprocess = Preprocess {
        side: 1,
        channels: 3,
    };
    let got = view(
        &[0, 128, 255],
        preprocess,
        1,
        ten_views()[4],
        &Normalise::Torchvision,
    )
    .unwrap();
    for (got, want) in got.iter().zip([-2.117_904, 0.205_182, 2.64]) {
        assert!((got - want).abs() < 1e-5, "{got} for {want}");
    }
}

#[test]
fn what_does_not_fit_the_pictures_is_an_error() {
    let preprocess = Preprocess {
        side: 4,
        channels: 1,
    };
    let look = |bytes: usize, crop, mean: usize| {
        let normalise = Normalise::Mean(vec![0.0; mean].into());
        view(
            &vec![0; bytes],
            preprocess,
            crop,
            ten_views()[0],
            &normalise,
        )
    };
    assert!(look(16, 4, 16).is_ok());
    assert!(matches!(look(16, 5, 16), Err(DataError::Shape { .. })));
    assert!(matches!(look(16, 0, 16), Err(DataError::Shape { .. })));
    assert!(matches!(look(15, 2, 16), Err(DataError::Shape { .. })));
    assert!(matches!(
        look(16, 2, 4),
        Err(DataError::Mean { found: 4, .. })
    ));
}

proptest! {
    #[test]
    fn any_picture_fills_its_square_and_stays_within_its_values(
        width in 1_usize..40, height in 1_usize..40, side in 1_usize..20,
        grey in any::<bool>(), to_grey in any::<bool>(), low in 0_u8..100,
    ) {
        let channels = if grey { 1 } else { 3 };
        let pixels = (0..width * height * channels).map(|i| low + (i * 37 % 101) as u8).collect();
        let preprocess = Preprocess { side, channels: if to_grey { 1 } else { 3 } };
        let square = preprocess.apply(&picture(width, height, channels, pixels));
        prop_assert_eq!(square.len(), preprocess.len());
        prop_assert!(square.iter().all(|p| (low..=low + 100).contains(p)));
    }
}
