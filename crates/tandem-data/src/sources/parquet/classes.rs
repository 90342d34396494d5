//! What the labels of a set mean.

use std::collections::{BTreeSet, HashMap};

use super::problem::ParquetProblem;
use super::shard::Shard;
use crate::DataError;
use crate::sources::wnid;

/// Most classes of labels without names: one damaged label must not make a billion of them.
const UNNAMED: i64 = 65_536;

/// The classes of a set of files, and which class each label is.
#[derive(Debug)]
pub(super) struct Classes {
    pub(super) names: Vec<String>,
    /// Of each label, its place in `names`.
    places: Vec<u32>,
}

/// Makes numbers of labels that are names: places among all names of the set, sorted.
///
/// # Errors
///
/// If there are more names than classes are read.
pub(super) fn number(shards: &mut [Shard]) -> Result<(), DataError> {
    let names: BTreeSet<Box<str>> = shards
        .iter()
        .flat_map(|shard| shard.named.iter().flatten().cloned())
        .collect();
    for shard in shards.iter_mut().filter(|shard| !shard.named.is_empty()) {
        if names.len() as i64 > UNNAMED {
            return Err(shard.error(ParquetProblem::TooManyNames {
                found: names.len(),
                limit: UNNAMED as usize,
            }));
        }
        let places: HashMap<&str, i64> = names.iter().map(|name| &**name).zip(0..).collect();
        shard.labels = shard
            .named
            .iter()
            .map(|name| name.as_deref().map(|name| places[name]))
            .collect();
        shard.named = Vec::new();
        shard.names = Some(names.iter().map(|name| String::from(&**name)).collect());
    }
    Ok(())
}

impl Classes {
    /// Works out the classes from the class names in the files' metadata and the WNIDs in the pictures'
    /// paths.
    pub(super) fn of(shards: &[Shard]) -> Result<Self, DataError> {
        let names = names(shards)?;
        let largest = shards
            .iter()
            .flat_map(|shard| &shard.labels)
            .flatten()
            .max();
        let count = match names {
            Some(names) => names.len(),
            None => largest.map_or(0, |&label| (label.clamp(-1, UNNAMED - 1) + 1) as usize),
        };
        let mut wnids: Vec<Option<&str>> = match names {
            Some(names) if are_ilsvrc(names) => wnid::of_ilsvrc().map(Some).collect(),
            Some(names) => names.iter().map(|name| wnid::leading(name)).collect(),
            None => vec![None; count],
        };
        for shard in shards {
            for (row, label) in (0_u64..).zip(&shard.labels) {
                check(shard, row, *label, &mut wnids)?;
            }
        }
        // A thousand classes, none of which contradicts the list: some may have no picture here.
        let known = || wnids.iter().zip(wnid::of_ilsvrc());
        if count == 1000
            && wnids.iter().any(Option::is_some)
            && known().all(|(found, listed)| found.is_none_or(|found| found == listed))
        {
            wnids = wnid::of_ilsvrc().map(Some).collect();
        }

        let class = |label: usize| {
            let name = names.map(|names| names[label].as_str());
            match wnids[label] {
                Some(wnid) => wnid::class(wnid, name.filter(|name| *name != wnid)),
                None => name.map_or_else(|| label.to_string(), String::from),
            }
        };
        let mut order: Vec<usize> = (0..count).collect();
        if wnids.iter().all(Option::is_some) {
            order.sort_by_key(|&label| wnids[label]);
        }
        let mut places = vec![0; count];
        (0..)
            .zip(&order)
            .for_each(|(place, &label)| places[label] = place);
        Ok(Self {
            names: order.into_iter().map(class).collect(),
            places,
        })
    }

    /// The place of a label that [`Classes::of`] has seen.
    pub(super) fn place(&self, label: Option<i64>) -> Option<u32> {
        usize::try_from(label?).ok().map(|label| self.places[label])
    }
}

/// The class names of the first file that has any; another's must be the same.
fn names(shards: &[Shard]) -> Result<Option<&[String]>, DataError> {
    let mut named = shards.iter().filter(|shard| shard.names.is_some());
    let Some(first) = named.next() else {
        return Ok(None);
    };
    if let Some(other) = named.find(|shard| shard.names != first.names) {
        let first = first.path.display().to_string();
        return Err(other.error(ParquetProblem::Names { other: first }));
    }
    Ok(first.names.as_deref())
}

/// Whether a thousand names are those of ILSVRC's classes in their order: nine in ten begin alike.
fn are_ilsvrc(names: &[String]) -> bool {
    let first = |words: &str| {
        words
            .split(',')
            .next()
            .map(|word| word.trim().to_lowercase())
    };
    let alike = |(name, wnid): &(&String, &str)| {
        let class = wnid::class(wnid, None);
        class.split_once(' ').and_then(|(_, words)| first(words)) == first(name)
    };
    names.len() == 1000 && names.iter().zip(wnid::of_ilsvrc()).filter(alike).count() >= 900
}

/// Checks a row's label, and its path against the label's WNID, which it may be the first to tell.
fn check<'a>(
    shard: &'a Shard,
    row: u64,
    label: Option<i64>,
    wnids: &mut [Option<&'a str>],
) -> Result<(), DataError> {
    let Some(label) = label.filter(|&label| label != -1) else {
        return Ok(());
    };
    let classes = wnids.len();
    let known = usize::try_from(label)
        .ok()
        .and_then(|label| wnids.get_mut(label));
    let row_group = || shard.row_group(row);
    let Some(known) = known else {
        let row_group = row_group();
        return Err(shard.error(ParquetProblem::Label {
            row_group,
            row,
            label,
            classes,
        }));
    };
    let path = shard.paths.get(row as usize).and_then(Option::as_ref);
    let Some(found) = path.and_then(|path| wnid_of(path)) else {
        return Ok(());
    };
    if *known.get_or_insert(found) != found {
        let (expected, found) = (known.unwrap_or_default().into(), found.into());
        let row_group = row_group();
        return Err(shard.error(ParquetProblem::Wnid {
            row_group,
            row,
            label,
            expected,
            found,
        }));
    }
    Ok(())
}

/// The WNID in a path: `n01440764_10026.JPEG`, `ILSVRC2012_val_00000293_n01440764.JPEG` or
/// `n01440764/10026.JPEG`.
fn wnid_of(path: &str) -> Option<&str> {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let appended = stem.rsplit_once('_').map(|(_, last)| last);
    let folder = folder.rsplit('/').next();
    [appended, folder]
        .into_iter()
        .flatten()
        .find(|name| wnid::is_wnid(name))
        .or_else(|| wnid::leading(file))
}

#[cfg(test)]
mod tests {
    use super::{are_ilsvrc, wnid_of};
    use crate::sources::wnid;

    #[test]
    fn a_wnid_stands_before_behind_or_above_a_pictures_name() {
        for path in [
            "n01440764_10026.JPEG",
            "n01440764_10026_n01440764.JPEG",
            "ILSVRC2012_val_00000293_n01440764.JPEG",
            "train/n01440764/10026.JPEG",
        ] {
            assert_eq!(wnid_of(path), Some("n01440764"), "{path}");
        }
        assert_eq!(wnid_of("ILSVRC2012_test_00000001.JPEG"), None);
    }

    #[test]
    fn the_readable_names_of_ilsvrc_are_known_in_their_order_only() {
        let mut names: Vec<String> = wnid::of_ilsvrc()
            .map(|wnid| wnid::class(wnid, None)[10..].to_string())
            .collect();
        assert!(are_ilsvrc(&names));
        names.reverse();
        assert!(!are_ilsvrc(&names));
        assert!(!are_ilsvrc(&names[..10]));
    }
}
