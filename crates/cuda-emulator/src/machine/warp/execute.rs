//! What each instruction does to the registers of a warp.

use crate::checks::FaultKind;
use crate::machine::access::Surroundings;
use crate::machine::instruction::{Carry, Instruction, Logic, Op, Slot};
use crate::machine::memory::{LOCAL_WINDOW, PARAM_WINDOW, SHARED_WINDOW};
use crate::machine::scalar::{Float, Lanes, Scalar, WARP};
use crate::machine::shadow::Access;
use crate::ptx::Space;

use super::memory::{Outcome, extend};
use super::{Warp, lanes};

impl Warp {
    #[inline(always)]
    fn operand(&self, slot: Slot, flush: bool) -> Lanes {
        let value = self.registers[slot as usize];
        if flush { flushed(&value) } else { value }
    }

    /// Carries out an instruction in the lanes of `mask`. Branches and barriers are not its business.
    pub(super) fn execute(
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
                // A subtraction adds the complement: its carry flag says that nothing was borrowed.
                let carry_in = match (*reads, kind) {
                    (true, _) => self.carry,
                    (false, Carry::Sub) => u32::MAX,
                    (false, _) => 0,
                };
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
}

fn low_bits(bits: u32) -> u64 {
    if bits >= 64 {
        u64::MAX
    } else {
        (1 << bits) - 1
    }
}

fn flushed(value: &Lanes) -> Lanes {
    std::array::from_fn(|i| f32::unpack(value[i]).flush().pack())
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
        Carry::Sub => a + (!b & u128::from(mask)) + carry,
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
