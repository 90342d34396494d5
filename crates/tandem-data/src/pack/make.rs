//! Packing: each part's pictures in a random order, cut into shards, each made by one thread.
//!
//! What a shard holds depends on the source and the settings alone, so any number of threads writes
//! the same bytes; and a shard has its name only once it is whole and on the disk, so packing goes on
//! after a kill with the shards that are missing.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::description::{ShardDescription, Statistics, mean_file, npy, shard_file};
use super::folder::{UNFINISHED, replace, sync_folder, writing};
use super::shard::{Kind, Shard};
use super::spool::{Prepared, Spool};
use super::verify::whole;
use super::writer::Writer;
use super::{Encoding, PackError, PackOptions, PartDescription, SHARD};
use crate::fingerprint::Fingerprint;
use crate::random::{Purpose, shuffle, stream};
use crate::tally::Tally;
use crate::{DataError, Dataset, Part, Picture};

/// One part on its way into a pack.
pub(super) struct Packing<'a> {
    out: &'a Path,
    pub(super) part: Part,
    dataset: &'a dyn Dataset,
    options: PackOptions,
    order: Vec<usize>,
    /// Of data and settings: shards of another are not taken for these.
    pub(super) identity: u64,
    bad: AtomicUsize,
}

impl<'a> Packing<'a> {
    pub(super) fn new(
        out: &'a Path,
        part: Part,
        dataset: &'a dyn Dataset,
        options: PackOptions,
    ) -> Self {
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

    /// Makes the shards that are not there; `spool` bytes of the disk may be taken meanwhile.
    pub(super) fn run(
        &self,
        before: Option<&PartDescription>,
        spool: u64,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<PartDescription, DataError> {
        let part = self.part.name();
        let look = |(number, places): (usize, &[usize])| {
            let path = self.out.join(shard_file(part, number));
            if !self.is_there(&path, number, before)? {
                return Ok(Some(path));
            }
            let text = Shard::open(&path)?.text()?;
            self.note_bad(text.left_out.len(), text.left_out.first())?;
            progress(places.len());
            Ok(None)
        };
        let shards = self.order.par_chunks(SHARD).enumerate();
        let paths: Vec<Option<PathBuf>> = shards.map(look).collect::<Result<_, DataError>>()?;
        let shards = paths.into_iter().zip(self.order.chunks(SHARD));
        let missing: Vec<_> = shards
            .filter_map(|(path, places)| Some((path?, places)))
            .collect();
        let prepare = |i, picture| {
            let prepared = self.prepare(i, picture);
            progress(1);
            prepared
        };
        if self.dataset.block(0).is_some() {
            self.make_by_block(&missing, spool, &prepare)?;
        } else {
            missing.par_iter().try_for_each(|(path, places)| {
                self.make(path, places, |_, i| prepare(i, self.dataset.picture(i)))
            })?;
        }
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
            Ok(_) => Err(PackError::OtherPack { path: path.into() }.into()),
            // Damaged while nobody looked.
            Err(DataError::Pack(PackError::Shard { .. })) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn kind(&self) -> Kind {
        Kind {
            preprocess: self.options.preprocess,
            encoding: self.options.encoding,
        }
    }

    /// Makes groups of shards, the pictures of each group read block after block.
    fn make_by_block(
        &self,
        missing: &[(PathBuf, &[usize])],
        spool: u64,
        prepare: &(dyn Fn(usize, Result<Picture, DataError>) -> Result<Prepared, DataError> + Sync),
    ) -> Result<(), DataError> {
        let size = self.options.preprocess.len();
        let group = (spool / (SHARD * size) as u64).max(1);
        for shards in missing.chunks(group.try_into().unwrap_or(usize::MAX)) {
            let places = shards.iter().flat_map(|(_, places)| *places).copied();
            let spool = Spool::gather(self.out, size, self.dataset, places, prepare)?;
            // All but a part's last shard have as many places.
            let shards = shards.par_iter().enumerate();
            shards.try_for_each(|(number, (path, places))| {
                self.make(path, places, |slot, _| spool.take(number * SHARD + slot))
            })?;
        }
        Ok(())
    }

    /// Makes the shard of `places`; `prepared` gives the picture that is the nth of them, at this place.
    fn make(
        &self,
        path: &Path,
        places: &[usize],
        prepared: impl Fn(usize, usize) -> Result<Prepared, DataError>,
    ) -> Result<(), DataError> {
        let unfinished = path.with_extension(UNFINISHED);
        let file = File::create(&unfinished).map_err(writing(path))?;
        let made = self.fill(file, path, places, prepared);
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
        prepared: impl Fn(usize, usize) -> Result<Prepared, DataError>,
    ) -> Result<(), DataError> {
        let mut writer = Writer::new(file, self.kind()).map_err(writing(path))?;
        for (slot, &i) in places.iter().enumerate() {
            match prepared(slot, i)? {
                Ok(pixels) => writer
                    .add(&pixels, self.dataset.label(i), self.dataset.key(i))
                    .map_err(writing(path))?,
                Err((name, reason)) => writer.leave_out(name, reason),
            }
        }
        writer.finish().map_err(writing(path))
    }

    /// Brings picture `i` to its size; one that does not decode is counted.
    fn prepare(
        &self,
        i: usize,
        picture: Result<Picture, DataError>,
    ) -> Result<Prepared, DataError> {
        match picture {
            Ok(picture) => Ok(Ok(self.options.preprocess.apply(&picture))),
            Err(error) => {
                let bad = (self.dataset.name(i), error.reason());
                self.note_bad(1, Some(&bad))?;
                Ok(Err(bad))
            }
        }
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
