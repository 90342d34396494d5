//! Parquet files, written by pyarrow and by the `datasets` library: `parquet/make.py` made them.

mod common;

use std::path::{Path, PathBuf};

use common::{open, refused};
use tandem_data::{DataError, Dataset, ParquetProblem, Part, Preprocess};

const CLASSES: [&str; 10] = [
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
/// Labels of the twenty pictures, in the order of the files' rows.
const LABELS: [u32; 20] = [9, 0, 0, 3, 0, 2, 7, 2, 5, 5, 0, 9, 5, 5, 7, 9, 1, 0, 6, 4];

fn fixtures(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/parquet")
        .join(name)
}

fn decoded() -> Vec<Vec<u8>> {
    let bytes = std::fs::read(fixtures("decoded.bin")).unwrap();
    bytes.chunks(28 * 28).map(Vec::from).collect()
}

/// Rows sorted by label, then by row: what each file of the twenty pictures must give.
fn canonical() -> Vec<usize> {
    let mut rows: Vec<usize> = (0..20).collect();
    rows.sort_by_key(|&row| LABELS[row]);
    rows
}

/// Both parts of a file whose every tenth picture of a class is held out: one of twenty is none, so all
/// are in the training part.
fn check(file: &Path) {
    let (set, decoded) = (open(file, Part::Train).unwrap(), decoded());
    assert_eq!(set.len(), 20, "{file:?}");
    for (i, row) in canonical().into_iter().enumerate() {
        assert_eq!(set.label(i), Some(LABELS[row]), "{file:?} {row}");
        assert_eq!(set.key(i), format!("picture_{row:02}"), "{file:?}");
        assert!(
            set.name(i).ends_with(&format!(".parquet (row {row})")),
            "{}",
            set.name(i)
        );
        let picture = set.picture(i).unwrap();
        assert_eq!(
            (picture.width, picture.height, picture.channels),
            (28, 28, 1)
        );
        assert_eq!(picture.pixels, decoded[row], "{file:?} {row}");
    }
}

fn files(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(fixtures(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

#[test]
fn each_packing_and_page_version_gives_the_same_pictures() {
    let files = files("packings");
    assert_eq!(files.len(), 10);
    for file in files {
        check(&file);
        assert_eq!(open(&file, Part::Train).unwrap().classes(), CLASSES);
    }
}

#[test]
fn however_the_rows_are_cut_into_pages_and_row_groups_the_pictures_are_the_same() {
    for file in files("pages")
        .iter()
        .filter(|file| !file.ends_with("twice.parquet"))
    {
        check(file);
    }
}
