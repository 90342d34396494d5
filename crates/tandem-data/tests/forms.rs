//! One set is the same set in whatever form it is found.

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::ilsvrc::{CLASSES, Ilsvrc, META};
use common::{gzip, open, write};
use tandem_data::pack::{Encoding, PackOptions, Plan};
use tandem_data::{Part, Picture, Preprocess};
use tempfile::{TempDir, tempdir};

/// All there is to see of a part.
#[derive(Debug, PartialEq)]
struct Seen {
    classes: Vec<String>,
    samples: Vec<(String, Option<u32>, Picture)>,
    fingerprint: u64,
}

fn see(path: &Path, part: Part) -> Seen {
    let data = open(path, part).unwrap();
    Seen {
        classes: data.classes().to_vec(),
        samples: (0..data.len())
            .map(|i| (data.key(i), data.label(i), data.picture(i).unwrap()))
            .collect(),
        fingerprint: data.fingerprint(),
    }
}

fn form(make: impl FnOnce(&Path)) -> TempDir {
    let folder = tempdir().unwrap();
    make(folder.path());
    folder
}

#[test]
fn every_form_gives_the_same_keys_labels_classes_and_pictures() {
    let set = Ilsvrc::new();
    let folders = form(|root| set.class_folders(root));
    let (train, validation) = (
        see(folders.path(), Part::Train),
        see(folders.path(), Part::Validation),
    );
    assert_eq!(
        train.classes,
        [
            "n01440764 tench, Tinca tinca",
            "n01751748 sea snake",
            "n02119789 kit fox, Vulpes macrotis"
        ]
    );
    assert_eq!((train.samples.len(), validation.samples.len()), (12, 7));
    let keys: Vec<&str> = train.samples.iter().map(|(key, ..)| key.as_str()).collect();
    assert_eq!(
        keys[..5],
        [
            "n01440764_24",
            "n01440764_3",
            "n01440764_45",
            "n01440764_66",
            "n01751748_10"
        ]
    );

    let forms = [
        (
            "a tar",
            form(|root| write(root, "x.tar", &set.tar_of_class_folders())),
        ),
        (
            "a gzip'd tar in folders",
            form(|root| write(root, "a/b/x.tgz", &gzip(&set.tar_of_class_folders()))),
        ),
        ("ILSVRC's archives", form(|root| set.archives(root))),
        (
            "tars a class, unpacked devkit",
            form(|root| {
                for (name, bytes) in set.class_tars() {
                    write(root, &format!("train/{name}"), &bytes);
                }
                for jpeg in &set.validation {
                    write(root, &format!("val/{}", jpeg.name), &jpeg.bytes);
                }
                let truth = "devkit/data/ILSVRC2012_validation_ground_truth.txt";
                write(root, truth, set.ground_truth().as_bytes());
                write(root, "devkit/data/meta.mat", META);
            }),
        ),
        ("Kaggle's tree", form(|root| set.kaggle(root))),
        (
            "a tar with more test pictures at its beginning than are looked at",
            form(|root| {
                let kaggle = form(|root| set.kaggle(root));
                let mut tar = tar::Builder::new(Vec::new());
                let picture = set.test[0].bytes.as_slice();
                for i in 1..=70 {
                    let name = format!("ILSVRC/Data/CLS-LOC/test/ILSVRC2012_test_{i:08}.JPEG");
                    let mut header = tar::Header::new_gnu();
                    header.set_size(picture.len() as u64);
                    header.set_mode(0o644);
                    tar.append_data(&mut header, name, picture).unwrap();
                }
                std::fs::remove_dir_all(kaggle.path().join("ILSVRC/Data/CLS-LOC/test")).unwrap();
                tar.append_dir_all(".", kaggle.path()).unwrap();
                write(root, "all.tar", &tar.into_inner().unwrap());
            }),
        ),
        ("WebDataset", form(|root| set.webdataset(root))),
        (
            "WebDataset with test pictures without labels, which are ILSVRC's by name",
            form(|root| {
                set.webdataset(root);
                let pictures = set.test.iter().map(|jpeg| {
                    let name = jpeg.name.replace(".JPEG", ".jpg");
                    (name, jpeg.bytes.as_slice())
                });
                let pictures: Vec<_> = pictures.collect();
                let files = pictures.iter().map(|(name, bytes)| (name.as_str(), *bytes));
                write(root, "test-000000.tar", &common::ilsvrc::tar(files));
            }),
        ),
        (
            "names with the WNID appended, as Hugging Face has them",
            form(|root| {
                for (part, pictures) in [("train", &set.train), ("val", &set.validation)] {
                    for jpeg in pictures {
                        let (wnid, key) =
                            (CLASSES[jpeg.class].0, jpeg.name.trim_end_matches(".JPEG"));
                        write(
                            root,
                            &format!("{part}/{wnid}/{key}_{wnid}.JPEG"),
                            &jpeg.bytes,
                        );
                    }
                }
            }),
        ),
    ];
    for (name, folder) in &forms {
        assert_eq!(see(folder.path(), Part::Train), train, "{name}");
        assert_eq!(see(folder.path(), Part::Validation), validation, "{name}");
    }
    let whole = shards(folders.path());
    assert_eq!(whole.len(), 4, "a shard and a mean a part");
    for (name, folder) in &forms {
        // Some forms have test pictures too.
        let packed = shards(folder.path());
        for (file, bytes) in &whole {
            assert!(packed[file] == *bytes, "{name}: {file}");
        }
    }

    // A table tells lengths otherwise, and so has another fingerprint.
    let table = form(|root| set.parquet(root));
    for (part, wanted) in [(Part::Train, train), (Part::Validation, validation)] {
        let seen = see(table.path(), part);
        assert_eq!(
            (seen.classes, seen.samples),
            (wanted.classes, wanted.samples)
        );
    }
    assert!(shards(table.path()) == whole);
}

/// The shards and means that a set is packed to.
fn shards(set: &Path) -> BTreeMap<String, Vec<u8>> {
    let out = tempdir().unwrap();
    let options = PackOptions {
        preprocess: Preprocess {
            side: 32,
            channels: 3,
        },
        encoding: Encoding::Raw,
        bad_share: 0.0,
    };
    let plan = Plan::new(set.to_str().unwrap(), options).unwrap();
    plan.run(out.path(), &|_| ()).unwrap();
    std::fs::read_dir(out.path())
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            (
                entry.file_name().into_string().unwrap(),
                std::fs::read(entry.path()).unwrap(),
            )
        })
        .filter(|(name, _)| name.ends_with(".shard") || name.ends_with(".npy"))
        .collect()
}

#[test]
fn test_pictures_have_no_labels_but_the_classes_of_the_others() {
    let set = Ilsvrc::new();
    for folder in [
        form(|root| set.archives(root)),
        form(|root| set.kaggle(root)),
    ] {
        let (train, test) = (
            see(folder.path(), Part::Train),
            see(folder.path(), Part::Test),
        );
        assert_eq!(test.classes, train.classes);
        let listed: Vec<_> = test
            .samples
            .iter()
            .map(|(key, label, _)| (key.as_str(), *label))
            .collect();
        assert_eq!(
            listed,
            [
                ("ILSVRC2012_test_00000001", None),
                ("ILSVRC2012_test_00000002", None),
                ("ILSVRC2012_test_00000003", None)
            ]
        );
    }
}

#[test]
fn any_one_file_or_inner_folder_of_the_set_leads_to_it() {
    let set = Ilsvrc::new();
    let archives = form(|root| set.archives(root));
    let kaggle = form(|root| set.kaggle(root));
    let wanted = see(archives.path(), Part::Validation);
    for path in [
        archives.path().join("ILSVRC2012_img_train.tar"),
        archives.path().join("ILSVRC2012_img_val.tar"),
        archives.path().join("ILSVRC2012_devkit_t12.tar.gz"),
        kaggle.path().join("LOC_val_solution.csv"),
        kaggle.path().join("ILSVRC"),
        kaggle.path().join("ILSVRC/Data/CLS-LOC"),
    ] {
        assert_eq!(see(&path, Part::Validation), wanted, "{}", path.display());
    }
}

#[test]
fn archives_are_recognised_under_any_name() {
    let set = Ilsvrc::new();
    let named = form(|root| set.archives(root));
    let renamed = form(|root| {
        write(root, "a.tar", &set.train_tar());
        write(root, "b.tgz", &set.devkit());
        let validation = std::fs::read(named.path().join("ILSVRC2012_img_val.tar")).unwrap();
        write(root, "c.tar", &validation);
    });
    for part in [Part::Train, Part::Validation] {
        assert_eq!(see(renamed.path(), part), see(named.path(), part));
    }
}

#[test]
fn a_name_tells_archive_member_and_byte() {
    let set = Ilsvrc::new();
    let folder = form(|root| set.archives(root));
    let train = open(folder.path(), Part::Train).unwrap();
    let name = train.name(0);
    let (path, offset) = name.split_once(" (at byte ").unwrap();
    assert!(
        path.ends_with("ILSVRC2012_img_train.tar/n01440764.tar/n01440764_24.JPEG"),
        "{name}"
    );
    // There the JPEG begins.
    let offset: usize = offset.trim_end_matches(')').parse().unwrap();
    let archive = std::fs::read(folder.path().join("ILSVRC2012_img_train.tar")).unwrap();
    assert_eq!(archive[offset..offset + 3], [0xff, 0xd8, 0xff]);
}

#[test]
fn tiny_imagenet_is_read_as_it_is_given_out() {
    let set = Ilsvrc::new();
    let folder = form(|root| {
        write(root, "wnids.txt", b"n02119789\nn01440764\nn01751748\n");
        write(
            root,
            "words.txt",
            b"n00001740\tentity\nn01440764\tanother word\n",
        );
        let mut annotations = String::new();
        for (i, jpeg) in set.train.iter().enumerate() {
            let wnid = CLASSES[jpeg.class].0;
            write(
                root,
                &format!("train/{wnid}/images/{wnid}_{i}.JPEG"),
                &jpeg.bytes,
            );
            write(root, &format!("train/{wnid}/{wnid}_boxes.txt"), b"");
        }
        for (i, jpeg) in set.validation.iter().enumerate() {
            write(root, &format!("val/images/val_{i}.JPEG"), &jpeg.bytes);
            annotations += &format!("val_{i}.JPEG\t{}\t0\t0\t63\t63\n", CLASSES[jpeg.class].0);
        }
        write(root, "val/val_annotations.txt", annotations.as_bytes());
        write(root, "test/images/test_0.JPEG", &set.test[0].bytes);
    });
    let train = see(folder.path(), Part::Train);
    assert_eq!(train.classes[0], "n01440764 tench, Tinca tinca");
    assert_eq!(train.samples.len(), 12);
    let validation = see(folder.path(), Part::Validation);
    let of = |key: &str| {
        validation
            .samples
            .iter()
            .find(|sample| sample.0 == key)
            .unwrap()
            .1
    };
    for (i, jpeg) in set.validation.iter().enumerate() {
        assert_eq!(of(&format!("val_{i}")), Some(jpeg.class as u32));
    }
    assert_eq!(see(folder.path(), Part::Test).samples[0].1, None);
}
