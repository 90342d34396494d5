//! Parquet files, written by pyarrow and by the `datasets` library: `parquet/make.py` made them.

mod common;

use std::path::{Path, PathBuf};

use common::open;
use tandem_data::{DataError, Dataset, ParquetProblem, Part, Pictures, Preprocess};

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

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/parquet")
        .join(name)
}

fn files(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(fixture(folder)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Picture `row` of the twenty, as Pillow decodes it, to within `tolerance`.
fn assert_picture(set: &dyn Dataset, i: usize, row: usize) {
    let picture = set.picture(i).unwrap();
    assert_eq!(
        (picture.width, picture.height, picture.channels),
        (28, 28, 1)
    );
    let decoded = std::fs::read(fixture("decoded.bin")).unwrap();
    let expected = &decoded[row * 28 * 28..][..28 * 28];
    // PNG is exact; JPEG decoders round differently.
    let tolerance = if row % 2 == 1 { 0 } else { 2 };
    for (place, (found, expected)) in picture.pixels.iter().zip(expected).enumerate() {
        assert!(
            found.abs_diff(*expected) <= tolerance,
            "{}, pixel {place}: {found}, not {expected}",
            set.name(i)
        );
    }
}

/// That a set holds these rows of the twenty, by label and then by row.
fn assert_rows(set: &dyn Dataset, rows: impl IntoIterator<Item = usize>) {
    let mut rows: Vec<usize> = rows.into_iter().collect();
    rows.sort_by_key(|&row| (LABELS[row], row));
    assert_eq!(set.len(), rows.len());
    for (i, row) in rows.into_iter().enumerate() {
        assert_eq!(set.label(i), Some(LABELS[row]), "{}", set.name(i));
        assert_eq!(set.key(i), format!("picture_{row:02}"), "{}", set.name(i));
        assert_picture(set, i, row);
    }
}

#[test]
fn each_packing_and_page_version_gives_the_same_pictures_labels_and_keys() {
    let files = files("packings");
    assert_eq!(files.len(), 10);
    for file in files {
        // No class has ten pictures, of which the tenth would be held out.
        let set = open(&file, Part::Train).unwrap();
        assert_rows(&*set, 0..20);
        assert_eq!(set.classes(), CLASSES);
        assert_eq!(set.name(0), format!("{} (row 1)", file.display()));
    }
}

#[test]
fn however_the_rows_are_cut_into_pages_and_row_groups_the_pictures_are_the_same() {
    for file in files("pages") {
        if !file.ends_with("twice.parquet") {
            assert_rows(&*open(&file, Part::Train).unwrap(), 0..20);
        }
    }
}

#[test]
fn pictures_that_repeat_come_from_the_dictionary_and_every_tenth_of_a_class_is_held_out() {
    let file = fixture("pages/twice.parquet");
    let parts = [Part::Train, Part::Validation].map(|part| open(&file, part).unwrap());
    // Ten of class 0; others have at most eight. `again_…` come before `picture_…`.
    assert_eq!(parts.each_ref().map(|part| part.len()), [39, 1]);
    assert_eq!(
        (parts[1].label(0), parts[1].key(0)),
        (Some(0), "picture_17".to_string())
    );
    assert_picture(&*parts[1], 0, 17);
    for i in 0..39 {
        let key = parts[0].key(i);
        assert_picture(&*parts[0], i, key[key.len() - 2..].parse().unwrap());
    }
}

#[test]
fn columns_have_other_names_and_types() {
    for name in ["binary", "required", "delta", "no-names", "capitals"] {
        let set = open(&fixture(&format!("columns/{name}.parquet")), Part::Train).unwrap();
        assert_rows(&*set, 0..20);
        let numbers = (0..10).map(|class| class.to_string()).collect::<Vec<_>>();
        let is_named = !["binary", "no-names", "capitals"].contains(&name);
        assert_eq!(set.classes() == CLASSES, is_named, "{name}");
        assert_eq!(set.classes() == numbers, !is_named, "{name}");
    }
}

#[test]
fn rows_without_paths_are_called_by_their_number() {
    // Of nulls only, pyarrow makes a column of numbers.
    for name in ["no-paths", "null-paths"] {
        let set = open(&fixture(&format!("columns/{name}.parquet")), Part::Train).unwrap();
        assert_eq!(
            (set.key(0), set.label(0)),
            ("00000001".to_string(), Some(0))
        );
        assert_picture(&*set, 0, 1);
    }
}

#[test]
fn labels_that_are_names_are_classes_in_the_order_of_the_alphabet() {
    let set = open(&fixture("columns/names.parquet"), Part::Train).unwrap();
    let classes = set.classes();
    // Of the ten, those that the twenty pictures show.
    assert!(classes.is_sorted() && classes.len() == 9, "{classes:?}");
    for i in 0..set.len() {
        let row: usize = set.key(i)[8..].parse().unwrap();
        let label = set.label(i).unwrap() as usize;
        let by_number = open(&fixture("pages/plain.parquet"), Part::Train).unwrap();
        let same = (0..by_number.len()).find(|&j| by_number.key(j) == set.key(i));
        if let Some(same) = same {
            assert_eq!(
                classes[label],
                CLASSES[by_number.label(same).unwrap() as usize]
            );
        }
        assert_picture(&*set, i, row);
    }
}

#[test]
fn a_file_without_rows_has_no_pictures_and_is_not_called_damaged() {
    let error = open(&fixture("bad/no-rows.parquet"), Part::Train).err();
    let error = error.expect("an error");
    assert!(matches!(error, DataError::NoPictures { .. }), "{error}");
}

#[test]
fn the_layouts_of_the_datasets_library_and_of_the_hub_have_their_parts() {
    let mut prints = Vec::new();
    for layout in ["datasets", "hub"] {
        for folder in [
            fixture(layout),
            fixture(layout).join(if layout == "hub" { "default" } else { "data" }),
        ] {
            let train = open(&folder, Part::Train).unwrap();
            assert_rows(&*train, 0..16);
            assert_eq!(train.classes(), CLASSES);
            assert_rows(&*open(&folder, Part::Validation).unwrap(), 16..20);
            // The one held-out part has labels.
            assert_rows(&*open(&folder, Part::Test).unwrap(), 16..20);
            prints.push(train.fingerprint());
        }
    }
    assert_eq!(prints[0], prints[1]);
    assert_ne!(
        prints[0],
        open(&fixture("hub"), Part::Validation)
            .unwrap()
            .fingerprint()
    );
}

#[test]
fn test_pictures_may_lack_labels() {
    for file in ["test.parquet", "null/test.parquet", "none/test.parquet"] {
        let file = fixture("unlabelled").join(file);
        let set = open(&file, Part::Test).unwrap();
        assert_eq!((set.len(), set.label(7)), (20, None));
        for i in 0..20 {
            assert_eq!(set.key(i), format!("picture_{i:02}"));
            assert_picture(&*set, i, i);
        }
        let error = open(&file, Part::Train).err().unwrap();
        assert!(
            error.to_string().contains("lacks train-….parquet"),
            "{error}"
        );
        assert!(open(&file, Part::Validation).is_err());
    }
}

#[test]
fn ilsvrc_has_the_classes_and_keys_of_its_other_forms() {
    let folder = fixture("ilsvrc");
    let train = open(&folder, Part::Train).unwrap();
    assert_eq!(train.classes().len(), 1000);
    assert_eq!(train.classes()[65], "n01751748 sea snake");
    assert_eq!(
        (train.key(0), train.label(0)),
        ("n01440764_10026".to_string(), Some(0))
    );
    assert_eq!(
        (train.key(1), train.label(1)),
        ("n01751748_7".to_string(), Some(65))
    );
    let test = open(&folder, Part::Test).unwrap();
    assert_eq!(
        (test.key(0), test.label(0)),
        ("ILSVRC2012_test_00000001".to_string(), None)
    );
    assert_eq!(test.classes(), train.classes());
}

#[test]
fn classes_are_sorted_by_the_wnids_of_the_paths() {
    let set = open(&fixture("columns/wnids.parquet"), Part::Train).unwrap();
    assert_eq!(
        set.classes(),
        ["n01440764 tench, Tinca tinca", "n01751748 sea snake"]
    );
    let keys: Vec<_> = (0..3)
        .map(|i| (set.label(i).unwrap(), set.key(i)))
        .collect();
    let expected = [(0, "n01440764_3"), (1, "n01751748_1"), (1, "n01751748_7")];
    assert_eq!(keys, expected.map(|(label, key)| (label, key.to_string())));
}

#[test]
fn what_cannot_be_used_is_refused_by_file_place_and_fix() {
    for (file, said) in [
        (
            "null-label",
            "row 13 (row group 2) has no label (null or -1)",
        ),
        (
            "label-10",
            "row 13 (row group 2) has the label 10, beyond the 10 classes",
        ),
        (
            "real-label",
            "its column label holds DOUBLE where whole numbers or names belong",
        ),
        (
            "path-picture",
            "its column image holds text where encoded pictures",
        ),
        (
            "list-of-pictures",
            "its column image.list.element.bytes holds lists of bytes where",
        ),
        (
            "number-picture",
            "its column image holds INT64 where encoded pictures",
        ),
        ("brotli", "packed with BROTLI"),
        (
            "delta-bytes",
            "column image.bytes, row group 0, page at byte 4: it is encoded in a way",
        ),
        ("same-path", "are both picture `picture"),
        (
            "no-picture",
            "no column of pictures: looked for `image`, `img`",
        ),
        (
            "no-label",
            "no column of labels: looked for `label`, `labels`",
        ),
        (
            "encrypted",
            "it is encrypted; write it again without encryption",
        ),
        (
            "encrypted-columns",
            "it is encrypted; write it again without encryption",
        ),
        (
            "another-wnid",
            "row 1 (row group 0) has the label 0, which is n01440764, but its path says n01751748",
        ),
    ] {
        let file = fixture(&format!("bad/{file}.parquet"));
        let error = open(&file, Part::Train)
            .err()
            .expect("an error")
            .to_string();
        assert!(
            error.contains(file.to_str().unwrap()) && error.contains(said),
            "{error}"
        );
    }
}

/// What opening the file of these bytes says.
fn said(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    common::write(folder.path(), "train.parquet", bytes);
    let error = open(folder.path(), Part::Train).err().expect("an error");
    assert!(matches!(error, DataError::Parquet { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("train.parquet"), "{text}");
    text
}

#[test]
fn a_damaged_file_is_refused_by_file_place_and_fix() {
    let whole = std::fs::read(fixture("packings/none-v1.parquet")).unwrap();
    let length = whole.len();
    assert!(said(b"").contains("starts with \"\", not with PAR1"));
    assert!(said(b"GIF89a").contains("starts with \"GIF8\", not with PAR1"));
    assert!(said(b"PAR1").contains("it ends after 4 bytes without a footer"));
    let cut = said(&whole[..length - 1]);
    assert!(
        cut.contains(&format!(
            "it ends after {} bytes without a footer",
            length - 1
        )),
        "{cut}"
    );

    let with = |at: usize, bytes: &[u8]| {
        let mut file = whole.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    let beyond = said(&with(length - 8, &u32::MAX.to_le_bytes()));
    assert!(
        beyond.contains(&format!(
            "a footer of 4294967295 bytes where at most {}",
            length - 12
        )),
        "{beyond}"
    );
    let damaged = said(&with(length - 8, &100_u32.to_le_bytes()));
    assert!(
        damaged.contains(&format!("its footer, at byte {}, is damaged", length - 108)),
        "{damaged}"
    );

    // The first page's header: 2 GiB in place of its bytes unpacked (field 2) and packed (3), then its end.
    let size = [0x15, 0xfe, 0xff, 0xff, 0xff, 0x0f];
    let gigabytes = with(6, &[&size[..], &size, &[0]].concat());
    let claim = said(&gigabytes);
    assert!(
        claim.contains(
            "column image.bytes, row group 0, page at byte 4: it claims 2147483647 bytes where"
        ),
        "{claim}"
    );
    assert!(claim.contains("fetch the file again"), "{claim}");
}

#[test]
fn a_row_without_a_picture_is_that_pictures_error() {
    for (file, row_group) in [("null-picture", 0), ("null-bytes", 1)] {
        let set = open(&fixture(&format!("bad/{file}.parquet")), Part::Train).unwrap();
        for i in 0..20 {
            let row: usize = if set.name(i).ends_with("(row 3)") {
                3
            } else {
                0
            };
            match set.picture(i) {
                Ok(_) => assert_ne!(row, 3),
                Err(DataError::Parquet { problem, .. }) => {
                    assert!(
                        matches!(problem, ParquetProblem::NoPicture { row: 3, row_group: group } if group == row_group)
                    );
                    assert_eq!(row, 3);
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
}

#[test]
fn a_page_that_does_not_unpack_is_its_pictures_error_and_no_others() {
    let mut bytes = std::fs::read(fixture("pages/one-a-page.parquet")).unwrap();
    // Gzip's first bytes: where a page's header has ended. The pictures' pages come first.
    let pages: Vec<usize> = (0..bytes.len() - 3)
        .filter(|&at| bytes[at..at + 3] == [0x1f, 0x8b, 8])
        .collect();
    bytes[pages[5] + 30] ^= 0x55;
    let folder = tempfile::tempdir().unwrap();
    common::write(folder.path(), "train.parquet", &bytes);
    let set = open(folder.path(), Part::Train).unwrap();
    let preprocess = Preprocess {
        side: 28,
        channels: 1,
    };
    let pictures = Pictures::prepare(set, preprocess, 0.05).unwrap();
    let [(name, reason)] = pictures.bad() else {
        panic!("{:?}", pictures.bad());
    };
    assert!(name.ends_with("train.parquet (row 5)"), "{name}");
    assert!(
        reason.contains("column image.bytes, row group 0, page at byte"),
        "{reason}"
    );
    assert!(reason.contains("it does not unpack"), "{reason}");
    assert_eq!(pictures.len(), 19);
}
