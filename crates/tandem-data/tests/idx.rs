//! IDX files: what is read, and one test for each way they can be wrong.

mod common;

use common::{gzip, idx, idx_images, idx_labels, open, refused, write};
use tandem_data::{DataError, Part};
use tempfile::tempdir;

const IMAGES: &str = "train-images-idx3-ubyte";
const LABELS: &str = "train-labels-idx1-ubyte";

fn folder(images: &[u8], labels: &[u8]) -> tempfile::TempDir {
    let folder = tempdir().unwrap();
    write(folder.path(), IMAGES, images);
    write(folder.path(), LABELS, labels);
    folder
}

#[test]
fn the_shipped_pictures_are_balanced_over_ten_classes() {
    for (part, each) in [(Part::Train, 600), (Part::Validation, 100)] {
        let data = tandem_data::open("builtin", part).unwrap();
        let mut counts = [0; 10];
        (0..data.len()).for_each(|i| counts[data.label(i).unwrap() as usize] += 1);
        assert_eq!(counts, [each; 10]);
        assert_eq!(data.classes()[5], "Sandal");
        let picture = data.picture(0).unwrap();
        assert_eq!(
            (picture.width, picture.height, picture.channels),
            (28, 28, 1)
        );
    }
}

#[test]
fn the_fingerprint_of_the_shipped_pictures_never_changes() {
    let data = tandem_data::open("builtin", Part::Validation).unwrap();
    // Checkpoints remember it: a change would keep every older run from being resumed.
    assert_eq!(data.fingerprint(), 5_844_749_630_119_381_819);
}

#[test]
fn plain_and_gzip_files_hold_the_same() {
    let plain = folder(&idx_images(3), &idx_labels(&[7, 0, 9]));
    let packed = tempdir().unwrap();
    write(
        packed.path(),
        "train-images.idx3-ubyte.gz",
        &gzip(&idx_images(3)),
    );
    write(
        packed.path(),
        "train-labels-idx1-ubyte.gz",
        &gzip(&idx_labels(&[7, 0, 9])),
    );
    let (plain, packed) = (
        open(plain.path(), Part::Train).unwrap(),
        open(packed.path(), Part::Train).unwrap(),
    );
    assert_eq!(plain.fingerprint(), packed.fingerprint());
    assert_eq!(plain.label(2), Some(9));
    let picture = plain.picture(1).unwrap();
    assert_eq!((picture.height, picture.width), (3, 2));
    assert_eq!(picture.pixels, [6, 7, 8, 9, 10, 11]);
}

#[test]
fn a_file_of_the_set_stands_for_its_folder() {
    let folder = folder(&idx_images(1), &idx_labels(&[1]));
    assert_eq!(
        open(&folder.path().join(IMAGES), Part::Train)
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn the_classes_are_fashion_only_where_a_folder_says_so() {
    let digits = folder(&idx_images(1), &idx_labels(&[1]));
    assert_eq!(open(digits.path(), Part::Train).unwrap().classes()[1], "1");
    let fashion = digits.path().join("Fashion-MNIST");
    write(&fashion, IMAGES, &idx_images(1));
    write(&fashion, LABELS, &idx_labels(&[1]));
    assert_eq!(open(&fashion, Part::Train).unwrap().classes()[1], "Trouser");
}

#[test]
fn a_wrong_magic_is_named_with_its_file() {
    let folder = folder(&idx_labels(&[1, 2]), &idx_labels(&[1, 2]));
    assert!(matches!(
        refused(folder.path(), Part::Train, IMAGES),
        DataError::Magic {
            found: 0x801,
            wanted: 0x803,
            ..
        }
    ));
}

#[test]
fn an_empty_file_or_half_a_header_is_too_short() {
    for length in [0, 3, 4, 15] {
        let folder = folder(&idx_images(1)[..length], &idx_labels(&[1]));
        let error = refused(folder.path(), Part::Train, IMAGES);
        assert!(
            matches!(
                error,
                DataError::Length {
                    problem: "too short",
                    ..
                }
            ),
            "{error}"
        );
    }
}

#[test]
fn a_missing_byte_and_a_trailing_byte_are_both_refused() {
    let whole = idx_images(2);
    let short = folder(&whole[..whole.len() - 1], &idx_labels(&[1, 2]));
    let error = refused(short.path(), Part::Train, IMAGES);
    assert!(
        matches!(
            error,
            DataError::Length {
                problem: "too short",
                ..
            }
        ),
        "{error}"
    );
    let long = folder(&[whole, vec![0]].concat(), &idx_labels(&[1, 2]));
    let error = refused(long.path(), Part::Train, IMAGES);
    assert!(
        matches!(
            error,
            DataError::Length {
                problem: "too long",
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_truncated_gzip_is_named_with_its_file() {
    let whole = gzip(&idx_images(40));
    for cut in [whole.len() - 1, whole.len() - 8, whole.len() / 2, 11, 2] {
        let folder = folder(&whole[..cut], &idx_labels(&[1; 40]));
        let error = refused(folder.path(), Part::Train, IMAGES);
        assert!(
            matches!(error, DataError::Gzip { .. }),
            "cut at {cut}: {error}"
        );
    }
}

#[test]
fn a_gzip_with_a_wrong_checksum_is_refused() {
    let mut bytes = gzip(&idx_images(40));
    let checksum = bytes.len() - 8;
    bytes[checksum] ^= 1;
    let folder = folder(&bytes, &idx_labels(&[1; 40]));
    assert!(matches!(
        refused(folder.path(), Part::Train, IMAGES),
        DataError::Gzip { .. }
    ));
}

#[test]
fn counts_that_differ_name_both_files() {
    let folder = folder(&idx_images(3), &idx_labels(&[1, 2]));
    refused(folder.path(), Part::Train, IMAGES);
    assert!(matches!(
        refused(folder.path(), Part::Train, LABELS),
        DataError::Counts {
            pictures: 3,
            count: 2,
            ..
        }
    ));
}

#[test]
fn a_label_beyond_the_classes_is_named_with_its_place() {
    let folder = folder(&idx_images(3), &idx_labels(&[1, 2, 10]));
    assert!(matches!(
        refused(folder.path(), Part::Train, LABELS),
        DataError::Label {
            index: 2,
            label: 10,
            classes: 10,
            ..
        }
    ));
}

#[test]
fn impossible_sizes_are_refused_before_anything_is_allocated() {
    for sizes in [[1, 0, 2], [1, 3, 0], [u32::MAX; 3], [1, 3, 16_385]] {
        let folder = folder(&idx(0x803, &sizes, &[0; 6]), &idx_labels(&[1]));
        let error = refused(folder.path(), Part::Train, IMAGES);
        assert!(
            matches!(error, DataError::Dimensions { .. }),
            "{sizes:?}: {error}"
        );
    }
    // 2⁶⁰ bytes announced, six there.
    let folder = folder(
        &idx(0x803, &[u32::MAX, 16_384, 16_384], &[0; 6]),
        &idx_labels(&[1]),
    );
    let error = refused(folder.path(), Part::Train, IMAGES);
    assert!(matches!(error, DataError::TooLarge { .. }), "{error}");
}

#[test]
fn a_set_of_no_pictures_is_refused() {
    let folder = folder(&idx_images(0), &idx_labels(&[]));
    assert!(matches!(
        refused(folder.path(), Part::Train, IMAGES),
        DataError::NoPictures { .. }
    ));
}

#[test]
fn a_missing_file_of_the_set_is_named() {
    let folder = tempdir().unwrap();
    write(folder.path(), IMAGES, &idx_images(1));
    let error = refused(folder.path(), Part::Train, "train-labels-idx1-ubyte");
    assert!(matches!(error, DataError::Incomplete { .. }), "{error}");
    refused(folder.path(), Part::Validation, "t10k-images-idx3-ubyte");
}

#[test]
fn the_folders_above_are_the_set_too() {
    let folder = tempdir().unwrap();
    write(
        folder.path(),
        &format!("MNIST/raw/{IMAGES}"),
        &idx_images(3),
    );
    let labels = "MNIST/raw/train-labels-idx1-ubyte";
    write(folder.path(), labels, &idx_labels(&[1, 2, 3]));
    assert_eq!(open(folder.path(), Part::Train).unwrap().len(), 3);
}

#[test]
fn a_path_that_the_shell_has_left_as_it_is_is_explained() {
    let error = tandem_data::open("~/nowhere", Part::Train).err();
    let text = error.expect("an error").to_string();
    assert!(text.contains("write $HOME"), "{text}");
}

#[test]
fn a_missing_path_says_what_was_looked_for() {
    let folder = tempdir().unwrap();
    let error = refused(&folder.path().join("nowhere"), Part::Train, "nowhere");
    assert!(matches!(error, DataError::NotFound { .. }) && error.to_string().contains("CIFAR"));
    let error = refused(folder.path(), Part::Train, "holds no data");
    assert!(error.to_string().contains("picture folders"), "{error}");
}
