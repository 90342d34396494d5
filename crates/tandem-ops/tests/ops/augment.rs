//! The GPU's pictures against the loader's, bit for bit.

use candle_core::{DType, Device, Tensor};
use tandem_ops::augment::{Augment, Draw, Normalise};

/// An operation for grey pictures of 4 × 4 and crops of 3 × 3.
fn small(dtype: DType) -> Augment {
    let mean = Tensor::zeros((1, 4, 4), DType::F32, &Device::Cpu).unwrap();
    Augment::new(3, Normalise::Mean(mean), dtype).unwrap()
}

#[test]
fn what_does_not_fit_is_refused_with_what_there_was() {
    let draw = Draw {
        top: 1,
        left: 1,
        mirrored: false,
        shift: [0.0; 3],
    };
    let below = Draw { top: 2, ..draw };
    let right = Draw { left: 2, ..draw };
    for (shape, draws, error) in [
        ([2, 4, 5, 1], &[draw, draw][..], "pictures must be square"),
        ([2, 5, 5, 1], &[draw, draw], "constants do not fit"),
        ([2, 4, 4, 3], &[draw, draw], "constants do not fit"),
        ([2, 4, 4, 1], &[draw; 3], "as many draws"),
        ([2, 4, 4, 1], &[], "as many draws"),
        ([2, 4, 4, 1], &[draw, below], "beyond its picture"),
        ([2, 4, 4, 1], &[draw, right], "beyond its picture"),
        ([2, 4, 4, 1], &[draw, draw], "must be on a GPU"),
    ] {
        let got = small(DType::F32)
            .forward(&vec![0; shape.iter().product()], shape, draws)
            .unwrap_err()
            .to_string();
        assert!(got.contains(error), "{got} for {error}");
    }
    for (len, shape) in [(31, [2, 4, 4, 1]), (0, [usize::MAX, 4, 4, 1])] {
        let got = small(DType::F32).forward(&vec![0; len], shape, &[draw, draw]);
        let got = got.unwrap_err().to_string();
        assert!(got.contains("as many bytes as its shape"), "{got}");
    }
    let mean = Tensor::zeros((1, 4, 4), DType::F32, &Device::Cpu).unwrap();
    for (crop, dtype) in [(0, DType::F32), (3, DType::F64), (3, DType::U8)] {
        let refused = Augment::new(crop, Normalise::Mean(mean.clone()), dtype);
        assert!(refused.is_err(), "{crop} {dtype:?}");
    }
}

#[cfg(feature = "cuda")]
mod on_gpu {
    use std::sync::Arc;

    use candle_core::{DType, Device, Tensor};
    use tandem_data::{
        Augment, Colour, CropPlace, DataError, Dataset, Form, Images, Loader, LoaderOptions,
        Mirror, Normalise, Picture, Pictures, Preprocess, Share, Views,
    };
    use tandem_ops::augment;
    use tandem_ops::random::philox;

    use crate::common::{gpu, values};
    use crate::recorded::record;

    const SIDE: usize = 9;
    const COUNT: usize = 5;

    /// Pictures of noise.
    struct Noise {
        channels: usize,
    }

    impl Dataset for Noise {
        fn len(&self) -> usize {
            COUNT
        }
        fn classes(&self) -> &[String] {
            &[]
        }
        fn label(&self, _: usize) -> Option<u32> {
            Some(0)
        }
        fn picture(&self, i: usize) -> Result<Picture, DataError> {
            let byte = |at| philox([i as u32, 3], [at as u32, 0, 0, 0])[0] as u8;
            Ok(Picture {
                width: SIDE,
                height: SIDE,
                channels: self.channels,
                pixels: (0..SIDE * SIDE * self.channels).map(byte).collect(),
            })
        }
        fn name(&self, i: usize) -> String {
            i.to_string()
        }
        fn key(&self, i: usize) -> String {
            i.to_string()
        }
        fn channels(&self) -> usize {
            self.channels
        }
        fn fingerprint(&self) -> u64 {
            0
        }
    }

    fn pictures(channels: usize) -> Arc<Pictures> {
        let preprocess = Preprocess {
            side: SIDE,
            channels,
        };
        Arc::new(Pictures::prepare(Arc::new(Noise { channels }), preprocess, 0.0).unwrap())
    }

    fn options(form: Form) -> LoaderOptions {
        LoaderOptions {
            batch: COUNT,
            threads: 1,
            prefetch: 1,
            seed: 3,
            form,
            share: Share::WHOLE,
        }
    }

    /// The one batch of a loader for values and of one for bytes give the same on the GPU.
    fn assert_same(what: &str, crop: usize, normalise: &Normalise, load: impl Fn(Form) -> Loader) {
        let images = |form| load(form).next().unwrap().unwrap().images;
        let (
            Images::Values {
                values: want,
                shape,
            },
            Images::Bytes {
                bytes,
                shape: whole,
                draws,
            },
        ) = (images(Form::Values), images(Form::Bytes))
        else {
            panic!("a loader hands out what it is asked for");
        };
        let want = Tensor::from_vec(want.into_vec(), &shape[..], &Device::Cpu).unwrap();
        let channels = whole[3];
        let constants = match normalise {
            Normalise::Mean(mean) => augment::Normalise::Mean(
                Tensor::from_slice(mean, (channels, SIDE, SIDE), &gpu()).unwrap(),
            ),
            Normalise::Torchvision => {
                let pair = |c| <[f32; 2]>::from(Normalise::torchvision(c, channels));
                let pairs: Vec<_> = (0..channels).flat_map(pair).collect();
                augment::Normalise::Affine(Tensor::from_vec(pairs, (channels, 2), &gpu()).unwrap())
            }
        };
        let draws: Vec<augment::Draw> = draws
            .iter()
            .map(|draw| augment::Draw {
                top: draw.top as u32,
                left: draw.left as u32,
                mirrored: draw.mirror == Mirror::On,
                shift: draw.shift,
            })
            .collect();
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            let op = augment::Augment::new(crop, constants.clone(), dtype).unwrap();
            let got = op.forward(&bytes, whole, &draws).unwrap();
            assert_eq!((got.dtype(), got.dims()), (dtype, &shape[..]), "{what}");
            record(&format!("augmentation, {what}"), &got, 0.0, 0.0);
            // In f16 and bf16 the value of f32, rounded once.
            let want = values(&want.to_dtype(dtype).unwrap());
            for (at, (got, want)) in values(&got).iter().zip(want).enumerate() {
                assert_eq!(
                    got.to_bits(),
                    want.to_bits(),
                    "{what} {dtype:?}: value {at}"
                );
            }
        }
    }

    #[test]
    fn training_pictures_in_every_setting() {
        for channels in [1, 3] {
            let pictures = pictures(channels);
            let mean = Normalise::Mean(pictures.mean().into());
            for normalise in [mean, Normalise::Torchvision] {
                for (crop, mirror, colour) in [
                    (6, Mirror::Off, Colour::Off),
                    (6, Mirror::On, Colour::Off),
                    (6, Mirror::Off, Colour::Convnet),
                    (6, Mirror::On, Colour::Convnet),
                    (6, Mirror::Off, Colour::Torch),
                    (6, Mirror::On, Colour::Torch),
                    (SIDE, Mirror::On, Colour::Convnet),
                ] {
                    let setting = Augment {
                        place: CropPlace::Random,
                        crop,
                        mirror,
                        colour,
                        normalise: normalise.clone(),
                    };
                    let what = format!("{channels} channels, {crop}, {mirror:?}, {colour:?}");
                    assert_same(&what, crop, &normalise, |form| {
                        Loader::train(pictures.clone(), setting.clone(), options(form), 2, 0)
                    });
                }
            }
        }
    }

    #[test]
    fn the_views_of_a_test_picture() {
        let pictures = pictures(3);
        let normalise = Normalise::Mean(pictures.mean().into());
        for views in [Views::Centre, Views::Ten] {
            assert_same(&format!("{views:?}"), 6, &normalise, |form| {
                Loader::test(pictures.clone(), 6, normalise.clone(), views, options(form))
            });
        }
    }

    /// More pixels than a block has threads, and a crop that ends within a block.
    #[test]
    fn a_picture_of_several_blocks() {
        let side = 21;
        let bytes: Vec<u8> = (0..side * side).map(|i| (i % 251) as u8).collect();
        let affine = Tensor::new(&[[2f32, 1.0]], &gpu()).unwrap();
        let op = augment::Augment::new(20, augment::Normalise::Affine(affine), DType::F32).unwrap();
        let draw = augment::Draw {
            top: 1,
            left: 0,
            mirrored: true,
            shift: [0.5, 0.0, 0.0],
        };
        let got = values(&op.forward(&bytes, [1, side, side, 1], &[draw]).unwrap());
        for (at, got) in got.into_iter().enumerate() {
            let (i, j) = (at / 20, at % 20);
            let byte = bytes[(i + 1) * side + 19 - j];
            assert_eq!(got, (f64::from(byte) + 0.5) * 2.0 + 1.0, "{i} {j}");
        }
    }
}
