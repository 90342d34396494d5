//! Which arms and measures the experiments asked for refer to, wherever they are defined.

use std::collections::{BTreeMap, BTreeSet};

use tandem_alexnet::config::TrainConfig;

use super::{Asked, BASE, Measurement, Plan, Run, full_name};
use crate::error::ReproduceError;
use crate::experiment::{self, Arm, Experiment, Measure, Which};

/// Every arm and measure there is, and those that are wanted.
pub(super) struct Catalog<'a> {
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
    pub(super) fn new(
        base: TrainConfig,
        asked: &'a Asked,
        seeds: u64,
    ) -> Result<Self, ReproduceError> {
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

    pub(super) fn want(&mut self, experiment: &Experiment) -> Result<(), ReproduceError> {
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

    pub(super) fn plan(self, experiments: Vec<Experiment>, seeds: u64) -> Plan {
        Plan {
            experiments,
            runs: self.runs,
            measurements: self.measurements,
            seeds,
        }
    }
}
