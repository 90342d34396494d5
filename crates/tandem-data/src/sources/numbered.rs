//! Files of one set that are numbered: whether all are there.
//!
//! `train-00003-of-00294.parquet` says how many there are, so that one that is missing is an error.
//! `train-000003.tar` does not: a gap in the numbers is said, since a set may have been cut down.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::beside::{Beside, say_once};
use crate::DataError;

/// Missing files that are named.
const NAMED: usize = 3;

/// A numbered file's name: what is before its number and behind, the number's digits, and how many
/// files there are of those.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Series<'a> {
    folder: PathBuf,
    before: &'a str,
    behind: &'a str,
    width: usize,
    of: Option<u64>,
}

/// Checks the files at `paths`, which belong to `set`.
///
/// # Errors
///
/// [`DataError::Incomplete`] if some of those that are counted are missing.
pub(crate) fn check(paths: &[PathBuf], set: &'static str) -> Result<(), DataError> {
    let mut series: BTreeMap<Series, BTreeSet<u64>> = BTreeMap::new();
    for path in paths {
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some((of, number)) = name.and_then(|name| parse(path, name)) {
            series.entry(of).or_default().insert(number);
        }
    }
    for (of, numbers) in &series {
        let Some(missing) = gaps(of, numbers) else {
            continue;
        };
        if of.of.is_some() {
            return Err(DataError::Incomplete {
                path: of.folder.clone(),
                missing,
                set,
            });
        }
        say_once(
            &of.folder,
            Beside::Numbers,
            &format!(
                "{} lacks {missing}, by the numbers of the others, which are read",
                of.folder.display()
            ),
        );
    }
    Ok(())
}

fn parse<'a>(path: &Path, name: &'a str) -> Option<(Series<'a>, u64)> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let folder = path.parent()?.to_path_buf();
    if let Some((start, rest)) = name.split_once("-of-") {
        let before = start.trim_end_matches(|c: char| c.is_ascii_digit());
        let (number, of) = (&start[before.len()..], &rest[..digits(rest)]);
        // What follows the count is a checksum of each file's own in what older versions of the
        // `datasets` library wrote.
        let ending = rest.rfind('.').map_or("", |dot| &rest[dot..]);
        let of_one = Series {
            folder,
            before,
            behind: ending,
            width: number.len(),
            of: Some(of.parse().ok()?),
        };
        return Some((of_one, number.parse().ok()?));
    }
    let stem = &name[..name.find('.').unwrap_or(name.len())];
    let before = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = &stem[before.len()..];
    let of_one = Series {
        folder,
        before,
        behind: &name[stem.len()..],
        width: number.len(),
        of: None,
    };
    Some((of_one, number.parse().ok()?))
}

/// The names of the files that are missing; none if all are there, or if the numbers are no count.
fn gaps(of: &Series, numbers: &BTreeSet<u64>) -> Option<String> {
    let (first, last) = (*numbers.first()?, *numbers.last()?);
    let (first, last) = match of.of {
        // Files are counted from 0, by some from 1.
        Some(count) if last == count && count > 0 => (1, count),
        Some(count) => (0, count.checked_sub(1)?),
        None => (first, last),
    };
    let count = (last - first)
        .checked_add(1)?
        .checked_sub(numbers.len() as u64)?;
    // Dates and the like are numbers too, with more gaps than files.
    if count == 0 || (of.of.is_none() && count > numbers.len() as u64) {
        return None;
    }
    let name = |number: u64| {
        let (before, behind, width) = (of.before, of.behind, of.width);
        let of = of
            .of
            .map_or(String::new(), |of| format!("-of-{of:0width$}"));
        format!("{before}{number:0width$}{of}{behind}")
    };
    let missing = (first..=last).filter(|number| !numbers.contains(number));
    let mut names: Vec<String> = missing.take(NAMED).map(name).collect();
    if count > NAMED as u64 {
        names.push(format!("{} more", count - NAMED as u64));
    }
    Some(names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::check;

    fn said(names: &[&str]) -> String {
        let paths: Vec<_> = names
            .iter()
            .map(|name| format!("data/{name}").into())
            .collect();
        check(&paths, "a set").map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn files_that_are_counted_must_all_be_there() {
        let all = [
            "train-00000-of-00002.parquet",
            "train-00001-of-00002.parquet",
        ];
        assert_eq!(said(&all), "");
        assert!(said(&all[..1]).contains("it lacks train-00001-of-00002.parquet"));
        assert!(said(&all[1..]).contains("it lacks train-00000-of-00002.parquet"));
        assert!(said(&["a-00001-of-00009.parquet"]).contains(
            "a-00000-of-00009.parquet, a-00002-of-00009.parquet, a-00003-of-00009.parquet, 5 more"
        ));
        assert_eq!(said(&["a-1-of-2.tar", "a-2-of-2.tar"]), "");
        let hashed = [
            "train-00000-of-00002-ab.parquet",
            "train-00001-of-00002-cd.parquet",
        ];
        assert_eq!(said(&hashed), "");
    }

    #[test]
    fn a_count_that_cannot_be_is_no_count() {
        for name in [
            "-of-.tar",
            "a-of-b.tar",
            "a-0-of-0.tar",
            "a-9-of-99999999999999999999.tar",
        ] {
            assert_eq!(said(&[name]), "", "{name}");
        }
        // As many as there are numbers of, and named few of them.
        assert!(said(&["a-0-of-18446744073709551615.tar"]).contains("18446744073709551611 more"));
    }
}
