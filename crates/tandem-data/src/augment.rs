//! What happens to a training picture each time it is seen (section 4.1 of the paper): a random crop,
//! a mirror, a shift of its colours along their principal components.

use rand_distr::{Distribution, StandardNormal};

use crate::random::{Purpose, below, stream};
use crate::{ColourBasis, DataError, Normalise, Pictures, Preprocess};

/// Standard deviation of the α of section 4.1.
const ALPHA: f64 = 0.1;

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

/// How training pictures are varied.
#[derive(Debug, Clone, PartialEq)]
pub struct Augment {
    /// Side of the random crop, pixels: what the network sees.
    pub crop: usize,
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
        Draw {
            top,
            left,
            mirror: if mirrored { self.mirror } else { Mirror::Off },
            shift: self.colour.shift(alpha, basis),
        }
    }
}

impl Augment {
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
    let Preprocess { side, channels } = preprocess;
    for (c, plane) in out.chunks_exact_mut(crop * crop).enumerate() {
        let shift = draw.shift[c];
        for (y, row) in plane.chunks_exact_mut(crop).enumerate() {
            let at = (draw.top + y) * side + draw.left;
            let bytes = &pixels[at * channels..(at + crop) * channels];
            let bytes = bytes
                .iter()
                .skip(c)
                .step_by(channels)
                .map(|&byte| f32::from(byte));
            match normalise {
                Normalise::Mean(mean) => {
                    let mean = &mean[c * side * side + at..][..crop];
                    for ((value, byte), mean) in row.iter_mut().zip(bytes).zip(mean) {
                        *value = byte + shift - mean;
                    }
                }
                Normalise::Torchvision => {
                    let (scale, offset) = Normalise::torchvision(c, channels);
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
