//! Data sets and models of the Hugging Face hub: named `hf:OWNER/NAME[@REVISION][:PART]`, downloaded
//! into the cache that Python's `huggingface_hub` uses too, and given as a folder or file.
//!
//! [`Name`] (what was asked for) → the commit and its files → those that hold data (parquet, else tar,
//! else pictures) or weights ([`Wanted`]) → the blobs that the cache lacks, resumed and verified →
//! [`Snapshot`] or [`Model`]. [`Kind`] is all in which the two differ on the way.
//!
//! Where hf-hub 1.0.0 is used, and where not. It speaks the hub's API: requests, token, redirects,
//! repetition of what failed for the moment, pages of a listing, ranges of a file. What it does not do
//! is done here: its download into the cache starts a file anew each time, checks neither length nor
//! checksum, and stores the body of an answer whatever its status (`download_file_to_cache_network`).
//! So files are read with `download_file_stream` and a range, and [`Snapshot`]s written by this crate,
//! in the same layout and under the same locks. Its client has no time limit: one with a limit is
//! given to it. Its listing loses the checksums of large files (`listing.rs`). It reads answers however
//! long they are: descriptions and listings are asked for here, and read up to a limit. What it reads
//! from the environment if left to itself, [`Settings`] reads and passes.
//!
//! A snapshot appears whole: pointers into it are made when each of its blobs is there, and the name of
//! the revision is written last. A killed download leaves blobs and the part of a blob
//! (`blobs/ID.incomplete`), from which the next goes on.
//!
//! ```no_run
//! let snapshot = tandem_hub::dataset("hf:zalando-datasets/fashion_mnist", &mut |progress| {
//!     eprintln!("{}: {} of {} bytes", progress.file, progress.done, progress.total);
//! })?;
//! println!("commit {}: {} files in {}", snapshot.commit, snapshot.files.len(), snapshot.data.display());
//! # Ok::<(), tandem_hub::HubError>(())
//! ```

mod answer;
mod cache;
mod checksum;
mod choice;
mod description;
mod download;
mod error;
mod explain;
mod hub;
mod kind;
mod listing;
mod model;
mod name;
mod push;
mod settings;
mod snapshot;
mod tree;
mod upload;

pub use error::HubError;
pub use hub::{Hub, Model, Progress, Snapshot};
pub use kind::Kind;
pub use model::Wanted;
pub use name::Name;
pub use push::{Outcome, Push, Pushed, Visibility};
pub use settings::{Settings, Token};

/// Gives the data set that `name` names, with the settings of the environment; see [`Hub::dataset`].
///
/// # Errors
///
/// If the name or a setting is wrong, and as [`Hub::dataset`].
pub fn dataset(name: &str, progress: &mut dyn FnMut(Progress)) -> Result<Snapshot, HubError> {
    let name = name.parse()?;
    Hub::new(Settings::from_environment()?)?.dataset(&name, progress)
}

/// Gives the model that `name` names, with the settings of the environment; see [`Hub::model`].
///
/// # Errors
///
/// If a setting is wrong, and as [`Hub::model`].
pub fn model(
    name: &Name,
    wanted: Wanted,
    progress: &mut dyn FnMut(Progress),
) -> Result<Model, HubError> {
    Hub::new(Settings::from_environment()?)?.model(name, wanted, progress)
}
