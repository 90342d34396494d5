//! Sets of which files are missing, and sets that lie in one folder.

mod common;

use std::path::Path;

use common::{assert_says, open, png, said, write};
use tandem_data::Part;
use tempfile::{TempDir, tempdir};

/// A folder of files of the fixtures, under other names.
fn set_of(files: &[(&str, &str)]) -> TempDir {
    let folder = tempdir().unwrap();
    let parquet = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parquet");
    for (from, to) in files {
        let bytes = std::fs::read(parquet.join(format!("{from}.parquet"))).unwrap();
        write(folder.path(), &format!("{to}.parquet"), &bytes);
    }
    folder
}

#[test]
fn a_numbered_file_that_is_missing_is_named_and_one_alone_may_be_given() {
    let folder = set_of(&[
        (
            "datasets/data/train-00001-of-00002",
            "data/train-00001-of-00002",
        ),
        (
            "datasets/data/validation-00000-of-00001",
            "data/validation-00000-of-00001",
        ),
    ]);
    let said = said(folder.path(), Part::Train);
    assert_says(&said, &["not complete", "train-00000-of-00002.parquet"]);
    let alone = folder.path().join("data/train-00001-of-00002.parquet");
    assert!(!open(&alone, Part::Train).unwrap().is_empty());
}

#[test]
fn files_of_two_sets_in_folders_side_by_side_are_not_mixed() {
    let folder = set_of(&[
        ("packings/none-v1", "a/train"),
        ("columns/no-names", "b/train"),
    ]);
    let said = said(folder.path(), Part::Train);
    assert_says(&said, &["more than one set", "a/train", "b/train"]);
}

#[test]
fn parquet_files_beside_another_set_are_not_silently_taken() {
    let folder = set_of(&[("packings/none-v1", "things/train")]);
    write(folder.path(), "cat/1.png", &png(4, 4, [1; 3]));
    let said = said(folder.path(), Part::Train);
    assert_says(&said, &["more than one set", "things/train", "cat"]);
    // A set's own folder may have pictures beside it.
    let folder = set_of(&[("packings/none-v1", "data/train")]);
    write(folder.path(), "assets/1.png", &png(4, 4, [1; 3]));
    assert!(!open(folder.path(), Part::Train).unwrap().is_empty());
}
