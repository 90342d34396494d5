//! What packing a source takes, said before it begins: its pictures, the bytes, the disk.

use std::fs;
use std::path::Path;

use super::folder::{claim, free_space, lock, reading, refuse_others, replace, writing};
use super::make::Packing;
use super::{DESCRIPTION, Description, Encoding, PackError, SHARD, spool};
use crate::tally::Tally;
use crate::{DataError, Opened, Part, Preprocess};

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
    /// Bytes of its pictures: exactly for raw ones if all decode, roughly for JPEG. The sums behind them
    /// add less than a hundredth.
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
    /// [`PackError::DiskSpace`] before anything is written, [`PackError::OtherPack`] or
    /// [`PackError::NotEmpty`] if `out` holds something else, [`DataError::TooManyBad`], [`PackError::Write`].
    pub fn run(
        &self,
        out: &Path,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Description, DataError> {
        fs::create_dir_all(out).map_err(writing(out))?;
        refuse_others(out)?;
        let lock = lock(out)?;
        let before = out
            .join(DESCRIPTION)
            .is_file()
            .then(|| Description::read(out))
            .transpose()?;
        let spare = self.check_space(out)?;

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
            let described = packing.run(before, spare.min(spool::LARGEST), progress)?;
            description.parts.insert(part.into(), described);
        }
        let text = serde_json::to_vec_pretty(&description).expect("its keys are text");
        replace(&out.join(DESCRIPTION), &text)?;
        Ok(description)
    }

    /// Whether what is not there yet fits on the disk, and the bytes that it leaves free.
    fn check_space(&self, out: &Path) -> Result<u64, DataError> {
        let there: u64 = fs::read_dir(out)
            .and_then(|entries| {
                entries
                    .map(|entry| entry?.metadata().map(|file| file.len()))
                    .sum()
            })
            .map_err(reading(out))?;
        let parts = self.parts();
        let whole: u64 = parts.iter().map(|part| part.bytes).sum();
        let shards: usize = parts.iter().map(|part| part.pictures.div_ceil(SHARD)).sum();
        let sums = (shards * Tally::bytes(self.options.preprocess)) as u64;
        let needed = (whole + sums).saturating_sub(there);
        let free = free_space(out).unwrap_or(u64::MAX);
        free.checked_sub(needed).ok_or_else(|| {
            PackError::DiskSpace {
                path: out.into(),
                needed,
                free,
                as_jpeg: Encoding::Jpeg(90).bytes(match self.options.encoding {
                    Encoding::Raw => whole,
                    Encoding::Jpeg(_) => 0,
                }),
            }
            .into()
        })
    }
}
