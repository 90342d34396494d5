//! Labels and lists of classes that lie beside the pictures: what is missing or wrong is refused with its
//! name and the line.

mod common;

use common::ilsvrc::{Ilsvrc, META, tar};
use common::{assert_says, folder_with, gzip, open, png, said, write};
use tandem_data::Part;
use tempfile::{TempDir, tempdir};

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
        assert_says(&text, &[name, "fetch"]);
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
        &["ILSVRC2012_img_train.tar has no pictures of n02119789, a class of the set"],
    );
}

#[test]
fn a_part_that_is_there_twice_is_named_by_both_places() {
    let set = Ilsvrc::new();
    let folder = ilsvrc("ILSVRC2012_img_train_t3.tar", &set.train_tar());
    let text = said(folder.path(), Part::Train);
    assert_says(
        &text,
        &[
            "ILSVRC2012_img_train.tar and",
            "ILSVRC2012_img_train_t3.tar seem",
        ],
    );
    assert!(open(folder.path(), Part::Validation).is_ok());
    // Who unpacks an archive may keep it.
    for (name, bytes) in set.class_tars() {
        write(folder.path(), &format!("train/{name}"), &bytes);
    }
    let data = open(folder.path(), Part::Train).unwrap();
    assert!(
        data.name(0).contains("train/n01440764.tar/"),
        "{}",
        data.name(0)
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
        (&[("1.cls", b"-1\n")], "set.tar/1.png has no label in"),
        (&[("1.cls", b"-2\n")], "1.cls, line 1: the label is \"-2\""),
        (&[("1.cls", b"")], "1.cls, line 1: the label is \"\""),
        (
            &[("1.json", b"{\"label\": -2}")],
            "1.json, line 1: the label is -2",
        ),
        (&[("1.json", b"{")], "1.json, line 1: no JSON"),
        (&[("1.cls", b"1"), ("1.jpg", b"")], "are both picture `1`"),
    ] {
        let folder = folder_with("set.tar", &shard(files));
        assert_says(&said(folder.path(), Part::Train), &["set.tar", says]);
    }
}

#[test]
fn test_pictures_without_labels_are_no_validation_pictures() {
    let folder = tempdir().unwrap();
    let picture = png(4, 4, [1; 3]);
    let files: Vec<(String, &[u8])> = (0..20)
        .flat_map(|i| {
            [
                (format!("{i:02}.png"), &picture[..]),
                (format!("{i:02}.cls"), b"0"),
            ]
        })
        .collect();
    let files = files.iter().map(|(name, bytes)| (name.as_str(), *bytes));
    write(folder.path(), "set-train-0.tar", &tar(files));
    write(
        folder.path(),
        "set-test-0.tar",
        &tar([("a.png", &picture[..])]),
    );
    let parts = tandem_data::open_all(folder.path().to_str().unwrap()).unwrap();
    let counts: Vec<_> = parts
        .iter()
        .map(|(_, part)| (part.len(), part.label(0)))
        .collect();
    assert_eq!(counts, [(18, Some(0)), (2, Some(0)), (1, None)]);
}

#[test]
fn a_list_of_classes_names_numbers_and_bounds_them() {
    let folder = folder_with("train-0.tar", &shard(&[("1.cls", b"1")]));
    write(folder.path(), "classes.txt", b"zebra\nape\n");
    let data = open(folder.path(), Part::Train).unwrap();
    assert_eq!(data.classes(), ["zebra", "ape"]);
    assert_eq!((data.label(0), data.label(1)), (Some(0), Some(1)));
    write(folder.path(), "classes.txt", b"zebra\n");
    let beyond = said(folder.path(), Part::Train);
    assert_says(&beyond, &["1.png", "label 1 is beyond the 1 classes"]);
    write(folder.path(), "classes.txt", b"");
    let beyond = said(folder.path(), Part::Train);
    assert_says(&beyond, &["label 0 is beyond the 0 classes"]);
}

#[test]
fn pictures_of_a_shard_that_has_no_labels_are_told_what_labels_are() {
    let picture = png(4, 4, [1; 3]);
    let files = [("0.jpg", &picture[..]), ("0.txt", b"a caption")];
    let folder = folder_with("set-000.tar", &tar(files));
    for path in [
        folder.path().to_path_buf(),
        folder.path().join("set-000.tar"),
    ] {
        let says = ["set-000.tar", "without labels", "KEY.cls"];
        assert_says(&said(&path, Part::Train), &says);
    }
}

#[test]
fn a_ground_truth_that_is_missing_is_not_taken_for_a_set_without_validation() {
    let folder = tempdir().unwrap();
    Ilsvrc::new().archives(folder.path());
    let kit = [("data/meta.mat", META)];
    let kit = gzip(&tar(kit.map(|(name, bytes)| (name, bytes))));
    write(folder.path(), "ILSVRC2012_devkit_t12.tar.gz", &kit);
    let error = tandem_data::open_all(folder.path().to_str().unwrap()).err();
    let text = error.expect("an error").to_string();
    assert_says(&text, &["lacks ILSVRC2012_validation_ground_truth.txt"]);
}

#[test]
fn archives_that_lie_apart_below_one_folder_are_one_set() {
    let (together, apart) = (tempdir().unwrap(), tempdir().unwrap());
    Ilsvrc::new().archives(together.path());
    for entry in std::fs::read_dir(together.path()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let folder = ["train", "val", "test", "devkit"]
            .into_iter()
            .find(|part| name.contains(part))
            .unwrap();
        let bytes = std::fs::read(entry.path()).unwrap();
        write(apart.path(), &format!("{folder}/{name}"), &bytes);
    }
    for part in Part::ALL {
        let [one, other] =
            [&together, &apart].map(|folder| open(folder.path(), part).unwrap().fingerprint());
        assert_eq!(one, other, "{part:?}");
    }
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

#[test]
fn shards_of_no_part_hold_out_every_tenth_picture_of_a_class() {
    let picture = png(4, 4, [1; 3]);
    let names: Vec<(String, String)> = (0..24)
        .map(|i| (format!("{i:02}.png"), format!("{i:02}.cls")))
        .collect();
    let class = |i: usize| if i < 12 { "zebra" } else { "ape" }.as_bytes();
    let files = names.iter().enumerate().flat_map(|(i, (image, label))| {
        [(image.as_str(), &picture[..]), (label.as_str(), class(i))]
    });
    let folder = folder_with("000.tar", &tar(files));
    let (train, held_out) = (
        open(folder.path(), Part::Train).unwrap(),
        open(folder.path(), Part::Validation).unwrap(),
    );
    assert_eq!(train.classes(), ["ape", "zebra"]);
    assert_eq!((train.len(), held_out.len()), (22, 2));
    assert_eq!((held_out.key(0), held_out.label(0)), ("21".into(), Some(0)));
    assert_eq!((held_out.key(1), held_out.label(1)), ("09".into(), Some(1)));
}
