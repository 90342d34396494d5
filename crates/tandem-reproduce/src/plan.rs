//! Which networks are trained and measured for the experiments asked for.

mod catalog;
mod sizes;

use std::path::{Path, PathBuf};

use tandem_alexnet::checkpoint::LAST;
use tandem_alexnet::config::TrainConfig;
use tandem_alexnet::shapes::Shapes;

use catalog::Catalog;
pub use sizes::Sizes;

use crate::error::ReproduceError;
use crate::experiment::{self, Experiment};

/// The arm that the others change one thing of.
pub const BASE: &str = "base";

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// An experiment's name, or `all`.
    pub experiment: String,
    /// As `tandem train --data` takes it.
    pub data: String,
    /// The second set, which `star` learns first.
    pub second: Option<String>,
    /// Minutes, not hours: fewer pictures, epochs and seeds.
    pub quick: bool,
    /// Runs of each arm.
    pub seeds: Option<u64>,
    /// Settings of every run, over those of the experiments.
    pub settings: Vec<String>,
}

/// Everything to do, in order.
#[derive(Clone, Debug)]
pub struct Plan {
    pub experiments: Vec<Experiment>,
    pub runs: Vec<Run>,
    pub measurements: Vec<Measurement>,
    /// Of each arm that does not say otherwise.
    pub seeds: u64,
}

/// One network to train.
#[derive(Clone, Debug)]
pub struct Run {
    /// `base`, `lrn/without`.
    pub arm: String,
    pub seed: u64,
    pub config: TrainConfig,
    /// The arm whose network of the first seed it starts from.
    pub start_from: Option<String>,
}

/// Networks to measure on the validation pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// `views/ten`.
    pub name: String,
    /// Of a network measured on its own.
    pub seed: Option<u64>,
    /// Arms and seeds.
    pub members: Vec<(String, u64)>,
    /// Views of a picture, 1 or 10.
    pub views: usize,
}

impl Run {
    /// Its folder in the study.
    pub fn folder(&self) -> PathBuf {
        folder(&self.arm, self.seed)
    }

    /// The weights it starts from, in the study.
    pub fn start(&self) -> Option<PathBuf> {
        self.start_from
            .as_ref()
            .map(|arm| folder(arm, 0).join(LAST))
    }

    /// What it costs: multiplications and additions of training, three times those of the way forward,
    /// on `pictures` pictures an epoch.
    pub fn cost(&self, pictures: usize) -> Result<f64, ReproduceError> {
        let each = Shapes::of(&self.config.model)?.multiply_adds() as f64;
        Ok(3.0 * each * self.pictures(pictures) as f64)
    }

    /// Training pictures it looks at in all, where the set has `pictures`.
    pub fn pictures(&self, pictures: usize) -> u64 {
        let seen = self.config.train_pictures.unwrap_or(pictures).min(pictures);
        seen as u64 * self.config.epochs
    }
}

impl Measurement {
    /// Its folder in the study.
    pub fn folder(&self) -> PathBuf {
        let folder = Path::new("measured").join(&self.name);
        match self.seed {
            Some(seed) => folder.join(seed.to_string()),
            None => folder,
        }
    }
}

/// Where the network of an arm and seed lies in a study.
pub fn folder(arm: &str, seed: u64) -> PathBuf {
    Path::new("runs").join(arm).join(seed.to_string())
}

/// `EXPERIMENT/NAME` for the name of an arm or measure as an experiment's file calls it.
pub fn full_name(experiment: &str, name: &str) -> String {
    match name.contains('/') || name == BASE {
        true => name.to_owned(),
        false => format!("{experiment}/{name}"),
    }
}

impl Plan {
    /// What `asked` comes to. Nothing is read or trained yet.
    ///
    /// # Errors
    ///
    /// When there is no such experiment, too few seeds for an interval, or no second set where it is
    /// needed.
    pub fn of(asked: &Asked) -> Result<Self, ReproduceError> {
        let mut experiments = experiment::named(&asked.experiment)?;
        if asked.second.is_none() {
            if asked.experiment != "all" && experiments.iter().any(|e| e.needs_second) {
                return Err(ReproduceError::NoSecond);
            }
            experiments.retain(|experiment| !experiment.needs_second);
        }
        let base = experiment::base();
        let size = if asked.quick { &base.quick } else { &base.full };
        let seeds = asked.seeds.unwrap_or(size.seeds);
        if seeds < 2 {
            return Err(ReproduceError::Seeds { seeds });
        }
        let mut config = TrainConfig::for_model(base.model)?;
        for setting in base.set.iter().chain(&size.set) {
            config.set(setting)?;
        }
        let mut catalog = Catalog::new(config, asked, seeds)?;
        for experiment in &experiments {
            catalog.want(experiment)?;
        }
        Ok(catalog.plan(experiments, seeds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(experiment: &str) -> Asked {
        Asked {
            experiment: experiment.to_owned(),
            data: "builtin".to_owned(),
            second: None,
            quick: false,
            seeds: None,
            settings: Vec::new(),
        }
    }

    fn arms(plan: &Plan) -> Vec<(&str, u64)> {
        plan.runs
            .iter()
            .map(|run| (run.arm.as_str(), run.seed))
            .collect()
    }

    #[test]
    fn an_experiment_is_its_arms_and_the_base_by_seeds() {
        let plan = Plan::of(&asked("lrn")).unwrap();
        let mut wanted = Vec::new();
        for arm in ["lrn/without", "base"] {
            wanted.extend((0..3).map(|seed| (arm, seed)));
        }
        assert_eq!(arms(&plan), wanted);
        assert_eq!(plan.runs[0].folder(), Path::new("runs/lrn/without/0"));
    }

    #[test]
    fn networks_that_experiments_share_are_trained_once() {
        let plan = Plan::of(&asked("all")).unwrap();
        let mut once = arms(&plan);
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), plan.runs.len());
        // Five for the ensemble.
        assert_eq!(once.iter().filter(|(arm, _)| *arm == BASE).count(), 5);
    }

    #[test]
    fn one_change_is_all_that_tells_an_arm_from_the_base() {
        let plan = Plan::of(&asked("overlap")).unwrap();
        let of = |arm: &str| {
            let run = plan.runs.iter().find(|run| run.arm == arm).unwrap();
            run.config.to_toml()
        };
        let base = of(BASE).replace(
            "kind = \"max-pool\"\nkernel = 3",
            "kind = \"max-pool\"\nkernel = 2",
        );
        assert_eq!(of("overlap/apart"), base);
    }

    #[test]
    fn what_starts_from_another_comes_after_it() {
        let star = Asked {
            second: Some("digits".to_owned()),
            ..asked("star")
        };
        let plan = Plan::of(&star).unwrap();
        let place = |arm: &str| plan.runs.iter().position(|run| run.arm == arm);
        assert!(place("star/second") < place("star/tuned"));
        let second = &plan.runs[place("star/second").unwrap()];
        assert_eq!(second.config.data, "digits");
        let tuned = &plan.runs[place("star/tuned").unwrap()];
        assert_eq!(tuned.start().unwrap(), second.folder().join(LAST));
    }

    #[test]
    fn without_a_second_set_star_is_refused_by_name_and_left_out_of_all() {
        let error = Plan::of(&asked("star")).unwrap_err().to_string();
        assert!(error.contains("--second"), "{error}");
        let plan = Plan::of(&asked("all")).unwrap();
        assert!(
            plan.experiments
                .iter()
                .all(|experiment| experiment.name != "star")
        );
        let needs = |m: &Measurement| m.members.iter().any(|(arm, _)| arm.starts_with("star"));
        assert!(!plan.measurements.iter().any(needs));
    }

    #[test]
    fn one_seed_has_no_interval() {
        let one = Asked {
            seeds: Some(1),
            ..asked("lrn")
        };
        let error = Plan::of(&one).unwrap_err().to_string();
        assert!(error.contains("--seeds 3"), "{error}");
    }
}
