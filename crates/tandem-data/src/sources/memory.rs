//! A data set of equal pictures held in memory: what IDX and CIFAR files give.

use std::path::PathBuf;

use crate::fingerprint::Fingerprint;
use crate::{DataError, Dataset, Picture};

/// N pictures of `height × width × channels` bytes (N, H, W, C), and their labels.
#[derive(Debug)]
pub(crate) struct InMemory {
    /// Where they came from, for names and errors.
    pub(crate) source: PathBuf,
    pub(crate) classes: Vec<String>,
    pub(crate) labels: Vec<u32>,
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) channels: usize,
    pub(crate) pixels: Vec<u8>,
}

impl InMemory {
    fn stride(&self) -> usize {
        self.width * self.height * self.channels
    }
}

impl Dataset for InMemory {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, i: usize) -> Option<u32> {
        Some(self.labels[i])
    }

    fn picture(&self, i: usize) -> Result<Picture, DataError> {
        let start = i * self.stride();
        Ok(Picture {
            width: self.width,
            height: self.height,
            channels: self.channels,
            pixels: self.pixels[start..start + self.stride()].to_vec(),
        })
    }

    fn name(&self, i: usize) -> String {
        format!("{}#{i}", self.source.display())
    }

    fn key(&self, i: usize) -> String {
        format!("{i:08}")
    }

    fn channels(&self) -> usize {
        self.channels
    }

    fn fingerprint(&self) -> u64 {
        let mut print = Fingerprint::new();
        for dimension in [self.width, self.height, self.channels, self.classes.len()] {
            print.word(dimension as u64);
        }
        self.classes
            .iter()
            .for_each(|class| print.bytes(class.as_bytes()));
        self.labels
            .iter()
            .for_each(|&label| print.word(u64::from(label)));
        print.bytes(&self.pixels);
        print.finish()
    }
}
