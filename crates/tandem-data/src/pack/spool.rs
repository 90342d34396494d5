//! The pictures of many shards, read in the order in which they lie in the source.
//!
//! Those of one shard lie all over it. Where a picture is read with a whole block (a page of parquet: of
//! ImageNet's, 100 pictures), a shard at a time would read a block for nearly each of its pictures: 14 TB
//! for 150 GB. So the prepared pictures of a group of shards are gathered first, block after block, in a
//! file without a name beside the pack, which is gone when the process is; then the shards are written
//! from it. A group takes at most 32 GiB of the disk, or what the pack leaves free: eight groups, and
//! readings of the source, for ImageNet at 256 × 256. A kill loses the group. In memory is 24 bytes a
//! picture of the group, and for each thread a block and a picture.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;

use super::folder::writing;
use crate::{DataError, Dataset, Picture};

/// Most bytes of the disk that a group takes.
pub(super) const LARGEST: u64 = 32 << 30;

/// The pixels of a picture, or its name and why it has none.
pub(super) type Prepared = Result<Vec<u8>, (String, String)>;

/// See the module.
pub(super) struct Spool<'a> {
    out: &'a Path,
    /// Bytes of a picture.
    size: usize,
    file: Mutex<File>,
    bad: Mutex<BTreeMap<usize, (String, String)>>,
}

impl<'a> Spool<'a> {
    /// Reads the pictures `places` of `dataset`, block after block, and keeps what `prepare` makes of
    /// each: `size` bytes.
    pub(super) fn gather(
        out: &'a Path,
        size: usize,
        dataset: &dyn Dataset,
        places: impl Iterator<Item = usize>,
        prepare: &(dyn Fn(usize, Result<Picture, DataError>) -> Result<Prepared, DataError> + Sync),
    ) -> Result<Self, DataError> {
        let spool = Self {
            out,
            size,
            file: Mutex::new(tempfile::tempfile_in(out).map_err(writing(out))?),
            bad: Mutex::default(),
        };
        // Block, picture, and which in the spool.
        let mut reads: Vec<(u64, usize, usize)> = places
            .enumerate()
            .map(|(slot, i)| (dataset.block(i).unwrap_or(0), i, slot))
            .collect();
        reads.sort_unstable();
        let blocks: Vec<&[_]> = reads.chunk_by(|a, b| a.0 == b.0).collect();
        blocks.par_iter().try_for_each(|block| {
            let mut kept = Ok(());
            let mut slots = block.iter().map(|read| read.2);
            let pictures: Vec<usize> = block.iter().map(|read| read.1).collect();
            dataset.read_block(&pictures, &mut |i, picture| {
                let slot = slots.next().expect("a slot a picture");
                if kept.is_ok() {
                    kept = prepare(i, picture).and_then(|prepared| spool.put(slot, prepared));
                }
            });
            kept
        })?;
        Ok(spool)
    }

    fn put(&self, slot: usize, prepared: Prepared) -> Result<(), DataError> {
        match prepared {
            Ok(pixels) => {
                let mut file = self.at(slot)?;
                file.write_all(&pixels).map_err(writing(self.out))
            }
            Err(bad) => {
                lock(&self.bad).insert(slot, bad);
                Ok(())
            }
        }
    }

    /// Takes the picture that was read as the `slot`th of `places`.
    pub(super) fn take(&self, slot: usize) -> Result<Prepared, DataError> {
        if let Some(bad) = lock(&self.bad).remove(&slot) {
            return Ok(Err(bad));
        }
        let mut pixels = vec![0; self.size];
        let read = self.at(slot)?.read_exact(&mut pixels);
        read.map_err(writing(self.out))?;
        Ok(Ok(pixels))
    }

    fn at(&self, slot: usize) -> Result<MutexGuard<'_, File>, DataError> {
        let mut file = lock(&self.file);
        let sought = file.seek(SeekFrom::Start(slot as u64 * self.size as u64));
        sought.map_err(writing(self.out))?;
        Ok(file)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::io::Cursor;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use image::{ImageFormat, Rgb, RgbImage};
    use parquet::data_type::{ByteArray, ByteArrayType, Int32Type};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    use crate::pack::make::Packing;
    use crate::pack::{Encoding, PackOptions, SHARD};
    use crate::sources::parquet::{self as source, Parquet};
    use crate::{DataError, Dataset, Part, Picture, Preprocess};

    const PICTURES: usize = 2500;
    const PAGE: usize = 100;

    /// A file of pages of 100 pictures, one of which does not decode.
    fn parquet(path: &Path) {
        let schema = "message m { required binary image; required int32 label; }";
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let properties = WriterProperties::builder().set_dictionary_enabled(false);
        let file = fs::File::create(path).unwrap();
        let mut writer =
            SerializedFileWriter::new(file, schema, Arc::new(properties.build())).unwrap();
        for first in (0..PICTURES).step_by(PAGE) {
            let rows = first..first + PAGE;
            let pictures: Vec<ByteArray> = rows.clone().map(|i| png(i).into()).collect();
            let labels: Vec<i32> = rows.map(|i| (i % 7) as i32).collect();
            let mut group = writer.next_row_group().unwrap();
            let mut column = group.next_column().unwrap().unwrap();
            let images = column.typed::<ByteArrayType>();
            images.write_batch(&pictures, None, None).unwrap();
            column.close().unwrap();
            let mut column = group.next_column().unwrap().unwrap();
            let numbers = column.typed::<Int32Type>();
            numbers.write_batch(&labels, None, None).unwrap();
            column.close().unwrap();
            group.close().unwrap();
        }
        writer.close().unwrap();
    }

    fn png(i: usize) -> Vec<u8> {
        if i == 1234 {
            return b"no picture".into();
        }
        let mut bytes = Cursor::new(Vec::new());
        RgbImage::from_fn(5, 4, |x, y| {
            Rgb([i as u8, (i >> 8) as u8, (x * 4 + y) as u8])
        })
        .write_to(&mut bytes, ImageFormat::Png)
        .unwrap();
        bytes.into_inner()
    }

    /// The set, picture by picture.
    struct Alone(Parquet);

    impl Dataset for Alone {
        fn len(&self) -> usize {
            self.0.len()
        }
        fn classes(&self) -> &[String] {
            self.0.classes()
        }
        fn label(&self, i: usize) -> Option<u32> {
            self.0.label(i)
        }
        fn picture(&self, i: usize) -> Result<Picture, DataError> {
            self.0.picture(i)
        }
        fn name(&self, i: usize) -> String {
            self.0.name(i)
        }
        fn key(&self, i: usize) -> String {
            self.0.key(i)
        }
        fn channels(&self) -> usize {
            self.0.channels()
        }
        fn fingerprint(&self) -> u64 {
            self.0.fingerprint()
        }
    }

    /// Packs with `spool` bytes of the disk; gives the files.
    fn pack(dataset: &dyn Dataset, out: &Path, spool: usize) -> BTreeMap<PathBuf, Vec<u8>> {
        let options = PackOptions {
            preprocess: SMALL,
            encoding: Encoding::Raw,
            bad_share: 0.01,
        };
        let packing = Packing::new(out, Part::Train, dataset, options);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build();
        let run = || packing.run(None, spool as u64, &|_| ());
        let described = pool.unwrap().install(run).unwrap();
        assert_eq!(described.pictures + 1, dataset.len() as u64);
        assert!(described.left_out[0].0.ends_with("(row 1234)"));
        let files = fs::read_dir(out).unwrap().map(|entry| entry.unwrap());
        files
            .map(|file| (file.file_name().into(), fs::read(file.path()).unwrap()))
            .collect()
    }

    const SMALL: Preprocess = Preprocess {
        side: 4,
        channels: 3,
    };

    #[test]
    fn a_page_is_read_once_a_group_of_shards_and_the_pack_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.parquet");
        parquet(&path);
        // The memory of one page; all have some ten thousand bytes.
        let open = || {
            let files = [path.clone()];
            let set = source::open(folder.path(), &files, Part::Train).unwrap();
            set.keeping(20_000)
        };
        let shard = SHARD * SMALL.len();

        let (alone, by_block) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let set = Alone(open());
        let whole = pack(&set, alone.path(), 0);
        // Of all but every tenth picture: three shards and the mean.
        assert_eq!((set.len(), whole.len()), (2255, 4));
        let reads = set.0.page_reads();
        assert!(reads > set.len() * 9 / 10, "{reads}");

        for (groups, shards) in [(3, 0), (3, 1), (2, 2), (1, 3)] {
            let set = open();
            assert!(whole == pack(&set, by_block.path(), shards * shard));
            assert_eq!(set.page_reads(), groups * PICTURES / PAGE);
            // Made again where some are missing, as after a kill.
            fs::remove_file(by_block.path().join("train-00001.shard")).unwrap();
            assert!(whole == pack(&open(), by_block.path(), shards * shard));
            for file in whole.keys() {
                fs::remove_file(by_block.path().join(file)).unwrap();
            }
        }
    }

    #[test]
    fn a_set_whose_pages_are_all_kept_is_read_in_any_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.parquet");
        parquet(&path);
        let set = source::open(folder.path(), &[path], Part::Train).unwrap();
        assert_eq!(set.block(0), None);
        let out = tempfile::tempdir().unwrap();
        pack(&set, out.path(), 0);
        // Threads that want one page at once each read it.
        assert!(set.page_reads() <= 3 * PICTURES / PAGE);
    }
}
