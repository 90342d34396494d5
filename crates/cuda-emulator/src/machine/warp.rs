//! A warp: registers of 32 lanes, groups of lanes that stand at the same instruction, and the interpreter.
//!
//! The group furthest behind runs; groups that meet join. Lanes that wait for others are parked.

use crate::checks::FaultKind;
use crate::ptx::Space;

use super::access::Surroundings;
use super::decode::Kernel;
use super::instruction::{
    BarrierResult, Carry, Instruction, Logic, Op, Place, Shuffle, Slot, Together, Vote,
};
use super::memory::{LOCAL_WINDOW, PARAM_WINDOW, SHARED_WINDOW};
use super::scalar::{Float, Lanes, Scalar, WARP};
use super::shadow::Access;

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

type Outcome<T> = Result<T, (FaultKind, usize)>;

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

    /// Puts all lanes of `mask` at the start.
    pub(super) fn start(&mut self, mask: u32) {
        self.live = mask;
        self.epoch = 0;
        self.parked.clear();
        self.together.clear();
        self.groups.clear();
        self.groups.push(Group { pc: 0, mask });
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
                            self.wake_together(code);
                            continue 'group;
                        }
                        if active != 0 {
                            self.insert(Group {
                                pc: pc + 1,
                                mask: mask & !active,
                            });
                            self.wake_together(code);
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
                    Op::Together { members, .. } => {
                        if active != 0 {
                            let lane = active.trailing_zeros() as usize;
                            let members =
                                self.registers[*members as usize][lane] as u32 & self.live;
                            if members & !active == 0 && active == mask {
                                self.together(instruction, active);
                            } else {
                                self.insert(Group {
                                    pc: pc + 1,
                                    mask: mask & !active,
                                });
                                match self.together.iter_mut().find(|t| t.0.pc == pc) {
                                    Some(t) => t.0.mask |= active,
                                    None => {
                                        self.together.push((Group { pc, mask: active }, members))
                                    }
                                }
                                self.wake_together(code);
                                continue 'group;
                            }
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
    fn wake_together(&mut self, code: &[Instruction]) {
        let mut at = 0;
        while at < self.together.len() {
            let (group, members) = self.together[at];
            if members & self.live & !group.mask == 0 {
                self.together.remove(at);
                self.together(&code[group.pc as usize], group.mask);
                self.insert(Group {
                    pc: group.pc + 1,
                    mask: group.mask,
                });
            } else {
                at += 1;
            }
        }
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

    #[inline(always)]
    fn operand(&self, slot: Slot, flush: bool) -> Lanes {
        let value = self.registers[slot as usize];
        if flush { flushed(&value) } else { value }
    }

    fn execute(
        &mut self,
        instruction: &Instruction,
        mask: u32,
        around: &Surroundings,
    ) -> Outcome<()> {
        let flush = instruction.flush;
        let regs = &self.registers;
        match &instruction.op {
            Op::Nop => {}
            Op::Move { d, a } => {
                let value = regs[*a as usize];
                self.write(*d, &value, mask);
            }
            Op::One { f, d, a } => {
                let value = if flush {
                    flushed(&f(&self.operand(*a, true)))
                } else {
                    f(&regs[*a as usize])
                };
                self.write(*d, &value, mask);
            }
            Op::Two { f, d, a, b } => {
                let value = if flush {
                    flushed(&f(&self.operand(*a, true), &self.operand(*b, true)))
                } else {
                    f(&regs[*a as usize], &regs[*b as usize])
                };
                self.write(*d, &value, mask);
            }
            Op::Three { f, d, a, b, c } => {
                let value = if flush {
                    flushed(&f(
                        &self.operand(*a, true),
                        &self.operand(*b, true),
                        &self.operand(*c, true),
                    ))
                } else {
                    f(&regs[*a as usize], &regs[*b as usize], &regs[*c as usize])
                };
                self.write(*d, &value, mask);
            }
            Op::Four { f, d, a, b, c, e } => {
                let value = f(
                    &regs[*a as usize],
                    &regs[*b as usize],
                    &regs[*c as usize],
                    &regs[*e as usize],
                );
                self.write(*d, &value, mask);
            }
            Op::Convert { how, d, a, b } => {
                let (a, b) = (&regs[*a as usize], b.map(|b| &regs[b as usize]));
                let value = std::array::from_fn(|i| match b {
                    Some(low) => how.apply(a[i]) << 16 | how.apply(low[i]),
                    None => how.apply(a[i]),
                });
                self.write(*d, &value, mask);
            }
            Op::SetPredicate {
                f,
                d,
                q,
                a,
                b,
                with,
            } => {
                let truth = if flush {
                    f(&self.operand(*a, true), &self.operand(*b, true))
                } else {
                    f(&regs[*a as usize], &regs[*b as usize])
                };
                let (yes, no) = (self.combine(truth, with), self.combine(!truth, with));
                if let Some(d) = d {
                    self.write_predicate(*d, yes, mask);
                }
                if let Some(q) = q {
                    self.write_predicate(*q, no, mask);
                }
            }
            Op::Set {
                f,
                d,
                a,
                b,
                yes,
                with,
            } => {
                let truth =
                    self.combine(f(&self.operand(*a, flush), &self.operand(*b, flush)), with);
                let value = std::array::from_fn(|i| if truth >> i & 1 == 1 { *yes } else { 0 });
                self.write(*d, &value, mask);
            }
            Op::Predicate { logic, d, a, b } => {
                let (a, b) = (self.read_predicate(*a), self.read_predicate(*b));
                let value = match logic {
                    Logic::And => a & b,
                    Logic::Or => a | b,
                    Logic::Xor => a ^ b,
                    Logic::Move => a,
                    Logic::Not => !a,
                };
                self.write_predicate(*d, value, mask);
            }
            Op::Select { d, a, b, p } => {
                let p = self.read_predicate(*p);
                let (a, b) = (&regs[*a as usize], &regs[*b as usize]);
                let value = std::array::from_fn(|i| if p >> i & 1 == 1 { a[i] } else { b[i] });
                self.write(*d, &value, mask);
            }
            Op::Pack { d, parts, bits } => {
                let mut value = [0; WARP];
                for (k, part) in parts.iter().enumerate() {
                    let part = &regs[*part as usize];
                    for i in 0..WARP {
                        value[i] |= (part[i] & low_bits(*bits)) << (k as u32 * bits);
                    }
                }
                self.write(*d, &value, mask);
            }
            Op::Unpack { parts, a, bits } => {
                let whole = regs[*a as usize];
                for (k, part) in parts.iter().enumerate() {
                    let Some(part) = part else { continue };
                    let value =
                        std::array::from_fn(|i| whole[i] >> (k as u32 * bits) & low_bits(*bits));
                    self.write(*part, &value, mask);
                }
            }
            Op::Carry {
                kind,
                d,
                a,
                b,
                c,
                bits,
                reads,
                writes,
            } => {
                let carry_in = if *reads { self.carry } else { 0 };
                let mut carry_out = 0;
                let (a, b, c) = (&regs[*a as usize], &regs[*b as usize], &regs[*c as usize]);
                let value = std::array::from_fn(|i| {
                    let (v, carry) =
                        extended(*kind, a[i], b[i], c[i], carry_in >> i & 1 == 1, *bits);
                    carry_out |= u32::from(carry) << i;
                    v
                });
                self.write(*d, &value, mask);
                if *writes {
                    self.carry = self.carry & !mask | carry_out & mask;
                }
            }
            Op::Load {
                place,
                signed,
                mask: bits,
                parts,
            } => self.load(place, *signed, *bits, parts, mask, around)?,
            Op::Store { place, parts } => self.store(place, parts, mask, around)?,
            Op::LoadParam {
                offset,
                size,
                signed,
                mask: bits,
                parts,
            } => {
                for (k, part) in parts.iter().enumerate() {
                    let Some(part) = part else { continue };
                    let start = (*offset + k as u32 * size) as usize;
                    let bytes = around
                        .parameters
                        .get(start..start + *size as usize)
                        .unwrap_or_default();
                    let raw = bytes.iter().rev().fold(0, |v, b| v << 8 | u64::from(*b));
                    self.write(*part, &[extend(raw, *size, *signed) & bits; WARP], mask);
                }
            }
            Op::Atomic {
                place,
                atom,
                d,
                b,
                c,
            } => {
                let mut last = None;
                for lane in lanes(mask) {
                    let address = self.address(place, lane);
                    let at = |kind| (kind, lane);
                    let spot = around
                        .spot(
                            place.space,
                            address,
                            place.size,
                            lane,
                            Access::Atomic,
                            &mut last,
                        )
                        .map_err(at)?;
                    let (b, c) = (
                        self.registers[*b as usize][lane],
                        self.registers[*c as usize][lane],
                    );
                    let old = around
                        .atomic(spot, place, *atom, b, c, address, lane, self.epoch)
                        .map_err(at)?;
                    if let Some(d) = d {
                        self.registers[*d as usize][lane] = old;
                    }
                }
            }
            Op::IsSpace { d, a, space } => {
                let a = &regs[*a as usize];
                let mut value = 0;
                for (i, address) in a.iter().enumerate() {
                    let found = match address >> 48 {
                        top if top == SHARED_WINDOW >> 48 => Space::Shared,
                        top if top == LOCAL_WINDOW >> 48 => Space::Local,
                        top if top == PARAM_WINDOW >> 48 => Space::Param,
                        _ => Space::Global,
                    };
                    value |= u32::from(found == *space) << i;
                }
                self.write_predicate(*d, value, mask);
            }
            Op::ActiveMask { d } => self.write(*d, &[u64::from(mask); WARP], mask),
            Op::Trap { message } => {
                let lane = mask.trailing_zeros() as usize;
                let message = match message {
                    None => "the kernel stopped itself".to_string(),
                    Some(slot) => text(around, self.registers[*slot as usize][lane]),
                };
                return Err((FaultKind::Trap { message }, lane));
            }
            Op::Branch { .. } | Op::Exit | Op::Barrier { .. } | Op::Together { .. } => {}
        }
        Ok(())
    }

    fn combine(&self, truth: u32, with: &Option<(Logic, u32, bool)>) -> u32 {
        match with {
            None => truth,
            Some((logic, p, negated)) => {
                let other = self.read_predicate((*p, *negated));
                match logic {
                    Logic::And => truth & other,
                    Logic::Or => truth | other,
                    _ => truth ^ other,
                }
            }
        }
    }

    #[inline(always)]
    fn address(&self, place: &Place, lane: usize) -> u64 {
        self.registers[place.base as usize][lane].wrapping_add(place.offset as u64)
    }

    fn load(
        &mut self,
        place: &Place,
        signed: bool,
        bits: u64,
        parts: &[Option<Slot>],
        mask: u32,
        around: &Surroundings,
    ) -> Outcome<()> {
        let whole = place.size * parts.len() as u32;
        let mut last = None;
        for lane in lanes(mask) {
            let address = self.address(place, lane);
            let at = |kind| (kind, lane);
            let spot = around
                .spot(place.space, address, whole, lane, Access::Read, &mut last)
                .map_err(at)?;
            for (k, part) in parts.iter().enumerate() {
                let value = around
                    .load(spot, k as u32, place, address, lane, self.epoch)
                    .map_err(at)?;
                if let Some(part) = part {
                    self.registers[*part as usize][lane] = extend(value, place.size, signed) & bits;
                }
            }
        }
        Ok(())
    }

    fn store(
        &mut self,
        place: &Place,
        parts: &[Slot],
        mask: u32,
        around: &Surroundings,
    ) -> Outcome<()> {
        let whole = place.size * parts.len() as u32;
        let mut last = None;
        for lane in lanes(mask) {
            let address = self.address(place, lane);
            let at = |kind| (kind, lane);
            let spot = around
                .spot(place.space, address, whole, lane, Access::Write, &mut last)
                .map_err(at)?;
            for (k, part) in parts.iter().enumerate() {
                let value = self.registers[*part as usize][lane];
                around
                    .store(spot, k as u32, place, value, address, lane, self.epoch)
                    .map_err(at)?;
            }
        }
        Ok(())
    }

    fn together(&mut self, instruction: &Instruction, mask: u32) {
        let Op::Together { what, .. } = &instruction.op else {
            return;
        };
        match *what {
            Together::Barrier => self.epoch += 1,
            Together::Shuffle {
                mode,
                d,
                p,
                a,
                b,
                c,
            } => {
                let (a, b, c) = (
                    self.registers[a as usize],
                    self.registers[b as usize],
                    self.registers[c as usize],
                );
                let mut value = a;
                let mut in_range = 0;
                for lane in lanes(mask) {
                    let (from, valid) =
                        source_lane(mode, lane as u32, b[lane] as u32, c[lane] as u32);
                    value[lane] = a[from as usize];
                    in_range |= u32::from(valid) << lane;
                }
                self.write(d, &value, mask);
                if let Some(p) = p {
                    self.write_predicate(p, in_range, mask);
                }
            }
            Together::Vote { mode, d, p, source } => {
                let votes = self.read_predicate(source) & mask;
                let answer = match mode {
                    Vote::All => votes == mask,
                    Vote::Any => votes != 0,
                    _ => votes == 0 || votes == mask,
                };
                match mode {
                    Vote::Ballot => self.write(d, &[u64::from(votes); WARP], mask),
                    _ => self.write_predicate(p, if answer { u32::MAX } else { 0 }, mask),
                }
            }
            Together::Reduce { d, a, f } => {
                let a = self.registers[a as usize];
                if let Some(value) = lanes(mask).map(|i| a[i]).reduce(f) {
                    self.write(d, &[value; WARP], mask);
                }
            }
            Together::Match { d, p, a, all } => {
                let a = self.registers[a as usize];
                let equal = |i: usize| {
                    lanes(mask)
                        .filter(|&j| a[j] == a[i])
                        .fold(0u64, |m, j| m | 1 << j)
                };
                let value: Lanes = std::array::from_fn(|i| {
                    let same = equal(i);
                    if all && same != u64::from(mask) {
                        0
                    } else {
                        same
                    }
                });
                self.write(d, &value, mask);
                if let Some(p) = p {
                    let agreed = lanes(mask).all(|i| value[i] == u64::from(mask));
                    self.write_predicate(p, if agreed { u32::MAX } else { 0 }, mask);
                }
            }
        }
    }
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

fn low_bits(bits: u32) -> u64 {
    if bits >= 64 {
        u64::MAX
    } else {
        (1 << bits) - 1
    }
}

#[inline(always)]
fn extend(value: u64, size: u32, signed: bool) -> u64 {
    match (signed, size) {
        (true, 1) => value as i8 as u64,
        (true, 2) => value as i16 as u64,
        (true, 4) => value as i32 as u64,
        _ => value,
    }
}

fn flushed(value: &Lanes) -> Lanes {
    std::array::from_fn(|i| f32::unpack(value[i]).flush().pack())
}

/// The lane `shfl` reads from, and whether it lies in range (else a lane reads its own value).
fn source_lane(mode: Shuffle, lane: u32, b: u32, c: u32) -> (u32, bool) {
    let (b, clamp, segment) = (b & 31, c & 31, c >> 8 & 31);
    let max = lane & segment | clamp & !segment;
    let min = lane & segment;
    let (from, valid) = match mode {
        Shuffle::Up => {
            let from = lane.wrapping_sub(b) as i32;
            (from as u32, from >= max as i32)
        }
        Shuffle::Down => (lane + b, lane + b <= max),
        Shuffle::Butterfly => (lane ^ b, lane ^ b <= max),
        Shuffle::Index => {
            let from = min | b & !segment;
            (from, from <= max)
        }
    };
    if valid {
        (from & 31, true)
    } else {
        (lane, false)
    }
}

fn extended(kind: Carry, a: u64, b: u64, c: u64, carry: bool, bits: u32) -> (u64, bool) {
    let mask = low_bits(bits);
    let (a, b, c, carry) = (
        u128::from(a & mask),
        u128::from(b & mask),
        u128::from(c & mask),
        u128::from(carry),
    );
    let sum = match kind {
        Carry::Add => a + b + carry,
        // The carry flag of a subtraction is its borrow.
        Carry::Sub => {
            let value = a.wrapping_sub(b).wrapping_sub(carry);
            return (value as u64 & mask, a < b + carry);
        }
        Carry::MadLow => ((a * b) & u128::from(mask)) + c + carry,
        Carry::MadHigh => ((a * b) >> bits) + c + carry,
    };
    (sum as u64 & mask, sum >> bits != 0)
}

/// A zero-terminated text in device memory.
fn text(around: &Surroundings, address: u64) -> String {
    let mut bytes = Vec::new();
    while let Some(region) = around.memory.find(address + bytes.len() as u64, 1) {
        match region.load(address + bytes.len() as u64 - region.base, 1) as u8 {
            0 => break,
            byte => bytes.push(byte),
        }
    }
    format!("assertion `{}` failed", String::from_utf8_lossy(&bytes))
}
