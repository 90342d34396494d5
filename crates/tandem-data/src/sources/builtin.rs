//! The pictures shipped inside the library: 6,000 + 1,000 of Fashion-MNIST.
//! `data/fashion-mnist-small/README.md` says how they were cut.

use std::path::Path;

use super::idx::{self, Files};
use super::memory::InMemory;
use crate::{DataError, Part};

macro_rules! shipped {
    ($name:literal) => {
        (
            concat!("builtin/", $name),
            include_bytes!(concat!("../../../../data/fashion-mnist-small/", $name)).as_slice(),
        )
    };
}

const TRAIN: [(&str, &[u8]); 2] = [
    shipped!("train-images-idx3-ubyte.gz"),
    shipped!("train-labels-idx1-ubyte.gz"),
];
const TEST: [(&str, &[u8]); 2] = [
    shipped!("t10k-images-idx3-ubyte.gz"),
    shipped!("t10k-labels-idx1-ubyte.gz"),
];

pub(crate) fn open(part: Part) -> Result<InMemory, DataError> {
    let [(images, image_bytes), (labels, label_bytes)] = match part {
        Part::Train => TRAIN,
        Part::Validation | Part::Test => TEST,
    };
    idx::read(
        Files {
            images: (Path::new(images), image_bytes),
            labels: (Path::new(labels), label_bytes),
        },
        &idx::FASHION,
    )
}
