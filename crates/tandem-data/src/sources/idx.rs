//! IDX files, plain and gzip: MNIST and Fashion-MNIST.
//!
//! Big-endian: `00 00 08 03, count, rows, columns`, then count × rows × columns bytes; and
//! `00 00 08 01, count`, then count labels. A header is never believed before the bytes are there.

use std::io::{BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::memory::InMemory;
use super::slice::Slice;
use super::tree::{File, Folder};
use crate::decode::LONGEST_SIDE;
use crate::{DataError, Part};

/// The classes of Fashion-MNIST, in the order of its labels.
pub(crate) const FASHION: [&str; 10] = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];
const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

const IMAGES: u32 = 0x0000_0803;
const LABELS: u32 = 0x0000_0801;

/// Most bytes of pictures or labels; they are kept in memory. The largest set in circulation, 8 million
/// digits, has 6.4 GB.
const LARGEST: u64 = 8 << 30;

/// Two open files of one part, under the names that errors give them.
pub(crate) struct Files<'a, R> {
    pub(crate) images: (&'a Path, R),
    pub(crate) labels: (&'a Path, R),
}

/// Whether `folder` holds an IDX file of either part.
pub(crate) fn recognises(folder: &Folder) -> bool {
    [Part::Train, Part::Validation]
        .iter()
        .any(|&part| find(folder, part, "images-idx3").is_some())
}

/// Whether `path` is named as one of the files.
pub(crate) fn is_file_of(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.strip_suffix(".gz").unwrap_or(&name).replace('.', "-");
    ["train", "t10k"].iter().any(|part| {
        ["images-idx3", "labels-idx1"]
            .iter()
            .any(|kind| stem == format!("{part}-{kind}-ubyte"))
    })
}

/// Reads one part from `folder`.
pub(crate) fn open(folder: &Folder, part: Part) -> Result<InMemory, DataError> {
    let find = |kind| find(folder, part, kind);
    let (images, labels) = match (find("images-idx3"), find("labels-idx1")) {
        (Some(images), Some(labels)) => (images, labels),
        (images, labels) => return Err(missing(folder, part, images.is_some(), labels.is_some())),
    };
    let ((images, in_images), (labels, in_labels)) = (
        (images.path(), images.slice()),
        (labels.path(), labels.slice()),
    );
    let files = Files {
        images: (&images, reader(&in_images)?),
        labels: (&labels, reader(&in_labels)?),
    };
    let classes = if is_fashion(&folder.path()) {
        &FASHION
    } else {
        &DIGITS
    };
    read(files, classes)
}

fn reader(slice: &Slice) -> Result<impl Read, DataError> {
    Ok(BufReader::new(slice.open()?.take(slice.length())))
}

/// That a part is not there, or only one of its two files.
fn missing(folder: &Folder, part: Part, images: bool, labels: bool) -> DataError {
    let (path, set) = (folder.path(), "MNIST or Fashion-MNIST");
    let kind = if images { "labels-idx1" } else { "images-idx3" };
    let missing = format!("{}-{kind}-ubyte[.gz]", prefix(part));
    if images || labels {
        DataError::Incomplete { path, missing, set }
    } else {
        DataError::Missing { path, missing, set }
    }
}

/// The two sets cannot be told apart by their files: their names, shapes and labels are the same.
fn is_fashion(folder: &Path) -> bool {
    let whole = folder.canonicalize().unwrap_or_else(|_| folder.into());
    whole.to_string_lossy().to_lowercase().contains("fashion")
}

fn prefix(part: Part) -> &'static str {
    match part {
        Part::Train => "train",
        Part::Validation | Part::Test => "t10k",
    }
}

/// Both spellings are in circulation: `train-images-idx3-ubyte` and `train-images.idx3-ubyte`.
fn find(folder: &Folder, part: Part, kind: &str) -> Option<File> {
    let prefix = prefix(part);
    let (what, dimensions) = kind.split_once('-')?;
    ["-", "."]
        .iter()
        .flat_map(|joint| {
            ["", ".gz"].map(|end| format!("{prefix}-{what}{joint}{dimensions}-ubyte{end}"))
        })
        .find_map(|name| folder.file(&name))
}

/// Reads pictures and labels and checks that they belong together.
pub(crate) fn read<R: Read>(files: Files<'_, R>, classes: &[&str]) -> Result<InMemory, DataError> {
    let ((images, image_bytes), (label_file, label_bytes)) = (files.images, files.labels);

    let ([count, height, width], pixels) = body::<3, _>(images, image_bytes, IMAGES)?;
    let ([label_count], labels) = body::<1, _>(label_file, label_bytes, LABELS)?;
    if count != label_count {
        return Err(DataError::Counts {
            images: images.into(),
            pictures: count,
            labels: label_file.into(),
            count: label_count,
        });
    }
    if count == 0 {
        return Err(DataError::NoPictures {
            path: images.into(),
            reason: "its header counts none",
        });
    }
    if let Some(index) = labels
        .iter()
        .position(|&label| usize::from(label) >= classes.len())
    {
        return Err(DataError::Label {
            path: label_file.into(),
            index,
            label: labels[index].into(),
            classes: classes.len(),
        });
    }
    Ok(InMemory {
        source: images.into(),
        classes: classes.iter().map(|&class| class.into()).collect(),
        labels: labels.into_iter().map(u32::from).collect(),
        width,
        height,
        channels: 1,
        pixels,
    })
}

/// How many pictures a file holds, read whole.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn pictures(path: &Path, file: impl Read) -> Result<usize, DataError> {
    body::<3, _>(path, file, IMAGES).map(|([count, ..], _)| count)
}

/// Reads a header of `D` dimensions and exactly the bytes it announces.
fn body<const D: usize, R: Read>(
    path: &Path,
    file: R,
    magic: u32,
) -> Result<([usize; D], Vec<u8>), DataError> {
    let mut file = Unpacked::new(path, file)?;

    let mut header = Vec::new();
    file.read(4 * (D as u64 + 1), &mut header)?;
    let words: Vec<u32> = header
        .as_chunks::<4>()
        .0
        .iter()
        .map(|word| u32::from_be_bytes(*word))
        .collect();
    if let Some(&found) = words.first()
        && found != magic
    {
        let holds = if magic == IMAGES {
            "pictures"
        } else {
            "labels"
        };
        return Err(DataError::Magic {
            path: path.into(),
            found,
            wanted: magic,
            holds,
        });
    }
    if words.len() != D + 1 {
        return Err(DataError::Length {
            path: path.into(),
            problem: "too short",
            found: format!("{} bytes", header.len()),
            wanted: format!("a header of {} bytes", 4 * (D + 1)),
        });
    }

    let sizes = &words[1..];
    let side = 1..=LONGEST_SIDE;
    if sizes[1..].iter().any(|size| !side.contains(size)) {
        return Err(DataError::Dimensions {
            path: path.into(),
            count: sizes[0].into(),
            height: sizes[1].into(),
            width: sizes[D - 1].into(),
            limit: LONGEST_SIDE.into(),
        });
    }
    // At most 2³² × 2¹⁴ × 2¹⁴ = 2⁶⁰: this product cannot overflow.
    let wanted: u64 = sizes.iter().map(|&size| u64::from(size)).product();

    if wanted > LARGEST {
        return Err(DataError::TooLarge {
            path: path.into(),
            length: wanted,
            limit: LARGEST,
        });
    }

    // One byte more than announced, to see that nothing trails; for gzip this also reads on to the
    // checksum. The vector grows with what is there, not with what the header claims.
    let mut bytes = Vec::new();
    file.read(wanted + 1, &mut bytes)?;
    let found = bytes.len() as u64;
    if found != wanted {
        let (problem, found) = if found < wanted {
            ("too short", format!("{found} bytes after the header"))
        } else {
            ("too long", "more bytes".to_string())
        };
        let wanted = format!(
            "{wanted} ({})",
            sizes
                .iter()
                .map(u32::to_string)
                .collect::<Vec<_>>()
                .join(" × ")
        );
        return Err(DataError::Length {
            path: path.into(),
            problem,
            found,
            wanted,
        });
    }
    Ok((std::array::from_fn(|d| sizes[d] as usize), bytes))
}

/// A file, unpacked if its first two bytes say gzip, whatever its name says.
struct Unpacked<'a, R: Read> {
    path: &'a Path,
    stream: Stream<R>,
}

/// What is left of a file after its first two bytes were looked at.
type Whole<R> = std::io::Chain<std::io::Cursor<Vec<u8>>, R>;

enum Stream<R: Read> {
    Plain(Whole<R>),
    Gzip(Box<MultiGzDecoder<Whole<R>>>),
}

impl<'a, R: Read> Unpacked<'a, R> {
    fn new(path: &'a Path, mut file: R) -> Result<Self, DataError> {
        let mut start = Vec::new();
        file.by_ref()
            .take(2)
            .read_to_end(&mut start)
            .map_err(|source| DataError::Read {
                path: path.into(),
                source,
            })?;
        let gzip = start == [0x1f, 0x8b];
        let whole = std::io::Cursor::new(start).chain(file);
        let stream = if gzip {
            Stream::Gzip(Box::new(MultiGzDecoder::new(whole)))
        } else {
            Stream::Plain(whole)
        };
        Ok(Self { path, stream })
    }

    /// Appends up to `limit` bytes.
    fn read(&mut self, limit: u64, into: &mut Vec<u8>) -> Result<(), DataError> {
        match &mut self.stream {
            Stream::Plain(file) => {
                file.take(limit)
                    .read_to_end(into)
                    .map_err(|source| DataError::Read {
                        path: self.path.into(),
                        source,
                    })?
            }
            Stream::Gzip(file) => {
                file.take(limit)
                    .read_to_end(into)
                    .map_err(|source| DataError::Gzip {
                        path: self.path.into(),
                        source,
                    })?
            }
        };
        Ok(())
    }
}
