//! A warp: registers of 32 lanes, groups of lanes that stand at the same instruction, and the interpreter.
//!
//! The group furthest behind runs; groups that meet join. Lanes that wait for others are parked.

mod execute;
mod memory;
mod together;

use crate::checks::FaultKind;

use super::access::Surroundings;
use super::decode::Kernel;
use super::instruction::{BarrierResult, Instruction, Op, Slot};
use super::scalar::{Lanes, WARP};

/// Lanes at one instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Group {
    pub pc: u32,
    pub mask: u32,
}

/// A block barrier that lanes of a warp wait at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub pc: u32,
    pub mask: u32,
    pub id: u32,
    pub threads: Option<u32>,
    pub result: Option<(BarrierResult, u32)>,
}

/// Why a warp stopped.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stop {
    /// Its turn is over.
    Turn,
    /// All its lanes wait at a block barrier.
    Barrier(Waiting),
    /// It told a barrier of this number that it arrived, and goes on.
    Arrived(u32),
    /// All its lanes are done.
    Done,
}

/// A fault in a lane, before it is given kernel, block and thread.
pub(super) struct LaneFault {
    pub kind: FaultKind,
    pub lane: usize,
    pub line: u32,
}

pub(super) struct Warp {
    pub registers: Vec<Lanes>,
    pub predicates: Vec<u32>,
    carry: u32,
    /// Sorted by `pc`, the furthest behind last.
    groups: Vec<Group>,
    parked: Vec<Waiting>,
    together: Vec<(Group, u32)>,
    pub live: u32,
    /// Warp barriers passed since the last block barrier.
    pub epoch: u32,
}

impl Warp {
    pub(super) fn new(kernel: &Kernel) -> Warp {
        let mut registers = vec![[0; WARP]; kernel.slots as usize];
        for &(slot, value) in &kernel.constants {
            registers[slot as usize] = [value; WARP];
        }
        Warp {
            registers,
            predicates: vec![0; kernel.predicates as usize],
            carry: 0,
            groups: Vec::new(),
            parked: Vec::new(),
            together: Vec::new(),
            live: 0,
            epoch: 0,
        }
    }

    /// Puts all lanes of `mask` at the start, with the registers `ordinary` zero: what a block reads that it has not
    /// written does not depend on the block before.
    pub(super) fn start(&mut self, mask: u32, ordinary: &[Slot]) {
        for &slot in ordinary {
            self.registers[slot as usize] = [0; WARP];
        }
        self.predicates.fill(0);
        self.carry = 0;
        self.live = mask;
        self.epoch = 0;
        self.parked.clear();
        self.together.clear();
        self.groups.clear();
        self.groups.push(Group { pc: 0, mask });
    }

    /// That the block's budget ends where the warp is now.
    pub(super) fn endless(&self, code: &[Instruction], instructions: u64) -> LaneFault {
        let (mask, pc) = self.groups.last().map_or((1, 0), |g| (g.mask, g.pc));
        LaneFault {
            kind: FaultKind::Endless { instructions },
            lane: mask.trailing_zeros() as usize,
            line: code[pc as usize].line,
        }
    }

    /// Lets the lanes parked at a barrier go on.
    pub(super) fn release(&mut self) {
        for waiting in std::mem::take(&mut self.parked) {
            self.insert(Group {
                pc: waiting.pc + 1,
                mask: waiting.mask,
            });
        }
        self.epoch = 0;
    }

    fn insert(&mut self, group: Group) {
        if group.mask == 0 {
            return;
        }
        let at = self.groups.partition_point(|g| g.pc > group.pc);
        match self.groups.get_mut(at) {
            Some(other) if other.pc == group.pc => other.mask |= group.mask,
            _ => self.groups.insert(at, group),
        }
    }

    /// Runs for at most `budget` instructions.
    pub(super) fn run(
        &mut self,
        kernel: &Kernel,
        around: &Surroundings,
        budget: u32,
    ) -> Result<Stop, LaneFault> {
        let mut left = budget;
        let code = &kernel.code[..];
        'group: while let Some(Group { mut pc, mask }) = self.groups.pop() {
            let meets = self.groups.last().map_or(u32::MAX, |g| g.pc);
            loop {
                if pc >= meets {
                    self.insert(Group { pc, mask });
                    continue 'group;
                }
                if left == 0 {
                    self.insert(Group { pc, mask });
                    return Ok(Stop::Turn);
                }
                left -= 1;
                let instruction = &code[pc as usize];
                let active = match instruction.guard {
                    None => mask,
                    Some((p, negated)) => {
                        let bits = self.predicates[p as usize];
                        mask & if negated { !bits } else { bits }
                    }
                };
                match &instruction.op {
                    Op::Branch { target } => {
                        if active == mask {
                            if *target < meets {
                                pc = *target;
                                continue;
                            }
                            self.insert(Group { pc: *target, mask });
                            continue 'group;
                        }
                        if active != 0 {
                            self.insert(Group {
                                pc: *target,
                                mask: active,
                            });
                            self.insert(Group {
                                pc: pc + 1,
                                mask: mask & !active,
                            });
                            continue 'group;
                        }
                    }
                    Op::Exit => {
                        self.live &= !active;
                        if active == mask {
                            self.wake_together(code)?;
                            continue 'group;
                        }
                        if active != 0 {
                            self.insert(Group {
                                pc: pc + 1,
                                mask: mask & !active,
                            });
                            self.wake_together(code)?;
                            continue 'group;
                        }
                    }
                    Op::Barrier {
                        id,
                        threads,
                        waits,
                        result,
                    } => {
                        let Some(lane) = first(active) else {
                            pc += 1;
                            continue;
                        };
                        let id = self.registers[*id as usize][lane] as u32;
                        let threads = threads.map(|t| self.registers[t as usize][lane] as u32);
                        if let Some(detail) = refused(id, threads, around.threads) {
                            return Err(LaneFault {
                                kind: FaultKind::InvalidBarrier { detail },
                                lane,
                                line: instruction.line,
                            });
                        }
                        self.insert(Group {
                            pc: pc + 1,
                            mask: mask & !active,
                        });
                        if !waits {
                            self.insert(Group {
                                pc: pc + 1,
                                mask: active,
                            });
                            return Ok(Stop::Arrived(id));
                        }
                        let result = result.map(|(r, p, negated)| {
                            let bits = self.predicates[p as usize];
                            (r, active & if negated { !bits } else { bits })
                        });
                        match self.parked.iter_mut().find(|w| w.pc == pc) {
                            Some(w) => {
                                w.mask |= active;
                                if let (Some((_, mine)), Some((_, more))) = (&mut w.result, result)
                                {
                                    *mine |= more;
                                }
                            }
                            None => self.parked.push(Waiting {
                                pc,
                                mask: active,
                                id,
                                threads,
                                result,
                            }),
                        }
                        continue 'group;
                    }
                    Op::Together { .. } => {
                        let goes_on = mask & !active | self.meet(pc, instruction, active)?;
                        if goes_on != mask {
                            self.insert(Group {
                                pc: pc + 1,
                                mask: goes_on,
                            });
                            self.wake_together(code)?;
                            continue 'group;
                        }
                    }
                    _ => {
                        if active != 0 {
                            self.execute(instruction, active, around)
                                .map_err(|(kind, lane)| LaneFault {
                                    kind,
                                    lane,
                                    line: instruction.line,
                                })?;
                        }
                    }
                }
                pc += 1;
            }
        }
        self.stopped(code)
    }

    /// No group can run: all lanes are done, or all wait at one barrier, or something is wrong.
    fn stopped(&mut self, code: &[Instruction]) -> Result<Stop, LaneFault> {
        if let Some((group, members)) = self.together.first() {
            let missing = members & self.live & !group.mask;
            return Err(LaneFault {
                kind: FaultKind::DivergentBarrier {
                    detail: format!(
                        "lanes {:#010x} wait for lanes {missing:#010x}, which are not on their way",
                        group.mask
                    ),
                },
                lane: group.mask.trailing_zeros() as usize,
                line: code[group.pc as usize].line,
            });
        }
        match self.parked[..] {
            [] => Ok(Stop::Done),
            [waiting] => Ok(Stop::Barrier(waiting)),
            [one, other, ..] => Err(LaneFault {
                kind: FaultKind::DivergentBarrier {
                    detail: format!(
                        "lanes {:#010x} of the warp wait at PTX line {}, lanes {:#010x} at PTX line {}",
                        one.mask,
                        code[one.pc as usize].line,
                        other.mask,
                        code[other.pc as usize].line
                    ),
                },
                lane: one.mask.trailing_zeros() as usize,
                line: code[one.pc as usize].line,
            }),
        }
    }

    /// Carries out what parked lanes do together once all are there.
    fn wake_together(&mut self, code: &[Instruction]) -> Result<(), LaneFault> {
        let mut at = 0;
        while at < self.together.len() {
            let (group, members) = self.together[at];
            if members & self.live & !group.mask == 0 {
                self.together.remove(at);
                self.together(&code[group.pc as usize], group.mask)?;
                self.insert(Group {
                    pc: group.pc + 1,
                    mask: group.mask,
                });
            } else {
                at += 1;
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn write(&mut self, d: Slot, value: &Lanes, mask: u32) {
        let target = &mut self.registers[d as usize];
        if mask == u32::MAX {
            *target = *value;
            return;
        }
        for i in 0..WARP {
            target[i] = if mask >> i & 1 == 1 {
                value[i]
            } else {
                target[i]
            };
        }
    }

    #[inline(always)]
    fn write_predicate(&mut self, d: u32, value: u32, mask: u32) {
        let target = &mut self.predicates[d as usize];
        *target = *target & !mask | value & mask;
    }

    #[inline(always)]
    fn read_predicate(&self, (p, negated): (u32, bool)) -> u32 {
        let bits = self.predicates[p as usize];
        if negated { !bits } else { bits }
    }
}

/// What is wrong with a barrier of this number and for so many threads, in a block of `block` threads.
fn refused(id: u32, threads: Option<u32>, block: u32) -> Option<String> {
    if id > 15 {
        return Some(format!("its number is {id}; there are 0 to 15"));
    }
    let threads = threads?;
    if threads == 0 || !threads.is_multiple_of(WARP as u32) {
        return Some(format!("{threads} threads are no whole warps"));
    }
    (threads > block.next_multiple_of(WARP as u32))
        .then(|| format!("it is for {threads} threads, in a block of {block}"))
}

/// The active lanes in order.
#[inline(always)]
pub(super) fn lanes(mask: u32) -> impl Iterator<Item = usize> {
    let mut rest = mask;
    std::iter::from_fn(move || {
        let lane = first(rest)?;
        rest &= rest - 1;
        Some(lane)
    })
}

#[inline(always)]
fn first(mask: u32) -> Option<usize> {
    (mask != 0).then(|| mask.trailing_zeros() as usize)
}
