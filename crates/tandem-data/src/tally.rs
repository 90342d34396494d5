//! What one pass over the training pictures counts: sums for the mean and the colour covariance.
//!
//! All sums are whole numbers, so they are the same in whatever order threads add them. The largest,
//! 255² for each of 256×256 pixels of 1.3 million pictures, is 6e15: far below 2⁶⁴.

use crate::Preprocess;

/// Sums over pictures; see the module.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    channels: usize,
    pictures: u64,
    /// For each place in a picture, HWC.
    sums: Vec<u64>,
    /// Σ of channel a × channel b over pixels; the upper triangle is filled.
    products: [[u64; 3]; 3],
    /// Places in the data set that do not decode, their names and why.
    pub(crate) bad: Vec<(usize, String, String)>,
}

impl Tally {
    pub(crate) fn new(preprocess: Preprocess) -> Self {
        Self {
            channels: preprocess.channels,
            pictures: 0,
            sums: vec![0; preprocess.len()],
            products: [[0; 3]; 3],
            bad: Vec::new(),
        }
    }

    /// Counts one picture, HWC bytes.
    pub(crate) fn add(&mut self, pixels: &[u8]) {
        self.pictures += 1;
        for (sum, &pixel) in self.sums.iter_mut().zip(pixels) {
            *sum += u64::from(pixel);
        }
        if self.channels == 1 {
            self.products[0][0] += pixels
                .iter()
                .map(|&p| u64::from(u32::from(p) * u32::from(p)))
                .sum::<u64>();
        } else {
            for &[r, g, b] in pixels.as_chunks::<3>().0 {
                let (r, g, b) = (u64::from(r), u64::from(g), u64::from(b));
                self.products[0][0] += r * r;
                self.products[0][1] += r * g;
                self.products[0][2] += r * b;
                self.products[1][1] += g * g;
                self.products[1][2] += g * b;
                self.products[2][2] += b * b;
            }
        }
    }

    /// Joins two counts.
    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.pictures += other.pictures;
        self.sums
            .iter_mut()
            .zip(&other.sums)
            .for_each(|(sum, more)| *sum += more);
        for (row, more) in self.products.iter_mut().zip(&other.products) {
            row.iter_mut()
                .zip(more)
                .for_each(|(product, more)| *product += more);
        }
        self.bad.extend(other.bad);
        self
    }

    /// Bytes that [`Tally::write`] writes.
    pub(crate) fn bytes(preprocess: Preprocess) -> usize {
        8 * (preprocess.len() + 9)
    }

    /// Appends the sums, HWC, and the 3 × 3 products, little-endian.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let words = self.sums.iter().chain(self.products.iter().flatten());
        out.extend(words.flat_map(|word| word.to_le_bytes()));
    }

    /// What [`Tally::write`] wrote of `pictures` pictures.
    ///
    /// # Panics
    ///
    /// If `bytes` are not [`Tally::bytes`] many.
    pub(crate) fn read(bytes: &[u8], preprocess: Preprocess, pictures: u64) -> Self {
        assert_eq!(bytes.len(), Self::bytes(preprocess));
        let mut words = bytes
            .as_chunks::<8>()
            .0
            .iter()
            .map(|word| u64::from_le_bytes(*word));
        let sums = words.by_ref().take(preprocess.len()).collect();
        let mut products = [[0; 3]; 3];
        products
            .iter_mut()
            .flatten()
            .zip(words)
            .for_each(|(product, word)| *product = word);
        Self {
            channels: preprocess.channels,
            pictures,
            sums,
            products,
            bad: Vec::new(),
        }
    }

    /// Pictures counted.
    pub(crate) fn pictures(&self) -> u64 {
        self.pictures
    }

    /// Pixels counted.
    pub(crate) fn pixels(&self) -> u64 {
        self.pictures * (self.sums.len() / self.channels) as u64
    }

    /// Σ of each channel over all pixels.
    pub(crate) fn channel_sums(&self) -> Vec<u64> {
        let sum = |c| self.sums.iter().skip(c).step_by(self.channels).sum();
        (0..self.channels).map(sum).collect()
    }

    /// Σ of channel a × channel b over all pixels, C × C.
    pub(crate) fn products(&self) -> Vec<Vec<u64>> {
        let product = |a: usize, b: usize| self.products[a.min(b)][a.max(b)];
        let row = |a| (0..self.channels).map(|b| product(a, b)).collect();
        (0..self.channels).map(row).collect()
    }

    /// The mean picture, (C, side, side), 0 to 255.
    pub(crate) fn mean(&self) -> Vec<f32> {
        let count = self.pictures.max(1) as f64;
        let places = self.sums.len() / self.channels;
        (0..self.channels)
            .flat_map(|c| (0..places).map(move |place| place * self.channels + c))
            .map(|at| (self.sums[at] as f64 / count) as f32)
            .collect()
    }

    /// The covariance of the channels over all pixels, C × C row by row, in (0 to 255)².
    pub(crate) fn covariance(&self) -> Vec<f64> {
        let channels = self.channels;
        let pixels = self.pixels().max(1) as f64;
        let mean: Vec<f64> = self
            .channel_sums()
            .iter()
            .map(|&sum| sum as f64 / pixels)
            .collect();
        (0..channels * channels)
            .map(|at| (at / channels, at % channels))
            .map(|(a, b)| self.products[a.min(b)][a.max(b)] as f64 / pixels - mean[a] * mean[b])
            .collect()
    }
}
