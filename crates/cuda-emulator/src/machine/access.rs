//! Loads, stores and atomics of a warp, with every check on the way.

mod element;
mod run;

use std::cell::Cell;

use crate::checks::FaultKind;
use crate::ptx::Space;

use super::memory::{LOCAL_WINDOW, Memory, Missing, PARAM_WINDOW, SHARED_WINDOW};
use super::region::Region;
use super::shadow::{Access, Actor};
use super::touched::Touched;

/// Which checks run besides those of bounds and alignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checks {
    /// Data races.
    pub races: bool,
    /// Reads of memory never written.
    pub unwritten: bool,
    /// Work of several streams on the same memory in no order.
    pub streams: bool,
}

/// What an access needs to know of its surroundings.
pub(super) struct Surroundings<'a> {
    pub memory: &'a Memory,
    pub device: usize,
    pub touched: &'a Touched,
    pub shared: &'a Region,
    /// First byte and size of each shared variable, the dynamic part last.
    pub shared_variables: &'a [(u64, u64)],
    pub local: &'a Region,
    /// First byte and size of each variable of a thread, in order.
    pub local_variables: &'a [(u64, u64)],
    /// From a thread's local memory to the next thread's.
    pub local_stride: u64,
    /// Of the block.
    pub threads: u32,
    pub parameters: &'a [u8],
    pub checks: Checks,
    /// The block's first serial number and the like; thread and warp epoch are filled in by lane.
    pub actor: Actor,
    pub warp: u32,
    /// Regions that accesses found last.
    pub recent: Recent<'a>,
}

/// A few regions, the one found last first.
pub(super) type Recent<'a> = Cell<[Option<&'a Region>; 4]>;

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
        self.touched.note(region, access);
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
            Missing::Host => FaultKind::OutOfBounds {
                space: Space::Global,
                action,
                size,
                address,
                nearest: "no device's memory: a host pointer, pinned or not?".to_string(),
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
        let variables = self.local_variables;
        let below = variables.partition_point(|v| v.0 <= offset).checked_sub(1);
        let variable = below.map(|i| variables[i]);
        let inside = variable.is_some_and(|(start, length)| {
            let at = offset - start;
            at < length && u64::from(size) <= length - at
        });
        if !inside {
            let nearest = variable.map_or(String::new(), |(start, length)| {
                format!(
                    "{} bytes past the start of a variable of {length} bytes",
                    offset - start
                )
            });
            return Err(FaultKind::OutOfBounds {
                space: Space::Local,
                action: access.name(),
                size,
                address,
                nearest,
            });
        }
        let offset = lane as u64 * self.local_stride + offset;
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
}
