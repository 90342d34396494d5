//! Data races: for every unit of memory the last writer and the last readers, and the rule that tells
//! whether a new access is ordered after them.
//!
//! Accesses of 1, 2 and at least 4 bytes are compared with accesses of the same kind only.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What an access does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// A load.
    Read,
    /// A store.
    Write,
    /// A read-modify-write, or a volatile or relaxed access: ordered with others of its kind.
    Atomic,
}

impl Access {
    /// For reports.
    pub fn name(self) -> &'static str {
        match self {
            Access::Read => "read",
            Access::Write => "write",
            Access::Atomic => "atomic",
        }
    }
}

/// Who makes an access, and when.
#[derive(Debug, Clone, Copy)]
pub struct Actor {
    /// Number of the block among all blocks ever run; the first is 1.
    pub serial: u32,
    /// Of the launch's first block: what happened before is ordered.
    pub first: u32,
    /// Barriers passed by the block.
    pub epoch: u32,
    /// Warp barriers passed by the warp since the last barrier.
    pub warp_epoch: u32,
    /// Linear thread index.
    pub thread: u32,
    /// Whether accesses of different blocks are compared.
    pub across_blocks: bool,
}

/// Epochs beyond these are not told apart: nothing is reported rather than something false.
pub const LAST_EPOCH: u32 = (1 << 13) - 1;
/// See [`LAST_EPOCH`].
pub const LAST_WARP_EPOCH: u32 = (1 << 7) - 1;

/// An earlier access that is not ordered before the new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conflict {
    /// What it did.
    pub access: Access,
    /// Serial number of its block.
    pub serial: u32,
    /// Linear thread index.
    pub thread: u32,
}

/// Last accesses of each unit of a region, made when first used.
pub struct Shadow {
    words: usize,
    sizes: [OnceLock<Units>; 3],
}

/// One size of units.
pub(super) struct Units(Box<[Unit]>);

/// What is known of a unit: its last write and its last reads, side by side as they are looked at.
#[derive(bytemuck::Zeroable)]
struct Unit {
    write: AtomicU64,
    read: AtomicU64,
}

/// serial 32 | epoch 13 | warp epoch 7 | thread 10 | extra 2.
#[derive(Clone, Copy)]
struct Record(u64);

/// What the two extra bits say of a write.
const ATOMIC: u64 = 1;
/// What they say of a read: several lanes of one warp, several warps, several blocks.
const LANES: u64 = 1;
const WARPS: u64 = 2;
const BLOCKS: u64 = 3;

impl Record {
    fn new(actor: &Actor, extra: u64) -> Record {
        let Actor {
            serial,
            epoch,
            warp_epoch,
            thread,
            ..
        } = *actor;
        Record(
            u64::from(serial) << 32
                | u64::from(epoch.min(LAST_EPOCH)) << 19
                | u64::from(warp_epoch.min(LAST_WARP_EPOCH)) << 12
                | u64::from(thread & 1023) << 2
                | extra,
        )
    }
    fn serial(self) -> u32 {
        (self.0 >> 32) as u32
    }
    fn epoch(self) -> u32 {
        (self.0 >> 19) as u32 & LAST_EPOCH
    }
    fn warp_epoch(self) -> u32 {
        (self.0 >> 12) as u32 & LAST_WARP_EPOCH
    }
    fn thread(self) -> u32 {
        (self.0 >> 2) as u32 & 1023
    }
    fn extra(self) -> u64 {
        self.0 & 3
    }

    /// Whether the recorded access is neither the actor's own nor ordered before it.
    fn unordered(self, actor: &Actor) -> bool {
        if self.serial() < actor.first {
            return false;
        }
        if self.serial() != actor.serial {
            return actor.across_blocks;
        }
        if self.epoch() != actor.epoch || actor.epoch >= LAST_EPOCH {
            return false;
        }
        if self.thread() / 32 == actor.thread / 32 {
            let same = self.thread() == actor.thread;
            return !same
                && self.warp_epoch() == actor.warp_epoch
                && actor.warp_epoch < LAST_WARP_EPOCH;
        }
        true
    }

    fn conflict(self, access: Access) -> Option<Conflict> {
        Some(Conflict {
            access,
            serial: self.serial(),
            thread: self.thread(),
        })
    }
}

impl Shadow {
    /// For a region of so many words.
    pub fn new(words: usize) -> Shadow {
        Shadow {
            words,
            sizes: [OnceLock::new(), OnceLock::new(), OnceLock::new()],
        }
    }

    /// Notes an access of 1, 2, 4 or 8 bytes at an aligned offset and returns an earlier one it races with.
    #[inline]
    pub fn note(&self, offset: u64, size: u32, access: Access, actor: &Actor) -> Option<Conflict> {
        self.units(size).note(offset, size, access, actor)
    }

    /// The units that accesses of a size touch.
    #[inline]
    pub(super) fn units(&self, size: u32) -> &Units {
        let class = class(size);
        self.sizes[class].get_or_init(|| {
            let count = (self.words * 4) >> class;
            Units(bytemuck::zeroed_slice_box(count))
        })
    }
}

/// Units are of 1, 2 or 4 bytes: the logarithm of that.
#[inline(always)]
fn class(size: u32) -> usize {
    match size {
        1 => 0,
        2 => 1,
        _ => 2,
    }
}

impl Units {
    /// See [`Shadow::note`].
    #[inline(always)]
    pub(super) fn note(
        &self,
        offset: u64,
        size: u32,
        access: Access,
        actor: &Actor,
    ) -> Option<Conflict> {
        let unit = (offset >> class(size)) as usize;
        let found = self.note_unit(unit, access, actor);
        if size == 8 {
            found.or(self.note_unit(unit + 1, access, actor))
        } else {
            found
        }
    }

    #[inline(always)]
    fn note_unit(&self, unit: usize, access: Access, actor: &Actor) -> Option<Conflict> {
        let unit = &self.0[unit];
        let write = Record(unit.write.load(Relaxed));
        let by_atomic = write.extra() == ATOMIC;
        if write.unordered(actor) && !(by_atomic && access == Access::Atomic) {
            return write.conflict(if by_atomic {
                Access::Atomic
            } else {
                Access::Write
            });
        }
        let read = Record(unit.read.load(Relaxed));
        if access == Access::Read {
            let now = read.joined_by(actor);
            if now.0 != read.0 {
                unit.read.store(now.0, Relaxed);
            }
            return None;
        }
        if read.was_read_unordered(actor) {
            return read.conflict(Access::Read);
        }
        // A thread's own plain write stays one when the thread's atomic follows: others are not ordered after it.
        let plain = Record::new(actor, 0);
        let atomic = access == Access::Atomic && write.0 != plain.0;
        let now = if atomic { plain.0 | ATOMIC } else { plain.0 };
        unit.write.store(now, Relaxed);
        None
    }
}

impl Record {
    /// This record of reads after one more.
    fn joined_by(self, actor: &Actor) -> Record {
        if self.serial() < actor.first {
            return Record::new(actor, 0);
        }
        if self.serial() != actor.serial || self.extra() == BLOCKS {
            return Record(self.0 | BLOCKS);
        }
        if self.epoch() != actor.epoch {
            return Record::new(actor, 0);
        }
        if self.extra() == WARPS {
            return self;
        }
        if self.thread() / 32 != actor.thread / 32 {
            return Record(self.0 & !3 | WARPS);
        }
        let extra = match self.warp_epoch() == actor.warp_epoch {
            false => 0,
            true if self.thread() == actor.thread => self.extra(),
            true => LANES,
        };
        Record::new(actor, extra)
    }

    /// Whether one of the recorded reads is neither the actor's own nor ordered before its write.
    fn was_read_unordered(self, actor: &Actor) -> bool {
        if self.serial() < actor.first {
            return false;
        }
        match self.extra() {
            BLOCKS => actor.across_blocks,
            WARPS if self.serial() == actor.serial => {
                self.epoch() == actor.epoch && actor.epoch < LAST_EPOCH
            }
            LANES if self.serial() == actor.serial && self.thread() == actor.thread => {
                self.epoch() == actor.epoch && self.warp_epoch() == actor.warp_epoch
            }
            _ => self.unordered(actor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actor(block: u32, epoch: u32, thread: u32) -> Actor {
        Actor {
            serial: 10 + block,
            first: 10,
            epoch,
            warp_epoch: 0,
            thread,
            across_blocks: true,
        }
    }

    #[test]
    fn a_barrier_orders_a_write_and_a_read() {
        let shadow = Shadow::new(4);
        assert_eq!(shadow.note(0, 4, Access::Write, &actor(0, 0, 1)), None);
        assert_eq!(shadow.note(0, 4, Access::Read, &actor(0, 1, 40)), None);
        assert!(shadow.note(0, 4, Access::Write, &actor(0, 1, 2)).is_some());
    }

    #[test]
    fn without_one_they_race_in_either_order() {
        let shadow = Shadow::new(4);
        shadow.note(0, 4, Access::Read, &actor(0, 0, 1));
        shadow.note(0, 4, Access::Read, &actor(0, 0, 2));
        let found = shadow.note(0, 4, Access::Write, &actor(0, 0, 2));
        assert_eq!(found.map(|c| c.access), Some(Access::Read));
        shadow.note(4, 4, Access::Write, &actor(0, 0, 1));
        assert!(shadow.note(4, 4, Access::Read, &actor(0, 0, 33)).is_some());
    }

    #[test]
    fn atomics_do_not_race_with_each_other_and_launches_are_ordered() {
        let shadow = Shadow::new(4);
        assert_eq!(shadow.note(0, 4, Access::Atomic, &actor(0, 0, 1)), None);
        assert_eq!(shadow.note(0, 4, Access::Atomic, &actor(1, 0, 1)), None);
        assert!(shadow.note(0, 4, Access::Read, &actor(2, 0, 1)).is_some());
        let later = Actor {
            serial: 20,
            first: 20,
            ..actor(0, 0, 5)
        };
        assert_eq!(shadow.note(0, 4, Access::Write, &later), None);
    }

    #[test]
    fn neighbouring_bytes_do_not_race() {
        let shadow = Shadow::new(4);
        assert_eq!(shadow.note(0, 1, Access::Write, &actor(0, 0, 1)), None);
        assert_eq!(shadow.note(1, 1, Access::Write, &actor(0, 0, 2)), None);
    }
}
