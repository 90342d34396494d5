//! Which class is taken for which.

/// Pictures counted by their right class and the class that the network takes them for.
///
/// ```
/// use tandem_alexnet::confusion::Confusion;
///
/// let mut confusion = Confusion::new(3);
/// for (class, guess) in [(0, 0), (0, 0), (0, 1), (0, 2), (1, 1)] {
///     confusion.add(class, guess);
/// }
/// assert_eq!(confusion.row(0), [2, 1, 1]);
/// assert_eq!(confusion.share(0, 1), Some(0.25));
/// assert_eq!(confusion.error(0), Some(0.5));
/// assert_eq!(confusion.error(2), None);
/// assert_eq!(confusion.top1_error(), 0.4);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    /// Row by row; a row is a right class.
    counts: Vec<u64>,
}

impl Confusion {
    /// No picture yet, of so many classes.
    pub fn new(classes: usize) -> Self {
        Self {
            classes,
            counts: vec![0; classes * classes],
        }
    }

    /// Counts a picture of `class` that was taken for `guess`.
    pub fn add(&mut self, class: usize, guess: usize) {
        self.counts[class * self.classes + guess] += 1;
    }

    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The pictures of `class`, by what they were taken for.
    pub fn row(&self, class: usize) -> &[u64] {
        &self.counts[class * self.classes..][..self.classes]
    }

    /// The share of the pictures of `class` that were taken for `guess`, 0 to 1; none without pictures.
    pub fn share(&self, class: usize, guess: usize) -> Option<f64> {
        let row = self.row(class);
        let all: u64 = row.iter().sum();
        (all > 0).then(|| row[guess] as f64 / all as f64)
    }

    /// The share of the pictures of `class` that were taken for another; none without pictures.
    pub fn error(&self, class: usize) -> Option<f64> {
        self.share(class, class).map(|right| 1.0 - right)
    }

    /// How many pictures were counted.
    pub fn images(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The share of all pictures that were taken for another class; 0 without pictures.
    pub fn top1_error(&self) -> f64 {
        let right: u64 = (0..self.classes).map(|class| self.row(class)[class]).sum();
        (self.images() - right) as f64 / self.images().max(1) as f64
    }
}
