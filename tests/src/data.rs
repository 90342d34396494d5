//! Data to feed the command: a few of the shipped pictures, and small files of each format.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/fashion-mnist-small");

/// The first pictures of each part of the shipped Fashion-MNIST, as plain IDX files in `folder`.
pub fn shipped(folder: &Path, train: usize, test: usize) {
    fs::create_dir_all(folder).unwrap();
    for (part, count) in [("train", train), ("t10k", test)] {
        let unpacked = |kind: &str| {
            let path = Path::new(SHIPPED).join(format!("{part}-{kind}-ubyte.gz"));
            let mut bytes = Vec::new();
            GzDecoder::new(File::open(path).unwrap())
                .read_to_end(&mut bytes)
                .unwrap();
            bytes
        };
        let pixels = &unpacked("images-idx3")[16..][..count * 28 * 28];
        let labels = &unpacked("labels-idx1")[8..][..count];
        let named = |kind: &str| folder.join(format!("{part}-{kind}-ubyte"));
        fs::write(named("images-idx3"), idx_images(28, pixels)).unwrap();
        fs::write(named("labels-idx1"), idx_labels(labels)).unwrap();
    }
}

/// An IDX file of square pictures.
pub fn idx_images(side: u32, pixels: &[u8]) -> Vec<u8> {
    let count = pixels.len() as u32 / (side * side);
    idx(0x803, &[count, side, side], pixels)
}

/// An IDX file of labels.
pub fn idx_labels(labels: &[u8]) -> Vec<u8> {
    idx(0x801, &[labels.len() as u32], labels)
}

fn idx(magic: u32, sizes: &[u32], body: &[u8]) -> Vec<u8> {
    let words = std::iter::once(&magic).chain(sizes);
    let mut bytes: Vec<u8> = words.flat_map(|word| word.to_be_bytes()).collect();
    bytes.extend_from_slice(body);
    bytes
}

/// CIFAR-10 records: the label given, then a picture of one colour.
pub fn cifar(labels: &[u8]) -> Vec<u8> {
    let record = |&label: &u8| std::iter::once(label).chain([label.wrapping_mul(20); 3072]);
    labels.iter().flat_map(record).collect()
}

/// A PNG of one colour.
pub fn picture(side: u32, colour: [u8; 3]) -> Vec<u8> {
    let picture = image::RgbImage::from_pixel(side, side, image::Rgb(colour));
    let mut png = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut png, image::ImageFormat::Png).unwrap();
    png.into_inner()
}
