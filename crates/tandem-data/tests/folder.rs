//! Picture folders, and pictures that do not decode.

mod common;

use std::sync::Arc;

use common::{open, png, refused, write};
use libjpeg_turbo_rs::{PixelFormat, Subsampling, compress};
use tandem_data::{DataError, Part, PictureError, Pictures, Preprocess, decode};
use tempfile::{TempDir, tempdir};

const SMALL: Preprocess = Preprocess {
    side: 4,
    channels: 3,
};

fn with_train_and(held_out: &str) -> TempDir {
    let folder = tempdir().unwrap();
    write(folder.path(), "train/cat/1.png", &png(6, 4, [10, 0, 0]));
    write(folder.path(), "train/cat/.hidden.png", b"");
    write(folder.path(), "train/cat/notes.txt", b"");
    write(folder.path(), "train/dog/2.PNG", &png(4, 9, [20, 0, 0]));
    write(
        folder.path(),
        &format!("{held_out}/dog/3.png"),
        &png(4, 4, [30, 0, 0]),
    );
    folder
}

/// `count` pictures in one class and 12 in another, no train/.
fn classes_only(count: usize) -> TempDir {
    let folder = tempdir().unwrap();
    for i in 0..count {
        write(
            folder.path(),
            &format!("a/{i:03}.png"),
            &png(4, 4, [i as u8, 0, 0]),
        );
    }
    for i in 0..12 {
        write(
            folder.path(),
            &format!("b/{i:03}.png"),
            &png(4, 4, [100 + i, 0, 0]),
        );
    }
    folder
}

#[test]
fn each_name_of_a_held_out_folder_is_found() {
    for name in ["val", "valid", "test"] {
        let folder = with_train_and(name);
        let (train, test) = (
            open(folder.path(), Part::Train).unwrap(),
            open(folder.path(), Part::Validation).unwrap(),
        );
        assert_eq!((train.len(), test.len()), (2, 1));
        assert_eq!(train.classes(), ["cat", "dog"]);
        assert_eq!(train.classes(), test.classes());
        assert_eq!((train.label(1), test.label(0)), (Some(1), Some(1)));
        assert!(train.name(1).ends_with("2.PNG"));
        assert_ne!(train.fingerprint(), test.fingerprint());
    }
}

#[test]
fn every_tenth_picture_is_held_out_and_none_is_in_both_parts() {
    every_tenth_is_held_out(&classes_only(25));
}

#[test]
fn of_a_folder_train_with_nothing_beside_it_every_tenth_picture_is_held_out() {
    let folder = classes_only(25);
    let train = folder.path().join("train");
    std::fs::create_dir(&train).unwrap();
    for class in ["a", "b"] {
        std::fs::rename(folder.path().join(class), train.join(class)).unwrap();
    }
    every_tenth_is_held_out(&folder);
}

fn every_tenth_is_held_out(folder: &TempDir) {
    let names = |part| {
        let data = open(folder.path(), part).unwrap();
        (0..data.len()).map(|i| data.name(i)).collect::<Vec<_>>()
    };
    let (train, test) = (names(Part::Train), names(Part::Validation));
    assert_eq!((train.len(), test.len()), (37 - 3, 3));
    assert!(
        test[0].ends_with("009.png") && test[1].ends_with("019.png"),
        "{test:?}"
    );
    assert!(test.iter().all(|name| !train.contains(name)));
}

#[test]
fn a_class_folder_with_no_pictures_is_named() {
    let folder = with_train_and("val");
    write(folder.path(), "train/empty/readme.txt", b"");
    assert!(matches!(
        refused(folder.path(), Part::Train, "empty"),
        DataError::EmptyClass { .. }
    ));
    let folder = classes_only(10);
    std::fs::create_dir(folder.path().join("nothing")).unwrap();
    assert!(matches!(
        refused(folder.path(), Part::Train, "nothing"),
        DataError::EmptyClass { .. }
    ));
}

#[test]
fn a_held_out_class_that_training_does_not_know_is_named() {
    let folder = with_train_and("val");
    write(folder.path(), "val/bird/1.png", &png(4, 4, [0; 3]));
    assert!(matches!(
        refused(folder.path(), Part::Validation, "bird"),
        DataError::UnknownClass { .. }
    ));
}

#[test]
fn another_file_name_or_length_changes_the_fingerprint() {
    let folder = with_train_and("val");
    let before = open(folder.path(), Part::Train).unwrap().fingerprint();
    assert_eq!(
        before,
        open(folder.path(), Part::Train).unwrap().fingerprint()
    );
    write(folder.path(), "train/cat/4.png", &png(4, 4, [0; 3]));
    assert_ne!(
        before,
        open(folder.path(), Part::Train).unwrap().fingerprint()
    );
}

#[test]
fn jpeg_png_and_webp_are_told_by_their_content() {
    let folder = tempdir().unwrap();
    let painted = image::RgbImage::from_pixel(8, 5, image::Rgb([200, 40, 90]));
    let as_jpeg = compress(&painted, 8, 5, PixelFormat::Rgb, 90, Subsampling::S444).unwrap();
    let encoded = |format| {
        let mut bytes = Vec::new();
        painted
            .write_to(&mut std::io::Cursor::new(&mut bytes), format)
            .unwrap();
        bytes
    };
    for (format, bytes) in [
        ("JPEG", as_jpeg),
        ("PNG", encoded(image::ImageFormat::Png)),
        ("WebP", encoded(image::ImageFormat::WebP)),
    ] {
        write(folder.path(), "picture.jpg", &bytes);
        let picture = decode(folder.path().join("picture.jpg")).unwrap();
        assert_eq!(
            (picture.width, picture.height, picture.channels),
            (8, 5, 3),
            "{format}"
        );
        assert!(
            picture.pixels[0].abs_diff(200) < 6,
            "{format}: {}",
            picture.pixels[0]
        );
    }
}

#[test]
fn a_truncated_picture_is_an_error_that_names_it() {
    let folder = tempdir().unwrap();
    let whole = png(64, 64, [1, 2, 3]);
    for length in [0, 7, 20, whole.len() / 2] {
        write(folder.path(), "cut.png", &whole[..length]);
        let error = decode(folder.path().join("cut.png")).unwrap_err();
        assert!(
            matches!(error, DataError::Decode { .. }),
            "{length}: {error}"
        );
        assert!(error.to_string().contains("cut.png"));
    }
}

#[test]
fn a_picture_that_claims_billions_of_pixels_is_refused() {
    for side in [60_000, i32::MAX as u32] {
        // A real header of 1×1 with its size and checksum replaced.
        let mut bytes = png(1, 1, [0; 3]);
        bytes[16..20].copy_from_slice(&side.to_be_bytes());
        bytes[20..24].copy_from_slice(&side.to_be_bytes());
        let mut crc = flate2::Crc::new();
        crc.update(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&crc.sum().to_be_bytes());
        let folder = tempdir().unwrap();
        write(folder.path(), "bomb.png", &bytes);
        let error = decode(folder.path().join("bomb.png")).unwrap_err();
        let DataError::Decode {
            source: PictureError::TooLarge { width, height },
            ..
        } = error
        else {
            panic!("{error}")
        };
        assert_eq!((width, height), (side, side));
    }
}

#[test]
fn pictures_that_do_not_decode_are_left_out_and_listed() {
    let folder = classes_only(25);
    write(folder.path(), "a/003.png", b"not a picture");
    let data = open(folder.path(), Part::Train).unwrap();
    let whole = data.len();
    let pictures = Pictures::prepare(data, SMALL, 0.05).unwrap();
    assert_eq!(pictures.len(), whole - 1);
    let [(name, reason)] = pictures.bad() else {
        panic!("{:?}", pictures.bad())
    };
    assert!(
        name.ends_with("003.png") && reason == "it is no JPEG, PNG or WebP",
        "{name}: {reason}"
    );
    // What follows moves up, with its label and its bytes.
    assert_eq!(pictures.picture(3).unwrap()[0], 4);
    assert_eq!(pictures.picture(pictures.len() - 1).unwrap()[0], 111);
    assert_eq!(pictures.label(pictures.len() - 1), Some(1));
}

#[test]
fn more_bad_pictures_than_the_stated_share_are_an_error() {
    let folder = classes_only(25);
    write(folder.path(), "a/003.png", b"not a picture");
    let data = open(folder.path(), Part::Train).unwrap();
    let error = Pictures::prepare(Arc::clone(&data), SMALL, 0.0).unwrap_err();
    assert!(error.to_string().contains("003.png"), "{error}");
    assert!(matches!(error, DataError::TooManyBad { bad: 1, .. }));
}

#[test]
fn a_set_in_which_nothing_decodes_is_an_error_at_any_share() {
    let folder = tempdir().unwrap();
    write(folder.path(), "train/a/1.png", b"nothing");
    let data = open(folder.path(), Part::Train).unwrap();
    let error = Pictures::prepare(data, SMALL, 1.0).unwrap_err();
    assert!(matches!(
        error,
        DataError::TooManyBad {
            bad: 1,
            total: 1,
            ..
        }
    ));
}

#[test]
fn class_folders_that_are_all_empty_are_named_for_what_they_are() {
    let folder = tempdir().unwrap();
    for class in ["cat", "dog"] {
        std::fs::create_dir(folder.path().join(class)).unwrap();
    }
    let error = refused(folder.path(), Part::Train, "cat");
    assert!(
        error.to_string().contains("none of the 2 folders"),
        "{error}"
    );
}

#[test]
fn folders_of_the_parts_have_the_names_that_people_give_them() {
    for [train, held_out] in [
        ["Train", "Val"],
        ["training", "validation"],
        ["TRAIN", "TEST"],
        ["train", "dev"],
    ] {
        let folder = tempdir().unwrap();
        for class in ["cat", "dog"] {
            for part in [train, held_out] {
                let name = format!("{part}/{class}/1.png");
                write(folder.path(), &name, &png(4, 4, [1; 3]));
            }
        }
        let data = open(folder.path(), Part::Validation).unwrap();
        assert_eq!((data.len(), data.classes().len()), (2, 2), "{held_out}");
    }
}

#[test]
fn a_class_may_be_called_train() {
    let folder = tempdir().unwrap();
    for class in ["bus", "train"] {
        write(folder.path(), &format!("{class}/1.png"), &png(4, 4, [1; 3]));
    }
    let data = open(folder.path(), Part::Train).unwrap();
    assert_eq!(data.classes(), ["bus", "train"]);
}

#[test]
fn pictures_directly_in_test_are_without_labels() {
    let folder = with_train_and("val");
    write(folder.path(), "test/9.png", &png(4, 4, [1; 3]));
    let test = open(folder.path(), Part::Test).unwrap();
    assert_eq!((test.len(), test.label(0)), (1, None));
    let validation = open(folder.path(), Part::Validation).unwrap();
    assert!(validation.label(0).is_some());
    assert_eq!(test.classes(), validation.classes());
}

#[test]
fn class_folders_in_test_beside_val_are_a_part_of_their_own() {
    let folder = with_train_and("val");
    let all = || tandem_data::open_all(folder.path().to_str().unwrap()).unwrap();
    let parts =
        |all: Vec<tandem_data::Opened>| all.iter().map(|(part, _)| *part).collect::<Vec<_>>();
    assert_eq!(parts(all()), [Part::Train, Part::Validation]);
    // What is no class is not taken for a test set.
    write(folder.path(), "test/pictures/9.png", &png(4, 4, [1; 3]));
    assert_eq!(parts(all()), [Part::Train, Part::Validation]);
    std::fs::remove_dir_all(folder.path().join("test")).unwrap();

    let classes = all()[0].1.classes().to_vec();
    write(
        folder.path(),
        &format!("test/{}/9.png", classes[1]),
        &png(4, 4, [1; 3]),
    );
    let all = all();
    let (part, test) = &all[2];
    assert_eq!((*part, test.len(), test.label(0)), (Part::Test, 1, Some(1)));
    assert_ne!(test.fingerprint(), all[1].1.fingerprint());
}

#[cfg(unix)]
#[test]
fn a_link_to_nowhere_is_one_bad_picture_and_not_the_end() {
    let folder = classes_only(20);
    let link = folder.path().join("a/gone.png");
    std::os::unix::fs::symlink("nowhere.png", link).unwrap();
    let data = open(folder.path(), Part::Train).unwrap();
    let pictures = Pictures::prepare(data, SMALL, 0.1).unwrap();
    let [(name, reason)] = pictures.bad() else {
        panic!("{:?}", pictures.bad());
    };
    assert!(name.ends_with("gone.png"), "{name}");
    assert!(reason.starts_with("it cannot be read"), "{reason}");
}

/// Opening one waits for who writes into it.
#[cfg(unix)]
#[test]
fn a_pipe_named_as_a_picture_is_a_bad_picture_and_not_waited_for() {
    let folder = classes_only(20);
    let pipe = folder.path().join("a/pipe.png");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let data = open(folder.path(), Part::Train).unwrap();
    let pictures = Pictures::prepare(data, SMALL, 0.1).unwrap();
    let [(_, reason)] = pictures.bad() else {
        panic!("{:?}", pictures.bad());
    };
    assert_eq!(reason, "it cannot be read: it is no plain file");
    refused(&pipe, Part::Train, "neither a file nor a folder");
}

#[test]
fn pictures_without_folders_of_classes_are_told_what_to_do() {
    let folder = tempdir().unwrap();
    write(folder.path(), "1.png", &png(4, 4, [1; 3]));
    let error = refused(folder.path(), Part::Train, "without a folder a class");
    assert!(matches!(error, DataError::Unread { .. }), "{error}");
}

#[test]
fn an_archive_that_is_not_read_is_named_with_what_unpacks_it() {
    for (name, bytes, says) in [
        ("tiny-imagenet-200.zip", &b"PK\x03\x04"[..], "`unzip` it"),
        ("set.tar.xz", b"\xfd7zXZ\0", "`xz -d` it"),
        ("data-00000-of-00001.arrow", b"ARROW1\0\0", "to_parquet"),
        ("train.tfrecord", b"\0\0", "TFRecord"),
    ] {
        let folder = tempdir().unwrap();
        write(folder.path(), name, bytes);
        refused(folder.path(), Part::Train, says);
        refused(&folder.path().join(name), Part::Train, says);
    }
}
