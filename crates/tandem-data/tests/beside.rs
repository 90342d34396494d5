//! Folders that lie beside the data and that nobody needs.
#![cfg(unix)]

mod common;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use common::ilsvrc::Ilsvrc;
use common::{assert_says, idx_images, idx_labels, open, png, said, write};
use tandem_data::Part;
use tempfile::{TempDir, tempdir};

/// A folder whose path is nearly as long as the system takes: what has a long name in it cannot be
/// listed, not even by root.
fn deep() -> (TempDir, PathBuf) {
    let folder = tempdir().unwrap();
    let mut path = folder.path().to_path_buf();
    while path.as_os_str().len() < 3860 {
        path.push("d".repeat(40));
    }
    std::fs::create_dir_all(&path).unwrap();
    (folder, path)
}

/// A folder in `root` that cannot be listed, with `name` in its name.
fn unlistable(root: &Path, name: &str) -> String {
    let name = format!("{name}_{}", "x".repeat(240 - name.len()));
    let made = Command::new("mkdir").arg(&name).current_dir(root).status();
    assert!(made.unwrap().success());
    assert!(std::fs::read_dir(root.join(&name)).is_err());
    name
}

/// What is said meanwhile.
fn warnings(of: impl FnOnce()) -> String {
    #[derive(Clone, Default)]
    struct Said(Arc<Mutex<Vec<u8>>>);
    impl Write for Said {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let said = Said::default();
    let writer = said.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, of);
    let bytes = said.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_folder_beside_ilsvrc_that_cannot_be_listed_is_said_once_and_passed_over() {
    let (_folder, root) = deep();
    Ilsvrc::new().archives(&root);
    let name = unlistable(&root, "private");
    let text = warnings(|| {
        for part in Part::ALL {
            assert!(!open(&root, part).unwrap().is_empty());
        }
    });
    assert_says(&text, &["WARN", "cannot read", &name, "no part of a set"]);
    assert_eq!(text.matches(&name).count(), 1, "{text}");
}

#[test]
fn a_folder_beside_parquet_files_that_cannot_be_listed_is_said_and_passed_over() {
    let (_folder, root) = deep();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parquet/packings/none-v1.parquet");
    std::fs::copy(file, root.join("train.parquet")).unwrap();
    let name = unlistable(&root, "private");
    let text = warnings(|| assert!(!open(&root, Part::Train).unwrap().is_empty()));
    assert_says(&text, &["WARN", "cannot read", &name]);
}

#[test]
fn a_folder_named_as_a_part_that_cannot_be_listed_is_an_error() {
    let (_folder, root) = deep();
    Ilsvrc::new().archives(&root);
    let name = unlistable(&root, "img_train");
    assert_says(&said(&root, Part::Validation), &["cannot read", &name]);
}

#[test]
fn a_class_that_cannot_be_listed_is_an_error() {
    let (_folder, root) = deep();
    write(&root, "cat/1.png", &png(4, 4, [1; 3]));
    let name = unlistable(&root, "dog");
    assert_says(&said(&root, Part::Train), &["cannot read", &name]);
}

#[test]
fn what_the_file_system_keeps_for_itself_is_no_class() {
    let folder = tempdir().unwrap();
    write(folder.path(), "cat/1.png", &png(4, 4, [1; 3]));
    write(folder.path(), "dog/1.png", &png(4, 4, [2; 3]));
    for name in [
        "lost+found",
        "System Volume Information",
        "$RECYCLE.BIN",
        "__MACOSX",
    ] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    let data = open(folder.path(), Part::Train).unwrap();
    assert_eq!(data.classes(), ["cat", "dog"]);
}

#[test]
fn pictures_of_forms_that_are_not_read_are_said_and_passed_over() {
    let folder = tempdir().unwrap();
    for class in ["cat", "dog"] {
        write(folder.path(), &format!("{class}/1.png"), &png(4, 4, [1; 3]));
        write(folder.path(), &format!("{class}/2.bmp"), b"BM");
    }
    let text = warnings(|| assert_eq!(open(folder.path(), Part::Train).unwrap().len(), 2));
    assert_says(&text, &["WARN", "cat/2.bmp", "JPEG, PNG and WebP are read"]);
    assert_eq!(text.matches("WARN").count(), 1, "{text}");
}

#[test]
fn picture_folders_beside_idx_files_are_said_and_passed_over() {
    let folder = tempdir().unwrap();
    let (images, labels) = (idx_images(3), idx_labels(&[0, 1, 2]));
    write(folder.path(), "train-images-idx3-ubyte", &images);
    write(folder.path(), "train-labels-idx1-ubyte", &labels);
    for class in ["cat", "dog"] {
        write(folder.path(), &format!("{class}/1.png"), &png(4, 4, [1; 3]));
    }
    let text = warnings(|| assert_eq!(open(folder.path(), Part::Train).unwrap().len(), 3));
    assert_says(&text, &["WARN", "picture folders", "IDX files are beside"]);
}

#[test]
fn a_gap_in_the_numbers_of_shards_is_said() {
    let folder = tempdir().unwrap();
    let picture = png(4, 4, [1; 3]);
    for number in [0, 1, 3] {
        let key = format!("{number}.png");
        let label = format!("{number}.cls");
        let files = [(key.as_str(), &picture[..]), (label.as_str(), b"0")];
        let name = format!("train-{number:04}.tar");
        write(folder.path(), &name, &common::ilsvrc::tar(files));
    }
    let text = warnings(|| assert_eq!(open(folder.path(), Part::Train).unwrap().len(), 3));
    assert_says(&text, &["WARN", "lacks train-0002.tar"]);
}
