//! Parquet files as Hugging Face's data sets have them: `data/train-00000-of-00294.parquet` …,
//! `default/train/0000.parquet` …, or one file.
//!
//! A column `image` (or `img` …) holds encoded pictures, as bytes or as a struct of `bytes` and `path`;
//! a column `label` (or `fine_label` …) whole numbers or names, null or -1 where there is none. A picture's key
//! is its path's file name; where a row has no path, the keys are the rows' numbers.
//!
//! **Classes** are named in the files' metadata (`huggingface`, which the `datasets` library writes);
//! where they are not, a class is its number. A WNID in the pictures' paths (`n01440764_10026.JPEG`)
//! must agree with the label, and gives the class the string that ILSVRC's other forms give it; so do
//! names that are WNIDs, and ILSVRC's thousand names in their order. All files of a set are looked at
//! for this, so that each part has the same classes.
//!
//! **Rows** lie in any order, and ours is by label and key. So opening finds the pages of the picture
//! column by their headers, and a picture is the one page (and the dictionary, where there is one) that
//! holds it, unpacked. How many bytes that is, is up to the writer: a row group of pyarrow's is one
//! page up to 1,024 rows. In memory stay each picture's label, key and place, each page's place, and
//! up to 256 MiB of pages; each thread holds one page besides (see `page.rs` for its limits).

mod belonging;
mod cache;
mod classes;
mod column;
mod footer;
#[cfg(test)]
mod mutated;
mod page;
mod problem;
mod shard;
mod thrift;

use std::fs::{DirEntry, FileType};
use std::path::{Path, PathBuf};

use parquet::data_type::ByteArrayType;
use rayon::prelude::*;

use self::belonging::{one_set, part_of};
use self::cache::{Cache, Rows};
use self::classes::{Classes, number};
use self::column::Column;
pub use self::problem::ParquetProblem;
use self::shard::Shard;
use super::beside::unless_unreadable;
use super::listing::{Sample, fingerprint, hold_out, put_in_order};
use crate::decode::decode_at;
use crate::{DataError, Dataset, Part, Picture};

/// Folders below the one given that are looked into, one in the other.
const DEPTH: u32 = 3;

/// A folder of more folders than this holds classes, not parquet files.
const FOLDERS: usize = 64;

/// One part of a set.
#[derive(Debug)]
pub(crate) struct Parquet {
    classes: Vec<String>,
    files: Vec<(PathBuf, Column)>,
    samples: Vec<Sample<Place>>,
    fingerprint: u64,
    /// Bytes of all pages of pictures, packed.
    packed: u64,
    cache: Cache,
}

/// Which file, and which row of it.
#[derive(Debug, Clone, Copy)]
struct Place {
    file: u32,
    row: u64,
}

/// Whether `path` is a file that starts as parquet does, or is named so.
pub(crate) fn is_file_of(path: &Path) -> bool {
    is_named(path) || std::fs::File::open(path).is_ok_and(|mut file| footer::recognises(&mut file))
}

fn is_named(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("parquet"))
}

/// The parquet files in `folder` and in the few folders below it, sorted by path.
///
/// # Errors
///
/// If `folder` cannot be read, or one in it that is named as a part.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut files = Vec::new();
    look(folder, DEPTH, &mut files)?;
    files.sort_unstable();
    Ok(files)
}

fn look(folder: &Path, depth: u32, files: &mut Vec<PathBuf>) -> Result<(), DataError> {
    let failed = |source| DataError::Read {
        path: folder.into(),
        source,
    };
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if is_named(&path) {
            files.push(path);
        } else if depth > 0 && is_folder(&entry) {
            folders.push(path);
        }
    }
    if folders.len() <= FOLDERS {
        for folder in folders {
            unless_unreadable(&folder, look(&folder, depth - 1, files))?;
        }
    }
    Ok(())
}

/// A link counts as what it leads to; nothing else is asked of the system.
fn is_folder(entry: &DirEntry) -> bool {
    entry
        .file_type()
        .is_ok_and(|kind: FileType| kind.is_dir() || kind.is_symlink() && entry.path().is_dir())
}

/// Opens one part of the set of `files`, which lie under `root`.
///
/// Files of no part's name are training pictures. Where there are no validation pictures the test
/// pictures take their place and the other way round; where there are neither, every tenth training
/// picture of a class.
///
/// # Errors
///
/// If a file is damaged or holds no pictures, labels are missing or contradict the paths, or no
/// pictures are of this part.
pub(crate) fn open(root: &Path, files: &[PathBuf], part: Part) -> Result<Parquet, DataError> {
    let shards: Vec<Result<Shard, DataError>> =
        files.par_iter().map(|path| Shard::open(path)).collect();
    // The first error of the files' order, not of the threads'.
    let mut shards = shards.into_iter().collect::<Result<Vec<_>, _>>()?;
    number(&mut shards)?;
    one_set(root, &shards)?;
    let classes = Classes::of(&shards)?;

    let is_of = |part| move |shard: &&Shard| part_of(root, &shard.path) == part;
    let order = match part {
        Part::Train => &[Part::Train][..],
        Part::Validation => &[Part::Validation, Part::Test, Part::Train],
        Part::Test => &[Part::Test, Part::Validation, Part::Train],
    };
    let Some(&from) = order
        .iter()
        .find(|&&part| shards.iter().any(|s| is_of(part)(&s)))
    else {
        return Err(DataError::Missing {
            path: root.into(),
            missing: "train-….parquet or train/….parquet".into(),
            set: "a set of parquet files",
        });
    };
    let held_out = [Part::Validation, Part::Test]
        .iter()
        .all(|&part| !shards.iter().any(|s| is_of(part)(&s)));
    let chosen: Vec<&Shard> = shards.iter().filter(is_of(from)).collect();
    let mut samples = samples(&chosen, &classes, part)?;
    put_in_order(&mut samples, &classes.names, |place| {
        name(&chosen[place.file as usize].path, *place)
    })?;
    if held_out {
        samples = hold_out(samples, part);
    }
    if samples.is_empty() {
        return Err(DataError::NoPictures {
            path: root.into(),
            reason: "its files have no rows, or (where every tenth picture of a class is held out) \
                     fewer than ten of each class; add rows, or validation-….parquet",
        });
    }

    let columns: Vec<Result<Column, DataError>> =
        chosen.par_iter().map(|shard| shard.pictures()).collect();
    let columns = columns.into_iter().collect::<Result<Vec<_>, _>>()?;
    // In place of a picture's length stands its page's: neither can be known without unpacking all.
    let fields = samples.iter().map(|sample| {
        let column = &columns[sample.place.file as usize];
        let page = column.page_of(sample.place.row).0;
        (sample.key.as_str(), sample.label, column.packed(page))
    });
    let fingerprint = fingerprint(&classes.names, fields);
    let packed = columns.iter().map(Column::all_packed).sum();
    let paths = chosen.iter().map(|shard| shard.path.clone());
    Ok(Parquet {
        classes: classes.names,
        files: paths.zip(columns).collect(),
        samples,
        fingerprint,
        packed,
        cache: Cache::default(),
    })
}

/// The rows of the files of `part`, with the file names of their paths for keys.
fn samples(
    shards: &[&Shard],
    classes: &Classes,
    part: Part,
) -> Result<Vec<Sample<Place>>, DataError> {
    let has_label = |label: &Option<i64>| label.is_some_and(|label| label != -1);
    let unlabelled = part == Part::Test
        && !shards
            .iter()
            .any(|shard| shard.labels.iter().any(has_label));
    let has_paths = shards.iter().all(|shard| {
        shard.paths.len() as u64 == shard.rows() && shard.paths.iter().all(Option::is_some)
    });
    let mut samples = Vec::new();
    for (file, shard) in (0..).zip(shards) {
        if !unlabelled && shard.labels.is_empty() && shard.rows() > 0 {
            return Err(shard.error(shard.no_labels()));
        }
        for row in 0..shard.rows() {
            let label = shard.labels.get(row as usize).copied().flatten();
            if !unlabelled && !has_label(&label) {
                let row_group = shard.row_group(row);
                return Err(shard.error(ParquetProblem::NoLabel { row_group, row }));
            }
            let path = shard.paths.get(row as usize).and_then(Option::as_deref);
            let key = match path.filter(|_| has_paths) {
                Some(path) => path.rsplit('/').next().unwrap_or(path).into(),
                None => format!("{:08}", samples.len()),
            };
            let label = if unlabelled {
                None
            } else {
                classes.place(label)
            };
            samples.push(Sample {
                label,
                key,
                place: Place { file, row },
            });
        }
    }
    Ok(samples)
}

fn name(path: &Path, place: Place) -> String {
    format!("{} (row {})", path.display(), place.row)
}

/// Reads a file that is these bytes, and each page of its pictures: for the fuzzer. Gives the rows of
/// the pages that unpack.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn scan(bytes: &[u8]) -> Option<usize> {
    let mut file = std::io::Cursor::new(bytes);
    let mut shard = Shard::read("fuzzed".into(), &mut file).ok()?;
    number(std::slice::from_mut(&mut shard)).ok()?;
    let classes = Classes::of(std::slice::from_ref(&shard)).ok()?;
    let mut samples = samples(&[&shard], &classes, Part::Test).ok()?;
    put_in_order(&mut samples, &classes.names, |place| {
        name(&shard.path, *place)
    })
    .ok()?;
    let column = shard.index(&mut file).ok()?;
    for sample in &samples {
        let (page, _) = column.page_of(sample.place.row);
        assert!(page < column.pages());
    }
    let pages = (0..column.pages()).map(|page| column.read::<ByteArrayType>(&mut file, page));
    Some(pages.flatten().map(|(rows, _)| rows.len()).sum())
}

#[cfg(test)]
impl Parquet {
    /// The same, with another bound for the pages that are kept.
    pub(crate) fn keeping(self, bytes: usize) -> Self {
        let cache = Cache::of(bytes);
        Self { cache, ..self }
    }

    /// How often a page was read.
    pub(crate) fn page_reads(&self) -> usize {
        self.cache.reads.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl Parquet {
    /// The page that picture `i` lies in.
    fn page(&self, i: usize) -> Result<Rows, DataError> {
        let Place { file, row } = self.samples[i].place;
        let (path, column) = &self.files[file as usize];
        let page = column.page_of(row).0;
        self.cache.get((file as usize, page), || {
            let mut file = shard::file(path)?;
            let rows = column.read::<ByteArrayType>(&mut file, page);
            rows.map_err(|problem| DataError::Parquet {
                path: path.clone(),
                problem,
            })
        })
    }

    /// Decodes picture `i`, of the page `rows`.
    fn decode(&self, rows: &Rows, i: usize) -> Result<Picture, DataError> {
        let Place { file, row } = self.samples[i].place;
        let (path, column) = &self.files[file as usize];
        match &rows[column.page_of(row).1] {
            Some(bytes) => decode_at(bytes.data(), || self.name(i)),
            None => {
                let row_group = column.row_group(row);
                Err(DataError::Parquet {
                    path: path.clone(),
                    problem: ParquetProblem::NoPicture { row_group, row },
                })
            }
        }
    }
}

impl Dataset for Parquet {
    fn len(&self) -> usize {
        self.samples.len()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, i: usize) -> Option<u32> {
        self.samples[i].label
    }

    fn picture(&self, i: usize) -> Result<Picture, DataError> {
        self.decode(&self.page(i)?, i)
    }

    fn name(&self, i: usize) -> String {
        let place = self.samples[i].place;
        name(&self.files[place.file as usize].0, place)
    }

    fn key(&self, i: usize) -> String {
        self.samples[i].key.clone()
    }

    fn channels(&self) -> usize {
        3
    }

    fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// A page; none where all pages are kept and read once in any order.
    fn block(&self, i: usize) -> Option<u64> {
        let Place { file, row } = self.samples[i].place;
        let page = || u64::from(file) << 32 | self.files[file as usize].1.page_of(row).0 as u64;
        (!self.cache.keeps(self.packed)).then(page)
    }

    fn read_block(
        &self,
        places: &[usize],
        each: &mut dyn FnMut(usize, Result<Picture, DataError>),
    ) {
        // Held: the pages of other threads may push it out of those that are kept.
        let page = places.first().and_then(|&i| self.page(i).ok());
        for &i in places {
            let picture = match &page {
                Some(rows) => self.decode(rows, i),
                None => self.picture(i),
            };
            each(i, picture);
        }
    }
}
