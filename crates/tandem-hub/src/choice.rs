//! Which files of a repository hold its data.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::{HubError, Name};

/// The files that hold the data of `name`, sorted, out of all `paths` of the repository.
///
/// Parquet if there is any, else tar archives (and a `.tar.gz` beside them, as ILSVRC's devkit), else
/// pictures in folders. Of parquet and tar the default configuration, as the hub lays it out: what is
/// in `data/`, else what is at the root or in folders named for a split, else in `default/`, else in
/// the only folder there is.
///
/// # Errors
///
/// If nothing lies in the part that `name` names, nothing there holds data, or there are several
/// configurations and none of them is the default.
pub(crate) fn choose(name: &Name, paths: &[String]) -> Result<Vec<String>, HubError> {
    let inside = inside(name, paths)?;
    let scope = name
        .part()
        .filter(|part| inside != [*part])
        .unwrap_or_default();
    let with = |endings: &[&str]| -> Vec<&str> {
        let has = |path: &&str| {
            endings
                .iter()
                .any(|ending| path.to_ascii_lowercase().ends_with(ending))
        };
        inside.iter().copied().filter(has).collect()
    };
    let (parquet, tars) = (with(&[".parquet"]), with(&[".tar"]));
    let mut chosen = if !parquet.is_empty() {
        default_configuration(name, scope, parquet)?
    } else if !tars.is_empty() {
        default_configuration(name, scope, with(&[".tar", ".tar.gz", ".tgz"]))?
    } else {
        // A picture beside the README is no data.
        let mut pictures = with(&[".jpg", ".jpeg", ".png", ".webp"]);
        pictures.retain(|path| below(scope, path).contains('/') || name.part() == Some(path));
        pictures
    };
    if chosen.is_empty() {
        return Err(nothing(name, &inside));
    }
    chosen.sort_unstable();
    Ok(chosen.into_iter().map(Into::into).collect())
}

/// Those of `paths` that lie in the part that `name` names.
///
/// # Errors
///
/// If there are none.
pub(crate) fn inside<'a>(name: &Name, paths: &'a [String]) -> Result<Vec<&'a str>, HubError> {
    let paths = paths.iter().map(String::as_str);
    let Some(part) = name.part() else {
        return Ok(paths.collect());
    };
    let is_inside = |path: &&str| {
        path.strip_prefix(part)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let inside: Vec<&str> = paths.clone().filter(is_inside).collect();
    if inside.is_empty() {
        let tops: BTreeSet<&str> = paths.filter_map(|path| path.split('/').next()).collect();
        return Err(HubError::NoPart {
            repository: name.repository().into(),
            part: part.into(),
            found: some_of(tops),
        });
    }
    Ok(inside)
}

/// `path` without the folder `scope` that it is in.
pub(crate) fn below<'a>(scope: &str, path: &'a str) -> &'a str {
    path.strip_prefix(scope)
        .map_or(path, |rest| rest.trim_start_matches('/'))
}

fn is_split(folder: &str) -> bool {
    [
        "train",
        "training",
        "test",
        "testing",
        "val",
        "valid",
        "validation",
        "dev",
        "eval",
    ]
    .contains(&folder.to_ascii_lowercase().as_str())
}

fn default_configuration<'a>(
    name: &Name,
    scope: &str,
    files: Vec<&'a str>,
) -> Result<Vec<&'a str>, HubError> {
    let mut folders: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for file in files {
        let folder = below(scope, file)
            .split_once('/')
            .map_or("", |(folder, _)| folder);
        folders
            .entry(if is_split(folder) { "" } else { folder })
            .or_default()
            .push(file);
    }
    for default in ["data", "", "default"] {
        if let Some(files) = folders.remove(default) {
            return Ok(files);
        }
    }
    match folders.pop_first() {
        Some((first, _)) if !folders.is_empty() => Err(HubError::Configurations {
            found: some_of([first].into_iter().chain(folders.into_keys())),
            example: match scope {
                "" => name.with_part(first),
                scope => name.with_part(&format!("{scope}/{first}")),
            },
        }),
        only => Ok(only.map(|(_, files)| files).unwrap_or_default()),
    }
}

fn nothing(name: &Name, paths: &[&str]) -> HubError {
    let script = paths.iter().find(|path| path.ends_with(".py"));
    let endings = paths.iter().map(|path| match Path::new(path).extension() {
        Some(ending) => format!(".{}", ending.display()),
        None => (*path).into(),
    });
    HubError::NoData {
        name: name.clone(),
        found: match script {
            Some(script) => format!("a loading script ({script}), which is not run"),
            None if paths.is_empty() => "no files".into(),
            None => some_of(endings.collect::<BTreeSet<_>>()),
        },
    }
}

/// The first of `names`, and how many more.
pub(crate) fn some_of<T: ToString>(names: impl IntoIterator<Item = T>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    match names.get(8..) {
        Some(more @ [_, ..]) => format!("{} and {} more", names[..8].join(", "), more.len()),
        _ => names.join(", "),
    }
}

/// The deepest folder that all `files` are in, but not one named for a split: that name belongs to
/// the files. Empty for the root.
pub(crate) fn common_folder(files: &[String]) -> &str {
    let mut common = files
        .first()
        .and_then(|file| Some(file.rsplit_once('/')?.0))
        .unwrap_or_default();
    while !common.is_empty()
        && (is_split(common.rsplit('/').next().unwrap_or_default())
            || !files.iter().all(|file| below(common, file) != file))
    {
        common = common.rsplit_once('/').map_or("", |(parent, _)| parent);
    }
    common
}

/// The first file that is missing from a series `NAME-00000-of-00009…`.
pub(crate) fn missing_shard(files: &[String]) -> Option<String> {
    files.iter().find_map(|file| {
        let of = file.rfind("-of-")?;
        let number = |from: usize| {
            let digits = file.get(from..from + 5)?;
            digits
                .bytes()
                .all(|b| b.is_ascii_digit())
                .then(|| digits.parse::<u32>().ok())?
        };
        let start = of.checked_sub(5)?;
        let (_, count) = (number(start)?, number(of + 4)?);
        (0..count)
            .map(|shard| format!("{}{shard:05}{}", &file[..start], &file[of..]))
            .find(|shard| !files.contains(shard))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(name: &str, paths: &[&str]) -> Result<Vec<String>, String> {
        let paths: Vec<String> = paths.iter().map(ToString::to_string).collect();
        choose(&name.parse().unwrap(), &paths).map_err(|error| error.to_string())
    }

    const SHARDS: [&str; 3] = [
        "data/test-00000-of-00001.parquet",
        "data/train-00000-of-00002.parquet",
        "data/train-00001-of-00002.parquet",
    ];

    #[test]
    fn parquet_comes_before_tar_before_pictures() {
        let mut paths = vec![
            "README.md",
            ".gitattributes",
            "cat/1.jpg",
            "dog/2.PNG",
            "logo.png",
        ];
        assert_eq!(
            choice("hf:o/n", &paths).unwrap(),
            ["cat/1.jpg", "dog/2.PNG"]
        );
        paths.extend(["val.tar", "train.tar", "devkit.tar.gz"]);
        assert_eq!(
            choice("hf:o/n", &paths).unwrap(),
            ["devkit.tar.gz", "train.tar", "val.tar"]
        );
        paths.extend(SHARDS);
        assert_eq!(choice("hf:o/n", &paths).unwrap(), SHARDS);
    }

    #[test]
    fn the_default_configuration_is_in_data_or_at_the_root_or_in_the_only_folder() {
        let with = |more: &[&'static str]| choice("hf:o/n", &[&SHARDS[..], more].concat());
        assert_eq!(with(&["extra/a.parquet", "b.parquet"]).unwrap(), SHARDS);
        for files in [
            &["test.parquet", "train.parquet"][..],
            &["test/0000.parquet", "train/0000.parquet"],
            &["default/test/0000.parquet", "default/train/0000.parquet"],
            &["fashion/test-0.parquet", "fashion/train-0.parquet"],
        ] {
            assert_eq!(choice("hf:o/n", files).unwrap(), files);
        }
    }

    #[test]
    fn several_configurations_are_listed_and_one_is_named_after_a_colon() {
        let paths = ["160px/train.parquet", "320px/train.parquet", "README.md"];
        let error = choice("hf:o/n@v1", &paths).unwrap_err();
        assert!(
            error.contains("160px, 320px") && error.contains("`hf:o/n@v1:160px`"),
            "{error}"
        );
        assert_eq!(
            choice("hf:o/n:320px", &paths).unwrap(),
            ["320px/train.parquet"]
        );
        assert_eq!(
            choice("hf:o/n:320px/train.parquet", &paths).unwrap(),
            ["320px/train.parquet"]
        );
        let error = choice("hf:o/n:32", &paths).unwrap_err();
        assert!(
            error.contains("`32`") && error.contains("160px, 320px, README.md"),
            "{error}"
        );
        let error = choice("hf:o/n:a", &["a/b/0.parquet", "a/c/0.parquet"]).unwrap_err();
        assert!(error.contains("`hf:o/n:a/b`"), "{error}");
    }

    #[test]
    fn a_repository_without_data_is_refused_with_what_it_holds() {
        let error = choice("hf:o/n", &["n.py", "README.md", "images.zip"]).unwrap_err();
        assert!(
            error.contains("n.py") && error.contains("hf:o/n@refs/convert/parquet"),
            "{error}"
        );
        let error = choice("hf:o/n", &["train.zip", "README.md", "banner.png"]).unwrap_err();
        assert!(error.contains(".md, .png, .zip"), "{error}");
    }

    #[test]
    fn the_common_folder_keeps_the_names_of_splits() {
        let common = |files: &[&str]| {
            let files: Vec<String> = files.iter().map(ToString::to_string).collect();
            common_folder(&files).to_string()
        };
        assert_eq!(common(&SHARDS), "data");
        assert_eq!(
            common(&["a/b/train/0.parquet", "a/b/test/0.parquet"]),
            "a/b"
        );
        assert_eq!(common(&["a/b/train/0.parquet"]), "a/b");
        assert_eq!(common(&["train.tar"]), "");
        assert_eq!(common(&["ab/1.jpg", "a/2.jpg"]), "");
    }

    #[test]
    fn a_hole_in_a_series_is_found() {
        let missing = |files: &[&str]| {
            missing_shard(&files.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(missing(&SHARDS), None);
        assert_eq!(missing(&SHARDS[..2]).unwrap(), SHARDS[2]);
        assert_eq!(missing(&["a-of-b.parquet", "é-of-00002.tar"]), None);
    }
}
