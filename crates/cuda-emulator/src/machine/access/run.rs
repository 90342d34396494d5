//! The elements of all lanes at once, where they lie in one region: most accesses of most kernels.

use crate::checks::FaultKind;
use crate::machine::instruction::Place;
use crate::machine::memory::SHARED_WINDOW;
use crate::machine::region::Region;
use crate::machine::scalar::{Lanes, WARP};
use crate::machine::shadow::Access;
use crate::machine::warp::lanes;
use crate::ptx::Space;

use super::Surroundings;

type Outcome<T> = Result<T, (FaultKind, usize)>;

/// Where the lanes of `mask` access one region.
pub(in crate::machine) struct Run<'a> {
    region: &'a Region,
    space: Space,
    /// Of the first element, in the region.
    offsets: Lanes,
    mask: u32,
}

impl<'a> Surroundings<'a> {
    /// The region that holds `size` bytes for each lane of `mask`, all aligned. `None` if there is no such region:
    /// then [`Surroundings::spot`] looks lane by lane, and knows what is wrong if something is.
    #[inline]
    pub(in crate::machine) fn run(
        &self,
        space: Space,
        addresses: &Lanes,
        mask: u32,
        size: u32,
        access: Access,
    ) -> Option<Run<'a>> {
        let (mut low, mut high, mut bits) = (u64::MAX, 0, 0);
        for (i, &address) in addresses.iter().enumerate() {
            let active = mask >> i & 1 == 1;
            low = low.min(if active { address } else { u64::MAX });
            high = high.max(if active { address } else { 0 });
            bits |= if active { address } else { 0 };
        }
        let end = high.checked_add(size.into())?;
        if bits & u64::from(size - 1) != 0 {
            return None;
        }
        let (region, space) = match space {
            Space::Shared => {
                let inside = |&(start, length): &(u64, u64)| low >= start && end - start <= length;
                self.shared_variables.iter().find(|v| inside(v))?;
                (self.shared, Space::Shared)
            }
            Space::Global | Space::Const | Space::Generic if high < SHARED_WINDOW => {
                (self.region_of(low, end - low)?, Space::Global)
            }
            _ => return None,
        };
        if region.read_only && access != Access::Read {
            return None;
        }
        let base = if space == Space::Shared {
            0
        } else {
            self.touched.note(region, access);
            region.base
        };
        Some(Run {
            region,
            space,
            offsets: std::array::from_fn(|i| addresses[i].wrapping_sub(base)),
            mask,
        })
    }

    #[inline]
    fn region_of(&self, address: u64, size: u64) -> Option<&'a Region> {
        let mut recent = self.recent.get();
        let holds = |r: &&Region| {
            let offset = address.wrapping_sub(r.base);
            offset < r.size && size <= r.size - offset
        };
        if let Some(region) = recent.iter().flatten().find(|r| holds(r)) {
            return Some(region);
        }
        let region = self.memory.find(address, size)?;
        recent.rotate_right(1);
        recent[0] = Some(region);
        self.recent.set(recent);
        Some(region)
    }

    /// [`Surroundings::load`] of element `part` in every lane.
    #[inline]
    pub(in crate::machine) fn load_run(
        &self,
        run: &Run,
        part: u32,
        place: &Place,
        warp_epoch: u32,
    ) -> Outcome<Lanes> {
        match place.size {
            4 => self.load_sized(run, part, 4, place.atomic, warp_epoch),
            size => self.load_sized(run, part, size, place.atomic, warp_epoch),
        }
    }

    #[inline(always)]
    fn load_sized(
        &self,
        run: &Run,
        part: u32,
        size: u32,
        atomic: bool,
        warp_epoch: u32,
    ) -> Outcome<Lanes> {
        let offset = |lane: usize| run.offsets[lane] + u64::from(part * size);
        if self.checks.unwritten
            && let Some(lane) = lanes(run.mask).find(|&i| !run.region.is_written(offset(i), size))
        {
            let kind = FaultKind::Uninitialised {
                space: run.space,
                size,
                address: run.address(offset(lane)),
            };
            return Err((kind, lane));
        }
        let access = if atomic { Access::Atomic } else { Access::Read };
        self.order_run(run, offset, size, access, warp_epoch)?;
        let mut values = [0; WARP];
        for lane in lanes(run.mask) {
            values[lane] = run.region.load(offset(lane), size);
        }
        Ok(values)
    }

    /// [`Surroundings::store`] of element `part` in every lane.
    #[inline]
    pub(in crate::machine) fn store_run(
        &self,
        run: &Run,
        part: u32,
        place: &Place,
        values: &Lanes,
        warp_epoch: u32,
    ) -> Outcome<()> {
        match place.size {
            4 => self.store_sized(run, part, 4, place.atomic, values, warp_epoch),
            size => self.store_sized(run, part, size, place.atomic, values, warp_epoch),
        }
    }

    #[inline(always)]
    fn store_sized(
        &self,
        run: &Run,
        part: u32,
        size: u32,
        atomic: bool,
        values: &Lanes,
        warp_epoch: u32,
    ) -> Outcome<()> {
        let offset = |lane: usize| run.offsets[lane] + u64::from(part * size);
        let access = if atomic {
            Access::Atomic
        } else {
            Access::Write
        };
        self.order_run(run, offset, size, access, warp_epoch)?;
        for lane in lanes(run.mask) {
            run.region.store(offset(lane), size, values[lane]);
        }
        Ok(())
    }

    /// Notes the accesses and reports the first that races.
    #[inline(always)]
    fn order_run(
        &self,
        run: &Run,
        offset: impl Fn(usize) -> u64,
        size: u32,
        access: Access,
        warp_epoch: u32,
    ) -> Outcome<()> {
        if !self.checks.races || run.region.read_only {
            return Ok(());
        }
        let mut actor = self.actor_in(run.space, warp_epoch);
        let (first, units) = (actor.thread, run.region.shadow.units(size));
        for lane in lanes(run.mask) {
            actor.thread = first + lane as u32;
            if let Some(conflict) = units.note(offset(lane), size, access, &actor) {
                let address = run.address(offset(lane));
                return Err((self.race(run.space, access, address, conflict), lane));
            }
        }
        Ok(())
    }
}

impl Run<'_> {
    /// As the kernel sees it.
    fn address(&self, offset: u64) -> u64 {
        match self.space {
            Space::Shared => offset,
            _ => self.region.base + offset,
        }
    }
}
