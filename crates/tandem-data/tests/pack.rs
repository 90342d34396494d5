//! Packs: what is packed is what is read, whatever stands in the way.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use common::{folder_of_pictures, refused_words};
use tandem_data::pack::{Description, Encoding, PackOptions, Plan, SHARD, verify};
use tandem_data::{DataError, Dataset, Pack, Part, Pictures, Preprocess, open};
use tempfile::tempdir;

const SMALL: Preprocess = Preprocess {
    side: 8,
    channels: 3,
};

fn options(encoding: Encoding) -> PackOptions {
    PackOptions {
        preprocess: SMALL,
        encoding,
        bad_share: 0.2,
    }
}

/// Packs `source` on `threads` threads.
fn pack(
    source: &str,
    out: &Path,
    encoding: Encoding,
    threads: usize,
) -> Result<Description, DataError> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap();
    pool.install(|| Plan::new(source, options(encoding))?.run(out, &|_| ()))
}

/// Every file of a folder but the lock.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| name(path) != ".tandem-lock")
        .map(|path| (name(&path), fs::read(&path).unwrap()))
        .collect()
}

#[test]
fn a_pack_holds_what_preparing_the_source_gives() {
    let out = tempdir().unwrap();
    pack("builtin", out.path(), Encoding::Raw, 2).unwrap();
    let spec = out.path().to_str().unwrap();
    for (part, count) in [(Part::Train, 6000), (Part::Validation, 1000)] {
        let source = Pictures::prepare(open("builtin", part).unwrap(), SMALL, 0.0).unwrap();
        let dataset = open(spec, part).unwrap();
        let order: Vec<usize> = (0..count)
            .map(|i| dataset.key(i).parse().unwrap())
            .collect();
        let packed = Pictures::prepare(dataset, SMALL, 0.0).unwrap();
        assert_eq!((packed.len(), packed.classes()), (count, source.classes()));
        for (i, &at) in order.iter().enumerate().step_by(7) {
            assert_eq!(
                packed.picture(i).unwrap(),
                source.picture(at).unwrap(),
                "picture {i}"
            );
            assert_eq!(packed.label(i), source.label(at));
        }
        assert_eq!(packed.mean(), source.mean());
        assert_eq!(packed.statistics(), source.statistics());
        assert_eq!(packed.colour_basis(), source.colour_basis());
        let mut sorted = order;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..count).collect::<Vec<_>>());
    }
    // Fashion-MNIST's held-out pictures have labels: there is no third part.
    let missing = open(spec, Part::Test).err().unwrap();
    refused_words(&missing, &[spec, "has no test pictures"]);
}

#[test]
fn neighbours_in_a_pack_are_of_different_classes() {
    let out = tempdir().unwrap();
    let folder = folder_of_pictures(&["cat", "dog"], 60);
    pack(
        folder.path().to_str().unwrap(),
        out.path(),
        Encoding::Raw,
        2,
    )
    .unwrap();
    let train = Pack::open(out.path(), Part::Train).unwrap();
    let changes = (1..train.len())
        .filter(|&i| train.label(i) != train.label(i - 1))
        .count();
    // Of 108 pictures of two classes; in the source's order there is one.
    assert!((35..75).contains(&changes), "{changes} changes of class");
}

#[test]
fn any_number_of_threads_and_any_beginning_gives_the_same_bytes() {
    for encoding in [Encoding::Raw, Encoding::Jpeg(90)] {
        let (one, other) = (tempdir().unwrap(), tempdir().unwrap());
        pack("builtin", one.path(), encoding, 1).unwrap();
        pack("builtin", other.path(), encoding, 3).unwrap();
        let whole = files(one.path());
        assert_eq!(
            whole.keys().filter(|name| name.ends_with(".shard")).count(),
            6 + 1
        );
        assert!(whole == files(other.path()), "{encoding:?}");

        // As after a kill: some shards missing, one begun, nothing described.
        for gone in [
            "train-00001.shard",
            "train-00004.shard",
            "validation-00000.shard",
            "pack.json",
        ] {
            fs::remove_file(other.path().join(gone)).unwrap();
        }
        fs::write(other.path().join("train-00001.unfinished"), b"half").unwrap();
        let error = open(other.path().to_str().unwrap(), Part::Train)
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.contains("not finished") && error.contains("goes on"),
            "{error}"
        );
        pack("builtin", other.path(), encoding, 2).unwrap();
        assert!(whole == files(other.path()), "{encoding:?}");
    }
}

#[test]
fn jpeg_shards_are_smaller_and_near() {
    let (raw, jpeg) = (tempdir().unwrap(), tempdir().unwrap());
    let photograph = Preprocess {
        side: 64,
        channels: 3,
    };
    let make = |out: &Path, encoding| {
        let options = PackOptions {
            preprocess: photograph,
            encoding,
            bad_share: 0.0,
        };
        Plan::new("builtin", options)
            .unwrap()
            .run(out, &|_| ())
            .unwrap();
        Pack::open(out, Part::Validation).unwrap()
    };
    let (raw, jpeg) = (
        make(raw.path(), Encoding::Raw),
        make(jpeg.path(), Encoding::Jpeg(90)),
    );
    let mut total = 0;
    for i in 0..raw.len() {
        let (a, b) = (raw.bytes(i).unwrap(), jpeg.bytes(i).unwrap());
        total += a
            .iter()
            .zip(&*b)
            .map(|(&a, &b)| u64::from(a.abs_diff(b)))
            .sum::<u64>();
    }
    let mean = total as f64 / (raw.len() * photograph.len()) as f64;
    assert!(mean < 1.5, "grey levels apart on average: {mean}");
    // The mean is of the pictures before they were coded.
    assert_eq!(raw.mean(), jpeg.mean());
}

#[test]
fn pictures_that_do_not_decode_are_left_out_and_listed() {
    let folder = folder_of_pictures(&["cat", "dog"], 20);
    fs::write(folder.path().join("dog/0003.png"), b"no picture").unwrap();
    let source = folder.path().to_str().unwrap();
    let out = tempdir().unwrap();
    let described = pack(source, out.path(), Encoding::Raw, 2).unwrap();
    let train = &described.parts["train"];
    assert_eq!(train.pictures, 35);
    assert_eq!(train.left_out.len(), 1);
    assert!(
        train.left_out[0].0.ends_with("0003.png"),
        "{:?}",
        train.left_out
    );
    let pictures = Pictures::prepare(
        open(out.path().to_str().unwrap(), Part::Train).unwrap(),
        SMALL,
        0.0,
    );
    assert_eq!(pictures.unwrap().bad(), train.left_out);

    // Packing again says the same; too many are an error that names one.
    assert_eq!(
        pack(source, out.path(), Encoding::Raw, 1).unwrap(),
        described
    );
    let strict = PackOptions {
        bad_share: 0.01,
        ..options(Encoding::Raw)
    };
    let again = tempdir().unwrap();
    for out in [again.path(), out.path()] {
        let error = Plan::new(source, strict)
            .unwrap()
            .run(out, &|_| ())
            .unwrap_err();
        refused_words(&error, &["0003.png", "1 of 36"]);
    }
}

#[test]
fn damage_is_named_and_packing_again_mends_it() {
    let out = tempdir().unwrap();
    pack("builtin", out.path(), Encoding::Raw, 2).unwrap();
    let whole = files(out.path());
    assert!(verify(out.path(), &|_| ()).unwrap().is_empty());
    let spec = out.path().to_str().unwrap();

    // One bit of a picture, of the table, of the sums, of the header; a shard cut short; one gone.
    let shard = whole["train-00002.shard"].len();
    for (name, at) in [
        ("train-00002.shard", 5000),
        ("train-00002.shard", shard - 9),
        ("train-00002.shard", 64 + SHARD * SMALL.len() + 5),
        ("train-00000.shard", 12),
        ("train-mean.npy", 300),
    ] {
        let mut bytes = whole[name].clone();
        bytes[at] ^= 4;
        fs::write(out.path().join(name), bytes).unwrap();
        let damage = verify(out.path(), &|_| ()).unwrap();
        assert_eq!(damage.len(), 1, "{name} at {at}");
        refused_words(&damage[0].error, &[name, "tandem data pack"]);
        pack("builtin", out.path(), Encoding::Raw, 2).unwrap();
        assert!(files(out.path()) == whole, "{name} at {at}");
    }
    fs::write(
        out.path().join("train-00005.shard"),
        &whole["train-00005.shard"][..9000],
    )
    .unwrap();
    fs::remove_file(out.path().join("train-00003.shard")).unwrap();
    fs::write(out.path().join("train-mean.npy"), b"").unwrap();
    let damage = verify(out.path(), &|_| ()).unwrap();
    let names: Vec<_> = damage
        .iter()
        .map(|d| d.file.file_name().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["train-00003.shard", "train-00005.shard", "train-mean.npy"]
    );
    let missing = ["train-00003.shard is missing", "tandem data pack"];
    refused_words(&damage[0].error, &missing);
    refused_words(&open(spec, Part::Train).err().unwrap(), &missing);
    pack("builtin", out.path(), Encoding::Raw, 2).unwrap();
    assert!(files(out.path()) == whole);
}

#[test]
fn a_damaged_picture_is_an_error_when_it_is_read() {
    let out = tempdir().unwrap();
    pack("builtin", out.path(), Encoding::Raw, 2).unwrap();
    let path = out.path().join("train-00000.shard");
    let mut bytes = fs::read(&path).unwrap();
    bytes[64 + 3 * SMALL.len() + 1] ^= 1;
    fs::write(&path, bytes).unwrap();
    let train = Pack::open(out.path(), Part::Train).unwrap();
    for good in [0, 1, 2, 4, SHARD] {
        train.bytes(good).unwrap();
    }
    refused_words(
        &train.bytes(3).unwrap_err(),
        &["train-00000.shard", "picture 3", "byte 640"],
    );
}

#[test]
fn another_pack_is_not_written_over() {
    let out = tempdir().unwrap();
    pack("builtin", out.path(), Encoding::Raw, 2).unwrap();
    let whole = files(out.path());
    refused_words(
        &pack("builtin", out.path(), Encoding::Jpeg(90), 2).unwrap_err(),
        &["another folder"],
    );
    fs::remove_file(out.path().join("pack.json")).unwrap();
    refused_words(
        &pack("builtin", out.path(), Encoding::Jpeg(90), 2).unwrap_err(),
        &[".shard", "another folder"],
    );
    pack("builtin", out.path(), Encoding::Raw, 2).unwrap();
    assert!(files(out.path()) == whole);
}

#[test]
fn a_folder_of_something_else_is_not_packed_into() {
    let out = tempdir().unwrap();
    fs::create_dir(out.path().join("photographs")).unwrap();
    refused_words(
        &pack("builtin", out.path(), Encoding::Raw, 2).unwrap_err(),
        &["not empty", "photographs", "new folder"],
    );
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 1);
    // What a file system keeps at its root is nobody's.
    fs::rename(
        out.path().join("photographs"),
        out.path().join("lost+found"),
    )
    .unwrap();
    pack("builtin", out.path(), Encoding::Raw, 2).unwrap();
    // Begun, it is gone on with, whatever lies beside.
    fs::write(out.path().join("notes.txt"), "mine").unwrap();
    pack("builtin", out.path(), Encoding::Raw, 2).unwrap();
}

#[test]
fn a_pack_that_does_not_fit_is_refused_before_it_is_begun() {
    let out = tempdir().unwrap();
    let huge = PackOptions {
        preprocess: Preprocess {
            side: 16_384,
            channels: 3,
        },
        ..options(Encoding::Raw)
    };
    let error = Plan::new("builtin", huge)
        .unwrap()
        .run(out.path(), &|_| ())
        .unwrap_err();
    refused_words(&error, &["5682.2 GB more", "free", "--jpeg 90"]);
    assert!(files(out.path()).is_empty());
}

#[test]
fn every_network_s_size_is_read_from_one_pack() {
    let out = tempdir().unwrap();
    pack("builtin", out.path(), Encoding::Raw, 2).unwrap();
    let dataset = open(out.path().to_str().unwrap(), Part::Validation).unwrap();
    let grey = Preprocess {
        side: 6,
        channels: 1,
    };
    let smaller = Pictures::prepare(Arc::clone(&dataset), grey, 0.0).unwrap();
    assert_eq!(
        smaller.picture(5).unwrap(),
        grey.apply(&dataset.picture(5).unwrap())
    );
}
