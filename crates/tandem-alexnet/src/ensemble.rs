//! Several networks as one: the mean of their probabilities (the paper's Section 6.1, Table 2).
//!
//! Members are asked one after the other, so that one network is in memory at a time; what is kept is
//! the sum of their probabilities, four bytes a picture and class, and their best guesses.

use std::sync::Arc;

use serde::Serialize;
use tandem_data::{Dataset, LoaderOptions, Pictures, Preprocess, Views};

use crate::error::NetworkError;
use crate::evaluation::{Evaluation, Score, label, likeliest, predict};
use crate::trained::Trained;
use crate::training_data::prepare;

/// What members get wrong one by one and together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ensemble {
    pub members: Vec<Evaluation>,
    /// Of the mean of their probabilities.
    pub together: Evaluation,
    /// Share of pictures, 0 to 1, for which the best guesses of the members are not all the same.
    pub disagreement: f64,
    /// Share of pictures for which the best guesses of two members differ, mean over all pairs.
    pub pairwise_disagreement: f64,
}

impl Ensemble {
    /// Mean top-1 error of the members.
    pub fn mean_top1_error(&self) -> f64 {
        self.mean(|member| member.top1_error)
    }

    /// Mean top-5 error of the members.
    pub fn mean_top5_error(&self) -> f64 {
        self.mean(|member| member.top5_error)
    }

    fn mean(&self, of: impl Fn(&Evaluation) -> f64) -> f64 {
        self.members.iter().map(of).sum::<f64>() / self.members.len() as f64
    }
}

/// Asks each of `members`, which are read one after the other, about the pictures of `set`; pictures are
/// prepared anew only where the next wants them otherwise. `told` is called for each picture of each
/// member. None without a member.
///
/// # Errors
///
/// When a member cannot be read, or a picture has no label.
pub fn ask<E: From<NetworkError>>(
    members: impl IntoIterator<Item = Result<Trained, E>>,
    set: &Arc<dyn Dataset>,
    views: Views,
    options: LoaderOptions,
    mut told: impl FnMut(),
) -> Result<Option<Ensemble>, E> {
    let mut prepared: Option<(Preprocess, Arc<Pictures>)> = None;
    let mut votes: Option<Votes> = None;
    for trained in members {
        let trained = trained?;
        let pictures = match prepared.take() {
            Some((preprocess, pictures)) if preprocess == trained.preprocess => pictures,
            _ => prepare(set.clone(), trained.network.spec()).map_err(NetworkError::from)?,
        };
        let votes = match &mut votes {
            Some(votes) => votes,
            None => votes.insert(Votes::on(&pictures)?),
        };
        let mut rows = vec![Vec::new(); pictures.len()];
        let Trained {
            network, normalise, ..
        } = &trained;
        predict(
            network,
            &pictures,
            normalise,
            views,
            options,
            |place, row| {
                rows[place] = row;
                told();
                Ok::<_, NetworkError>(())
            },
        )?;
        votes.add(rows);
        prepared = Some((trained.preprocess, pictures));
    }
    Ok(votes.and_then(|votes| votes.result()))
}

/// The predictions of members for the same pictures, as they come.
#[derive(Debug, Default)]
pub struct Votes {
    labels: Vec<u32>,
    sums: Vec<Vec<f32>>,
    guesses: Vec<Vec<u32>>,
    members: Vec<Evaluation>,
}

impl Votes {
    /// On pictures of these labels.
    pub fn new(labels: Vec<u32>) -> Self {
        Self {
            labels,
            ..Self::default()
        }
    }

    /// On the labels of `pictures`.
    ///
    /// # Errors
    ///
    /// When one has none.
    pub fn on(pictures: &Pictures) -> Result<Self, NetworkError> {
        let labels = (0..pictures.len()).map(|index| label(pictures, index));
        Ok(Self::new(labels.collect::<Result<_, _>>()?))
    }

    /// One more member's probabilities: a row a picture, in the order of the labels.
    ///
    /// # Panics
    ///
    /// When there are not as many rows as labels.
    pub fn add(&mut self, rows: Vec<Vec<f32>>) {
        assert_eq!(rows.len(), self.labels.len(), "a row for each picture");
        let mut score = Score::default();
        for (row, &label) in rows.iter().zip(&self.labels) {
            score.add(row, label);
        }
        self.members.push(score.evaluation());
        let guesses = rows.iter().map(|row| likeliest(row) as u32);
        self.guesses.push(guesses.collect());
        if self.sums.is_empty() {
            self.sums = rows;
            return;
        }
        for (sum, row) in self.sums.iter_mut().zip(rows) {
            sum.iter_mut().zip(row).for_each(|(sum, p)| *sum += p);
        }
    }

    /// What came of it; none without a member.
    pub fn result(&self) -> Option<Ensemble> {
        let members = self.members.len();
        if members == 0 {
            return None;
        }
        let mut score = Score::default();
        for (sum, &label) in self.sums.iter().zip(&self.labels) {
            let mean: Vec<f32> = sum.iter().map(|sum| sum / members as f32).collect();
            score.add(&mean, label);
        }
        let pictures = self.labels.len().max(1) as f64;
        let share = |count: usize| count as f64 / pictures;
        let differs = |picture: &usize| {
            let first = self.guesses[0][*picture];
            self.guesses
                .iter()
                .any(|guesses| guesses[*picture] != first)
        };
        let mut pairs = Vec::new();
        for (i, a) in self.guesses.iter().enumerate() {
            for b in &self.guesses[i + 1..] {
                pairs.push(share(a.iter().zip(b).filter(|(a, b)| a != b).count()));
            }
        }
        Some(Ensemble {
            members: self.members.clone(),
            together: score.evaluation(),
            disagreement: share((0..self.labels.len()).filter(differs).count()),
            // The sum of nothing is -0.
            pairwise_disagreement: pairs.iter().fold(0.0, |sum, pair| sum + pair)
                / pairs.len().max(1) as f64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_members_that_err_on_different_pictures_are_right_together() {
        let mut votes = Votes::new(vec![0, 1, 2]);
        // Wrong on the first picture, by a little.
        votes.add(vec![
            vec![0.4, 0.6, 0.0],
            vec![0.1, 0.9, 0.0],
            vec![0.0, 0.0, 1.0],
        ]);
        // Wrong on the second.
        votes.add(vec![
            vec![0.9, 0.1, 0.0],
            vec![0.0, 0.4, 0.6],
            vec![0.0, 0.0, 1.0],
        ]);
        let result = votes.result().unwrap();
        let third = 1.0 / 3.0;
        assert_eq!(result.mean_top1_error(), third);
        assert_eq!(result.together.top1_error, 0.0);
        assert_eq!(result.disagreement, 2.0 / 3.0);
        assert_eq!(result.pairwise_disagreement, 2.0 / 3.0);
        // -(ln 0.65 + ln 0.65 + ln 1) / 3
        let loss = -2.0 * 0.65f64.ln() / 3.0;
        assert!((result.together.loss - loss).abs() < 1e-6);
    }

    #[test]
    fn pairs_are_counted_each_once() {
        let one = |class: usize| {
            let mut row = vec![0.0; 3];
            row[class] = 1.0;
            vec![row]
        };
        let mut votes = Votes::new(vec![0]);
        [0, 0, 1].iter().for_each(|&class| votes.add(one(class)));
        let result = votes.result().unwrap();
        assert_eq!(result.disagreement, 1.0);
        assert_eq!(result.pairwise_disagreement, 2.0 / 3.0);
        assert_eq!(Votes::new(vec![0]).result(), None);
    }
}
