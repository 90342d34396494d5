//! Packing: each part's pictures in a random order, cut into shards, each made by one thread.
//!
//! What a shard holds depends on the source and the settings alone, so any number of threads writes
//! the same bytes; and a shard has its name only once it is whole and on the disk, so packing goes on
//! after a kill with the shards that are missing.

use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::description::{ShardDescription, Statistics, mean_file, npy, shard_file};
use super::folder::{UNFINISHED, claim, free_space, lock, reading, replace, sync_folder, writing};
use super::shard::{Kind, Shard};
use super::verify::whole;
use super::writer::Writer;
use super::{DESCRIPTION, Description, Encoding, PartDescription, SHARD};
use crate::fingerprint::Fingerprint;
use crate::random::{Purpose, shuffle, stream};
use crate::tally::Tally;
use crate::{DataError, Dataset, Opened, Part, Preprocess};

/// What the pictures are packed as.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PackOptions {
    /// Side 256 and 3 channels in the paper.
    pub preprocess: Preprocess,
    pub encoding: Encoding,
    /// The share (0 to 1) of a part's pictures that may fail to decode; they are left out and listed.
    pub bad_share: f64,
}

/// A source that can be packed, and what that takes.
pub struct Plan {
    source: String,
    options: PackOptions,
    parts: Vec<Opened>,
}

/// One part of a [`Plan`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedPart {
    pub part: Part,
    pub pictures: usize,
    /// Bytes of its shards: exactly for raw pictures if all decode, roughly for JPEG.
    pub bytes: u64,
}

impl Plan {
    /// Lists the pictures of every part that `source`, a data specification, has.
    ///
    /// # Errors
    ///
    /// As [`open`](crate::open); [`DataError::Shape`] for a size or a quality that cannot be;
    /// [`DataError::Classes`] if the parts do not tell the same classes apart.
    pub fn new(source: &str, options: PackOptions) -> Result<Self, DataError> {
        options.preprocess.check()?;
        if let Encoding::Jpeg(quality) = options.encoding
            && !(1..=100).contains(&quality)
        {
            return Err(DataError::Shape {
                side: options.preprocess.side,
                channels: options.preprocess.channels,
                reason: format!("a JPEG's quality is 1 to 100, not {quality}"),
            });
        }
        let parts = crate::open_all(source)?;
        let others = parts
            .iter()
            .find(|(_, other)| other.classes() != parts[0].1.classes());
        if let Some((part, other)) = others {
            return Err(DataError::Classes {
                source_name: source.into(),
                part: part.name(),
                found: other.classes().len(),
                first: parts[0].0.name(),
                wanted: parts[0].1.classes().len(),
            });
        }
        Ok(Self {
            source: source.into(),
            options,
            parts,
        })
    }

    /// The parts that will be packed.
    #[must_use]
    pub fn parts(&self) -> Vec<PlannedPart> {
        let each = self.options.preprocess.len() as u64;
        let part = |(part, dataset): &Opened| PlannedPart {
            part: *part,
            pictures: dataset.len(),
            bytes: self.options.encoding.bytes(dataset.len() as u64 * each),
        };
        self.parts.iter().map(part).collect()
    }

    /// Packs into the folder `out`, or goes on with what was packed there before. `progress` is called
    /// with the number of pictures that are done, as they are.
    ///
    /// A pack that is there already is compared with its checksums; damaged shards are made again.
    ///
    /// # Errors
    ///
    /// [`DataError::DiskSpace`] before anything is written, [`DataError::OtherPack`] if `out` holds
    /// something else, [`DataError::TooManyBad`], [`DataError::Write`].
    pub fn run(
        &self,
        out: &Path,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Description, DataError> {
        fs::create_dir_all(out).map_err(writing(out))?;
        let lock = lock(out)?;
        let before = out
            .join(DESCRIPTION)
            .is_file()
            .then(|| Description::read(out))
            .transpose()?;
        self.check_space(out)?;

        let Self {
            options,
            source,
            parts,
        } = self;
        let classes = parts[0].1.classes();
        let mut description =
            Description::new(options.preprocess, options.encoding, source, classes);
        let packings: Vec<Packing> = parts
            .iter()
            .map(|(part, dataset)| Packing::new(out, *part, &**dataset, *options))
            .collect();
        let identities: Vec<_> = packings.iter().map(|p| (p.part, p.identity)).collect();
        claim(out, &lock, &identities, before.as_ref())?;
        for packing in packings {
            let part = packing.part.name();
            let before = before.as_ref().and_then(|before| before.parts.get(part));
            let described = packing.run(before, progress)?;
            description.parts.insert(part.into(), described);
        }
        let text = serde_json::to_vec_pretty(&description).expect("its keys are text");
        replace(&out.join(DESCRIPTION), &text)?;
        Ok(description)
    }

    /// Whether what is not there yet fits on the disk.
    fn check_space(&self, out: &Path) -> Result<(), DataError> {
        let there: u64 = fs::read_dir(out)
            .and_then(|entries| {
                entries
                    .map(|entry| entry?.metadata().map(|file| file.len()))
                    .sum()
            })
            .map_err(reading(out))?;
        let whole: u64 = self.parts().iter().map(|part| part.bytes).sum();
        let needed = whole.saturating_sub(there);
        match free_space(out) {
            Some(free) if free < needed => Err(DataError::DiskSpace {
                path: out.into(),
                needed,
                free,
                as_jpeg: Encoding::Jpeg(90).bytes(match self.options.encoding {
                    Encoding::Raw => whole,
                    Encoding::Jpeg(_) => 0,
                }),
            }),
            _ => Ok(()),
        }
    }
}

/// One part on its way into a pack.
struct Packing<'a> {
    out: &'a Path,
    part: Part,
    dataset: &'a dyn Dataset,
    options: PackOptions,
    order: Vec<usize>,
    identity: u64,
    bad: AtomicUsize,
}

impl<'a> Packing<'a> {
    fn new(out: &'a Path, part: Part, dataset: &'a dyn Dataset, options: PackOptions) -> Self {
        let mut order: Vec<usize> = (0..dataset.len()).collect();
        shuffle(&mut order, &mut stream(0, 0, 0, Purpose::Pack));
        let mut print = Fingerprint::new();
        print.word(dataset.fingerprint());
        print.bytes(part.name().as_bytes());
        print.word(options.preprocess.side as u64);
        print.word(options.preprocess.channels as u64);
        print.word(match options.encoding {
            Encoding::Raw => 0,
            Encoding::Jpeg(quality) => quality.into(),
        });
        Self {
            out,
            part,
            dataset,
            options,
            order,
            identity: print.finish(),
            bad: AtomicUsize::new(0),
        }
    }

    fn run(
        &self,
        before: Option<&PartDescription>,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<PartDescription, DataError> {
        let part = self.part.name();
        let one = |(number, places): (usize, &[usize])| {
            let path = self.out.join(shard_file(part, number));
            if !self.is_there(&path, number, before)? {
                self.make(&path, places, progress)?;
                return Ok(());
            }
            let text = Shard::open(&path)?.text()?;
            self.note_bad(text.left_out.len(), text.left_out.first())?;
            progress(places.len());
            Ok(())
        };
        self.order.par_chunks(SHARD).enumerate().try_for_each(one)?;
        // What was written is on the disk; now also under its names.
        sync_folder(self.out)?;
        self.describe()
    }

    /// Whether shard `number` need not be made. One that is part of a finished pack is read whole.
    fn is_there(
        &self,
        path: &Path,
        number: usize,
        before: Option<&PartDescription>,
    ) -> Result<bool, DataError> {
        if !path.is_file() {
            return Ok(false);
        }
        let listed = before.and_then(|before| before.shards.get(number));
        if let Some(listed) = listed {
            return Ok(whole(path, listed.checksum).is_ok());
        }
        match Shard::open(path) {
            Ok(shard) if shard.header().kind == self.kind() => Ok(shard.tally().is_ok()),
            Ok(_) => Err(DataError::OtherPack { path: path.into() }),
            // Damaged while nobody looked.
            Err(DataError::Shard { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn kind(&self) -> Kind {
        Kind {
            preprocess: self.options.preprocess,
            encoding: self.options.encoding,
        }
    }

    fn make(
        &self,
        path: &Path,
        places: &[usize],
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<(), DataError> {
        let unfinished = path.with_extension(UNFINISHED);
        let file = File::create(&unfinished).map_err(writing(path))?;
        let made = self.fill(file, path, places, progress);
        if made.is_err() {
            // The error to report is the one there is.
            let _ = fs::remove_file(&unfinished);
        }
        made?;
        fs::rename(&unfinished, path).map_err(writing(path))
    }

    fn fill(
        &self,
        file: File,
        path: &Path,
        places: &[usize],
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<(), DataError> {
        let mut writer = Writer::new(file, self.kind()).map_err(writing(path))?;
        for &i in places {
            match self.dataset.picture(i) {
                Ok(picture) => {
                    let pixels = self.options.preprocess.apply(&picture);
                    writer
                        .add(&pixels, self.dataset.label(i), self.dataset.key(i))
                        .map_err(writing(path))?;
                }
                Err(error) => {
                    let bad = (self.dataset.name(i), error.to_string());
                    self.note_bad(1, Some(&bad))?;
                    writer.leave_out(bad.0, bad.1);
                }
            }
            progress(1);
        }
        writer.finish().map_err(writing(path))
    }

    /// Counts bad pictures; too many end it.
    fn note_bad(&self, more: usize, first: Option<&(String, String)>) -> Result<(), DataError> {
        let bad = self.bad.fetch_add(more, Ordering::Relaxed) + more;
        if bad as f64 <= self.options.bad_share * self.dataset.len() as f64 {
            Ok(())
        } else {
            Err(self.too_many(bad, first))
        }
    }

    fn too_many(&self, bad: usize, first: Option<&(String, String)>) -> DataError {
        let (first, reason) = first.cloned().unwrap_or_default();
        DataError::TooManyBad {
            bad,
            total: self.dataset.len(),
            share: self.options.bad_share,
            first,
            reason,
        }
    }

    /// What the shards hold together; writes the mean.
    fn describe(&self) -> Result<PartDescription, DataError> {
        let part = self.part.name();
        let mut tally = Tally::new(self.options.preprocess);
        let (mut shards, mut left_out) = (Vec::new(), Vec::new());
        for number in 0..self.order.len().div_ceil(SHARD) {
            let file = shard_file(part, number);
            let shard = Shard::open(&self.out.join(&file))?;
            tally = tally.merge(shard.tally()?);
            left_out.extend(shard.text()?.left_out);
            let header = shard.header();
            shards.push(ShardDescription {
                file,
                pictures: header.pictures,
                checksum: header.checksum,
            });
        }
        if tally.pictures() == 0 {
            return Err(self.too_many(left_out.len(), left_out.first()));
        }
        let mean = npy(&tally.mean(), self.options.preprocess);
        replace(&self.out.join(mean_file(part)), &mean)?;
        Ok(PartDescription {
            pictures: tally.pictures(),
            labelled: self.dataset.label(0).is_some(),
            identity: self.identity,
            statistics: Statistics::of(&tally),
            mean_checksum: crc32fast::hash(&mean),
            shards,
            left_out,
        })
    }
}
