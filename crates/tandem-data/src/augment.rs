//! What happens to a training picture each time it is seen (section 4.1 of the paper): a random crop,
//! a mirror, a shift of its colours along their principal components.

use pulp::{Arch, Simd, WithSimd};
use rand_distr::{Distribution, StandardNormal};

use crate::random::{Purpose, below, stream};
use crate::{ColourBasis, DataError, Normalise, Pictures, Preprocess, View};

/// Standard deviation of the α of section 4.1.
const ALPHA: f64 = 0.1;

/// The places of [`CropPlace::Corners`].
const CORNERS: [View; 5] = [
    View::TopLeft,
    View::TopRight,
    View::BottomLeft,
    View::BottomRight,
    View::Centre,
];

/// Whether pictures are mirrored left to right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mirror {
    /// Never.
    Off,
    /// In an [`Augment`]: every other time. In a [`Draw`]: this time.
    On,
}

/// The shift of colours: `Σₖ pₖ αₖ λₖ` is added to every pixel, α ~ N(0, 0.1), one draw a picture.
///
/// The paper does not say which λ; taken as eigenvalues of pixels from 0 to 255 the shifts are absurd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// No shift.
    Off,
    /// As the authors' cuda-convnet: √λ on pixels from 0 to 255.
    Convnet,
    /// As Torch's ImageNet recipes: λ on pixels from 0 to 1.
    Torch,
}

/// Where the crop of a training picture lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CropPlace {
    /// Anywhere.
    Random,
    /// In the middle, as at test.
    Centre,
    /// In one of the four corners or the middle, each time any of the five.
    Corners,
}

/// How training pictures are varied.
#[derive(Debug, Clone, PartialEq)]
pub struct Augment {
    /// Side of the crop, pixels: what the network sees.
    pub crop: usize,
    /// Where it lies.
    pub place: CropPlace,
    /// Mirroring.
    pub mirror: Mirror,
    /// Shift of colours.
    pub colour: Colour,
    /// From bytes to values.
    pub normalise: Normalise,
}

/// The variation of one picture in one epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Draw {
    /// First row of the crop.
    pub top: usize,
    /// First column of the crop.
    pub left: usize,
    /// Whether it is mirrored.
    pub mirror: Mirror,
    /// Added to each channel, in 0 to 255; grey uses the first.
    pub shift: [f32; 3],
}

impl Augment {
    pub(crate) fn check(&self, preprocess: Preprocess) -> Result<(), DataError> {
        check_crop(self.crop, preprocess)?;
        self.normalise.check(preprocess)
    }

    /// The variation of picture `index` in `epoch`: a pure function of its arguments.
    ///
    /// # Panics
    ///
    /// If the crop is larger than `side`.
    #[must_use]
    pub fn draw(
        &self,
        seed: u64,
        epoch: u64,
        index: usize,
        side: usize,
        basis: &ColourBasis,
    ) -> Draw {
        let mut rng = stream(seed, epoch, index as u64, Purpose::Augment);
        // Everything is drawn always and in this order: switching one off leaves the others alone.
        let places = side - self.crop + 1;
        let (top, left) = (below(&mut rng, places), below(&mut rng, places));
        let mirrored = below(&mut rng, 2) == 1;
        let alpha: [f64; 3] =
            std::array::from_fn(|_| ALPHA * Distribution::<f64>::sample(&StandardNormal, &mut rng));
        let corner = below(&mut rng, CORNERS.len());
        let (top, left) = match self.place {
            CropPlace::Random => (top, left),
            CropPlace::Centre => View::Centre.place(side, self.crop),
            CropPlace::Corners => CORNERS[corner].place(side, self.crop),
        };
        Draw {
            top,
            left,
            mirror: if mirrored { self.mirror } else { Mirror::Off },
            shift: self.colour.shift(alpha, basis),
        }
    }

    /// Everything that [`Augment::draw`] can give for pictures of `side`, each once, where that is a
    /// few views, at most ten; none where places or colours are random.
    ///
    /// # Panics
    ///
    /// If the crop is larger than `side`.
    #[must_use]
    pub fn views(&self, side: usize) -> Option<Vec<Draw>> {
        let places: &[View] = match self.place {
            _ if self.colour != Colour::Off => return None,
            CropPlace::Random if self.crop < side => return None,
            CropPlace::Random | CropPlace::Centre => &[View::Centre],
            CropPlace::Corners => &CORNERS,
        };
        let mut views = Vec::new();
        for place in places {
            for mirror in [Mirror::Off, self.mirror] {
                let (top, left) = place.place(side, self.crop);
                let view = Draw {
                    top,
                    left,
                    mirror,
                    shift: [0.0; 3],
                };
                if !views.contains(&view) {
                    views.push(view);
                }
            }
        }
        Some(views)
    }

    /// Picture `index` as training sees it in `epoch`, (C, crop, crop).
    ///
    /// # Errors
    ///
    /// If the crop or the mean do not fit the pictures, or the picture cannot be read.
    pub fn view(
        &self,
        pictures: &Pictures,
        seed: u64,
        epoch: u64,
        index: usize,
    ) -> Result<Vec<f32>, DataError> {
        let preprocess = pictures.preprocess();
        self.check(preprocess)?;
        let draw = self.draw(seed, epoch, index, preprocess.side, pictures.colour_basis());
        let pixels = pictures.picture(index)?;
        let mut values = vec![0.0; preprocess.channels * self.crop * self.crop];
        write(
            &pixels,
            preprocess,
            self.crop,
            &draw,
            &self.normalise,
            &mut values,
        );
        Ok(values)
    }
}

impl Colour {
    /// `Σₖ pₖ αₖ λₖ`, in 0 to 255.
    fn shift(self, alpha: [f64; 3], basis: &ColourBasis) -> [f32; 3] {
        let weight = |lambda: f64| match self {
            Self::Off => 0.0,
            Self::Convnet => lambda.sqrt(),
            // λ of pixels from 0 to 1 is λ / 255²; the shift there, times 255, is the shift here.
            Self::Torch => lambda / 255.0,
        };
        let mut shift = [0.0; 3];
        for ((&lambda, vector), alpha) in basis.values.iter().zip(&basis.vectors).zip(alpha) {
            for (sum, p) in shift.iter_mut().zip(vector) {
                *sum += p * alpha * weight(lambda);
            }
        }
        shift.map(|s| s as f32)
    }
}

pub(crate) fn check_crop(crop: usize, preprocess: Preprocess) -> Result<(), DataError> {
    if (1..=preprocess.side).contains(&crop) {
        return Ok(());
    }
    Err(DataError::Shape {
        side: preprocess.side,
        channels: preprocess.channels,
        reason: format!(
            "the crop of {crop} does not fit; it must be 1 to {}",
            preprocess.side
        ),
    })
}

/// Writes the crop `draw` of `pixels` (side, side, C) as (C, crop, crop).
///
/// The mean is taken at the picture's own place, before the mirror, as cuda-convnet and Caffe do.
pub(crate) fn write(
    pixels: &[u8],
    preprocess: Preprocess,
    crop: usize,
    draw: &Draw,
    normalise: &Normalise,
    out: &mut [f32],
) {
    Arch::new().dispatch(Write {
        pixels,
        preprocess,
        crop,
        draw,
        normalise,
        out,
    });
}

/// [`write`], to be compiled for each kind of vector unit.
struct Write<'a> {
    pixels: &'a [u8],
    preprocess: Preprocess,
    crop: usize,
    draw: &'a Draw,
    normalise: &'a Normalise,
    out: &'a mut [f32],
}

impl WithSimd for Write<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        match self.preprocess.channels {
            1 => self.channels::<1>(),
            _ => self.channels::<3>(),
        }
    }
}

impl Write<'_> {
    /// Of `C` channels: the compiler makes vector code only of a step that it knows.
    #[inline(always)]
    fn channels<const C: usize>(self) {
        let (side, crop, draw) = (self.preprocess.side, self.crop, self.draw);
        let pixels = self.pixels.as_chunks::<C>().0;
        for (c, plane) in self.out.chunks_exact_mut(crop * crop).enumerate() {
            let shift = draw.shift[c];
            for (y, row) in plane.chunks_exact_mut(crop).enumerate() {
                let at = (draw.top + y) * side + draw.left;
                let bytes = pixels[at..at + crop]
                    .iter()
                    .map(|pixel| f32::from(pixel[c]));
                match self.normalise {
                    Normalise::Mean(mean) => {
                        let mean = &mean[c * side * side + at..][..crop];
                        for ((value, byte), mean) in row.iter_mut().zip(bytes).zip(mean) {
                            *value = byte + shift - mean;
                        }
                    }
                    Normalise::Torchvision => {
                        let (scale, offset) = Normalise::torchvision(c, C);
                        for (value, byte) in row.iter_mut().zip(bytes) {
                            *value = (byte + shift) * scale + offset;
                        }
                    }
                }
                if draw.mirror == Mirror::On {
                    row.reverse();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Colour, Draw, Mirror, write};
    use crate::fingerprint::Fingerprint;
    use crate::{ColourBasis, Normalise, Preprocess};

    /// The values of a crop as they have been since the first run: checkpoints depend on each bit.
    #[test]
    fn the_bits_of_a_crop_never_change() {
        let covariance = [
            5000., 4700., 4300., 4700., 4900., 4600., 4300., 4600., 5200.,
        ];
        let mut pins = Vec::new();
        for channels in [1, 3] {
            let basis = ColourBasis::of(&covariance[..channels * channels], channels);
            for (side, crop) in [(9, 5), (32, 28), (256, 224), (320, 301)] {
                let preprocess = Preprocess { side, channels };
                let pixels: Vec<u8> = noise(preprocess.len()).map(|w| (w >> 24) as u8).collect();
                let mean: Vec<f32> = noise(preprocess.len())
                    .map(|w| w as f32 / u32::MAX as f32 * 255.0)
                    .collect();
                let mut print = Fingerprint::new();
                for normalise in [Normalise::Mean(mean.into()), Normalise::Torchvision] {
                    for colour in [Colour::Off, Colour::Convnet, Colour::Torch] {
                        for mirror in [Mirror::Off, Mirror::On] {
                            let draw = Draw {
                                top: side - crop,
                                left: (side - crop) / 3,
                                mirror,
                                shift: colour.shift([0.07, -0.13, 0.21], &basis),
                            };
                            let mut out = vec![f32::NAN; channels * crop * crop];
                            write(&pixels, preprocess, crop, &draw, &normalise, &mut out);
                            out.iter().for_each(|x| print.word(x.to_bits().into()));
                        }
                    }
                }
                pins.push(print.finish());
            }
        }
        assert_eq!(
            pins,
            [
                1_222_982_959_008_503_937,
                17_936_917_569_794_262_200,
                7_668_247_327_698_217_591,
                10_447_596_038_217_326_163,
                428_985_448_455_038_154,
                17_184_583_583_903_799_741,
                7_395_968_070_758_147_580,
                4_079_897_320_409_994_818,
            ]
        );
    }

    fn noise(count: usize) -> impl Iterator<Item = u32> {
        let step = |x: &u32| Some(x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
        std::iter::successors(Some(1_u32), step).take(count)
    }
}
