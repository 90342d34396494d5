//! Archives that are wrong, each refused with its name and the byte.

mod common;

use common::ilsvrc::{Ilsvrc, tar};
use common::{assert_says, folder_with, gzip, open, png, refused_words, said, write};
use tandem_data::Part;
use tempfile::tempdir;

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
fn an_archive_of_ilsvrc_that_is_damaged_from_its_start_is_not_taken_for_a_part_that_is_not_there() {
    let folder = tempdir().unwrap();
    let names = [
        "ILSVRC2012_img_train.tar",
        "ILSVRC2012_img_val.tar",
        "ILSVRC2012_devkit_t12.tar.gz",
    ];
    for name in names {
        Ilsvrc::new().archives(folder.path());
        let path = folder.path().join(name);
        let whole = std::fs::read(&path).unwrap();
        let cut = &whole[..(whole.len() - 1).min(600)];
        let page = b"<html>Not Found</html>".as_slice();
        for damaged in [cut, b"", &[0; 10_240], page] {
            std::fs::write(&path, damaged).unwrap();
            let error = tandem_data::open_all(folder.path().to_str().unwrap()).err();
            let error = error.unwrap_or_else(|| panic!("{name}, {} bytes", damaged.len()));
            refused_words(&error, &[name]);
        }
    }
    // Something else beside the set is passed over.
    Ilsvrc::new().archives(folder.path());
    write(folder.path(), "notes.tar", b"no tar");
    let parts = tandem_data::open_all(folder.path().to_str().unwrap()).unwrap();
    assert_eq!(parts.len(), 3);
}

#[test]
fn parquet_files_in_an_archive_are_told_to_be_unpacked() {
    let folder = folder_with(
        "set.tar",
        &tar([("data/train.parquet", b"PAR1".as_slice())]),
    );
    let said = said(&folder.path().join("set.tar"), Part::Train);
    assert_says(&said, &["set.tar", "archive of parquet files", "unpack it"]);
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

#[test]
fn what_cannot_be_read_as_a_picture_is_named_when_it_is_asked_for() {
    let folder = folder_with("cat/1.png", &png(4, 4, [1; 3]));
    std::fs::create_dir(folder.path().join("cat/2.png")).unwrap();
    let data = open(folder.path(), Part::Train).unwrap();
    assert!(data.picture(0).is_ok());
    let text = data.picture(1).unwrap_err().to_string();
    assert_says(&text, &["cannot read", "2.png"]);
}
