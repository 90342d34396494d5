//! Pictures as bytes into what a network sees (Sections 2 and 4.1 of the paper): crop, mirror,
//! colour shift, and the mean subtracted.
//!
//! `y[n, c, i, j] = x[n', t + i, l + j', c] + shift[n, c] − mean[c, t + i, l + j']`, or with
//! torchvision's constants `(x[…] + shift[n, c]) · scale[c] + offset[c]`; `j' = j`, or `crop − 1 − j`
//! where view `n` is mirrored. Shapes: `x (N, side, side, C)` bytes, `y (N · views, C, crop, crop)`,
//! the views of a picture one after the other.
//!
//! On a GPU alone. On the CPU the loader computes this as it reads the bytes (`tandem_data::Loader`);
//! it is the reference, and in f32 both give the same bits.

use crate::error::OpError;
use crate::upload::Upload;
use candle_core::{DType, Result, Tensor};

/// From bytes, 0 to 255, to values.
#[derive(Clone, Debug)]
pub enum Normalise {
    /// f32 `(C, side, side)`, subtracted at the picture's own place.
    Mean(Tensor),
    /// f32 `(C, 2)`: a channel's scale, and the offset added after it.
    Affine(Tensor),
}

/// One view of one picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draw {
    /// First row of the crop.
    pub top: u32,
    /// First column of the crop.
    pub left: u32,
    /// Left to right.
    pub mirrored: bool,
    /// Added to each channel, in 0 to 255; grey uses the first.
    pub shift: [f32; 3],
}

/// The operation's parameters.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "cuda"),
    expect(dead_code, reason = "GPUs read the type")
)]
pub struct Augment {
    crop: usize,
    normalise: Normalise,
    dtype: DType,
    upload: Upload,
}

/// Sizes of one application.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "cuda"), expect(dead_code, reason = "GPUs read them"))]
pub(crate) struct Sizes {
    pub pictures: usize,
    pub views: usize,
    pub side: usize,
    pub channels: usize,
    pub crop: usize,
}

impl Augment {
    /// Crops of `crop × crop` pixels as values of `dtype`: f32, f16 or bf16. The constants are f32
    /// and lie on the GPU that is to compute.
    ///
    /// # Errors
    /// When the crop is zero, an element type is another, or the GPU fails.
    pub fn new(crop: usize, normalise: Normalise, dtype: DType) -> Result<Self> {
        let (Normalise::Mean(constants) | Normalise::Affine(constants)) = &normalise;
        if crop == 0 || constants.dtype() != DType::F32 {
            let what = format!(
                "the crop is {crop} and the constants are {:?}; they must be at least 1, and F32",
                constants.dtype()
            );
            return Err(OpError::parameter("augment", what).into());
        }
        if !matches!(dtype, DType::F32 | DType::F16 | DType::BF16) {
            let what = format!("values are F32, F16 or BF16, not {dtype:?}");
            return Err(OpError::parameter("augment", what).into());
        }
        Ok(Self {
            upload: Upload::to(constants.device())?,
            crop,
            normalise,
            dtype,
        })
    }

    /// The views `draws` of the host's pictures `x` of `shape (N, side, side, C)`:
    /// `(N · views, C, crop, crop)`, as many views a picture as there are draws a picture. Pictures and
    /// draws are sent to the GPU, and the host does not wait for what is queued there; see [`Upload`].
    ///
    /// # Errors
    /// When shapes or draws do not fit, or the constants are not on a GPU.
    pub fn forward(&self, x: &[u8], shape: [usize; 4], draws: &[Draw]) -> Result<Tensor> {
        let sizes = self.sizes(x.len(), shape, draws)?;
        #[cfg(feature = "cuda")]
        if self.constants().device().is_cuda() {
            return self.on_gpu(sizes, x, shape, draws);
        }
        let what = "it must be on a GPU; on the CPU the loader computes this as it makes a batch";
        Err(OpError::shape("augment", what, format!("{sizes:?}")).into())
    }

    fn constants(&self) -> &Tensor {
        let (Normalise::Mean(constants) | Normalise::Affine(constants)) = &self.normalise;
        constants
    }

    fn sizes(
        &self,
        len: usize,
        shape: [usize; 4],
        draws: &[Draw],
    ) -> std::result::Result<Sizes, OpError> {
        let constants = self.constants();
        let fail = |what: &str| {
            let constants = constants.dims();
            let shapes = format!(
                "x {shape:?} of {len} bytes, constants {constants:?}, crop {}, {} draws",
                self.crop,
                draws.len()
            );
            OpError::shape("augment", what, shapes)
        };
        let [pictures, side, width, channels] = shape;
        if shape.iter().try_fold(1, |n: usize, d| n.checked_mul(*d)) != Some(len) {
            return Err(fail("x must have as many bytes as its shape says"));
        }
        if side != width || !(1..=3).contains(&channels) {
            return Err(fail("pictures must be square, of one to three channels"));
        }
        let fits = match &self.normalise {
            Normalise::Mean(mean) => mean.dims() == [channels, side, side],
            Normalise::Affine(affine) => affine.dims() == [channels, 2],
        };
        if !fits {
            return Err(fail("the constants do not fit the pictures"));
        }
        if pictures == 0 || draws.is_empty() || !draws.len().is_multiple_of(pictures) {
            return Err(fail("each picture needs as many draws"));
        }
        let inside = |first: u32| first as usize + self.crop <= side;
        if !draws
            .iter()
            .all(|draw| inside(draw.top) && inside(draw.left))
        {
            return Err(fail("a crop reaches beyond its picture"));
        }
        Ok(Sizes {
            pictures,
            views: draws.len() / pictures,
            side,
            channels,
            crop: self.crop,
        })
    }

    #[cfg(feature = "cuda")]
    fn on_gpu(&self, sizes: Sizes, x: &[u8], shape: [usize; 4], draws: &[Draw]) -> Result<Tensor> {
        use crate::cuda::augment::apply;
        use crate::storage::{on_cuda, with_cuda};
        use candle_core::Device;
        let places = draws
            .iter()
            .flat_map(|draw| [draw.top, draw.left, u32::from(draw.mirrored)])
            .collect();
        let shifts = draws.iter().flat_map(|draw| draw.shift).collect();
        let x = self.upload.bytes(x, shape.to_vec())?;
        let sent = |values: Tensor| self.upload.tensor(&values);
        let places = sent(Tensor::from_vec(places, (draws.len(), 3), &Device::Cpu)?)?;
        let shifts = sent(Tensor::from_vec(shifts, (draws.len(), 3), &Device::Cpu)?)?;
        let kind = match &self.normalise {
            Normalise::Mean(_) => "mean",
            Normalise::Affine(_) => "affine",
        };
        let constants = self.constants().contiguous()?;
        let inputs = [&x, &places, &shifts, &constants].map(Some);
        let y = with_cuda("augment", &inputs, |t| match *t {
            [Some(x), Some(places), Some(shifts), Some(constants)] => {
                apply(sizes, kind, self.dtype, x, places, shifts, constants)
            }
            _ => unreachable!("all were given"),
        })?;
        Ok(on_cuda(
            y,
            (draws.len(), sizes.channels, sizes.crop, sizes.crop),
        ))
    }
}
