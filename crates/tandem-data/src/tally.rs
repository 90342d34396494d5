//! What one pass over the training pictures counts: sums for the mean and the colour covariance.
//!
//! All sums are whole numbers, so they are the same in whatever order threads add them. The largest,
//! 255² for each of 256×256 pixels of 1.3 million pictures, is 6e15: far below 2⁶⁴.
//!
//! They are made of smaller words that cannot overflow, sixteen bits for the sums of a few pictures and
//! thirty-two for the products of one: with as many a vector register holds, counting a picture of
//! 256 × 256 takes a tenth of the time.

use pulp::{Arch, Simd, WithSimd};

use crate::Preprocess;

/// Pictures whose sums fit sixteen bits: 255 · 257 = 2¹⁶ − 1.
const RECENT: u16 = 257;

/// Pixels whose products fit thirty-two: 255² · 2¹⁶ < 2³².
const PIXELS: usize = 1 << 16;

/// Sums over pictures; see the module.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    channels: usize,
    pictures: u64,
    /// For each place in a picture, HWC, without the last pictures'.
    sums: Vec<u64>,
    /// The same of the last pictures, [`RECENT`] at most.
    recent: Vec<u16>,
    recent_pictures: u16,
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
            recent: vec![0; preprocess.len()],
            recent_pictures: 0,
            products: [[0; 3]; 3],
            bad: Vec::new(),
        }
    }

    /// Counts one picture, HWC bytes.
    pub(crate) fn add(&mut self, pixels: &[u8]) {
        if self.recent_pictures == RECENT {
            for (sum, recent) in self.sums.iter_mut().zip(&mut self.recent) {
                *sum += u64::from(std::mem::take(recent));
            }
            self.recent_pictures = 0;
        }
        self.pictures += 1;
        self.recent_pictures += 1;
        Arch::new().dispatch(Count {
            pixels,
            channels: self.channels,
            recent: &mut self.recent,
            products: &mut self.products,
        });
    }

    /// For each place in a picture, HWC.
    fn sums(&self) -> impl Iterator<Item = u64> {
        let recent = self.recent.iter().map(|&recent| u64::from(recent));
        self.sums
            .iter()
            .zip(recent)
            .map(|(sum, recent)| sum + recent)
    }

    /// Joins two counts.
    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.pictures += other.pictures;
        self.sums
            .iter_mut()
            .zip(other.sums())
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
        let words = self
            .sums()
            .chain(self.products.as_flattened().iter().copied());
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
            pictures,
            sums,
            products,
            ..Self::new(preprocess)
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
        let sum = |c| self.sums().skip(c).step_by(self.channels).sum();
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
        let sums: Vec<u64> = self.sums().collect();
        (0..self.channels)
            .flat_map(|c| (0..places).map(move |place| place * self.channels + c))
            .map(|at| (sums[at] as f64 / count) as f32)
            .collect()
    }
}

/// One picture, counted.
struct Count<'a> {
    pixels: &'a [u8],
    channels: usize,
    recent: &'a mut [u16],
    products: &'a mut [[u64; 3]; 3],
}

impl WithSimd for Count<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (sum, &pixel) in self.recent.iter_mut().zip(self.pixels) {
            *sum += u16::from(pixel);
        }
        match self.channels {
            1 => products::<1>(self.pixels, self.products),
            _ => products::<3>(self.pixels, self.products),
        }
    }
}

#[inline(always)]
fn products<const C: usize>(pixels: &[u8], products: &mut [[u64; 3]; 3]) {
    for pixels in pixels.as_chunks::<C>().0.chunks(PIXELS) {
        let mut few = [[0_u32; C]; C];
        for pixel in pixels {
            for a in 0..C {
                for b in a..C {
                    few[a][b] += u32::from(pixel[a]) * u32::from(pixel[b]);
                }
            }
        }
        for (row, few) in products.iter_mut().zip(few) {
            for (product, few) in row.iter_mut().zip(few) {
                *product += u64::from(few);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{RECENT, Tally};
    use crate::Preprocess;

    /// White pictures: more of them, and of more pixels, than the small words hold.
    #[test]
    fn the_largest_sums_do_not_overflow() {
        let pictures = 2 * u64::from(RECENT) + 3;
        for channels in [1, 3] {
            for (side, pictures) in [(2, pictures), (300, 2)] {
                let preprocess = Preprocess { side, channels };
                let white = vec![255; preprocess.len()];
                let mut tally = Tally::new(preprocess);
                (0..pictures).for_each(|_| tally.add(&white));
                let pixels = pictures * (side * side) as u64;
                assert_eq!((tally.pictures(), tally.pixels()), (pictures, pixels));
                assert_eq!(tally.channel_sums(), vec![255 * pixels; channels]);
                let square = 255 * 255 * pixels;
                assert_eq!(tally.products(), vec![vec![square; channels]; channels]);
                assert_eq!(tally.mean(), vec![255.0; preprocess.len()]);
            }
        }
    }

    /// Counted in one go, in two and joined, or written and read: by the definition all.
    #[test]
    fn sums_are_those_of_the_definition_however_they_were_made() {
        for channels in [1, 3] {
            let preprocess = Preprocess { side: 5, channels };
            let len = preprocess.len();
            let picture = |i: usize| -> Vec<u8> {
                (0..len)
                    .map(|at| (i * 31 + at * at * 7 + i * at) as u8)
                    .collect()
            };
            let count = |range: std::ops::Range<usize>| {
                let mut tally = Tally::new(preprocess);
                range.for_each(|i| tally.add(&picture(i)));
                tally
            };
            let (mut sums, mut products) = (vec![0; len], [[0; 3]; 3]);
            for pixels in (0..600).map(picture) {
                for (at, &pixel) in pixels.iter().enumerate() {
                    sums[at] += u64::from(pixel);
                    let a = at % channels;
                    for b in a..channels {
                        products[a][b] += u64::from(pixel) * u64::from(pixels[at - a + b]);
                    }
                }
            }
            let mut want = Vec::new();
            for word in sums.iter().chain(products.as_flattened()) {
                want.extend(word.to_le_bytes());
            }
            let written = |tally: &Tally| {
                let mut bytes = Vec::new();
                tally.write(&mut bytes);
                bytes
            };
            assert_eq!(written(&count(0..600)), want);
            let joined = count(0..300).merge(count(300..600));
            assert_eq!((joined.pictures(), written(&joined)), (600, want.clone()));
            let mut read = Tally::read(&written(&count(0..599)), preprocess, 599);
            read.add(&picture(599));
            assert_eq!((read.mean(), written(&read)), (joined.mean(), want));
        }
    }
}
