//! What lanes of a warp do together: shuffles, votes, reductions.

use crate::machine::instruction::{Instruction, Op, Shuffle, Together, Vote};
use crate::machine::scalar::{Lanes, WARP};

use crate::checks::FaultKind;

use super::{Group, LaneFault, Warp, first, lanes};

impl Warp {
    /// Lanes of `active` arrive at such an instruction. Those that name the same members belong together: complete
    /// groups carry it out, others are parked. Gives the lanes that go on.
    pub(super) fn meet(
        &mut self,
        pc: u32,
        instruction: &Instruction,
        active: u32,
    ) -> Result<u32, LaneFault> {
        let Op::Together { members, .. } = instruction.op else {
            return Ok(active);
        };
        let named = self.registers[members as usize].map(|m| m as u32);
        let (mut rest, mut done) = (active, 0);
        while let Some(lane) = first(rest) {
            let members = named[lane];
            let ours = lanes(rest)
                .filter(|&l| named[l] == members)
                .fold(0, |mask, l| mask | 1 << l);
            rest &= !ours;
            if let Some(lane) = first(ours & !members) {
                let detail =
                    format!("lane {lane} is not among the members it names, {members:#010x}");
                return Err(diverged(detail, lane, instruction));
            }
            if let Some(lane) = first(active & members & !ours) {
                let detail = format!(
                    "lane {lane} is named by others, but names {:#010x} where they name {members:#010x}",
                    named[lane]
                );
                return Err(diverged(detail, lane, instruction));
            }
            if members & self.live & !ours == 0 {
                self.together(instruction, ours)?;
                done |= ours;
                continue;
            }
            match self
                .together
                .iter_mut()
                .find(|(g, m)| g.pc == pc && *m == members)
            {
                Some((group, _)) => group.mask |= ours,
                None => self.together.push((Group { pc, mask: ours }, members)),
            }
        }
        Ok(done)
    }

    /// Carries out such an instruction for the lanes of `mask`, all of which have arrived.
    pub(super) fn together(
        &mut self,
        instruction: &Instruction,
        mask: u32,
    ) -> Result<(), LaneFault> {
        let Op::Together { what, .. } = &instruction.op else {
            return Ok(());
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
                    if mask >> from & 1 == 0 {
                        let detail = format!(
                            "a shuffle reads from lane {from}, which takes no part (lanes {mask:#010x} do)"
                        );
                        return Err(diverged(detail, lane, instruction));
                    }
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
        Ok(())
    }
}

fn diverged(detail: String, lane: usize, instruction: &Instruction) -> LaneFault {
    LaneFault {
        kind: FaultKind::DivergentBarrier { detail },
        lane,
        line: instruction.line,
    }
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
