//! Small data sets written to a folder, as the formats' own tools write them.
#![allow(dead_code, reason = "each test file uses some of it")]

pub mod ilsvrc;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use tandem_data::{DataError, Dataset, Part, Picture};

/// A big-endian IDX file: magic, sizes, bytes.
pub fn idx(magic: u32, sizes: &[u32], body: &[u8]) -> Vec<u8> {
    let words = std::iter::once(&magic)
        .chain(sizes)
        .flat_map(|word| word.to_be_bytes());
    words.chain(body.iter().copied()).collect()
}

/// The bytes of `count` pictures of 3×2 (rows × columns), all different.
pub fn idx_images(count: u32) -> Vec<u8> {
    let body: Vec<u8> = (0..count * 6).map(|i| (i % 251) as u8).collect();
    idx(0x803, &[count, 3, 2], &body)
}

pub fn idx_labels(labels: &[u8]) -> Vec<u8> {
    idx(0x801, &[labels.len() as u32], labels)
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn write(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// A PNG of one colour.
pub fn png(width: u32, height: u32, colour: [u8; 3]) -> Vec<u8> {
    let mut bytes = Vec::new();
    image::RgbImage::from_pixel(width, height, image::Rgb(colour))
        .write_to(
            &mut std::io::Cursor::new(&mut bytes),
            image::ImageFormat::Png,
        )
        .unwrap();
    bytes
}

pub fn open(folder: &Path, part: Part) -> Result<Arc<dyn Dataset>, DataError> {
    tandem_data::open(folder.to_str().unwrap(), part)
}

/// The error of opening, and that its text names `file`.
pub fn refused(folder: &Path, part: Part, file: &str) -> DataError {
    let error = open(folder, part).err().expect("an error");
    let text = error.to_string();
    assert!(text.contains(file), "{text:?} does not name {file}");
    error
}

/// Pictures made of a pure function, for tests of what follows decoding.
pub struct Made {
    pub classes: Vec<String>,
    pub pictures: Vec<Result<Picture, &'static str>>,
}

impl Made {
    pub fn of(pictures: Vec<Result<Picture, &'static str>>) -> Arc<dyn Dataset> {
        Arc::new(Self {
            classes: vec!["even".into(), "odd".into()],
            pictures,
        })
    }

    /// `count` noisy pictures of side × side × channels.
    pub fn noise(count: usize, side: usize, channels: usize) -> Arc<dyn Dataset> {
        let mut state = 1_u32;
        let mut byte = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        Self::of(
            (0..count)
                .map(|_| {
                    let pixels = (0..side * side * channels).map(|_| byte()).collect();
                    Ok(Picture {
                        width: side,
                        height: side,
                        channels,
                        pixels,
                    })
                })
                .collect(),
        )
    }
}

impl Dataset for Made {
    fn len(&self) -> usize {
        self.pictures.len()
    }
    fn classes(&self) -> &[String] {
        &self.classes
    }
    fn label(&self, i: usize) -> Option<u32> {
        Some((i % 2) as u32)
    }
    fn picture(&self, i: usize) -> Result<Picture, DataError> {
        self.pictures[i].clone().map_err(|reason| DataError::Read {
            path: format!("picture {i}").into(),
            source: std::io::Error::other(reason),
        })
    }
    fn name(&self, i: usize) -> String {
        format!("picture {i}")
    }
    fn key(&self, i: usize) -> String {
        i.to_string()
    }
    fn channels(&self) -> usize {
        3
    }
    fn fingerprint(&self) -> u64 {
        0
    }
}

/// A folder a class, each with `each` small pictures `0000.png` …, all different.
pub fn folder_of_pictures(classes: &[&str], each: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (label, class) in classes.iter().enumerate() {
        std::fs::create_dir(folder.path().join(class)).unwrap();
        for i in 0..each {
            let at = |x, y| [(40 * label) as u8, (i * 4) as u8, (x * 20 + y) as u8];
            image::RgbImage::from_fn(12, 9, |x, y| image::Rgb(at(x, y)))
                .save(folder.path().join(class).join(format!("{i:04}.png")))
                .unwrap();
        }
    }
    folder
}

/// A folder with one file in it.
pub fn folder_with(name: &str, bytes: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), name, bytes);
    folder
}

/// What opening says.
#[track_caller]
pub fn said(path: &Path, part: Part) -> String {
    open(path, part).err().expect("an error").to_string()
}

/// That `text` holds each of `parts`.
#[track_caller]
pub fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{text:?} does not say {part:?}");
    }
}

/// That an error says all of `words`.
#[track_caller]
pub fn refused_words(error: &DataError, words: &[&str]) {
    assert_says(&error.to_string(), words);
}
