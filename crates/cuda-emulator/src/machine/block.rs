//! A block: its warps, scheduled in a seeded random order, its shared memory and its barriers.

use crate::checks::{Fault, FaultKind};

use super::access::Surroundings;
use super::decode::Special;
use super::instruction::{BarrierResult, Slot};
use super::launch::Launch;
use super::region::Region;
use super::scalar::WARP;
use super::shadow::Actor;
use super::warp::{LaneFault, Stop, Waiting, Warp};

/// A small generator (SplitMix64) for the schedule.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    fn roll(&mut self, below: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) >> 33) as u32 % below.max(1)
    }
}

/// What runs blocks one after the other on one core; its registers are used again.
pub(super) struct Runner<'a> {
    launch: &'a Launch<'a>,
    warps: Vec<Warp>,
    locals: Vec<Region>,
    shared: Region,
    shared_variables: Vec<(u64, u64)>,
    /// Registers that are neither constant nor special.
    ordinary: Vec<Slot>,
}

#[derive(Clone, Copy)]
enum State {
    Runnable,
    Waiting(Waiting),
    Done,
}

impl<'a> Runner<'a> {
    pub(super) fn new(launch: &'a Launch<'a>) -> Runner<'a> {
        let kernel = launch.kernel;
        let threads = launch.geometry.threads();
        let dynamic = u64::from(launch.geometry.shared_bytes);
        let mut shared_variables = kernel.shared.clone();
        if dynamic > 0 {
            shared_variables.push((kernel.dynamic_shared, dynamic));
        }
        let count = threads.div_ceil(WARP as u32);
        let mut warps: Vec<Warp> = (0..count).map(|_| Warp::new(kernel)).collect();
        for (w, warp) in warps.iter_mut().enumerate() {
            for &(slot, special) in &kernel.specials {
                let value = &mut warp.registers[slot as usize];
                for (lane, v) in value.iter_mut().enumerate() {
                    *v = u64::from(special_value(
                        launch,
                        special,
                        [0; 3],
                        w as u32,
                        lane as u32,
                    ));
                }
            }
        }
        let mut kept: Vec<Slot> = kernel.constants.iter().map(|c| c.0).collect();
        kept.extend(kernel.specials.iter().map(|s| s.0));
        kept.sort_unstable();
        let local = kernel.local_stride() * WARP as u64;
        Runner {
            launch,
            warps,
            locals: (0..count).map(|_| Region::new(0, local)).collect(),
            shared: Region::new(0, kernel.dynamic_shared + dynamic),
            shared_variables,
            ordinary: (0..kernel.slots)
                .filter(|slot| kept.binary_search(slot).is_err())
                .collect(),
        }
    }

    /// Runs one block to its end.
    pub(super) fn run(&mut self, linear: u64) -> Result<(), Box<Fault>> {
        let Launch {
            kernel, geometry, ..
        } = *self.launch;
        let block = geometry.block_index(linear);
        let threads = geometry.threads();
        for (w, warp) in self.warps.iter_mut().enumerate() {
            let rest = threads - w as u32 * WARP as u32;
            let mask = u32::MAX >> (WARP as u32 - rest.min(WARP as u32));
            warp.start(mask, &self.ordinary);
            for &(slot, special) in &kernel.specials {
                if let Special::BlockIndex(axis) = special {
                    warp.registers[slot as usize] = [u64::from(block[axis]); WARP];
                }
            }
        }
        if !kernel.locals.is_empty() {
            self.locals.iter().for_each(Region::forget);
        }
        self.shared.forget();

        let serial = self.launch.first_serial + linear as u32;
        let mut dice = Dice::new(self.launch.seed ^ linear.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let mut states = vec![State::Runnable; self.warps.len()];
        let mut runnable: Vec<usize> = (0..self.warps.len()).collect();
        let mut arrivals = [0u32; 16];
        let mut epoch = 0;
        let mut executed = 0;
        loop {
            while !runnable.is_empty() {
                let pick = dice.roll(runnable.len() as u32) as usize;
                let w = runnable[pick];
                let budget = 32 + dice.roll(512);
                let around = Surroundings {
                    memory: self.launch.memory,
                    device: self.launch.device,
                    touched: &self.launch.touched,
                    shared: &self.shared,
                    shared_variables: &self.shared_variables,
                    local: &self.locals[w],
                    local_variables: &kernel.locals,
                    local_stride: kernel.local_stride(),
                    threads,
                    parameters: &self.launch.parameters,
                    checks: self.launch.checks,
                    actor: Actor {
                        serial,
                        first: self.launch.first_serial,
                        epoch,
                        warp_epoch: 0,
                        thread: 0,
                        across_blocks: !kernel.has_fence,
                    },
                    warp: w as u32,
                    recent: Default::default(),
                };
                match self.warps[w].run(kernel, &around, budget) {
                    Ok(Stop::Turn) => {
                        executed += u64::from(budget);
                        if executed > self.launch.budget {
                            let fault = self.warps[w].endless(&kernel.code, executed);
                            return Err(self.fault(fault, w, block));
                        }
                    }
                    Ok(Stop::Arrived(id)) => arrivals[id as usize & 15] += WARP as u32,
                    Ok(Stop::Barrier(waiting)) => {
                        states[w] = State::Waiting(waiting);
                        runnable.swap_remove(pick);
                    }
                    Ok(Stop::Done) => {
                        states[w] = State::Done;
                        runnable.swap_remove(pick);
                    }
                    Err(fault) => return Err(self.fault(fault, w, block)),
                }
            }
            if states.iter().all(|s| matches!(s, State::Done)) {
                return Ok(());
            }
            let released = self
                .barrier(&states, &mut arrivals)
                .map_err(|(w, fault)| self.fault(fault, w, block))?;
            epoch += 1;
            for w in released {
                self.warps[w].release();
                states[w] = State::Runnable;
                runnable.push(w);
            }
        }
    }

    /// No warp can run: finds the warps whose barrier is complete.
    fn barrier(
        &mut self,
        states: &[State],
        arrivals: &mut [u32; 16],
    ) -> Result<Vec<usize>, (usize, LaneFault)> {
        let code = &self.launch.kernel.code;
        let waiting: Vec<(usize, Waiting)> = states
            .iter()
            .enumerate()
            .filter_map(|(w, s)| {
                if let State::Waiting(b) = s {
                    Some((w, *b))
                } else {
                    None
                }
            })
            .collect();
        for &(_, one) in &waiting {
            let same: Vec<_> = waiting
                .iter()
                .filter(|(_, b)| b.id == one.id)
                .copied()
                .collect();
            let complete = match one.threads {
                Some(threads) => {
                    same.len() as u32 * WARP as u32 + arrivals[one.id as usize & 15] >= threads
                }
                None => same.len() == waiting.len(),
            };
            if !complete {
                continue;
            }
            if let Some(&(w, other)) = same
                .iter()
                .find(|(_, b)| b.pc != one.pc && one.threads.is_none())
            {
                return Err((
                    w,
                    diverged(
                        code[other.pc as usize].line,
                        other.mask,
                        code[one.pc as usize].line,
                    ),
                ));
            }
            arrivals[one.id as usize & 15] = 0;
            self.reduce(&same);
            return Ok(same.into_iter().map(|(w, _)| w).collect());
        }
        let (w, one) = waiting[0];
        let line = code[one.pc as usize].line;
        let other = waiting
            .iter()
            .map(|(_, b)| code[b.pc as usize].line)
            .find(|l| *l != line)
            .unwrap_or(line);
        Err((w, diverged(line, one.mask, other)))
    }

    fn reduce(&mut self, same: &[(usize, Waiting)]) {
        let Some(result) = same.iter().find_map(|(_, b)| b.result) else {
            return;
        };
        let votes: u32 = same
            .iter()
            .filter_map(|(_, b)| b.result)
            .map(|(_, votes)| votes.count_ones())
            .sum();
        let present: u32 = same.iter().map(|(_, b)| b.mask.count_ones()).sum();
        for &(w, waiting) in same {
            let warp = &mut self.warps[w];
            let all = |truth: bool| if truth { u32::MAX } else { 0 };
            match result.0 {
                BarrierResult::And(p) => warp.predicates[p as usize] = all(votes == present),
                BarrierResult::Or(p) => warp.predicates[p as usize] = all(votes > 0),
                BarrierResult::Count(d) => {
                    for lane in super::warp::lanes(waiting.mask) {
                        warp.registers[d as usize][lane] = u64::from(votes);
                    }
                }
            }
        }
    }

    fn fault(&self, fault: LaneFault, warp: usize, block: [u32; 3]) -> Box<Fault> {
        let linear = (warp * WARP + fault.lane) as u32;
        Box::new(Fault {
            kind: fault.kind,
            kernel: self.launch.kernel.name.clone(),
            block,
            thread: self.launch.geometry.thread_index(linear),
            line: fault.line,
        })
    }
}

fn diverged(line: u32, mask: u32, other: u32) -> LaneFault {
    LaneFault {
        kind: FaultKind::DivergentBarrier {
            detail: format!("one warp waits at PTX line {line}, another at PTX line {other}"),
        },
        lane: mask.trailing_zeros() as usize,
        line,
    }
}

fn special_value(launch: &Launch, special: Special, block: [u32; 3], warp: u32, lane: u32) -> u32 {
    let geometry = &launch.geometry;
    match special {
        Special::ThreadIndex(axis) => geometry.thread_index(warp * 32 + lane)[axis],
        Special::ThreadCount(axis) => geometry.block[axis],
        Special::BlockIndex(axis) => block[axis],
        Special::BlockCount(axis) => geometry.grid[axis],
        Special::Lane => lane,
        Special::WarpIndex => warp,
        Special::WarpCount => geometry.threads().div_ceil(32),
        Special::LanesEqual => 1 << lane,
        Special::LanesBelow => (1 << lane) - 1,
        Special::LanesUpTo => u32::MAX >> (31 - lane),
        Special::LanesAbove => !(u32::MAX >> (31 - lane)),
        Special::LanesFrom => !((1 << lane) - 1),
        Special::Zero => 0,
        Special::WarpSize => 32,
        Special::DynamicShared => geometry.shared_bytes,
    }
}
