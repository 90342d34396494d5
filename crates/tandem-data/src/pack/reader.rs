//! A packed part, read.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::path::Path;

use super::description::{from_npy, mean_file, shard_file};
use super::shard::Shard;
use super::{DESCRIPTION, Description, Encoding, PackError, Statistics};
use crate::fingerprint::Fingerprint;
use crate::{DataError, Dataset, Part, Picture, Preprocess};

/// One part of a pack, its shards mapped into memory.
pub struct Pack {
    classes: Vec<String>,
    preprocess: Preprocess,
    encoding: Encoding,
    shards: Vec<Shard>,
    /// Where the pictures of each shard lie among all.
    ranges: Vec<Range<usize>>,
    left_out: Vec<(String, String)>,
    mean: Vec<f32>,
    statistics: Statistics,
    fingerprint: u64,
}

impl fmt::Debug for Pack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pack")
            .field("preprocess", &self.preprocess)
            .field("shards", &self.shards.len())
            .field("pictures", &self.len())
            .finish_non_exhaustive()
    }
}

/// Whether `folder` holds a pack, whole or begun.
pub(crate) fn recognises(folder: &Path) -> bool {
    folder.join(DESCRIPTION).is_file() || begun(folder)
}

/// Whether shards lie in `folder`.
fn begun(folder: &Path) -> bool {
    Part::ALL
        .iter()
        .any(|part| folder.join(shard_file(part.name(), 0)).is_file())
}

impl Pack {
    /// Maps one part of the pack in `folder`. Headers, tables and the mean are compared with their
    /// checksums now, each picture when it is first read.
    ///
    /// # Errors
    ///
    /// [`PackError::Unfinished`] if packing was not finished, [`PackError::NoPart`] if the part is
    /// not there, [`PackError::Shard`] or [`PackError::Description`] if a file is damaged.
    pub fn open(folder: &Path, part: Part) -> Result<Self, DataError> {
        if !folder.join(DESCRIPTION).is_file() && begun(folder) {
            let path = folder.into();
            return Err(PackError::Unfinished { path }.into());
        }
        let description = Description::read(folder)?;
        let preprocess = description.preprocess();
        let Some(described) = description.parts.get(part.name()) else {
            let path = folder.into();
            let part = part.name();
            return Err(PackError::NoPart { path, part }.into());
        };
        let mut print = Fingerprint::new();
        description
            .classes
            .iter()
            .for_each(|class| print.bytes(class.as_bytes()));
        let (mut shards, mut ranges, mut pictures) = (Vec::new(), Vec::new(), 0);
        let classes = description.classes.len();
        let known = |label: Option<u32>| match label {
            Some(label) => described.labelled && (label as usize) < classes,
            None => !described.labelled,
        };
        for (number, listed) in described.shards.iter().enumerate() {
            let shard = Shard::open(&folder.join(shard_file(part.name(), number)))?;
            let header = shard.header();
            let fits = header.kind.preprocess == preprocess
                && header.kind.encoding == description.encoding
                && (header.pictures, header.checksum) == (listed.pictures, listed.checksum)
                && (0..header.pictures).all(|i| known(shard.label(i)));
            if !fits {
                return Err(shard.unlisted());
            }
            print.word(header.checksum.into());
            ranges.push(pictures..pictures + header.pictures);
            pictures += header.pictures;
            shards.push(shard);
        }
        let pixels = (pictures * preprocess.side * preprocess.side) as u64;
        let Some(statistics) = described.statistics.exact(preprocess.channels, pixels) else {
            let problem = format!("the {} statistics are of other channels", part.name());
            let path = folder.join(DESCRIPTION);
            return Err(PackError::Description { path, problem }.into());
        };
        let mean = read_mean(
            &folder.join(mean_file(part.name())),
            preprocess,
            described.mean_checksum,
        )?;
        Ok(Self {
            classes: description.classes,
            preprocess,
            encoding: description.encoding,
            shards,
            ranges,
            left_out: described.left_out.clone(),
            mean,
            statistics,
            fingerprint: print.finish(),
        })
    }

    /// What the pictures were brought to.
    #[must_use]
    pub fn preprocess(&self) -> Preprocess {
        self.preprocess
    }

    /// How the pictures are stored.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Picture `i`, (side, side, C). Raw ones are not copied.
    ///
    /// # Errors
    ///
    /// [`PackError::Shard`] if its bytes are damaged.
    ///
    /// # Panics
    ///
    /// If there is no such picture.
    pub fn bytes(&self, i: usize) -> Result<Cow<'_, [u8]>, DataError> {
        let (shard, place) = self.find(i);
        shard.picture(place)
    }

    /// Name and reason of each picture that was left out, since it does not decode.
    #[must_use]
    pub fn left_out(&self) -> &[(String, String)] {
        &self.left_out
    }

    /// The mean picture, (C, side, side), 0 to 255.
    #[must_use]
    pub fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// Mean, deviation and covariance of the channels over all pixels.
    #[must_use]
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    fn find(&self, i: usize) -> (&Shard, usize) {
        let shard = self.ranges.partition_point(|range| range.end <= i);
        (&self.shards[shard], i - self.ranges[shard].start)
    }
}

/// The mean picture in `path`, if it has this checksum.
pub(super) fn read_mean(
    path: &Path,
    preprocess: Preprocess,
    checksum: u32,
) -> Result<Vec<f32>, DataError> {
    let bytes = std::fs::read(path).map_err(|source| PackError::unread(path, source))?;
    from_npy(&bytes, preprocess)
        .filter(|_| crc32fast::hash(&bytes) == checksum)
        .ok_or_else(|| {
            let problem = format!("its checksum is not the one in {DESCRIPTION}");
            let path = path.into();
            PackError::Shard { path, problem }.into()
        })
}

impl Dataset for Pack {
    fn len(&self) -> usize {
        self.ranges.last().map_or(0, |range| range.end)
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, i: usize) -> Option<u32> {
        let (shard, place) = self.find(i);
        shard.label(place)
    }

    fn picture(&self, i: usize) -> Result<Picture, DataError> {
        let Preprocess { side, channels } = self.preprocess;
        Ok(Picture {
            width: side,
            height: side,
            channels,
            pixels: self.bytes(i)?.into_owned(),
        })
    }

    fn name(&self, i: usize) -> String {
        let (shard, place) = self.find(i);
        format!("{}#{place} ({})", shard.path().display(), self.key(i))
    }

    fn key(&self, i: usize) -> String {
        let (shard, place) = self.find(i);
        shard.key(place)
    }

    fn channels(&self) -> usize {
        self.preprocess.channels
    }

    fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    fn pack(&self) -> Option<&Pack> {
        Some(self)
    }

    fn shards(&self) -> &[Range<usize>] {
        &self.ranges
    }

    fn expect(&self, shard: usize) {
        self.shards[shard].expect();
    }

    fn release(&self, shard: usize) {
        self.shards[shard].release();
    }
}
