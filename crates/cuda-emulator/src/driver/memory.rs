//! Allocation and copies.

use crate::machine::memory::{Memory, Missing};
use crate::machine::region::Region;

use super::{Driver, Peer, Status, report};

impl Driver {
    /// Free and total bytes of a device.
    pub fn memory_info(&self, device: usize) -> (u64, u64) {
        self.read_memory(device).info()
    }

    /// The device whose memory an address is in.
    pub fn owner(&self, address: u64) -> Result<usize, Status> {
        Memory::owner(address, self.devices.len()).ok_or(Status::INVALID_VALUE)
    }

    /// New memory on a device.
    pub fn allocate(&self, device: usize, size: u64) -> Result<u64, Status> {
        if size == 0 {
            return Err(Status::INVALID_VALUE);
        }
        self.write_memory(self.alive(device)?)
            .allocate(size)
            .ok_or(Status::OUT_OF_MEMORY)
    }

    /// Gives memory back.
    pub fn free(&self, address: u64) -> Result<(), Status> {
        if address == 0 {
            return Ok(());
        }
        let device = self.alive(self.owner(address)?)?;
        if self.write_memory(device).free(address) {
            return Ok(());
        }
        report(&format!("free of {address:#x}, where no allocation starts"));
        Err(Status::INVALID_VALUE)
    }

    /// Calls `f` with the region and offset behind a device address, or reports why there is none.
    fn with<R>(
        &self,
        address: u64,
        size: u64,
        what: &str,
        f: impl FnOnce(&Region, u64) -> Result<R, Status>,
    ) -> Result<R, Status> {
        let memory = match self.owner(address) {
            Ok(device) => Some(self.read_memory(self.alive(device)?)),
            Err(_) => None,
        };
        self.within(memory.as_deref(), address, size, what, f)
    }

    /// The same in a memory that is locked already.
    fn within<R>(
        &self,
        memory: Option<&Memory>,
        address: u64,
        size: u64,
        what: &str,
        f: impl FnOnce(&Region, u64) -> Result<R, Status>,
    ) -> Result<R, Status> {
        let Some(memory) = memory else {
            report(&format!(
                "{what} at {address:#x}, which is no device address"
            ));
            return Err(Status::INVALID_VALUE);
        };
        match memory.find(address, size) {
            Some(region) => f(region, address - region.base),
            None => {
                let why = match memory.missing(address) {
                    Missing::Freed => "which was freed".to_string(),
                    Missing::Device(other) => format!("which is memory of device {other}"),
                    Missing::Host => "which is no device's memory".to_string(),
                    Missing::Nothing(nearest) => format!("out of bounds ({nearest})"),
                };
                report(&format!("{what} of {size} bytes at {address:#x}, {why}"));
                Err(Status::INVALID_VALUE)
            }
        }
    }

    /// Copies bytes to a device.
    pub fn write(&self, address: u64, bytes: &[u8]) -> Result<(), Status> {
        self.with(
            address,
            bytes.len() as u64,
            "copy to device memory",
            |region, offset| {
                region.write(offset, bytes);
                Ok(())
            },
        )
    }

    /// Copies bytes from a device.
    pub fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), Status> {
        let unwritten = self.configuration.settings.checks.unwritten;
        self.with(
            address,
            bytes.len() as u64,
            "copy from device memory",
            |region, offset| match region.read(offset, bytes) {
                Some(at) if unwritten => {
                    report(&format!(
                        "copy from device memory never written, byte {} of {} at {address:#x}",
                        at - offset,
                        bytes.len()
                    ));
                    Err(Status::ILLEGAL_ADDRESS)
                }
                _ => Ok(()),
            },
        )
    }

    /// Copies from device to device, or within one.
    pub fn copy(&self, to: u64, from: u64, size: u64) -> Result<(), Status> {
        let devices = [self.owner(to).ok(), self.owner(from).ok()];
        let between_devices = devices[0] != devices[1];
        for device in devices.into_iter().flatten() {
            self.alive(device)?;
        }
        // Each memory is locked once, the lower device first: a thread that waits to allocate would else stand
        // between two of our locks for ever.
        let (low, high) = (devices[0].min(devices[1]), devices[0].max(devices[1]));
        let lower = low.map(|d| self.read_memory(d));
        let higher = high.filter(|_| low != high).map(|d| self.read_memory(d));
        let [target, source] = devices.map(|d| if d == low { &lower } else { &higher });
        self.within(
            target.as_deref(),
            to,
            size,
            "copy to device memory",
            |target, at| {
                self.within(
                    source.as_deref(),
                    from,
                    size,
                    "copy from device memory",
                    |source, offset| {
                        match self.configuration.injected.peer {
                            Peer::Refused if between_devices => {
                                return Err(Status::PEER_ACCESS_UNSUPPORTED);
                            }
                            Peer::Corrupt if between_devices => {
                                target.write(at, &vec![0; size as usize])
                            }
                            _ => target.copy_from(at, source, offset, size),
                        }
                        Ok(())
                    },
                )
            },
        )
    }

    /// Fills memory with a repeated pattern.
    pub fn fill(&self, address: u64, pattern: &[u8], count: u64) -> Result<(), Status> {
        self.with(
            address,
            pattern.len() as u64 * count,
            "memset",
            |region, offset| {
                for i in 0..count {
                    region.write(offset + i * pattern.len() as u64, pattern);
                }
                Ok(())
            },
        )
    }
}
