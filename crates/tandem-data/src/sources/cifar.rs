//! The binary version of CIFAR-10 and CIFAR-100 (Krizhevsky, *Learning Multiple Layers of Features
//! from Tiny Images*, 2009).
//!
//! A record is one label byte (CIFAR-10) or two (CIFAR-100: coarse, then fine), then 3,072 bytes: the
//! red, green and blue planes of 32×32.

use std::path::Path;

use super::memory::InMemory;
use super::tree::{File, Folder};
use crate::{DataError, Part};

const SIDE: usize = 32;
const PLANE: usize = SIDE * SIDE;

/// Ten times the real files' size; a larger file is not CIFAR.
const LARGEST_FILE: u64 = 2 << 30;

const CIFAR_10: [&str; 10] = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
];

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ten,
    Hundred,
}

impl Kind {
    pub(crate) fn set(self) -> &'static str {
        match self {
            Self::Ten => "CIFAR-10, binary version",
            Self::Hundred => "CIFAR-100, binary version",
        }
    }

    fn classes(self) -> usize {
        match self {
            Self::Ten => 10,
            Self::Hundred => 100,
        }
    }

    /// Label bytes a record; the last one counts.
    fn label_bytes(self) -> usize {
        match self {
            Self::Ten => 1,
            Self::Hundred => 2,
        }
    }

    fn files(self, part: Part) -> &'static [&'static str] {
        match (self, part) {
            (Self::Ten, Part::Train) => &[
                "data_batch_1.bin",
                "data_batch_2.bin",
                "data_batch_3.bin",
                "data_batch_4.bin",
                "data_batch_5.bin",
            ],
            (Self::Ten, Part::Validation | Part::Test) => &["test_batch.bin"],
            (Self::Hundred, Part::Train) => &["train.bin"],
            (Self::Hundred, Part::Validation | Part::Test) => &["test.bin"],
        }
    }

    fn names(self) -> &'static str {
        match self {
            Self::Ten => "batches.meta.txt",
            Self::Hundred => "fine_label_names.txt",
        }
    }
}

/// Whether `folder` holds a file of it.
pub(crate) fn recognises(folder: &Folder, kind: Kind) -> bool {
    [Part::Train, Part::Validation]
        .iter()
        .flat_map(|&part| kind.files(part))
        .any(|name| folder.file(name).is_some())
}

/// Which CIFAR has a file named as `path` is.
pub(crate) fn is_file_of(path: &Path) -> Option<Kind> {
    let name = path.file_name()?.to_str()?;
    [Kind::Ten, Kind::Hundred].into_iter().find(|kind| {
        [Part::Train, Part::Validation]
            .iter()
            .any(|&part| kind.files(part).contains(&name))
    })
}

/// Reads one part from `folder`.
pub(crate) fn open(folder: &Folder, kind: Kind, part: Part) -> Result<InMemory, DataError> {
    let names = kind.files(part);
    let missing: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| folder.file(name).is_none())
        .collect();
    if !missing.is_empty() {
        let (path, set) = (folder.path(), kind.set());
        let list = missing.join(", ");
        return Err(if missing.len() == names.len() {
            DataError::Missing {
                path,
                missing: list,
                set,
            }
        } else {
            DataError::Incomplete {
                path,
                missing: list,
                set,
            }
        });
    }
    let (mut labels, mut pixels) = (Vec::new(), Vec::new());
    for file in names.iter().filter_map(|name| folder.file(name)) {
        append(&file, kind, &mut labels, &mut pixels)?;
    }
    Ok(InMemory {
        source: folder.path().join(names[0]),
        classes: class_names(folder, kind)?,
        labels,
        width: SIDE,
        height: SIDE,
        channels: 3,
        pixels,
    })
}

fn append(
    file: &File,
    kind: Kind,
    labels: &mut Vec<u32>,
    pixels: &mut Vec<u8>,
) -> Result<(), DataError> {
    let (path, bytes) = (file.path(), file.slice().read_up_to(LARGEST_FILE)?);

    let record = kind.label_bytes() + 3 * PLANE;
    if bytes.is_empty() || bytes.len() % record != 0 {
        return Err(DataError::Length {
            path,
            problem: if bytes.len() < record {
                "too short"
            } else {
                "not whole records"
            },
            found: format!("{} bytes", bytes.len()),
            wanted: format!("a whole number of records of {record} bytes"),
        });
    }

    pixels.reserve_exact(bytes.len() / record * 3 * PLANE);
    for (index, record) in bytes.chunks_exact(record).enumerate() {
        let (label, planes) = record.split_at(kind.label_bytes());
        let label = u32::from(label[kind.label_bytes() - 1]);
        if label as usize >= kind.classes() {
            let classes = kind.classes();
            return Err(DataError::Label {
                path,
                index,
                label,
                classes,
            });
        }
        labels.push(label);
        let (red, rest) = planes.split_at(PLANE);
        let (green, blue) = rest.split_at(PLANE);
        for ((&r, &g), &b) in red.iter().zip(green).zip(blue) {
            pixels.extend_from_slice(&[r, g, b]);
        }
    }
    Ok(())
}

/// The names come with the files; without them CIFAR-10's are known, CIFAR-100's classes are numbers.
fn class_names(folder: &Folder, kind: Kind) -> Result<Vec<String>, DataError> {
    let Some(file) = folder.file(kind.names()) else {
        return Ok(match kind {
            Kind::Ten => CIFAR_10.map(String::from).into(),
            Kind::Hundred => (0..100).map(|class| class.to_string()).collect(),
        });
    };
    let text = file.text()?;
    let names: Vec<String> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(String::from)
        .collect();
    if names.len() != kind.classes() {
        return Err(DataError::ClassNames {
            path: file.path(),
            found: names.len(),
            wanted: kind.classes(),
        });
    }
    Ok(names)
}
