//! The pictures that a network takes to be most alike: those whose features lie nearest by Euclidean
//! distance (the paper's Figure 4, right, with those of the last hidden layer).

/// A picture and how far its features are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// The place it was offered with.
    pub place: usize,
    /// Euclidean.
    pub distance: f64,
}

/// The nearest of all that are offered to each of some pictures. Of those offered only places and
/// distances are kept, so they may be any number.
///
/// ```
/// use tandem_alexnet::neighbours::Neighbours;
///
/// let mut neighbours = Neighbours::of(vec![vec![0.0, 0.0]], 2);
/// for (place, features) in [[3.0, 4.0], [0.0, 9.0], [1.0, 0.0]].iter().enumerate() {
///     neighbours.offer(place, features);
/// }
/// let found = neighbours.found();
/// assert_eq!((found[0][0].place, found[0][0].distance), (2, 1.0));
/// assert_eq!((found[0][1].place, found[0][1].distance), (0, 5.0));
/// ```
#[derive(Clone, Debug)]
pub struct Neighbours {
    of: Vec<Vec<f32>>,
    found: Vec<Vec<Neighbour>>,
    keep: usize,
}

impl Neighbours {
    /// The `keep` nearest to each of the pictures with these features.
    pub fn of(features: Vec<Vec<f32>>, keep: usize) -> Self {
        Self {
            found: vec![Vec::with_capacity(keep + 1); features.len()],
            of: features,
            keep,
        }
    }

    /// Looks at a picture with as many features.
    pub fn offer(&mut self, place: usize, features: &[f32]) {
        for (of, found) in self.of.iter().zip(&mut self.found) {
            let distance = distance(of, features);
            // Of equal ones the first offered stands first.
            let rank = found.partition_point(|other| other.distance <= distance);
            if rank < self.keep {
                found.insert(rank, Neighbour { place, distance });
                found.truncate(self.keep);
            }
        }
    }

    /// For each picture, in the order they were given, its neighbours, the nearest first.
    pub fn found(&self) -> &[Vec<Neighbour>] {
        &self.found
    }
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    let squares = a
        .iter()
        .zip(b)
        .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
    squares.sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(neighbours: &Neighbours) -> Vec<Vec<usize>> {
        let found = neighbours.found().iter();
        found
            .map(|near| near.iter().map(|n| n.place).collect())
            .collect()
    }

    #[test]
    fn each_picture_has_its_own_nearest_whatever_the_order_they_come_in() {
        let offered = [[0.0f32], [1.0], [4.0], [9.0], [10.0]];
        let mut neighbours = Neighbours::of(vec![vec![0.5], vec![9.4]], 3);
        for place in [3, 0, 4, 2, 1] {
            neighbours.offer(place, &offered[place]);
        }
        assert_eq!(places(&neighbours), [[0, 1, 2], [3, 4, 2]]);
    }

    #[test]
    fn fewer_than_asked_are_all_found() {
        let mut neighbours = Neighbours::of(vec![vec![0.0]], 6);
        neighbours.offer(7, &[2.0]);
        assert_eq!(places(&neighbours), [[7]]);
    }
}
