//! CIFAR-10 and CIFAR-100 in their binary version.

mod common;

use common::{open, refused, write};
use tandem_data::{DataError, Part};
use tempfile::tempdir;

/// A record whose planes are all `red`, `green`, `blue`.
fn record(labels: &[u8], [red, green, blue]: [u8; 3]) -> Vec<u8> {
    [labels, &[red; 1024], &[green; 1024], &[blue; 1024]].concat()
}

fn ten() -> tempfile::TempDir {
    let folder = tempdir().unwrap();
    for batch in 1..=5 {
        write(
            folder.path(),
            &format!("data_batch_{batch}.bin"),
            &record(&[batch], [batch, 20, 30]),
        );
    }
    write(
        folder.path(),
        "test_batch.bin",
        &[record(&[9], [1, 2, 3]), record(&[0], [4, 5, 6])].concat(),
    );
    folder
}

#[test]
fn five_batches_are_read_in_order_and_planes_become_pixels() {
    let folder = ten();
    let train = open(folder.path(), Part::Train).unwrap();
    assert_eq!(
        (0..5).filter_map(|i| train.label(i)).collect::<Vec<_>>(),
        [1, 2, 3, 4, 5]
    );
    assert_eq!(
        train.picture(3).unwrap().pixels[..6],
        [4, 20, 30, 4, 20, 30]
    );
    assert_eq!(
        (train.channels(), train.classes()[0].as_str()),
        (3, "airplane")
    );
    assert_eq!(open(folder.path(), Part::Validation).unwrap().len(), 2);
    assert_eq!(
        open(&folder.path().join("test_batch.bin"), Part::Train)
            .unwrap()
            .len(),
        5
    );
}

#[test]
fn the_fine_label_of_cifar_100_counts_and_names_come_from_its_file() {
    let folder = tempdir().unwrap();
    write(folder.path(), "train.bin", &record(&[19, 99], [0; 3]));
    assert_eq!(open(folder.path(), Part::Train).unwrap().label(0), Some(99));
    let names: String = (0..100).map(|i| format!("thing {i}\n")).collect();
    write(folder.path(), "fine_label_names.txt", names.as_bytes());
    assert_eq!(
        open(folder.path(), Part::Train).unwrap().classes()[99],
        "thing 99"
    );
    write(folder.path(), "fine_label_names.txt", b"one\ntwo\n");
    assert!(matches!(
        refused(folder.path(), Part::Train, "fine_label_names.txt"),
        DataError::ClassNames {
            found: 2,
            wanted: 100,
            ..
        }
    ));
}

#[test]
fn a_file_of_broken_records_is_named() {
    let folder = ten();
    for length in [0, 1, 3072, 3074] {
        write(folder.path(), "data_batch_4.bin", &vec![0; length]);
        let error = refused(folder.path(), Part::Train, "data_batch_4.bin");
        assert!(
            matches!(error, DataError::Length { .. }),
            "{length}: {error}"
        );
    }
}

#[test]
fn a_label_beyond_the_classes_is_named_with_its_place() {
    let folder = ten();
    let bytes = [record(&[3], [0; 3]), record(&[10], [0; 3])].concat();
    write(folder.path(), "data_batch_2.bin", &bytes);
    assert!(matches!(
        refused(folder.path(), Part::Train, "data_batch_2.bin"),
        DataError::Label {
            index: 1,
            label: 10,
            classes: 10,
            ..
        }
    ));
}

#[test]
fn a_missing_batch_is_named() {
    let folder = ten();
    std::fs::remove_file(folder.path().join("data_batch_3.bin")).unwrap();
    let error = refused(folder.path(), Part::Train, "data_batch_3.bin");
    assert!(matches!(error, DataError::Missing { .. }));
}
