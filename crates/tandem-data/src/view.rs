//! What the network sees of a picture at test (section 4.1 of the paper): the centre, or ten views.

use crate::augment::{check_crop, write};
use crate::{DataError, Draw, Mirror, Normalise, Preprocess};

/// One fixed crop of a picture, plain or mirrored left to right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// The upper left corner.
    TopLeft,
    /// The upper right corner.
    TopRight,
    /// The lower left corner.
    BottomLeft,
    /// The lower right corner.
    BottomRight,
    /// The centre.
    Centre,
    /// The upper left corner, mirrored.
    TopLeftMirrored,
    /// The upper right corner, mirrored.
    TopRightMirrored,
    /// The lower left corner, mirrored.
    BottomLeftMirrored,
    /// The lower right corner, mirrored.
    BottomRightMirrored,
    /// The centre, mirrored.
    CentreMirrored,
}

/// Four corners, the centre, and the mirrors of the five in the same order.
#[must_use]
pub fn ten_views() -> [View; 10] {
    [
        View::TopLeft,
        View::TopRight,
        View::BottomLeft,
        View::BottomRight,
        View::Centre,
        View::TopLeftMirrored,
        View::TopRightMirrored,
        View::BottomLeftMirrored,
        View::BottomRightMirrored,
        View::CentreMirrored,
    ]
}

impl View {
    /// The first row and column of it in a picture of `side × side`, for a crop no larger than that.
    pub(crate) fn place(self, side: usize, crop: usize) -> (usize, usize) {
        let (end, middle) = (side - crop, (side - crop) / 2);
        match self {
            Self::TopLeft | Self::TopLeftMirrored => (0, 0),
            Self::TopRight | Self::TopRightMirrored => (0, end),
            Self::BottomLeft | Self::BottomLeftMirrored => (end, 0),
            Self::BottomRight | Self::BottomRightMirrored => (end, end),
            Self::Centre | Self::CentreMirrored => (middle, middle),
        }
    }

    /// What is seen of a picture of `side × side`, for a crop no larger than that.
    pub(crate) fn draw(self, side: usize, crop: usize) -> Draw {
        let (top, left) = self.place(side, crop);
        let mirror = match self {
            Self::TopLeft
            | Self::TopRight
            | Self::BottomLeft
            | Self::BottomRight
            | Self::Centre => Mirror::Off,
            Self::TopLeftMirrored
            | Self::TopRightMirrored
            | Self::BottomLeftMirrored
            | Self::BottomRightMirrored
            | Self::CentreMirrored => Mirror::On,
        };
        Draw {
            top,
            left,
            mirror,
            shift: [0.0; 3],
        }
    }
}

/// One view of one prepared picture (side, side, C bytes), as (C, crop, crop) values.
///
/// ```
/// use tandem_data::{Normalise, Preprocess, View, view};
/// let preprocess = Preprocess { side: 2, channels: 1 };
/// let normalise = Normalise::Mean([1.0, 1.0, 2.0, 2.0].into());
/// let values = view(&[10, 20, 30, 40], preprocess, 1, View::BottomRight, &normalise)?;
/// assert_eq!(values, [38.0]);
/// # Ok::<(), tandem_data::DataError>(())
/// ```
///
/// # Errors
///
/// If the crop, the bytes or the mean do not fit `preprocess`.
pub fn view(
    pixels: &[u8],
    preprocess: Preprocess,
    crop: usize,
    view: View,
    normalise: &Normalise,
) -> Result<Vec<f32>, DataError> {
    preprocess.check()?;
    check_crop(crop, preprocess)?;
    normalise.check(preprocess)?;
    if pixels.len() != preprocess.len() {
        return Err(DataError::Shape {
            side: preprocess.side,
            channels: preprocess.channels,
            reason: format!("there are {} bytes, not {}", pixels.len(), preprocess.len()),
        });
    }
    let mut out = vec![0.0; preprocess.channels * crop * crop];
    write(
        pixels,
        preprocess,
        crop,
        &view.draw(preprocess.side, crop),
        normalise,
        &mut out,
    );
    Ok(out)
}
