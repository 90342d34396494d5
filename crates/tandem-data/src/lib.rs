//! Where pictures come from and what happens to them before a batch. Knows no network.
//!
//! Straight through, no way back:
//!
//! [`open`] (files to a [`Dataset`]) → [`Pictures::prepare`] (decode, shorter side to `side`, centre
//! `side × side`, training mean and colour covariance) → [`Loader`] (threads, prefetch, seeded order;
//! crop, mirror, colour, mean) → [`Batch`] of `f32`, (N, C, crop, crop), or of bytes and draws for a
//! GPU that crops, mirrors, colours and normalises itself.
//!
//! Every random choice is a pure function of (seed, epoch, picture, purpose): a run is the same for
//! any number of threads, and can start again at any batch of any epoch.
//!
//! ```
//! use std::sync::Arc;
//! use tandem_data::{
//!     Form, Images, Loader, LoaderOptions, Normalise, Part, Pictures, Preprocess, Share, Views,
//! };
//!
//! let test = tandem_data::open("builtin", Part::Validation)?;
//! let pictures = Arc::new(Pictures::prepare(test, Preprocess { side: 32, channels: 1 }, 0.0)?);
//! let normalise = Normalise::Mean(pictures.mean().into());
//! let options = LoaderOptions {
//!     batch: 128,
//!     threads: 2,
//!     prefetch: 2,
//!     seed: 0,
//!     form: Form::Values,
//!     share: Share::WHOLE,
//! };
//! let mut loader = Loader::test(pictures, 28, normalise, Views::Centre, options);
//! assert_eq!(loader.batches(), 8);
//! let batch = loader.next().expect("a first batch")?;
//! assert!(matches!(batch.images, Images::Values { shape: [128, 1, 28, 28], .. }));
//! # Ok::<(), tandem_data::DataError>(())
//! ```

mod augment;
mod buffer;
mod colour;
#[cfg(test)]
mod counted;
mod dataset;
mod decode;
mod error;
mod fingerprint;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod jpeg;
mod loader;
mod normalise;
pub mod npy;
mod order;
pub mod pack;
mod picture;
mod pictures;
mod preprocess;
mod random;
mod randomised;
mod recipe;
mod scale;
mod sources;
mod subset;
mod tally;
mod view;

pub use augment::{Augment, Colour, CropPlace, Draw, Mirror};
pub use buffer::Buffer;
pub use colour::ColourBasis;
pub use dataset::{Dataset, Part};
pub use decode::{PictureError, decode};
pub use error::DataError;
pub use loader::{Loader, LoaderOptions};
pub use normalise::Normalise;
pub use order::Share;
pub use pack::Pack;
pub use picture::Picture;
pub use pictures::Pictures;
pub use preprocess::Preprocess;
pub use randomised::{PixelOrder, Randomisation, Randomised};
pub use recipe::{Batch, Form, Images, Views};
pub use sources::{
    Opened, ParquetProblem, ilsvrc_classes, ilsvrc_ids, open, open_all, open_for_training,
};
pub use subset::Subset;
pub use view::{View, ten_views, view};
