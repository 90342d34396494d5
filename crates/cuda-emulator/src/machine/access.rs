//! Loads, stores and atomics of a warp, with every check on the way.

use crate::checks::FaultKind;
use crate::ptx::Space;

use super::instruction::{Atom, Place};
use super::memory::{LOCAL_WINDOW, Memory, Missing, PARAM_WINDOW, SHARED_WINDOW};
use super::region::Region;
use super::shadow::{Access, Actor};

/// Which checks run besides those of bounds and alignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checks {
    /// Data races.
    pub races: bool,
    /// Reads of memory never written.
    pub unwritten: bool,
}

/// What an access needs to know of its surroundings.
pub(super) struct Surroundings<'a> {
    pub memory: &'a Memory,
    pub device: usize,
    pub shared: &'a Region,
    /// First byte and size of each shared variable, the dynamic part last.
    pub shared_variables: &'a [(u64, u64)],
    pub local: &'a Region,
    pub local_bytes: u64,
    pub parameters: &'a [u8],
    pub checks: Checks,
    /// The block's first serial number and the like; thread and warp epoch are filled in by lane.
    pub actor: Actor,
    pub warp: u32,
}

/// One lane's place in memory.
#[derive(Clone, Copy)]
pub(super) struct Spot<'a> {
    region: Option<&'a Region>,
    offset: u64,
    space: Space,
}

impl<'a> Surroundings<'a> {
    /// Finds the memory behind an address and checks alignment and bounds.
    #[inline]
    pub(super) fn spot(
        &self,
        space: Space,
        address: u64,
        size: u32,
        lane: usize,
        access: Access,
        last: &mut Option<&'a Region>,
    ) -> Result<Spot<'a>, FaultKind> {
        if address & u64::from(size - 1) != 0 {
            return Err(FaultKind::Misaligned {
                space,
                action: access.name(),
                size,
                address,
            });
        }
        match space {
            Space::Global | Space::Const => self.global(address, size, access, last),
            Space::Shared => self.in_shared(address, address, size, access),
            Space::Local => self.in_local(address, address, size, lane, access),
            Space::Param => self.in_parameters(address, address, size, access),
            Space::Generic => match address & !0xffff_ffff_ffff {
                _ if address >> 48 == SHARED_WINDOW >> 48 => {
                    self.in_shared(address - SHARED_WINDOW, address, size, access)
                }
                _ if address >> 48 == LOCAL_WINDOW >> 48 => {
                    self.in_local(address - LOCAL_WINDOW, address, size, lane, access)
                }
                _ if address >> 48 == PARAM_WINDOW >> 48 => {
                    self.in_parameters(address - PARAM_WINDOW, address, size, access)
                }
                _ => self.global(address, size, access, last),
            },
        }
    }

    #[inline]
    fn global(
        &self,
        address: u64,
        size: u32,
        access: Access,
        last: &mut Option<&'a Region>,
    ) -> Result<Spot<'a>, FaultKind> {
        let region = match *last {
            Some(region) if region.contains(address, size) => region,
            _ => match self.memory.find(address, u64::from(size)) {
                Some(region) => {
                    *last = Some(region);
                    region
                }
                None => return Err(self.no_such_place(address, size, access)),
            },
        };
        if region.read_only && access != Access::Read {
            return Err(FaultKind::ReadOnly {
                space: Space::Const,
            });
        }
        Ok(Spot {
            region: Some(region),
            offset: address - region.base,
            space: Space::Global,
        })
    }

    fn no_such_place(&self, address: u64, size: u32, access: Access) -> FaultKind {
        let action = access.name();
        match self.memory.missing(address) {
            Missing::Freed => FaultKind::UseAfterFree {
                action,
                size,
                address,
            },
            Missing::Device(owner) => FaultKind::OtherDevice {
                action,
                address,
                owner,
                here: self.device,
            },
            Missing::Nothing(nearest) => FaultKind::OutOfBounds {
                space: Space::Global,
                action,
                size,
                address,
                nearest,
            },
        }
    }

    fn in_shared(
        &self,
        offset: u64,
        address: u64,
        size: u32,
        access: Access,
    ) -> Result<Spot<'a>, FaultKind> {
        let inside = |&(start, length): &(u64, u64)| {
            offset.wrapping_sub(start) < length && u64::from(size) <= length - (offset - start)
        };
        if self.shared_variables.iter().any(inside) {
            return Ok(Spot {
                region: Some(self.shared),
                offset,
                space: Space::Shared,
            });
        }
        let nearest = self
            .shared_variables
            .iter()
            .filter(|v| v.0 <= offset)
            .max_by_key(|v| v.0);
        let nearest = nearest.map_or(String::new(), |(start, length)| {
            format!(
                "{} bytes past the start of a variable of {length} bytes",
                offset - start
            )
        });
        Err(FaultKind::OutOfBounds {
            space: Space::Shared,
            action: access.name(),
            size,
            address,
            nearest,
        })
    }

    fn in_local(
        &self,
        offset: u64,
        address: u64,
        size: u32,
        lane: usize,
        access: Access,
    ) -> Result<Spot<'a>, FaultKind> {
        if offset
            .checked_add(u64::from(size))
            .is_none_or(|end| end > self.local_bytes)
        {
            let nearest = format!("a thread has {} bytes", self.local_bytes);
            return Err(FaultKind::OutOfBounds {
                space: Space::Local,
                action: access.name(),
                size,
                address,
                nearest,
            });
        }
        let offset = lane as u64 * self.local_bytes + offset;
        Ok(Spot {
            region: Some(self.local),
            offset,
            space: Space::Local,
        })
    }

    fn in_parameters(
        &self,
        offset: u64,
        address: u64,
        size: u32,
        access: Access,
    ) -> Result<Spot<'a>, FaultKind> {
        if access != Access::Read {
            return Err(FaultKind::ReadOnly {
                space: Space::Param,
            });
        }
        if offset
            .checked_add(u64::from(size))
            .is_none_or(|end| end > self.parameters.len() as u64)
        {
            let nearest = format!(
                "the kernel has {} bytes of parameters",
                self.parameters.len()
            );
            return Err(FaultKind::OutOfBounds {
                space: Space::Param,
                action: "read",
                size,
                address,
                nearest,
            });
        }
        Ok(Spot {
            region: None,
            offset,
            space: Space::Param,
        })
    }

    /// Reads one element and checks that it was written and that the read races with nothing.
    #[inline]
    pub(super) fn load(
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
    pub(super) fn store(
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
    pub(super) fn atomic(
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
        let mut actor = self.actor;
        actor.thread = self.warp * 32 + lane as u32;
        actor.warp_epoch = warp_epoch;
        if space == Space::Shared {
            actor.first = actor.serial;
        }
        let Some(conflict) = region.shadow.note(offset, size, access, &actor) else {
            return Ok(());
        };
        let other = if conflict.serial == actor.serial {
            format!("thread {} of the same block", conflict.thread)
        } else {
            format!("thread {} of another block", conflict.thread)
        };
        Err(FaultKind::Race {
            space,
            action: access.name(),
            earlier: conflict.access.name(),
            address,
            other,
        })
    }
}
