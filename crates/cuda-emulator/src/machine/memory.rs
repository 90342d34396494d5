//! A device's memory: allocations in an address space of the device's own, never used twice.

use std::collections::{BTreeMap, VecDeque};

use super::region::Region;

/// Where generic addresses of shared memory start.
pub const SHARED_WINDOW: u64 = 0x00f1_0000_0000_0000;
/// Where generic addresses of local memory start.
pub const LOCAL_WINDOW: u64 = 0x00f2_0000_0000_0000;
/// Where generic addresses of kernel parameters start.
pub const PARAM_WINDOW: u64 = 0x00f3_0000_0000_0000;

/// A device's addresses are `(device + 1) << 44` and up.
const DEVICE_BITS: u32 = 44;
/// Allocations start at multiples of this, as on a GPU, and at least as much lies between two of them.
const ALIGNMENT: u64 = 256;
/// How many freed allocations are remembered, to name a use after free.
const REMEMBERED: usize = 1 << 16;

/// What lies at an address that no live allocation covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// It was freed.
    Freed,
    /// Another device's.
    Device(usize),
    /// No device's: a host pointer, most likely.
    Host,
    /// Nothing; the nearest allocation below, in words.
    Nothing(String),
}

/// The memory of one device.
pub struct Memory {
    device: usize,
    /// Devices that there are.
    devices: usize,
    next: u64,
    live: BTreeMap<u64, Region>,
    freed: BTreeMap<u64, u64>,
    freed_order: VecDeque<u64>,
    used: u64,
    capacity: u64,
}

impl Memory {
    /// Empty memory of so many bytes.
    pub fn new(device: usize, capacity: u64) -> Memory {
        Memory {
            device,
            devices: device + 1,
            next: (device as u64 + 1) << DEVICE_BITS,
            live: BTreeMap::new(),
            freed: BTreeMap::new(),
            freed_order: VecDeque::new(),
            used: 0,
            capacity,
        }
    }

    /// As one of so many devices.
    pub fn among(self, devices: usize) -> Memory {
        Memory { devices, ..self }
    }

    /// The device an address belongs to, if it is one of so many devices' at all.
    pub fn owner(address: u64, devices: usize) -> Option<usize> {
        let device = (address >> DEVICE_BITS).checked_sub(1)? as usize;
        (device < devices).then_some(device)
    }

    /// Bytes free and in all.
    pub fn info(&self) -> (u64, u64) {
        (self.capacity - self.used, self.capacity)
    }

    /// New memory, or `None` when there is not enough.
    pub fn allocate(&mut self, size: u64) -> Option<u64> {
        if size > self.capacity - self.used {
            return None;
        }
        let base = self.next;
        self.next += size.div_ceil(ALIGNMENT) * ALIGNMENT + ALIGNMENT;
        self.used += size;
        self.live.insert(base, Region::new(base, size));
        Some(base)
    }

    /// Forbids kernels to write an allocation.
    pub fn protect(&mut self, base: u64) {
        if let Some(region) = self.live.get_mut(&base) {
            region.read_only = true;
        }
    }

    /// Gives memory back; false when no allocation starts there.
    pub fn free(&mut self, base: u64) -> bool {
        let Some(region) = self.live.remove(&base) else {
            return false;
        };
        self.used -= region.size;
        self.freed.insert(base, region.size);
        self.freed_order.push_back(base);
        if self.freed_order.len() > REMEMBERED
            && let Some(oldest) = self.freed_order.pop_front()
        {
            self.freed.remove(&oldest);
        }
        true
    }

    /// The allocation that covers all `size` bytes at `address`.
    pub fn find(&self, address: u64, size: u64) -> Option<&Region> {
        let region = self.live.range(..=address).next_back()?.1;
        let offset = address - region.base;
        (offset < region.size && size <= region.size - offset || size == 0).then_some(region)
    }

    /// Why [`Memory::find`] found nothing.
    pub fn missing(&self, address: u64) -> Missing {
        match Memory::owner(address, self.devices) {
            Some(owner) if owner != self.device => return Missing::Device(owner),
            None if address >> DEVICE_BITS > 0 => return Missing::Host,
            _ => {}
        }
        let below = self.live.range(..=address).next_back();
        if let Some((base, size)) = self.freed.range(..=address).next_back() {
            let live_is_nearer = below.is_some_and(|(b, _)| b > base);
            if !live_is_nearer && address - base < *size {
                return Missing::Freed;
            }
        }
        Missing::Nothing(match below {
            Some((base, region)) => {
                format!(
                    "{} bytes past the start of an allocation of {} bytes",
                    address - base,
                    region.size
                )
            }
            None => String::new(),
        })
    }

    /// Allocations that were not given back: address and size.
    pub fn leaks(&self) -> Vec<(u64, u64)> {
        self.live.values().map(|r| (r.base, r.size)).collect()
    }
}
