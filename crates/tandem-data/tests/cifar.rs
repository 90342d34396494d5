//! CIFAR-10 and CIFAR-100 in their binary version.

mod common;

use std::fs::File;
use std::path::Path;

use common::{assert_says, open, refused, said, write};
use flate2::Compression;
use flate2::write::GzEncoder;
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
    assert!(matches!(error, DataError::Incomplete { .. }), "{error}");
    // Not as if there were no training pictures.
    let error = tandem_data::open_all(folder.path().to_str().unwrap()).err();
    assert_says(&error.expect("an error").to_string(), &["data_batch_3.bin"]);
}

#[test]
fn the_archive_as_it_is_fetched_and_the_folder_above_are_the_set() {
    let (files, above) = (ten(), tempdir().unwrap());
    let archive = above.path().join("cifar-10-binary.tar.gz");
    let packed = GzEncoder::new(File::create(&archive).unwrap(), Compression::fast());
    let mut tar = tar::Builder::new(packed);
    tar.append_dir_all("cifar-10-batches-bin", files.path())
        .unwrap();
    tar.into_inner().unwrap().finish().unwrap();
    let print = |path: &Path| open(path, Part::Train).unwrap().fingerprint();
    let whole = print(files.path());
    assert_eq!(print(&archive), whole);
    assert_eq!(print(above.path()), whole);
    // Unpacked beside the archive, as most tools leave it.
    let unpacked = above.path().join("cifar-10-batches-bin");
    std::fs::rename(files.path(), &unpacked).unwrap();
    assert_eq!(print(above.path()), whole);
    std::fs::remove_file(&archive).unwrap();
    assert_eq!(print(above.path()), whole);
}

#[test]
fn the_python_version_is_known_and_the_way_to_the_binary_one_said() {
    let above = tempdir().unwrap();
    for name in ["data_batch_1", "test_batch", "batches.meta"] {
        let name = format!("cifar-10-batches-py/{name}");
        write(above.path(), &name, b"\x80\x02}q\x01.");
    }
    let way = ["Python version of CIFAR-10", "cifar-10-binary.tar.gz"];
    assert_says(&said(above.path(), Part::Train), &way);
    let inner = above.path().join("cifar-10-batches-py");
    assert_says(&said(&inner, Part::Train), &way);
    let file = inner.join("data_batch_1");
    assert_says(&said(&file, Part::Train), &["pickle", way[1]]);

    let hundred = tempdir().unwrap();
    for name in ["train", "test", "meta"] {
        write(hundred.path(), name, b"\x80\x02}q\x01.");
    }
    let way = ["Python version of CIFAR-100", "cifar-100-binary.tar.gz"];
    assert_says(&said(hundred.path(), Part::Train), &way);
}

#[test]
fn both_sets_in_one_folder_are_told_apart_by_the_file_that_is_given() {
    let folder = ten();
    write(folder.path(), "train.bin", &record(&[19, 99], [0; 3]));
    let both = said(folder.path(), Part::Train);
    assert_says(&both, &["more than one set", "CIFAR-10,", "CIFAR-100,"]);
    let given = open(&folder.path().join("train.bin"), Part::Train).unwrap();
    assert_eq!(given.classes().len(), 100);
}
