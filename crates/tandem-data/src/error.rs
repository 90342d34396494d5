//! What can be wrong with data: each error names the file, what was found, and the fix.

use std::path::{Path, PathBuf};

use crate::PictureError;
use crate::pack::PackError;
use crate::sources::ParquetProblem;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// Nothing stands at the path.
    #[error(
        "no data at {path}: it does not exist{}. Give `builtin`, `hf:OWNER/NAME`, or a folder (or a file \
         in it) of {looked_for}",
        tilde(path)
    )]
    NotFound {
        /// What was asked for.
        path: PathBuf,
        /// What would have been recognised.
        looked_for: &'static str,
    },
    /// Something stands there, but nothing this crate reads.
    #[error("{path} holds no data that is recognised. Looked for {looked_for}")]
    Unrecognised {
        /// The folder or file.
        path: PathBuf,
        /// What would have been recognised.
        looked_for: &'static str,
    },
    /// A file of a set is missing.
    #[error("{path} lacks {missing}, which belongs to {set}; fetch the missing file")]
    Missing {
        /// The folder.
        path: PathBuf,
        /// The file or folder that is not there.
        missing: String,
        /// The set it belongs to.
        set: &'static str,
    },
    /// Some files of a part are there and others are not.
    #[error(
        "{path} is not complete: it lacks {missing}, which belongs to {set}; fetch what is missing, \
         or move the rest of that part away"
    )]
    Incomplete {
        /// The folder.
        path: PathBuf,
        /// The files that are not there.
        missing: String,
        /// The set they belong to.
        set: &'static str,
    },
    /// Something that is known, and not read.
    #[error("{path} is {what}, which is not read; {fix}")]
    Unread {
        /// The file or folder.
        path: PathBuf,
        /// What it is.
        what: &'static str,
        /// What to do about it.
        fix: &'static str,
    },
    /// A folder of two sets.
    #[error(
        "{path} holds more than one set: {first}, and {second}; give the folder or file of one"
    )]
    Several {
        /// The folder.
        path: PathBuf,
        /// One set.
        first: String,
        /// The other.
        second: String,
    },
    /// The system refused to read a file or folder.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A gzip file is cut short or damaged.
    #[error("{path} is a truncated or damaged gzip file ({source}); fetch it again")]
    Gzip {
        /// The file.
        path: PathBuf,
        /// The decompressor's reason.
        source: std::io::Error,
    },
    /// An IDX file starts with the wrong number.
    #[error(
        "{path} starts with 0x{found:08x}, not the 0x{wanted:08x} of IDX {holds}; \
         is it another file under this name?"
    )]
    Magic {
        /// The file.
        path: PathBuf,
        /// Its first four bytes, big-endian.
        found: u32,
        /// What they should be.
        wanted: u32,
        /// What the file should hold.
        holds: &'static str,
    },
    /// An IDX header announces pictures of an impossible size.
    #[error(
        "{path} announces {count} pictures of {height}×{width}; pictures have 1 to {limit} pixels a \
         side. The header is damaged: fetch the file again"
    )]
    Dimensions {
        /// The file.
        path: PathBuf,
        /// Announced number of pictures.
        count: u64,
        /// Announced rows.
        height: u64,
        /// Announced columns.
        width: u64,
        /// The largest side allowed.
        limit: u64,
    },
    /// A file is shorter or longer than it should be.
    #[error("{path} is {problem}: {found} where {wanted} belong; fetch it again")]
    Length {
        /// The file.
        path: PathBuf,
        /// "too short" or "too long".
        problem: &'static str,
        /// Bytes found, in words.
        found: String,
        /// Bytes that belong, in words.
        wanted: String,
    },
    /// Pictures and labels do not go together.
    #[error(
        "{images} holds {pictures} pictures but {labels} holds {count} labels; \
         they are not of one set"
    )]
    Counts {
        /// The pictures' file.
        images: PathBuf,
        /// How many pictures it holds.
        pictures: usize,
        /// The labels' file.
        labels: PathBuf,
        /// How many labels it holds.
        count: usize,
    },
    /// A label beyond the classes.
    #[error("{path}: label {label} of picture {index} is beyond the {classes} classes (0 to {})", classes.saturating_sub(1))]
    Label {
        /// The file.
        path: PathBuf,
        /// Which picture, from 0.
        index: usize,
        /// Its label.
        label: u32,
        /// How many classes there are.
        classes: usize,
    },
    /// A file of class names with too few or too many.
    #[error("{path} holds {found} class names where {wanted} belong, one a line")]
    ClassNames {
        /// The file.
        path: PathBuf,
        /// How many names it holds.
        found: usize,
        /// How many classes there are.
        wanted: usize,
    },
    /// A class folder without a picture.
    #[error(
        "class folder {path} holds no pictures (.jpg, .jpeg, .png or .webp directly inside); \
         fill or remove it"
    )]
    EmptyClass {
        /// The class folder.
        path: PathBuf,
    },
    /// Folders, and not a picture in any.
    #[error(
        "none of the {folders} folders in {path} ({first} is the first) holds a picture (.jpg, \
         .jpeg, .png or .webp directly inside); put the pictures of each class into its folder"
    )]
    EmptyClasses {
        /// The folder they are in.
        path: PathBuf,
        /// How many there are.
        folders: usize,
        /// The first by name.
        first: PathBuf,
    },
    /// A class folder whose name the training pictures do not know.
    #[error("{path} is not a class of the training pictures in {train}; rename or remove it")]
    UnknownClass {
        /// The class folder.
        path: PathBuf,
        /// The folder of the training pictures.
        train: PathBuf,
    },
    /// A parquet file that cannot be used, or a row of one.
    #[error("{path}: {problem}")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What is wrong, where in it, and the fix.
        problem: ParquetProblem,
    },
    /// Two pictures of one class with the same name.
    #[error("{first} and {second} are both picture `{key}` of their class; remove or rename one")]
    Duplicate {
        /// Where the first is.
        first: String,
        /// Where the second is.
        second: String,
        /// What both are called.
        key: String,
    },
    /// An archive is cut short, damaged, or holds what is not read.
    #[error(
        "{path} cannot be used as an archive: at byte {offset}, {reason}. Fetch it again, or unpack it \
         and give the folder"
    )]
    Archive {
        /// The archive; one inside another stands under the other's path.
        path: PathBuf,
        /// The first byte of what is wrong, from the start of the archive.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// A gzip'd archive is too large for memory.
    #[error(
        "{path} unpacks to more than the {} MiB that are kept in memory; `gunzip` it and give the \
         .tar, which is read where it lies", limit >> 20
    )]
    Unpacked {
        /// The archive.
        path: PathBuf,
        /// Most bytes that are kept.
        limit: u64,
    },
    /// A file is larger than any of its kind, or says that it is.
    #[error("{path} has, or announces, {length} bytes; of its kind at most {limit} are read")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its bytes.
        length: u64,
        /// Most bytes that are read.
        limit: u64,
    },
    /// A file whose name is no text.
    #[error("the name of {path} is not UTF-8; rename it")]
    NotUtf8 {
        /// The file, with U+FFFD for what is no text.
        path: PathBuf,
    },
    /// A line of a list, such as of labels, is not what it should be.
    #[error("{path}, line {line}: {reason}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A picture that the labels do not name.
    #[error("{picture} has no label in {labels}; fetch its label, or remove the picture")]
    NoLabel {
        /// The picture.
        picture: PathBuf,
        /// Where its label should stand.
        labels: PathBuf,
    },
    /// Pictures whose labels are in a file that is not there.
    #[error("the pictures in {pictures} have no labels; fetch {missing} and put it beside them")]
    NoLabels {
        /// The folder or archive of pictures.
        pictures: PathBuf,
        /// The file that labels them.
        missing: String,
    },
    /// One part of a set in two places.
    #[error("{first} and {second} seem to be the same part of the set; move one of them away")]
    Twice {
        /// One folder or archive.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// A class of the set without a folder or archive.
    #[error(
        "{path} has no pictures of {class}, a class of the set; it is not complete: fetch it again"
    )]
    MissingClass {
        /// The folder or archive of all classes.
        path: PathBuf,
        /// The class.
        class: String,
    },
    /// A devkit's `meta.mat` that cannot be read.
    #[error("{path} is not the meta.mat of an ILSVRC devkit: {reason}")]
    Meta {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// No pictures are left for this part.
    #[error("{path} has no pictures for this part: {reason}")]
    NoPictures {
        /// The folder, or the data's name.
        path: PathBuf,
        /// Why none are left.
        reason: &'static str,
    },
    /// A picture that does not decode, or is larger than allowed.
    #[error("{place} does not decode as a picture: {source}")]
    Decode {
        /// The file; of an archive, its path, the offset and the name inside.
        place: String,
        /// The decoder's reason.
        source: PictureError,
    },
    /// More pictures are bad than the stated share.
    #[error(
        "at least {bad} of {total} pictures do not decode, more than the allowed share of {share}; \
         one is {first}: {reason}. `tandem data verify` lists them all"
    )]
    TooManyBad {
        /// How many are bad, as far as was looked.
        bad: usize,
        /// Out of how many.
        total: usize,
        /// The allowed share, 0 to 1.
        share: f64,
        /// The name of a bad one.
        first: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The parts of a source do not belong together.
    #[error(
        "{source_name}: its {part} pictures are of {found} classes, its {first} pictures of {wanted}; \
         they are not of one set"
    )]
    Classes {
        /// What was opened.
        source_name: String,
        /// One part.
        part: &'static str,
        /// Its number of classes.
        found: usize,
        /// Another part.
        first: &'static str,
        /// Its number of classes, or the same number of others.
        wanted: usize,
    },
    /// A pack that cannot be made or read.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// A side, crop or number of channels that cannot be.
    #[error("pictures of {side}×{side}×{channels} cannot be made: {reason}")]
    Shape {
        /// Side after preprocessing, pixels.
        side: usize,
        /// Channels after preprocessing.
        channels: usize,
        /// Why not.
        reason: String,
    },
    /// Labels are to be random with what is no probability.
    #[error("labels cannot be random with probability {found}; give 0 to 1")]
    Probability {
        /// What was given.
        found: f64,
    },
    /// Pixels are to change places among pictures of different sizes.
    #[error(
        "{name} has {} rows of {} pixels where the first picture has {} of {}; pixels change places only \
         among pictures of one size: bring them to one with `tandem data pack` and give the pack",
        found[0], found[1], wanted[0], wanted[1]
    )]
    Sizes {
        /// Which picture.
        name: String,
        /// Its height and width.
        found: [usize; 2],
        /// Those of the first picture.
        wanted: [usize; 2],
    },
    /// A share of an epoch that is none of those.
    #[error("rank {rank} of {of} processes cannot be; ranks are counted from 0")]
    Share {
        /// The process.
        rank: usize,
        /// How many there are.
        of: usize,
    },
    /// A mean of another size than the pictures.
    #[error(
        "the mean has {found} values, but pictures of {channels}×{side}×{side} need \
         {}; it belongs to another preprocessing", channels * side * side
    )]
    Mean {
        /// Values in the mean.
        found: usize,
        /// Channels of the pictures.
        channels: usize,
        /// Side of the pictures.
        side: usize,
    },
    /// A loader thread panicked.
    #[error("a loader thread failed on batch {batch}: {message}; this is a bug, please report it")]
    Worker {
        /// The batch it was making.
        batch: usize,
        /// What the panic said.
        message: String,
    },
}

impl DataError {
    /// What is wrong with a picture, for a list that names it.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Decode { source, .. } => source.to_string(),
            Self::Parquet { problem, .. } => problem.to_string(),
            Self::Read { source, .. } => format!("it cannot be read: {source}"),
            other => other.to_string(),
        }
    }
}

/// What a shell does not replace everywhere.
fn tilde(path: &Path) -> &'static str {
    if path.starts_with("~") {
        " (the shell leaves `~` as it is in quotes and after `=`; write $HOME)"
    } else {
        ""
    }
}
