//! WebDataset: tars ("shards") in which the files of one sample share a name up to its first dot:
//! `KEY.jpg` with `KEY.cls` (a number or a class) or `KEY.json` (`label`, and `filename` if the picture
//! once had another).
//!
//! Which part a shard belongs to shows in its path: `train`, `val` or `test`. Without any, or with test
//! pictures without labels alone, every tenth picture of a class is held out. Numbers are places in `classes.txt` or `classnames.txt` beside the
//! shards, a class a line; else, where the training pictures are named by WNIDs, of their classes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use rayon::prelude::*;
use serde_json::Value;

use super::beside::first_members;
use super::holds::FIRST;
use super::listing::{Listing, Sample};
use super::slice::Slice;
use super::tree::{File, Folder, is_archive, is_picture};
use super::{numbered, wnid};
use crate::{DataError, Part};

const LISTS: [&str; 2] = ["classes.txt", "classnames.txt"];

/// Most bytes a label may have.
const LARGEST_LABEL: u64 = 1 << 20;

/// Most classes that labels may number.
const MOST_CLASSES: u32 = 100_000;

/// The shards of a set.
#[derive(Debug)]
pub(crate) struct WebDataset {
    root: PathBuf,
    /// Those of no part are for training.
    shards: Vec<(Part, File)>,
    /// `classes.txt`, if there is one.
    classes: Option<File>,
}

/// A label as it stands in a shard.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Label {
    Number(u32),
    Class(String),
}

/// Whether an archive of these members is a shard: a picture and a label share a name.
pub(crate) fn is_shard(members: &[String]) -> bool {
    let keys = |wanted: fn(&str) -> bool| {
        members
            .iter()
            .map(|path| key(path))
            .filter(move |(_, ending)| wanted(ending))
            .map(|(key, _)| key)
    };
    let labelled: BTreeSet<&str> = keys(|ending| ending == "cls" || ending == "json").collect();
    keys(|ending| is_picture(&format!(".{ending}"))).any(|key| labelled.contains(key))
}

/// A path up to the first dot of its name, and what follows that dot.
fn key(path: &str) -> (&str, &str) {
    let name = path.rfind('/').map_or(0, |slash| slash + 1);
    match path[name..].find('.') {
        Some(dot) => (&path[..name + dot], &path[name + dot + 1..]),
        None => (path, ""),
    }
}

/// Looks for shards in `root` and in folders there that are named as a part.
pub(crate) fn find(root: &Folder) -> Result<Option<WebDataset>, DataError> {
    let mut shards = Vec::new();
    let below = root.folders()?;
    let below = below.iter().filter(|name| part_of(name).is_some());
    for (within, folder) in std::iter::once(("", root.clone()))
        .chain(below.map(|name| (name.as_str(), root.join(name))))
    {
        let files = folder.files(is_archive)?;
        // One of each part for all: to open each of thousands takes its time. Test pictures may have no labels.
        let mut firsts = BTreeMap::new();
        for file in &files {
            firsts
                .entry(part_of(&file.name).map(Part::name))
                .or_insert(file);
        }
        let mut is_any = false;
        for first in firsts.into_values() {
            is_any = is_any || is_shard(&first_members(first)?);
        }
        if !is_any {
            continue;
        }
        for file in files {
            let part = part_of(&file.name).or(part_of(within));
            shards.push((part.unwrap_or(Part::Train), file));
        }
    }
    let paths: Vec<PathBuf> = shards.iter().map(|(_, file)| file.path()).collect();
    numbered::check(&paths, "a WebDataset")?;
    Ok((!shards.is_empty()).then(|| WebDataset {
        root: root.path(),
        shards,
        classes: LISTS.iter().find_map(|name| root.file(name)),
    }))
}

/// The shard that `file` is, if it is one.
pub(crate) fn of_file(file: &File) -> Result<Option<WebDataset>, DataError> {
    Ok(is_shard(&file.first_members(FIRST)?).then(|| WebDataset {
        root: file.path(),
        classes: None,
        shards: vec![(Part::Train, file.clone())],
    }))
}

fn part_of(name: &str) -> Option<Part> {
    let name = name.to_ascii_lowercase();
    [
        ("train", Part::Train),
        ("val", Part::Validation),
        ("test", Part::Test),
    ]
    .into_iter()
    .find_map(|(word, part)| name.contains(word).then_some(part))
}

/// A picture of a shard before its label is known to be a place among classes.
type Raw = Sample<(Slice, Option<Label>)>;

impl WebDataset {
    /// Lists one part.
    pub(crate) fn open(&self, part: Part) -> Result<Listing, DataError> {
        let has = |part| self.shards.iter().any(|(of, _)| *of == part);
        // Test pictures stand for validation pictures where there are none, if they have labels.
        let apart = match part {
            _ if has(Part::Validation) => true,
            Part::Test => has(Part::Test),
            _ => {
                let test = self.read(Part::Test)?;
                test.iter().any(|sample| sample.place.1.is_some())
            }
        };
        let from = match part {
            _ if !apart => Part::Train,
            Part::Validation if !has(Part::Validation) => Part::Test,
            Part::Test if !has(Part::Test) => Part::Validation,
            part => part,
        };
        if !has(from) {
            return Err(DataError::Missing {
                path: self.root.clone(),
                missing: "shards with `train` in their names".into(),
                set: "a WebDataset",
            });
        }
        let mut raw = self.read(from)?;
        let classes = match &self.classes {
            Some(file) => Classes::listed(file)?,
            None if from != Part::Train && has(Part::Train) => {
                Classes::of(&self.read(Part::Train)?)?
            }
            None => Classes::of(&raw)?,
        };
        for sample in &mut raw {
            let slice = &sample.place.0;
            sample.label = match &sample.place.1 {
                Some(label) => Some(classes.place(label, slice)?),
                None if part == Part::Test => None,
                None => {
                    return Err(DataError::NoLabel {
                        picture: slice.path(),
                        labels: format!("{}.cls or .json", key(&slice.path().to_string_lossy()).0)
                            .into(),
                    });
                }
            };
        }
        let samples = raw
            .into_iter()
            .map(|sample| Sample {
                label: sample.label,
                key: sample.key,
                place: sample.place.0,
            })
            .collect();
        let held_out = (!apart).then_some(part);
        Listing::new(self.root.clone(), classes.names, samples, held_out)
    }

    fn read(&self, part: Part) -> Result<Vec<Raw>, DataError> {
        let shards: Vec<&File> = self
            .shards
            .iter()
            .filter(|(of, _)| *of == part)
            .map(|(_, file)| file)
            .collect();
        let samples: Vec<Vec<Raw>> = shards
            .into_par_iter()
            .map(|file| {
                let mut samples = Vec::new();
                read_folder(&file.enter()?, &mut samples)?;
                Ok(samples)
            })
            .collect::<Result<_, DataError>>()?;
        Ok(samples.into_iter().flatten().collect())
    }
}

/// The files of one sample that are read.
#[derive(Default)]
struct Files {
    picture: Option<File>,
    cls: Option<File>,
    json: Option<File>,
}

/// Appends the samples of a shard's folder and of the folders in it.
fn read_folder(folder: &Folder, samples: &mut Vec<Raw>) -> Result<(), DataError> {
    let mut by_key: BTreeMap<String, Files> = BTreeMap::new();
    for file in folder.files(|_| true)? {
        let (key, ending) = key(&file.name);
        let files = by_key.entry(key.into()).or_default();
        let slot = match ending {
            "cls" => &mut files.cls,
            "json" => &mut files.json,
            _ if is_picture(&file.name) => &mut files.picture,
            _ => continue,
        };
        if let Some(first) = slot {
            return Err(DataError::Duplicate {
                first: first.path().display().to_string(),
                second: file.path().display().to_string(),
                key: key.into(),
            });
        }
        *slot = Some(file);
    }
    let label_of = |file: &File| file.slice().read_up_to(LARGEST_LABEL);
    for files in by_key.into_values() {
        let Some(picture) = files.picture else {
            continue;
        };
        let (mut label, mut name) = (None, None);
        if let Some(file) = files.json {
            (label, name) = parse_json(&label_of(&file)?).map_err(|reason| DataError::Line {
                path: file.path(),
                line: 1,
                reason,
            })?;
        }
        if let Some(file) = files.cls {
            let bytes = label_of(&file)?;
            let text = String::from_utf8_lossy(&bytes);
            label = parse_cls(text.trim()).map_err(|reason| DataError::Line {
                path: file.path(),
                line: 1,
                reason,
            })?;
        }
        samples.push(Sample {
            label: None,
            key: name.unwrap_or_else(|| picture.name.clone()),
            place: (picture.slice(), label),
        });
    }
    for name in folder.folders()? {
        read_folder(&folder.join(&name), samples)?;
    }
    Ok(())
}

/// A number, or the name of a class; -1 is no label.
fn parse_cls(text: &str) -> Result<Option<Label>, String> {
    let numeric = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"+-.".contains(&byte));
    match text.parse() {
        Ok(number) => Ok(Some(Label::Number(number))),
        Err(_) if text == "-1" => Ok(None),
        Err(_) if numeric => Err(format!("the label is {text:?}")),
        Err(_) => Ok(Some(Label::Class(text.into()))),
    }
}

/// `label` (or `cls`, `class_name`, `class`, `wnid`), of which -1 is none, and the last part of `filename`.
pub(crate) fn parse_json(bytes: &[u8]) -> Result<(Option<Label>, Option<String>), String> {
    let json: Value = serde_json::from_slice(bytes).map_err(|error| format!("no JSON: {error}"))?;
    let label = ["label", "cls", "wnid", "class_name", "class"]
        .iter()
        .find_map(|field| json.get(field));
    let label = match label {
        None | Some(Value::Null) => None,
        Some(label) if label.as_i64() == Some(-1) => None,
        Some(Value::String(class)) => Some(Label::Class(class.trim().into())),
        Some(label) => {
            let number = label.as_u64().and_then(|number| number.try_into().ok());
            Some(Label::Number(
                number.ok_or_else(|| format!("the label is {label}"))?,
            ))
        }
    };
    let name = json.get("filename").and_then(Value::as_str);
    let name = name
        .and_then(|path| path.rsplit('/').next())
        .filter(|name| !name.is_empty());
    Ok((label, name.map(String::from)))
}

/// What labels stand for.
struct Classes {
    names: Vec<String>,
    places: BTreeMap<Label, u32>,
}

impl Classes {
    /// A class a line; a number is a line, from 0.
    fn listed(file: &File) -> Result<Self, DataError> {
        let text = file.text()?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let class = |line: &str| match wnid::leading(line) {
            Some(wnid) => {
                let words = line[wnid.len()..].trim();
                wnid::class(wnid, (!words.is_empty()).then_some(words))
            }
            None => line.into(),
        };
        let labels: Vec<(Label, String)> = (0..)
            .zip(lines)
            .map(|(line, text)| (Label::Number(line), class(text)))
            .collect();
        // WNIDs stand sorted everywhere; other names as their list has them.
        let mut names: Vec<String> = labels.iter().map(|(_, class)| class.clone()).collect();
        if names.iter().all(|name| wnid::leading(name).is_some()) {
            names.sort_unstable();
        }
        Ok(Self::new(names, labels))
    }

    /// Those that pictures have, sorted.
    fn of(samples: &[Raw]) -> Result<Self, DataError> {
        let mut classes: BTreeMap<Label, String> = BTreeMap::new();
        // Whether a number always goes with one WNID.
        let mut named = true;
        let mut last = None;
        for sample in samples {
            let (slice, label) = &sample.place;
            match label {
                None => {}
                Some(Label::Class(class)) => {
                    classes.insert(Label::Class(class.clone()), wnid::class(class, None));
                }
                Some(label @ Label::Number(number)) => {
                    if *number >= MOST_CLASSES {
                        return Err(beyond(slice, *number, MOST_CLASSES as usize));
                    }
                    last = last.max(Some(*number));
                    let class = wnid::leading(&sample.key).map(|wnid| wnid::class(wnid, None));
                    named &= class.is_some();
                    let class = class.unwrap_or_default();
                    let known = classes
                        .entry(label.clone())
                        .or_insert_with(|| class.clone());
                    named &= *known == class;
                }
            }
        }
        if let (Some(last), false) = (last, named) {
            let width = last.to_string().len();
            for number in 0..=last {
                classes.insert(Label::Number(number), format!("{number:0width$}"));
            }
        }
        let names: BTreeSet<String> = classes.values().cloned().collect();
        Ok(Self::new(
            names.into_iter().collect(),
            classes.into_iter().collect(),
        ))
    }

    /// A class may also be given by its name, or by its WNID alone.
    fn new(names: Vec<String>, labels: Vec<(Label, String)>) -> Self {
        let mut by_name: BTreeMap<&str, u32> = BTreeMap::new();
        for (place, name) in (0..).zip(&names) {
            by_name.entry(name).or_insert(place);
        }
        let mut places = BTreeMap::new();
        for (line, (label, class)) in (0..).zip(labels) {
            // Two lines of a list may say the same (ILSVRC has two classes `crane`).
            let same = names.get(line as usize) == Some(&class);
            let place = if same { line } else { by_name[class.as_str()] };
            places.insert(label, place);
        }
        for (name, &place) in &by_name {
            let wnid = wnid::leading(name).unwrap_or(name);
            for label in [*name, wnid] {
                places.entry(Label::Class(label.into())).or_insert(place);
            }
        }
        Self { names, places }
    }

    fn place(&self, label: &Label, slice: &Slice) -> Result<u32, DataError> {
        self.places.get(label).copied().ok_or_else(|| match label {
            Label::Number(number) => beyond(slice, *number, self.names.len()),
            Label::Class(class) => DataError::Line {
                path: slice.path(),
                line: 1,
                reason: format!(
                    "its label {class:?} is none of the {} classes",
                    self.names.len()
                ),
            },
        })
    }
}

fn beyond(slice: &Slice, label: u32, classes: usize) -> DataError {
    DataError::Line {
        path: slice.path(),
        line: 1,
        reason: format!(
            "its label {label} is beyond the {classes} classes (0 to {})",
            classes.saturating_sub(1)
        ),
    }
}
