//! Archives and label files that are wrong, each refused with its name and the place.

mod common;

use std::path::Path;

use common::ilsvrc::{Ilsvrc, META, tar};
use common::{gzip, open, png, write};
use tandem_data::{DataError, Part};
use tempfile::{TempDir, tempdir};

fn folder_with(name: &str, bytes: &[u8]) -> TempDir {
    let folder = tempdir().unwrap();
    write(folder.path(), name, bytes);
    folder
}

/// What opening says.
fn said(path: &Path, part: Part) -> String {
    open(path, part).err().expect("an error").to_string()
}

/// That `text` holds each of `parts`.
fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{text:?} does not say {part:?}");
    }
}

/// A tar of one picture in `cat/`, then what `add` appends.
fn with(add: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    append(&mut builder, b"cat/1.png", tar::EntryType::Regular);
    add(&mut builder);
    builder.into_inner().unwrap()
}

/// Appends a member under any name, also one that the builder would refuse.
fn append(builder: &mut tar::Builder<Vec<u8>>, name: &[u8], kind: tar::EntryType) {
    let bytes = if kind == tar::EntryType::Regular {
        png(4, 4, [9; 3])
    } else {
        Vec::new()
    };
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_size(bytes.len() as u64);
    header.set_entry_type(kind);
    header.set_cksum();
    builder.append(&header, bytes.as_slice()).unwrap();
}

#[test]
fn a_truncated_archive_is_named_with_the_byte_where_it_breaks() {
    let picture = vec![7; 1000];
    let whole = tar([("cat/1.jpg", &picture[..]), ("cat/2.jpg", &picture[..])]);
    // Headers at 0 and 1536; contents of 1000 bytes; two empty blocks at the end, from 3072.
    for (length, byte, reason) in [
        (100, "byte 0,", "cut short: it ends here"),
        (
            600,
            "byte 0,",
            "`cat/1.jpg` has 1000 bytes, but only 88 are left",
        ),
        (1536, "byte 1536,", "cut short: it ends here"),
        (
            2600,
            "byte 1536,",
            "`cat/2.jpg` has 1000 bytes, but only 552 are left",
        ),
        (3072, "byte 3072,", "cut short: it ends here"),
    ] {
        let folder = folder_with("set.tar", &whole[..length]);
        let text = said(&folder.path().join("set.tar"), Part::Train);
        assert_says(&text, &["set.tar", byte, reason]);
    }
    assert!(open(folder_with("set.tar", &whole[..3584]).path(), Part::Train).is_ok());
}

#[test]
fn a_truncated_archive_in_an_archive_is_named_by_both() {
    let inner = tar([("n01440764_1.JPEG", &[7; 1000][..])]);
    let outer = tar([("n01440764.tar", &inner[..1200])]);
    let folder = folder_with("ILSVRC2012_img_train.tar", &outer);
    let text = said(folder.path(), Part::Train);
    assert_says(
        &text,
        &["ILSVRC2012_img_train.tar/n01440764.tar", "byte 0,"],
    );
}

#[test]
fn a_truncated_or_damaged_gzip_is_named() {
    let whole = gzip(&with(|_| {}));
    let folder = folder_with("set.tgz", &whole[..whole.len() / 2]);
    let text = said(folder.path(), Part::Train);
    assert_says(&text, &["set.tgz", "truncated or damaged gzip"]);
}

#[test]
fn members_that_lead_out_of_the_archive_are_refused() {
    for (name, reason) in [
        (
            "../cat/2.png",
            "the name `../cat/2.png` leads out of the archive",
        ),
        ("cat/../../2.png", "leads out of the archive"),
        ("/etc/2.png", "the name `/etc/2.png` is absolute"),
        ("a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/1.png", "16 folders deep"),
    ] {
        let bytes = with(|tar| append(tar, name.as_bytes(), tar::EntryType::Regular));
        let folder = folder_with("set.tar", &bytes);
        assert_says(
            &said(folder.path(), Part::Train),
            &["set.tar", "byte 1024,", reason],
        );
    }
}

#[test]
fn links_devices_pipes_and_sparse_files_are_refused_by_what_they_are() {
    for (kind, reason) in [
        (tar::EntryType::Symlink, "`cat/2.png` is a symbolic link"),
        (tar::EntryType::Link, "hard link"),
        (tar::EntryType::Char, "a device"),
        (tar::EntryType::Block, "a device"),
        (tar::EntryType::Fifo, "a pipe"),
        (tar::EntryType::GNUSparse, "a sparse file"),
    ] {
        let bytes = with(|tar| append(tar, b"cat/2.png", kind));
        let folder = folder_with("set.tar", &bytes);
        assert_says(
            &said(folder.path(), Part::Train),
            &["set.tar", "byte 1024,", reason],
        );
    }
}

#[test]
fn a_header_of_a_huge_size_or_a_wrong_checksum_is_refused() {
    let second = |change: fn(&mut tar::Header)| {
        let mut bytes = with(|tar| append(tar, b"cat/2.png", tar::EntryType::Regular));
        let mut header = tar::Header::from_byte_slice(&bytes[1024..1536]).clone();
        change(&mut header);
        bytes[1024..1536].copy_from_slice(header.as_bytes());
        said(folder_with("set.tar", &bytes).path(), Part::Train)
    };
    let text = second(|header| {
        header.set_size(u64::MAX - 100);
        header.set_cksum();
    });
    assert_says(
        &text,
        &[
            "set.tar",
            "byte 1024,",
            "`cat/2.png` has 18446744073709551515 bytes",
        ],
    );
    let text = second(|header| header.as_mut_bytes()[0] = b'x');
    assert_says(&text, &["set.tar", "byte 1024,", "checksum"]);
    // A name that claims to have more bytes than a name may.
    let text = second(|header| {
        header.set_entry_type(tar::EntryType::GNULongName);
        header.set_size(5000);
        header.set_cksum();
    });
    assert_says(&text, &["set.tar", "byte 1024,"]);
}

#[test]
fn a_second_member_of_one_name_is_refused() {
    let bytes = with(|tar| append(tar, b"./cat//1.png", tar::EntryType::Regular));
    let text = said(folder_with("set.tar", &bytes).path(), Part::Train);
    assert_says(
        &text,
        &[
            "set.tar",
            "byte 1536",
            "a second file `cat/1.png`; the first is at byte 512",
        ],
    );
}

#[test]
fn control_characters_in_a_name_are_escaped() {
    let bytes = with(|tar| append(tar, b"cat/\x1b[2J.png", tar::EntryType::Regular));
    let folder = folder_with("set.tar", &bytes);
    let data = open(folder.path(), Part::Train).unwrap();
    assert!(
        data.name(0).contains(r"cat/\u{1b}[2J.png"),
        "{}",
        data.name(0)
    );
    let bytes = with(|tar| append(tar, b"../\n.png", tar::EntryType::Regular));
    let text = said(folder_with("set.tar", &bytes).path(), Part::Train);
    assert_says(&text, &[r"`../\n.png`"]);
}

#[test]
fn long_names_and_pax_names_and_sizes_are_understood() {
    let long = format!("cat/{}.png", "x".repeat(200));
    let picture = png(4, 4, [1; 3]);
    let bytes = with(|tar| {
        let mut header = tar::Header::new_gnu();
        header.set_size(picture.len() as u64);
        tar.append_data(&mut header, &long, picture.as_slice())
            .unwrap();
        let size = picture.len().to_string();
        tar.append_pax_extensions([("path", &b"cat/y.png"[..]), ("size", size.as_bytes())])
            .unwrap();
        // The header's own size counts for nothing then.
        let mut header = tar::Header::new_ustar();
        header.set_path("short").unwrap();
        header.set_size(0);
        header.set_cksum();
        tar.append(&header, picture.as_slice()).unwrap();
    });
    let folder = folder_with("set.tar", &bytes);
    let data = open(folder.path(), Part::Train).unwrap();
    let keys: Vec<String> = (0..data.len()).map(|i| data.key(i)).collect();
    assert_eq!(keys, ["1".to_string(), "x".repeat(200), "y".into()]);
    assert_eq!(data.picture(2).unwrap().width, 4);
}

#[test]
fn an_archive_that_is_gone_or_shorter_when_a_picture_is_read_is_named() {
    let folder = folder_with("set.tar", &with(|_| {}));
    let path = folder.path().join("set.tar");
    let data = open(&path, Part::Train).unwrap();
    std::fs::write(&path, &std::fs::read(&path).unwrap()[..520]).unwrap();
    let text = data.picture(0).unwrap_err().to_string();
    assert_says(&text, &["set.tar/cat/1.png (at byte 512)", "too short"]);
    std::fs::remove_file(&path).unwrap();
    let text = data.picture(0).unwrap_err().to_string();
    assert_says(&text, &["cannot read", "set.tar/cat/1.png (at byte 512)"]);
}

/// A small ILSVRC of archives, with one file replaced.
fn ilsvrc(name: &str, bytes: &[u8]) -> TempDir {
    let folder = tempdir().unwrap();
    Ilsvrc::new().archives(folder.path());
    write(folder.path(), name, bytes);
    folder
}

fn devkit(meta: &[u8], truth: &str) -> Vec<u8> {
    gzip(&tar([
        ("kit/data/meta.mat", meta),
        (
            "kit/data/ILSVRC2012_validation_ground_truth.txt",
            truth.as_bytes(),
        ),
    ]))
}

const DEVKIT: &str = "ILSVRC2012_devkit_t12.tar.gz";

#[test]
fn a_missing_file_of_the_set_is_named_when_its_part_is_asked_for() {
    for (name, part) in [
        ("ILSVRC2012_img_train.tar", Part::Train),
        ("ILSVRC2012_img_val.tar", Part::Validation),
        (DEVKIT, Part::Validation),
    ] {
        let folder = ilsvrc("unrelated.txt", b"");
        std::fs::remove_file(folder.path().join(name)).unwrap();
        let text = said(folder.path(), part);
        assert_says(&text, &[name, "ILSVRC 2012", "fetch the missing file"]);
    }
    let folder = tempdir().unwrap();
    Ilsvrc::new().kaggle(folder.path());
    std::fs::remove_file(folder.path().join("LOC_val_solution.csv")).unwrap();
    let text = said(folder.path(), Part::Validation);
    assert_says(&text, &[DEVKIT, "LOC_val_solution.csv"]);
}

#[test]
fn a_ground_truth_of_the_wrong_length_or_out_of_range_is_named() {
    for (truth, says) in [
        ("1\n2\n3\n", "no label in"),
        ("1\n2\n3\n1\n2\n3\n1\n2\n", "holds 7 pictures but"),
        (
            "1\n2\n3\n1\n2\n3\n4\n",
            "line 7: \"4\" is no ILSVRC2012_ID, 1 to 3",
        ),
        ("1\n0\n3\n1\n2\n3\n1\n", "line 2: \"0\""),
        ("1\ncat\n3\n1\n2\n3\n1\n", "line 2: \"cat\""),
        ("1\n\n3\n1\n2\n3\n1\n", "line 2: \"\""),
    ] {
        let folder = ilsvrc(DEVKIT, &devkit(META, truth));
        let text = said(folder.path(), Part::Validation);
        assert_says(&text, &["ILSVRC2012_validation_ground_truth.txt", says]);
    }
}

#[test]
fn a_meta_mat_of_another_kind_is_named() {
    let mut newer = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".to_vec();
    newer.resize(600, 0);
    for (meta, says) in [
        (&newer[..], "version 7.3 (HDF5)"),
        (b"no MAT-file", "does not start with a MAT-file's header"),
        (&META[..128], "no variable `synsets`"),
        (&META[..META.len() - 50], "cut short"),
    ] {
        let folder = ilsvrc(DEVKIT, &devkit(meta, "1\n"));
        let text = said(folder.path(), Part::Train);
        assert_says(
            &text,
            &[
                "data/meta.mat is not the meta.mat of an ILSVRC devkit",
                says,
            ],
        );
    }
}

#[test]
fn kaggles_solution_with_an_unknown_class_or_a_second_label_is_named() {
    for (line, says) in [
        (
            "ILSVRC2012_val_00000009,n99999999 1 2 3 4",
            "\"n99999999\" is none of the 3 classes",
        ),
        ("ILSVRC2012_val_00000009,", "\"\" is none of the 3 classes"),
        (
            "ILSVRC2012_val_00000001,n01440764 1 2 3 4",
            "a second label",
        ),
    ] {
        let folder = tempdir().unwrap();
        Ilsvrc::new().kaggle(folder.path());
        let path = folder.path().join("LOC_val_solution.csv");
        let text = std::fs::read_to_string(&path).unwrap() + line + "\n";
        std::fs::write(&path, text).unwrap();
        let text = said(folder.path(), Part::Validation);
        assert_says(&text, &["LOC_val_solution.csv, line 9", says]);
    }
}

#[test]
fn a_class_without_training_pictures_is_named() {
    let set = Ilsvrc::new();
    let tars = set.class_tars();
    let two = tar(tars[..2]
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice())));
    let folder = ilsvrc("ILSVRC2012_img_train.tar", &two);
    assert_says(
        &said(folder.path(), Part::Train),
        &["ILSVRC2012_img_train.tar lacks n02119789, a class"],
    );
}

/// A shard of one picture with these files beside it.
fn shard(files: &[(&str, &[u8])]) -> Vec<u8> {
    let picture = png(4, 4, [1; 3]);
    let first = [("0.jpg", &picture[..]), ("0.cls", b"0")];
    tar(first
        .into_iter()
        .chain([("1.png", &picture[..])])
        .chain(files.iter().copied()))
}

#[test]
fn labels_of_a_shard_that_are_missing_or_wrong_are_named() {
    for (files, says) in [
        (&[][..], "set.tar/1.png has no label in"),
        (&[("1.cls", &b"4000000000"[..])], "label 4000000000"),
        (
            &[("1.json", b"{\"label\": -1}")],
            "1.json, line 1: the label is -1",
        ),
        (&[("1.json", b"{")], "1.json, line 1: no JSON"),
        (&[("1.cls", b"1"), ("1.jpg", b"")], "are both picture `1`"),
    ] {
        let folder = folder_with("set.tar", &shard(files));
        assert_says(&said(folder.path(), Part::Train), &["set.tar", says]);
    }
}

#[test]
fn a_list_of_classes_names_numbers_and_bounds_them() {
    let folder = folder_with("train-0.tar", &shard(&[("1.cls", b"1")]));
    write(folder.path(), "classes.txt", b"zebra\nape\n");
    let data = open(folder.path(), Part::Train).unwrap();
    assert_eq!(data.classes(), ["zebra", "ape"]);
    assert_eq!((data.label(0), data.label(1)), (Some(0), Some(1)));
    write(folder.path(), "classes.txt", b"zebra\n");
    let error = open(folder.path(), Part::Train).err().unwrap();
    assert!(
        matches!(
            error,
            DataError::Label {
                label: 1,
                classes: 1,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn the_devkit_numbers_the_classes_of_a_submission() {
    let folder = ilsvrc("unrelated.txt", b"");
    let spec = folder.path().to_str().unwrap();
    let classes = open(folder.path(), Part::Test).unwrap().classes().to_vec();
    assert_eq!(tandem_data::ilsvrc_ids(spec, &classes).unwrap(), [3, 2, 1]);
    std::fs::remove_file(folder.path().join(DEVKIT)).unwrap();
    let text = tandem_data::ilsvrc_ids(spec, &classes)
        .unwrap_err()
        .to_string();
    assert_says(&text, &[DEVKIT, "fetch the missing file"]);
}

#[test]
fn the_first_validation_picture_of_all_thousand_classes_is_the_sea_snake() {
    let folder = tempdir().unwrap();
    let validation = tar([("ILSVRC2012_val_00000001.JPEG", &png(4, 4, [1; 3])[..])]);
    write(folder.path(), "ILSVRC2012_img_val.tar", &validation);
    let meta = include_bytes!("fixtures/devkit/thousand.mat");
    write(folder.path(), DEVKIT, &devkit(meta, "490\n"));
    let data = open(folder.path(), Part::Validation).unwrap();
    assert_eq!((data.classes().len(), data.label(0)), (1000, Some(65)));
    assert_eq!(data.classes()[65], "n01751748 sea snake");
    let ids = tandem_data::ilsvrc_ids(folder.path().to_str().unwrap(), data.classes()).unwrap();
    assert_eq!(ids[65], 490);
}
