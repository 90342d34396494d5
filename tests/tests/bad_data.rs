//! Data that is not what it should be: an error that names the file and what to do, and no run
//! directory.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use tandem_tests::{Place, TINY, cifar, idx_images, idx_labels, picture, place};

const TRAIN: &str = "train --model tiny.toml --data data --epochs 1 --batch 4 --out run";

/// A place with `tiny.toml`, for data in the folder `data`.
fn place() -> Place {
    let place = place!();
    place.write("tiny.toml", TINY);
    place
}

#[track_caller]
fn refused(place: &Place, says: &[&str]) {
    place.refuses(1, TRAIN.split(' '), says);
}

/// MNIST in small: 12 + 4 pictures of 16×16.
fn digits(place: &Place) {
    for (part, count) in [("train", 12u8), ("t10k", 4)] {
        let pixels = vec![100; usize::from(count) * 256];
        let labels: Vec<u8> = (0..count).map(|i| i % 10).collect();
        place.write(
            format!("data/{part}-images-idx3-ubyte"),
            idx_images(16, &pixels),
        );
        place.write(
            format!("data/{part}-labels-idx1-ubyte"),
            idx_labels(&labels),
        );
    }
}

const IMAGES: &str = "data/train-images-idx3-ubyte";
const LABELS: &str = "data/train-labels-idx1-ubyte";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn the_small_digits_themselves_are_learned_plain_and_compressed() {
    let place = place();
    digits(&place);
    place.tandem(TRAIN.split(' ')).succeeds();
    for name in place.names("data") {
        let name = format!("data/{name}");
        place.write(format!("{name}.gz"), gzip(&place.read(&name)));
        std::fs::remove_file(place.path(&name)).unwrap();
    }
    place
        .tandem(TRAIN.replace("--out run", "--out packed").split(' '))
        .succeeds();
    assert!(place.read("run/last.safetensors") == place.read("packed/last.safetensors"));
}

#[test]
fn data_that_is_not_there_or_not_recognised_is_named_with_what_was_looked_for() {
    let place = place();
    refused(
        &place,
        &[
            "no data at data: it does not exist",
            "IDX",
            "CIFAR",
            "picture folders",
        ],
    );
    place.write("data/notes.txt", "nothing");
    refused(
        &place,
        &[
            "data holds no data that is recognised",
            "IDX",
            "CIFAR",
            "picture folders",
        ],
    );
}

#[test]
fn an_idx_file_with_the_wrong_magic_is_named_with_both_numbers() {
    let place = place();
    digits(&place);
    place.write(IMAGES, place.read(LABELS));
    refused(
        &place,
        &[
            IMAGES,
            "starts with 0x00000801",
            "0x00000803",
            "is it another file",
        ],
    );
}

#[test]
fn an_idx_file_of_the_wrong_length_is_named_with_both_lengths() {
    let place = place();
    digits(&place);
    let whole = place.read(IMAGES);
    place.write(IMAGES, &whole[..whole.len() - 1]);
    refused(
        &place,
        &[
            IMAGES,
            "too short: 3071 bytes after the header",
            "3072 (12 × 16 × 16)",
            "fetch it again",
        ],
    );
    place.write(IMAGES, [&whole[..], b"more"].concat());
    refused(&place, &[IMAGES, "too long", "fetch it again"]);
    place.write(IMAGES, &whole[..7]);
    refused(
        &place,
        &[IMAGES, "too short: 7 bytes", "a header of 16 bytes"],
    );
    // A header that claims more than any such set has is refused before anything is read.
    let mut claims = whole.clone();
    claims[4..8].copy_from_slice(&u32::MAX.to_be_bytes());
    place.write(IMAGES, claims);
    refused(
        &place,
        &[
            IMAGES,
            "announces, 1099511627520 bytes",
            "at most 8589934592 are read",
        ],
    );
}

#[test]
fn idx_labels_that_do_not_belong_are_named() {
    let place = place();
    digits(&place);
    place.write(LABELS, idx_labels(&[0; 11]));
    refused(
        &place,
        &[IMAGES, "12 pictures", LABELS, "11 labels", "not of one set"],
    );
    place.write(LABELS, idx_labels(&[0, 1, 2, 10, 4, 5, 6, 7, 8, 9, 0, 1]));
    refused(
        &place,
        &[LABELS, "label 10 of picture 3", "10 classes (0 to 9)"],
    );
}

#[test]
fn a_truncated_gzip_file_is_named() {
    let place = place();
    digits(&place);
    let packed = gzip(&place.read(IMAGES));
    std::fs::remove_file(place.path(IMAGES)).unwrap();
    let name = format!("{IMAGES}.gz");
    for cut in [packed.len() - 1, packed.len() / 2, 12] {
        place.write(&name, &packed[..cut]);
        refused(
            &place,
            &[&name, "truncated or damaged gzip", "fetch it again"],
        );
    }
    let mut damaged = packed.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xff;
    place.write(&name, damaged);
    refused(&place, &[&name, "fetch it again"]);
}

#[test]
fn a_missing_file_of_a_set_is_named() {
    let place = place();
    digits(&place);
    std::fs::remove_file(place.path("data/t10k-labels-idx1-ubyte")).unwrap();
    refused(
        &place,
        &[
            "data is not complete: it lacks t10k-labels-idx1-ubyte",
            "fetch what is missing",
        ],
    );
}

/// CIFAR-10 in small: five files of 4 and one of 4.
fn small_cifar(place: &Place) {
    for batch in 1..=5u8 {
        place.write(
            format!("data/data_batch_{batch}.bin"),
            cifar(&[batch, 1, 2, 3]),
        );
    }
    place.write("data/test_batch.bin", cifar(&[0, 1, 2, 9]));
}

#[test]
fn a_small_cifar_is_learned_in_its_three_colours() {
    let place = place();
    small_cifar(&place);
    let done = place.tandem(TRAIN.split(' ')).succeeds();
    assert!(
        done.stderr.contains("20 + 4 pictures, 10 classes"),
        "{done:#?}"
    );
}

#[test]
fn a_cifar_file_of_the_wrong_length_is_named() {
    let place = place();
    small_cifar(&place);
    for cut in [0, 3072, 3 * 3073 + 1] {
        place.write("data/data_batch_3.bin", &cifar(&[1, 2, 3, 4])[..cut]);
        refused(
            &place,
            &[
                "data/data_batch_3.bin",
                &format!("{cut} bytes"),
                "records of 3073 bytes",
                "fetch it again",
            ],
        );
    }
}

#[test]
fn a_cifar_label_beyond_the_classes_is_named() {
    let place = place();
    small_cifar(&place);
    place.write("data/data_batch_2.bin", cifar(&[1, 10, 3, 4]));
    refused(
        &place,
        &[
            "data/data_batch_2.bin",
            "label 10 of picture 1",
            "10 classes (0 to 9)",
        ],
    );
}

#[test]
fn a_missing_cifar_file_is_named() {
    let place = place();
    small_cifar(&place);
    std::fs::remove_file(place.path("data/data_batch_4.bin")).unwrap();
    refused(&place, &["data is not complete: it lacks data_batch_4.bin"]);
}

/// Two classes of `count` pictures each, every tenth of them held out.
fn folders(place: &Place, count: u8) {
    for class in ["cat", "dog"] {
        for i in 0..count {
            place.write(format!("data/{class}/{i:03}.png"), picture(20, [i, 90, 10]));
        }
    }
}

#[test]
fn a_few_pictures_that_do_not_decode_are_left_out_and_listed() {
    let place = place();
    folders(&place, 120);
    place.write("data/cat/007.png", &picture(20, [7; 3])[..50]);
    place.write("data/dog/020.png", "no picture at all");
    let done = place.tandem(TRAIN.split(' ')).succeeds();
    assert!(
        done.stderr
            .contains("2 pictures do not decode and are left out; run/left-out.txt lists them"),
        "{done:#?}"
    );
    assert!(
        done.stderr.contains("214 + 24 pictures, 2 classes"),
        "{done:#?}"
    );
    let list = place.text("run/left-out.txt");
    let lines: Vec<Vec<&str>> = list
        .lines()
        .map(|line| line.split('\t').collect())
        .collect();
    assert_eq!(lines.len(), 2, "{list}");
    assert_eq!(lines[0][..2], ["train", "data/cat/007.png"]);
    assert_eq!(lines[1][..2], ["train", "data/dog/020.png"]);
    assert_eq!(lines[1][2], "it is no JPEG, PNG or WebP", "{list}");
}

#[test]
fn too_many_pictures_that_do_not_decode_are_an_error() {
    let place = place();
    folders(&place, 40);
    place.write("data/cat/007.png", "no picture at all");
    refused(
        &place,
        &[
            "1 of 72 pictures do not decode",
            "the allowed share of 0.01",
            "data/cat/007.png",
        ],
    );
}

#[test]
fn a_picture_that_claims_to_be_huge_is_left_out_before_it_takes_memory() {
    let place = place();
    folders(&place, 120);
    // The whole header of a PNG of 2 billion pixels a side.
    let header = b"IHDR\x7f\xff\xff\xff\x7f\xff\xff\xff\x08\x02\0\0\0";
    let mut sum = flate2::Crc::new();
    sum.update(header);
    let start = b"\x89PNG\r\n\x1a\n\0\0\0\r".iter().chain(header).copied();
    let huge: Vec<u8> = start.chain(sum.sum().to_be_bytes()).collect();
    place.write("data/cat/007.png", huge);
    place.tandem(TRAIN.split(' ')).succeeds();
    let list = place.text("run/left-out.txt");
    assert!(
        list.contains("data/cat/007.png") && list.contains("claims 2147483647×2147483647 pixels"),
        "{list}"
    );
}

#[test]
fn a_class_folder_with_no_pictures_is_named() {
    let place = place();
    folders(&place, 20);
    place.write("data/emu/readme.txt", "");
    refused(
        &place,
        &[
            "class folder data/emu holds no pictures",
            "fill or remove it",
        ],
    );
}

#[test]
fn class_folders_that_are_all_empty_are_named_for_what_they_are() {
    let place = place();
    for class in ["cat", "dog"] {
        std::fs::create_dir_all(place.path(format!("data/{class}"))).unwrap();
    }
    refused(
        &place,
        &[
            "none of the 2 folders in data",
            "data/cat",
            "holds a picture",
            "put the pictures",
        ],
    );
    // The same in the other layout.
    for class in ["cat", "dog"] {
        std::fs::create_dir_all(place.path(format!("data/train/{class}"))).unwrap();
    }
    refused(&place, &["class folder data/train/cat holds no pictures"]);
}

#[test]
fn too_few_pictures_to_hold_any_out_are_told_of() {
    let place = place();
    folders(&place, 5);
    refused(
        &place,
        &[
            "data has no pictures for this part",
            "no class has ten pictures",
            "val/ beside train/",
        ],
    );
}

#[test]
fn a_picture_is_named_where_predict_cannot_read_it() {
    let place = place();
    folders(&place, 20);
    place.tandem(TRAIN.split(' ')).succeeds();
    place.write("torn.png", &picture(20, [7; 3])[..50]);
    for (name, says) in [
        ("none.png", "cannot read none.png"),
        ("torn.png", "torn.png does not decode as a picture"),
    ] {
        place.refuses(1, ["predict", "--weights", "run", name], &[says]);
    }
}

#[test]
fn weights_for_other_classes_are_not_measured() {
    let place = place();
    folders(&place, 20);
    place.tandem(TRAIN.split(' ')).succeeds();
    place.refuses(
        1,
        ["eval", "--weights", "run", "--data", "builtin"],
        &["run/best.safetensors tells 2 classes apart, and builtin has 10"],
    );
}
