//! ILSVRC 2012, as its keepers and Kaggle give it: training pictures by class (a tar of a tar a class,
//! those tars, or folders), validation and test pictures in one folder or tar each.
//!
//! Validation labels come from the devkit or from Kaggle's `LOC_val_solution.csv`. What a folder or
//! archive is shows in the names it holds; only the part that is asked for is looked through.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rayon::prelude::*;

use super::beside::{first_members, unless_unreadable};
use super::devkit;
use super::holds::Holds;
use super::labels::{Labels, kaggle, parse, places};
use super::listing::{Listing, Sample};
use super::slice::Slice;
use super::tree::{File, Folder, is_archive};
use super::wnid;
use crate::{DataError, Part};

const SET: &str = "ILSVRC 2012";
const SOLUTION: &str = "LOC_val_solution.csv";
const MAPPING: &str = "LOC_synset_mapping.txt";

/// Where the pictures are below a folder of Kaggle's tree.
const KAGGLE: [&str; 3] = ["ILSVRC/Data/CLS-LOC", "Data/CLS-LOC", "CLS-LOC"];

/// A folder of pictures, on disk or still to be found in an archive.
#[derive(Debug)]
enum Place {
    Folder(Folder),
    Archive(File),
}

impl Place {
    fn path(&self) -> PathBuf {
        match self {
            Self::Folder(folder) => folder.path(),
            Self::Archive(file) => file.path(),
        }
    }

    /// The folder itself, past folders that hold nothing but one folder.
    fn folder(&self) -> Result<Folder, DataError> {
        let mut folder = match self {
            Self::Folder(folder) => folder.clone(),
            Self::Archive(file) => file.enter()?,
        };
        loop {
            match folder.folders()?.as_slice() {
                [only] if !wnid::is_wnid(only) && folder.files(|_| true)?.is_empty() => {
                    folder = folder.join(only);
                }
                _ => return Ok(folder),
            }
        }
    }
}

/// What is at hand of the set.
#[derive(Debug)]
pub(crate) struct Ilsvrc {
    root: PathBuf,
    /// Of each part, wherever it seems to be; folders before archives.
    train: Vec<Place>,
    validation: Vec<Place>,
    test: Vec<Place>,
    /// The devkit's `data`.
    devkit: Option<Folder>,
    solution: Option<File>,
    mapping: Option<File>,
}

/// Looks for the set in `root`. Picture folders alone, though named by WNIDs, are not it.
pub(crate) fn find(root: &Folder) -> Result<Option<Ilsvrc>, DataError> {
    let base = KAGGLE
        .iter()
        .find_map(|below| folder_below(root, below))
        .unwrap_or_else(|| root.clone());
    let mut found = Ilsvrc {
        root: root.path(),
        train: Vec::new(),
        validation: Vec::new(),
        test: Vec::new(),
        devkit: None,
        solution: beside(root, SOLUTION),
        mapping: beside(root, MAPPING),
    };
    let mut sure = found.solution.is_some() || found.mapping.is_some();

    let here = Place::Folder(base.clone());
    let mut places = vec![(String::new(), Holds::of_folder(&base)?, here)];
    for name in base
        .folders()?
        .into_iter()
        .filter(|name| !wnid::is_wnid(name))
    {
        let place = Place::Folder(base.join(&name));
        let holds = place.folder().and_then(|folder| Holds::of_folder(&folder));
        match unless_unreadable(&place.path(), holds)? {
            None => {}
            // The archives may lie apart, `train/ILSVRC2012_img_train.tar`.
            Some(Holds::Other) => archives(&base.join(&name), &mut places)?,
            Some(holds) => places.push((name, holds, place)),
        }
    }
    archives(&base, &mut places)?;
    for (name, holds, place) in places {
        sure |= !matches!(holds, Holds::ClassFolders | Holds::Other);
        let of_part = match holds {
            // Its labels are nobody's business here: no test pictures have any.
            Holds::ClassFolders if name == "test" => continue,
            Holds::ClassFolders if name.contains("val") => &mut found.validation,
            Holds::ClassArchives | Holds::ClassFolders => &mut found.train,
            Holds::Validation => &mut found.validation,
            Holds::Test => &mut found.test,
            Holds::Devkit | Holds::Other => continue,
        };
        of_part.push(place);
    }
    found.devkit = devkit::find(root)?;
    for name in root.folders()?.iter().filter(|name| !wnid::is_wnid(name)) {
        if found.devkit.is_none() {
            let below = root.join(name);
            found.devkit = unless_unreadable(&below.path(), devkit::find(&below))?.flatten();
        }
    }
    sure |= found.devkit.is_some();
    Ok(sure.then_some(found))
}

/// Appends the archives in `folder` that are not of one class, and what they hold.
fn archives(folder: &Folder, places: &mut Vec<(String, Holds, Place)>) -> Result<(), DataError> {
    for file in folder.files(|name| is_archive(name) && wnid::leading(name).is_none())? {
        let holds = holds(&file, &first_members(&file)?)?;
        places.push((file.name.clone(), holds, Place::Archive(file)));
    }
    Ok(())
}

/// What an archive with these first names holds. Pictures in a folder of it may be followed by others,
/// as in an archive of the whole set: then it is all looked through, unless it has the name that its
/// keepers gave it.
pub(crate) fn holds(file: &File, members: &[String]) -> Result<Holds, DataError> {
    let holds = Holds::of(members.iter().map(String::as_str));
    let in_folder = members.iter().all(|path| path.contains('/'));
    match holds {
        Holds::Validation | Holds::Test
            if in_folder && !file.name.starts_with("ILSVRC2012_img_") =>
        {
            Holds::of_folder(&Place::Archive(file.clone()).folder()?)
        }
        holds => Ok(holds),
    }
}

/// Whether a file of this name belongs to the set and is no archive.
pub(crate) fn is_file_of(name: &str) -> bool {
    [SOLUTION, MAPPING].contains(&name)
}

fn folder_below(root: &Folder, below: &str) -> Option<Folder> {
    below
        .split('/')
        .try_fold(root.clone(), |folder, name| folder.folder(name))
}

/// The file in `root`, or where `root` is a part of Kaggle's tree, above it.
fn beside(root: &Folder, name: &str) -> Option<File> {
    if let Some(file) = root.file(name) {
        return Some(file);
    }
    let Folder::Disk(path) = root else {
        return None;
    };
    let above = KAGGLE
        .iter()
        .chain(&["ILSVRC", "ILSVRC/Data"])
        .find(|below| path.ends_with(below))?;
    // "ILSVRC" given as it is has the parent "", which means here.
    let root = path.ancestors().nth(above.split('/').count())?;
    let root = if root.as_os_str().is_empty() {
        ".".as_ref()
    } else {
        root
    };
    Folder::Disk(root.into()).file(name)
}

impl Ilsvrc {
    /// Lists one part.
    pub(crate) fn open(&self, part: Part) -> Result<Listing, DataError> {
        let synsets = match &self.devkit {
            Some(data) => Some(devkit::synsets(data)?),
            None => None,
        };
        let by_id: Vec<String> = synsets
            .iter()
            .flatten()
            .map(|synset| synset.wnid.clone())
            .collect();
        let mut words: BTreeMap<String, String> = synsets
            .into_iter()
            .flatten()
            .map(|synset| (synset.wnid, synset.words))
            .collect();
        if words.is_empty() {
            words = self.mapping()?;
        }
        if words.is_empty() {
            words = self.names()?;
        }
        let wnids: Vec<String> = words.keys().cloned().collect();

        let samples = match part {
            Part::Train => self.train(&wnids)?,
            Part::Validation => self.validation(&wnids, &by_id)?,
            Part::Test => {
                let folder =
                    self.place(&self.test, "ILSVRC2012_img_test.tar (or a folder of it)")?;
                let mut samples = Vec::new();
                super::folder::append(&folder, None, &mut samples)?;
                samples
            }
        };
        let classes = words
            .iter()
            .map(|(wnid, words)| wnid::class(wnid, (!words.is_empty()).then_some(words)))
            .collect();
        Listing::new(self.root.clone(), classes, samples, None)
    }

    /// The folder of one part: of one that is there unpacked and as an archive, the unpacked.
    fn place(&self, places: &[Place], missing: &str) -> Result<Folder, DataError> {
        let unpacked = places
            .iter()
            .take_while(|place| matches!(place, Place::Folder(_)))
            .count();
        match &places[..if unpacked > 0 { unpacked } else { places.len() }] {
            [] => Err(self.missing(missing)),
            [place] => place.folder(),
            [first, second, ..] => Err(DataError::Twice {
                first: first.path(),
                second: second.path(),
            }),
        }
    }

    fn missing(&self, missing: &str) -> DataError {
        DataError::Missing {
            path: self.root.clone(),
            missing: missing.into(),
            set: SET,
        }
    }

    /// Kaggle's list of classes: `n01440764 tench, Tinca tinca`.
    fn mapping(&self) -> Result<BTreeMap<String, String>, DataError> {
        let Some(file) = &self.mapping else {
            return Ok(BTreeMap::new());
        };
        (1..)
            .zip(file.text()?.lines())
            .filter(|(_, text)| !text.trim().is_empty())
            .map(|(line, text)| {
                let (wnid, words) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
                if !wnid::is_wnid(wnid) {
                    return Err(DataError::Line {
                        path: file.path(),
                        line,
                        reason: format!("{wnid:?} is no WNID, such as n01440764"),
                    });
                }
                Ok((wnid.into(), words.into()))
            })
            .collect()
    }

    /// The classes where no list of them is at hand: those of the training pictures, or else of the
    /// validation pictures' labels, or else all 1,000.
    fn names(&self) -> Result<BTreeMap<String, String>, DataError> {
        let mut wnids: Vec<String> = Vec::new();
        if let Some(train) = self.train.first() {
            let folder = train.folder()?;
            let files = folder.files(is_archive)?.into_iter().map(|file| file.name);
            let names = folder.folders()?.into_iter().chain(files);
            wnids = names
                .filter_map(|name| wnid::leading(&name).map(String::from))
                .collect();
        } else if let Some(file) = &self.solution {
            let text = file.text()?;
            let labels = text.lines().filter_map(kaggle);
            wnids = labels.map(|(_, wnid)| wnid.into()).collect();
        }
        if wnids.is_empty() {
            wnids = wnid::of_ilsvrc().map(String::from).collect();
        }
        Ok(wnids
            .into_iter()
            .map(|wnid| (wnid, String::new()))
            .collect())
    }

    fn train(&self, wnids: &[String]) -> Result<Vec<Sample<Slice>>, DataError> {
        let root = self.place(
            &self.train,
            "ILSVRC2012_img_train.tar (or its class folders)",
        )?;
        by_class(&root, wnids, self)
    }

    fn validation(
        &self,
        wnids: &[String],
        by_id: &[String],
    ) -> Result<Vec<Sample<Slice>>, DataError> {
        let folder = self.place(
            &self.validation,
            "ILSVRC2012_img_val.tar (or a folder of it)",
        )?;
        if folder.folders()?.iter().any(|name| wnid::is_wnid(name)) {
            return by_class(&folder, wnids, self);
        }
        let places = places(wnids);
        let labels = if let Some(file) = &self.solution {
            let of = parse(&file.text()?, &places, kaggle).map_err(|(line, reason)| {
                DataError::Line {
                    path: file.path(),
                    line,
                    reason,
                }
            })?;
            Labels {
                file: file.path(),
                of,
            }
        } else if let Some(data) = &self.devkit {
            let (file, ids) = devkit::ground_truth(data, by_id.len())?;
            let of = (1..).zip(ids).map(|(picture, id)| {
                (
                    format!("ILSVRC2012_val_{picture:08}"),
                    places[&by_id[id - 1]],
                )
            });
            Labels {
                file,
                of: of.collect(),
            }
        } else {
            return Err(DataError::NoLabels {
                pictures: folder.path(),
                missing: format!("{} (or Kaggle's {SOLUTION})", devkit::ARCHIVE),
            });
        };
        labels.of_pictures(&folder)
    }
}

/// The pictures of a folder that has a folder or tar for each class.
fn by_class(
    root: &Folder,
    wnids: &[String],
    set: &Ilsvrc,
) -> Result<Vec<Sample<Slice>>, DataError> {
    let mut classes = Vec::new();
    for name in root.folders()? {
        classes.push((name.clone(), Place::Folder(root.join(&name))));
    }
    for file in root.files(|name| is_archive(name) && wnid::leading(name).is_some())? {
        classes.push((file.name.clone(), Place::Archive(file)));
    }
    let mut labelled = BTreeMap::new();
    for (name, place) in classes {
        let label = wnid::leading(&name)
            .and_then(|wnid| wnids.binary_search_by(|known| (**known).cmp(wnid)).ok());
        let Some(label) = label else {
            return Err(DataError::UnknownClass {
                path: root.join(&name).path(),
                train: set.root.clone(),
            });
        };
        if let Some((first, _)) = labelled.insert(label as u32, (name.clone(), place)) {
            return Err(DataError::Duplicate {
                first: root.join(&first).path().display().to_string(),
                second: root.join(&name).path().display().to_string(),
                key: wnids[label].clone(),
            });
        }
    }
    if let Some((_, wnid)) = (0..)
        .zip(wnids)
        .find(|(label, _)| !labelled.contains_key(label))
    {
        return Err(DataError::MissingClass {
            path: root.path(),
            class: wnid.clone(),
        });
    }
    // A thousand archives to scan: where the disk waits, several wait at once.
    let samples: Vec<_> = labelled
        .into_par_iter()
        .map(|(label, (_, place))| {
            let mut samples = Vec::new();
            super::folder::append(&place.folder()?, Some(label), &mut samples)?;
            Ok(samples)
        })
        .collect::<Result<_, DataError>>()?;
    Ok(samples.into_iter().flatten().collect())
}
