//! `pack.json`: what a pack holds. Written last, so that a pack without it is not whole.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{DESCRIPTION, Encoding, PackError};
use crate::tally::Tally;
use crate::{ColourBasis, DataError, Preprocess};

const FORMAT: &str = "tandem pack";
const VERSION: u32 = 1;

/// Longest `pack.json` that is read, bytes: a shard takes some hundred of it.
const LONGEST: u64 = 256 << 20;

/// A pack, in words and numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Description {
    format: String,
    version: u32,
    /// Side of the pictures, pixels.
    pub side: usize,
    /// 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
    pub encoding: Encoding,
    /// What was packed, as it was named.
    pub source: String,
    /// A label is a place in it.
    pub classes: Vec<String>,
    /// `train`, `validation`, `test`.
    pub parts: BTreeMap<String, PartDescription>,
}

/// One part of a pack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartDescription {
    pub pictures: u64,
    pub labelled: bool,
    /// Tells this part from others; the source's fingerprint and the settings are in it.
    pub identity: u64,
    pub statistics: Statistics,
    /// CRC-32 of `PART-mean.npy`.
    pub mean_checksum: u32,
    pub shards: Vec<ShardDescription>,
    /// Name and reason of each picture that does not decode.
    pub left_out: Vec<(String, String)>,
}

/// One shard: its file, its pictures, and the checksum of its table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardDescription {
    pub file: String,
    pub pictures: usize,
    pub checksum: u32,
}

/// Of all pixels of a part, from 0 to 255; as many entries as channels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// Σ x, exact.
    pub sums: Vec<u64>,
    /// Σ x xᵀ, exact.
    pub products: Vec<Vec<u64>>,
    pub mean: Vec<f64>,
    pub standard_deviation: Vec<f64>,
    /// C × C, (0 to 255)².
    pub covariance: Vec<Vec<f64>>,
    /// Of the covariance, largest first: λ of section 4.1.
    pub eigenvalues: Vec<f64>,
    /// The unit vector of each value: p of section 4.1.
    pub eigenvectors: Vec<Vec<f64>>,
}

impl Statistics {
    pub(crate) fn of(tally: &Tally) -> Self {
        Self::new(tally.channel_sums(), tally.products(), tally.pixels())
    }

    /// Of the sums over so many pixels.
    fn new(sums: Vec<u64>, products: Vec<Vec<u64>>, pixels: u64) -> Self {
        let pixels = pixels.max(1) as f64;
        let mean: Vec<f64> = sums.iter().map(|&sum| sum as f64 / pixels).collect();
        let row = |(a, row): (usize, &Vec<u64>)| -> Vec<f64> {
            let products = row.iter().zip(&mean);
            products
                .map(|(&product, b)| product as f64 / pixels - mean[a] * b)
                .collect()
        };
        let covariance: Vec<Vec<f64>> = products.iter().enumerate().map(row).collect();
        let deviation = |c: usize| covariance[c][c].max(0.0).sqrt();
        let basis = ColourBasis::of(&covariance.concat(), mean.len());
        Self {
            standard_deviation: (0..mean.len()).map(deviation).collect(),
            mean,
            covariance,
            eigenvalues: basis.values,
            eigenvectors: basis.vectors,
            sums,
            products,
        }
    }

    /// The same, to the last bit, which JSON does not keep: computed again from the sums, which it does.
    /// `None` if those are not of `channels` channels.
    pub(crate) fn exact(&self, channels: usize, pixels: u64) -> Option<Self> {
        let fit = self.sums.len() == channels
            && self.products.len() == channels
            && self.products.iter().all(|row| row.len() == channels);
        fit.then(|| Self::new(self.sums.clone(), self.products.clone(), pixels))
    }

    /// Eigenvalues and eigenvectors of the covariance.
    pub(crate) fn colour_basis(&self) -> ColourBasis {
        ColourBasis {
            values: self.eigenvalues.clone(),
            vectors: self.eigenvectors.clone(),
        }
    }
}

impl Description {
    pub(crate) fn new(
        preprocess: Preprocess,
        encoding: Encoding,
        source: &str,
        classes: &[String],
    ) -> Self {
        Self {
            format: FORMAT.into(),
            version: VERSION,
            side: preprocess.side,
            channels: preprocess.channels,
            encoding,
            source: source.into(),
            classes: classes.into(),
            parts: BTreeMap::new(),
        }
    }

    /// What the pictures were brought to.
    #[must_use]
    pub fn preprocess(&self) -> Preprocess {
        Preprocess {
            side: self.side,
            channels: self.channels,
        }
    }

    /// Reads the description of the pack in `folder`.
    ///
    /// # Errors
    ///
    /// [`DataError::Read`] if it is not there, [`PackError::Description`] if it is not one.
    pub fn read(folder: &Path) -> Result<Self, DataError> {
        let path = folder.join(DESCRIPTION);
        let failed = |source| DataError::Read {
            path: path.clone(),
            source,
        };
        let wrong = |problem: String| {
            let path = path.clone();
            DataError::from(PackError::Description { path, problem })
        };
        if std::fs::metadata(&path).map_err(failed)?.len() > LONGEST {
            return Err(wrong(format!("it is longer than {LONGEST} bytes")));
        }
        let text = std::fs::read(&path).map_err(failed)?;
        let this: Self = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        if this.format != FORMAT || this.version != VERSION {
            return Err(wrong(format!(
                "it says {} {}, not {FORMAT} {VERSION}",
                this.format, this.version
            )));
        }
        this.preprocess().check()?;
        Ok(this)
    }
}

/// The name of shard `number` of `part`.
pub(super) fn shard_file(part: &str, number: usize) -> String {
    format!("{part}-{number:05}.shard")
}

/// The name of the mean picture of `part`.
pub(super) fn mean_file(part: &str) -> String {
    format!("{part}-mean.npy")
}

/// Bytes before the values: of three sizes, however small or large, NumPy's header takes as many.
const HEADER: usize = 128;

/// A mean picture, (C, side, side), as NumPy writes an array of `float32`.
pub(super) fn npy(mean: &[f32], preprocess: Preprocess) -> Vec<u8> {
    let Preprocess { side, channels } = preprocess;
    let mut bytes = crate::npy::header("<f4", &[channels, side, side]);
    debug_assert_eq!(bytes.len(), HEADER);
    bytes.extend(mean.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

/// The values of what [`npy`] wrote.
pub(super) fn from_npy(bytes: &[u8], preprocess: Preprocess) -> Option<Vec<f32>> {
    let values = bytes
        .get(HEADER..)
        .filter(|rest| rest.len() == 4 * preprocess.len())?;
    Some(
        values
            .as_chunks::<4>()
            .0
            .iter()
            .map(|value| f32::from_le_bytes(*value))
            .collect(),
    )
}
