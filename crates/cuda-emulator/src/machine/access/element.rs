//! One lane's element: read, written, or both at once.

use crate::checks::FaultKind;
use crate::machine::instruction::{Atom, Place};
use crate::machine::region::Region;
use crate::machine::scalar::WARP;
use crate::machine::shadow::{Access, Actor, Conflict};
use crate::ptx::Space;

use super::{Spot, Surroundings};

impl<'a> Surroundings<'a> {
    /// Reads one element and checks that it was written and that the read races with nothing.
    #[inline]
    pub(in crate::machine) fn load(
        &self,
        spot: Spot<'a>,
        part: u32,
        place: &Place,
        address: u64,
        lane: usize,
        warp_epoch: u32,
    ) -> Result<u64, FaultKind> {
        let offset = spot.offset + u64::from(part * place.size);
        let Some(region) = spot.region else {
            let bytes = &self.parameters[offset as usize..][..place.size as usize];
            return Ok(bytes.iter().rev().fold(0, |v, b| v << 8 | u64::from(*b)));
        };
        if self.checks.unwritten && !region.is_written(offset, place.size) {
            let address = address + u64::from(part * place.size);
            return Err(FaultKind::Uninitialised {
                space: spot.space,
                size: place.size,
                address,
            });
        }
        let access = if place.atomic {
            Access::Atomic
        } else {
            Access::Read
        };
        self.order(
            region, spot.space, offset, place.size, access, address, lane, warp_epoch,
        )?;
        Ok(region.load(offset, place.size))
    }

    /// Writes one element and checks that the write races with nothing.
    #[inline]
    #[allow(clippy::too_many_arguments)]
    pub(in crate::machine) fn store(
        &self,
        spot: Spot<'a>,
        part: u32,
        place: &Place,
        value: u64,
        address: u64,
        lane: usize,
        warp_epoch: u32,
    ) -> Result<(), FaultKind> {
        let offset = spot.offset + u64::from(part * place.size);
        let Some(region) = spot.region else {
            return Err(FaultKind::ReadOnly { space: spot.space });
        };
        let access = if place.atomic {
            Access::Atomic
        } else {
            Access::Write
        };
        self.order(
            region, spot.space, offset, place.size, access, address, lane, warp_epoch,
        )?;
        region.store(offset, place.size, value);
        Ok(())
    }

    /// Reads, modifies and writes one element as one action; returns what was there.
    #[allow(clippy::too_many_arguments)]
    pub(in crate::machine) fn atomic(
        &self,
        spot: Spot<'a>,
        place: &Place,
        atom: Atom,
        b: u64,
        c: u64,
        address: u64,
        lane: usize,
        warp_epoch: u32,
    ) -> Result<u64, FaultKind> {
        let Some(region) = spot.region else {
            return Err(FaultKind::ReadOnly { space: spot.space });
        };
        if self.checks.unwritten
            && !matches!(atom, Atom::Exchange)
            && !region.is_written(spot.offset, place.size)
        {
            return Err(FaultKind::Uninitialised {
                space: spot.space,
                size: place.size,
                address,
            });
        }
        self.order(
            region,
            spot.space,
            spot.offset,
            place.size,
            Access::Atomic,
            address,
            lane,
            warp_epoch,
        )?;
        let mask = if place.size >= 8 {
            u64::MAX
        } else {
            (1 << (8 * place.size)) - 1
        };
        Ok(region.update(spot.offset, place.size, |old| match atom {
            Atom::Exchange => Some(b),
            Atom::CompareAndSwap => (old == b & mask).then_some(c),
            Atom::Apply(f) => Some(f(old, b)),
        }))
    }

    /// The warp's first lane.
    pub(super) fn actor_in(&self, space: Space, warp_epoch: u32) -> Actor {
        let mut actor = self.actor;
        actor.thread = self.warp * WARP as u32;
        actor.warp_epoch = warp_epoch;
        if space == Space::Shared {
            actor.first = actor.serial;
        }
        actor
    }

    /// Notes an access and reports the one it races with.
    #[inline]
    #[allow(clippy::too_many_arguments)]
    fn order(
        &self,
        region: &Region,
        space: Space,
        offset: u64,
        size: u32,
        access: Access,
        address: u64,
        lane: usize,
        warp_epoch: u32,
    ) -> Result<(), FaultKind> {
        if !self.checks.races || space == Space::Local || region.read_only {
            return Ok(());
        }
        let mut actor = self.actor_in(space, warp_epoch);
        actor.thread += lane as u32;
        let Some(conflict) = region.shadow.note(offset, size, access, &actor) else {
            return Ok(());
        };
        Err(self.race(space, access, address, conflict))
    }

    pub(super) fn race(
        &self,
        space: Space,
        access: Access,
        address: u64,
        conflict: Conflict,
    ) -> FaultKind {
        let other = if conflict.serial == self.actor.serial {
            format!("thread {} of the same block", conflict.thread)
        } else {
            format!("thread {} of another block", conflict.thread)
        };
        FaultKind::Race {
            space,
            action: access.name(),
            earlier: conflict.access.name(),
            address,
            other,
        }
    }
}
