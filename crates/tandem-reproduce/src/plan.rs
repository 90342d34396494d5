//! Which networks are trained and measured for the experiments asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use tandem_alexnet::checkpoint::LAST;
use tandem_alexnet::config::TrainConfig;
use tandem_alexnet::shapes::Shapes;

use crate::error::ReproduceError;
use crate::execute::Places;
use crate::experiment::{self, Arm, Experiment, Measure, Which};

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

/// Every arm and measure there is, and those that are wanted.
struct Catalog<'a> {
    asked: &'a Asked,
    base: TrainConfig,
    arms: BTreeMap<String, (Experiment, Arm)>,
    measures: BTreeMap<String, Measure>,
    wanted_measures: BTreeSet<String>,
    seeds: u64,
    measurements: Vec<Measurement>,
    runs: Vec<Run>,
}

impl<'a> Catalog<'a> {
    fn new(base: TrainConfig, asked: &'a Asked, seeds: u64) -> Result<Self, ReproduceError> {
        let mut arms = BTreeMap::new();
        let mut measures = BTreeMap::new();
        for experiment in experiment::named("all")? {
            // Without a second set its arms are not to be had, nor what is measured with them.
            if experiment.needs_second && asked.second.is_none() {
                continue;
            }
            for arm in &experiment.arms {
                let name = full_name(experiment.name, &arm.name);
                arms.insert(name, (experiment.clone(), arm.clone()));
            }
            for measure in &experiment.measures {
                let name = full_name(experiment.name, &measure.name);
                measures.insert(name, measure.clone());
            }
        }
        Ok(Self {
            asked,
            base,
            arms,
            measures,
            wanted_measures: BTreeSet::new(),
            seeds,
            measurements: Vec::new(),
            runs: Vec::new(),
        })
    }

    fn want(&mut self, experiment: &Experiment) -> Result<(), ReproduceError> {
        let full = |name: &String| full_name(experiment.name, name);
        let mut names: Vec<String> = experiment.arms.iter().map(|arm| full(&arm.name)).collect();
        names.extend(
            experiment
                .measures
                .iter()
                .map(|measure| full(&measure.name)),
        );
        for effect in &experiment.effects {
            names.extend([full(&effect.with), full(&effect.without)]);
        }
        let rows = experiment.tables.iter().flat_map(|table| &table.rows);
        names.extend(rows.map(|row| full(&row.ours)));
        for name in names {
            self.want_named(&name)?;
        }
        Ok(())
    }

    fn want_named(&mut self, name: &str) -> Result<(), ReproduceError> {
        if name == BASE || self.arms.contains_key(name) {
            return self.want_arm(name, None);
        }
        // A baseline's, which is measured elsewhere, or one of arms that are not to be had.
        let Some(measure) = self.measures.get(name).cloned() else {
            return Ok(());
        };
        let here = |arm: &String| arm == BASE || self.arms.contains_key(arm);
        let members = measure.members.iter().map(|members| &members.arm);
        if !measure.of.iter().chain(members).all(here)
            || !self.wanted_measures.insert(name.to_owned())
        {
            return Ok(());
        }
        let views = measure.views;
        let measurement = |seed, members| Measurement {
            name: name.to_owned(),
            seed,
            members,
            views,
        };
        if let Some(arm) = &measure.of {
            self.want_arm(arm, None)?;
            for seed in 0..self.seeds {
                let alone = vec![(arm.clone(), seed)];
                self.measurements.push(measurement(Some(seed), alone));
            }
        } else {
            let mut members = Vec::new();
            for some in &measure.members {
                self.want_arm(&some.arm, Some(some.seeds))?;
                members.extend((0..some.seeds).map(|seed| (some.arm.clone(), seed)));
            }
            self.measurements.push(measurement(None, members));
        }
        Ok(())
    }

    /// `least` runs of an arm, and as many as the study or its experiment says.
    fn want_arm(&mut self, name: &str, least: Option<u64>) -> Result<(), ReproduceError> {
        let arm = self.arms.get(name).cloned();
        if let Some(start) = arm.as_ref().and_then(|(_, arm)| arm.start_from.as_ref()) {
            let experiment = arm.as_ref().map_or("", |(experiment, _)| experiment.name);
            // The first of its runs; more of them where it is an arm of the study too.
            self.want_arm(&full_name(experiment, start), Some(1))?;
        }
        let usual = match &arm {
            // What others start from is not itself compared.
            Some((_, arm)) if arm.data == Which::Second => 1,
            Some((experiment, _)) => experiment.seeds.unwrap_or(self.seeds),
            None => self.seeds,
        };
        let seeds = usual.max(least.unwrap_or(0));
        for seed in 0..seeds {
            let there = |run: &Run| run.arm == name && run.seed == seed;
            if !self.runs.iter().any(there) {
                let run = self.run(name, arm.as_ref(), seed)?;
                self.runs.push(run);
            }
        }
        Ok(())
    }

    fn run(
        &self,
        name: &str,
        arm: Option<&(Experiment, Arm)>,
        seed: u64,
    ) -> Result<Run, ReproduceError> {
        let mut config = self.base.clone();
        config.data.clone_from(&self.asked.data);
        config.seed = seed;
        let mut start_from = None;
        if let Some((experiment, arm)) = arm {
            let quick: &[String] = if self.asked.quick {
                &experiment.quick
            } else {
                &[]
            };
            for setting in experiment.set.iter().chain(quick).chain(&arm.set) {
                config.set(setting)?;
            }
            for change in experiment.changes.iter().chain(&arm.changes) {
                config.model = change.apply(&config.model)?;
            }
            if let (Which::Second, Some(second)) = (arm.data, &self.asked.second) {
                config.data.clone_from(second);
            }
            let start = arm.start_from.as_ref();
            start_from = start.map(|arm| full_name(experiment.name, arm));
        }
        for setting in &self.asked.settings {
            config.set(setting)?;
        }
        config.check(name)?;
        Ok(Run {
            arm: name.to_owned(),
            seed,
            config,
            start_from,
        })
    }

    fn plan(self, experiments: Vec<Experiment>, seeds: u64) -> Plan {
        Plan {
            experiments,
            runs: self.runs,
            measurements: self.measurements,
            seeds,
        }
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
