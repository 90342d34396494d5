//! The sets of pictures of a plan, looked at before anything is trained.

use std::collections::BTreeMap;

use super::Plan;
use crate::error::ReproduceError;
use crate::execute::Places;

/// How many training pictures each set has.
#[derive(Clone, Debug, Default)]
pub struct Sizes(BTreeMap<String, usize>);

impl Sizes {
    /// Of the set called `data`.
    pub fn of(&self, data: &str) -> usize {
        self.0.get(data).copied().unwrap_or(0)
    }
}

impl Plan {
    /// Looks at the data of every run, which lies at `places`, and whether every network takes it.
    ///
    /// # Errors
    ///
    /// When a set is not there, has five classes or fewer or too few pictures, or does not suit a
    /// network.
    pub fn check(&self, places: &Places) -> Result<Sizes, ReproduceError> {
        let mut sizes = Sizes::default();
        for (data, place) in places {
            let opened = tandem_data::open_for_training(place);
            let [train, _] = opened.map_err(|source| ReproduceError::Data {
                data: data.clone(),
                source: Box::new(source),
            })?;
            let (classes, channels) = (train.classes().len(), train.channels());
            if classes <= 5 {
                return Err(ReproduceError::Classes {
                    data: data.clone(),
                    classes,
                });
            }
            for run in self.runs.iter().filter(|run| run.config.data == *data) {
                run.config.model.for_data(classes, channels)?;
                let wanted = run.config.train_pictures.unwrap_or(run.config.batch);
                if train.len() < wanted {
                    return Err(ReproduceError::Pictures {
                        data: data.clone(),
                        arm: run.arm.clone(),
                        found: train.len(),
                        wanted,
                    });
                }
            }
            sizes.0.insert(data.clone(), train.len());
        }
        Ok(sizes)
    }
}
