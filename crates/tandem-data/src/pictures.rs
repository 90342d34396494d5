//! A data set brought to one size, without the pictures that do not decode.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use crate::fingerprint::Fingerprint;
use crate::pack::Statistics;
use crate::tally::Tally;
use crate::{ColourBasis, DataError, Dataset, Pack, Preprocess};

/// Prepared pictures are kept while all of them together take less than this, bytes.
const KEPT: usize = 1 << 30;

/// Pictures a task of the one pass; fixed, so that tasks never depend on the number of threads.
const TASK: usize = 64;

/// A data set after [`Preprocess`], with the bad pictures left out.
///
/// Of a pack made with the same preprocessing nothing is decoded or kept: its pictures lie ready. Else
/// up to 1 GiB of prepared pictures stay in memory; of more, each is decoded again when it is asked
/// for.
pub struct Pictures {
    dataset: Arc<dyn Dataset>,
    preprocess: Preprocess,
    /// Places in the data set of the pictures that decode.
    good: Vec<usize>,
    bad: Vec<(String, String)>,
    /// Prepared bytes of the whole data set, bad ones too (as noughts); empty if they are not kept.
    kept: Vec<u8>,
    mean: Vec<f32>,
    statistics: Statistics,
    basis: ColourBasis,
    fingerprint: u64,
}

impl std::fmt::Debug for Pictures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pictures")
            .field("preprocess", &self.preprocess)
            .field("pictures", &self.good.len())
            .field("bad", &self.bad.len())
            .finish_non_exhaustive()
    }
}

impl Pictures {
    /// Decodes everything once, in parallel: finds the bad pictures, the mean and the colours.
    /// The result is the same for any number of threads.
    ///
    /// `bad_share` is the share (0 to 1) of pictures that may fail to decode; up to it they are left
    /// out and listed in [`Pictures::bad`].
    ///
    /// # Errors
    ///
    /// [`DataError::TooManyBad`] past that share or if none is left, [`DataError::Shape`] if
    /// `preprocess` cannot be.
    pub fn prepare(
        dataset: Arc<dyn Dataset>,
        preprocess: Preprocess,
        bad_share: f64,
    ) -> Result<Self, DataError> {
        Self::prepare_keeping(dataset, preprocess, bad_share, KEPT)
    }

    /// [`Pictures::prepare`], keeping the bytes while they are fewer than `limit`.
    pub(crate) fn prepare_keeping(
        dataset: Arc<dyn Dataset>,
        preprocess: Preprocess,
        bad_share: f64,
        limit: usize,
    ) -> Result<Self, DataError> {
        preprocess.check()?;
        if let Some(pack) = dataset
            .pack()
            .filter(|pack| pack.preprocess() == preprocess)
        {
            return Ok(Self {
                good: (0..pack.len()).collect(),
                bad: pack.left_out().to_vec(),
                kept: Vec::new(),
                mean: pack.mean().to_vec(),
                basis: pack.statistics().colour_basis(),
                statistics: pack.statistics().clone(),
                fingerprint: dataset.fingerprint(),
                preprocess,
                dataset,
            });
        }
        let (total, size) = (dataset.len(), preprocess.len());
        let keep = total.checked_mul(size).filter(|&all| all < limit);
        let mut kept = vec![0; keep.unwrap_or(0)];

        let start = || Tally::new(preprocess);
        let one = |tally: &mut Tally, i: usize| match dataset.picture(i) {
            Ok(picture) => {
                let pixels = preprocess.apply(&picture);
                tally.add(&pixels);
                Some(pixels)
            }
            Err(error) => {
                tally.bad.push((i, dataset.name(i), error.reason()));
                None
            }
        };
        let tally = if keep.is_some() {
            kept.par_chunks_mut(TASK * size)
                .enumerate()
                .fold(start, |mut tally, (task, slots)| {
                    for (i, slot) in slots.chunks_exact_mut(size).enumerate() {
                        if let Some(pixels) = one(&mut tally, task * TASK + i) {
                            slot.copy_from_slice(&pixels);
                        }
                    }
                    tally
                })
                .reduce(start, Tally::merge)
        } else {
            (0..total)
                .into_par_iter()
                .with_min_len(TASK)
                .fold(start, |mut tally, i| {
                    one(&mut tally, i);
                    tally
                })
                .reduce(start, Tally::merge)
        };

        let mut bad = tally.bad.clone();
        bad.sort_unstable();
        if bad.len() as f64 > bad_share * total as f64 || bad.len() == total {
            let (first, reason) = bad
                .first()
                .map_or_else(Default::default, |(_, name, reason)| {
                    (name.clone(), reason.clone())
                });
            return Err(DataError::TooManyBad {
                bad: bad.len(),
                total,
                share: bad_share,
                first,
                reason,
            });
        }
        let good = (0..total)
            .filter(|i| bad.binary_search_by_key(i, |b| b.0).is_err())
            .collect();

        let mut print = Fingerprint::new();
        print.word(dataset.fingerprint());
        print.word(preprocess.side as u64);
        print.word(preprocess.channels as u64);
        bad.iter().for_each(|b| print.word(b.0 as u64));

        let statistics = Statistics::of(&tally);
        Ok(Self {
            good,
            bad: bad
                .into_iter()
                .map(|(_, name, reason)| (name, reason))
                .collect(),
            kept,
            mean: tally.mean(),
            basis: statistics.colour_basis(),
            statistics,
            fingerprint: print.finish(),
            preprocess,
            dataset,
        })
    }

    /// How many pictures decode.
    #[must_use]
    pub fn len(&self) -> usize {
        self.good.len()
    }

    /// Never: at least one picture decodes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.good.is_empty()
    }

    /// The label of picture `i`; those of a [`Part::Test`](crate::Part::Test) may have none.
    #[must_use]
    pub fn label(&self, i: usize) -> Option<u32> {
        self.dataset.label(self.good[i])
    }

    /// A name for picture `i` that a person can find it by.
    #[must_use]
    pub fn name(&self, i: usize) -> String {
        self.dataset.name(self.good[i])
    }

    /// What picture `i` is called inside its class; see [`Dataset::key`].
    #[must_use]
    pub fn key(&self, i: usize) -> String {
        self.dataset.key(self.good[i])
    }

    /// The names of the classes.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        self.dataset.classes()
    }

    /// Tells these prepared pictures from others: data set, preprocessing and what was left out.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Name and reason of each picture that was left out.
    #[must_use]
    pub fn bad(&self) -> &[(String, String)] {
        &self.bad
    }

    /// What the pictures were brought to.
    #[must_use]
    pub fn preprocess(&self) -> Preprocess {
        self.preprocess
    }

    /// The bytes of picture `i`, side × side × channels (HWC).
    ///
    /// # Errors
    ///
    /// If the pictures are not kept and its file can no longer be read.
    pub fn picture(&self, i: usize) -> Result<Cow<'_, [u8]>, DataError> {
        let (place, size) = (self.good[i], self.preprocess.len());
        if let Some(pack) = self.packed() {
            pack.bytes(place)
        } else if self.kept.is_empty() {
            Ok(self.preprocess.apply(&self.dataset.picture(place)?).into())
        } else {
            Ok(self.kept[place * size..(place + 1) * size].into())
        }
    }

    /// The pack that the pictures lie in as they are handed out.
    fn packed(&self) -> Option<&Pack> {
        let pack = self.dataset.pack()?;
        (pack.preprocess() == self.preprocess).then_some(pack)
    }

    /// The shards of the data set as ranges of these pictures; none where the pictures are kept and
    /// shards are no longer read.
    pub(crate) fn shards(&self) -> Vec<Range<usize>> {
        if !self.kept.is_empty() {
            return Vec::new();
        }
        let here = |place: usize| self.good.partition_point(|&good| good < place);
        let shards = self.dataset.shards().iter();
        shards
            .map(|shard| here(shard.start)..here(shard.end))
            .collect()
    }

    /// See [`Dataset::expect`].
    pub(crate) fn expect(&self, shard: usize) {
        self.dataset.expect(shard);
    }

    /// See [`Dataset::release`].
    pub(crate) fn release(&self, shard: usize) {
        self.dataset.release(shard);
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

    /// Eigenvalues and eigenvectors of the covariance, for the colour shifts of section 4.1.
    #[must_use]
    pub fn colour_basis(&self) -> &ColourBasis {
        &self.basis
    }
}
