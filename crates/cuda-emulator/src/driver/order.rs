//! What orders the work of streams.
//!
//! A GPU works on several streams at the same time. Here work is done when it is asked for, and an event that nobody
//! waits for would not show. So each stream, and the host, has a vector clock: how much of every stream's work is over
//! before what comes next there. Each allocation knows who used it last. Two uses of the same bytes, one of them a
//! write, of which neither clock knows the other, are reported.
//!
//! The host is one, whatever the number of its threads. A kernel uses the whole of each allocation that it touches.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, MutexGuard};

use super::{Driver, Status, lock, report};

/// Of each stream, the number of its pieces of work that are over.
#[derive(Debug, Clone, Default)]
pub(super) struct Clock(BTreeMap<u64, u64>);

impl Clock {
    pub fn join(&mut self, other: &Clock) {
        for (&stream, &number) in &other.0 {
            let own = self.0.entry(stream).or_default();
            *own = number.max(*own);
        }
    }

    fn knows(&self, stream: u64, number: u64) -> bool {
        self.0.get(&stream).is_some_and(|&n| n >= number)
    }
}

/// Something put into a stream.
#[derive(Debug, Clone)]
pub struct Work {
    what: Arc<str>,
    stream: u64,
    /// Of the stream's device.
    pub device: usize,
    number: u64,
    /// What is over before it, itself included.
    clock: Clock,
}

/// Memory that streams use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// An address of a device.
    Device(u64),
    /// An address of pinned host memory, whose block begins at the second.
    Host(u64, u64),
}

/// A use of an allocation that later ones may have to wait for.
struct Use {
    bytes: Range<u64>,
    writes: bool,
    by: Work,
}

struct Stream {
    device: usize,
    /// Waits for the device's null stream, which waits for it.
    blocking: bool,
    clock: Clock,
}

/// Uses of an allocation that are remembered. Streams are few, and who uses the whole stands for who used parts.
const REMEMBERED: usize = 64;

/// Every stream's clock, and who used which memory.
#[derive(Default)]
pub(super) struct Order {
    streams: HashMap<u64, Stream>,
    /// What the host has waited for.
    host: Clock,
    /// By the start of each allocation.
    uses: HashMap<Place, Vec<Use>>,
}

impl Order {
    /// With the null stream of each device, whose handle is the device's number: other handles are above 15.
    pub fn new(devices: usize) -> Order {
        let null = |device| Stream {
            device,
            blocking: true,
            clock: Clock::default(),
        };
        Order {
            streams: (0..devices).map(|d| (d as u64, null(d))).collect(),
            ..Order::default()
        }
    }

    /// What is over when all of a stream is.
    fn clock_of(&self, stream: u64) -> Clock {
        let mut clock = Clock::default();
        let Some(own) = self.streams.get(&stream) else {
            return clock;
        };
        clock.join(&own.clock);
        let null = own.device as u64;
        for (&other, s) in &self.streams {
            if own.blocking
                && s.blocking
                && s.device == own.device
                && [other, stream].contains(&null)
            {
                clock.join(&s.clock);
            }
        }
        clock
    }

    fn put(&mut self, stream: u64, what: Arc<str>) -> Option<Work> {
        let mut clock = self.clock_of(stream);
        clock.join(&self.host);
        let own = self.streams.get_mut(&stream)?;
        let number = clock.0.entry(stream).or_default();
        *number += 1;
        let number = *number;
        own.clock = clock.clone();
        Some(Work {
            what,
            stream,
            device: own.device,
            number,
            clock,
        })
    }

    /// Notes a use of an allocation, and gives an earlier one that is not over when this begins.
    fn note(
        &mut self,
        allocation: Place,
        by: &Work,
        bytes: Range<u64>,
        writes: bool,
    ) -> Option<Work> {
        let uses = self.uses.entry(allocation).or_default();
        let over = |u: &Use| by.clock.knows(u.by.stream, u.by.number);
        let meets = |u: &Use| u.bytes.start < bytes.end && bytes.start < u.bytes.end;
        let conflict = uses
            .iter()
            .find(|u| (u.writes || writes) && meets(u) && !over(u));
        let conflict = conflict.map(|u| u.by.clone());
        // Who waits for this one has waited for those.
        let stands_for = |u: &Use| {
            over(u)
                && (writes || !u.writes)
                && bytes.start <= u.bytes.start
                && u.bytes.end <= bytes.end
        };
        uses.retain(|u| !stands_for(u));
        if uses.len() >= REMEMBERED {
            uses.remove(0);
        }
        uses.push(Use {
            bytes,
            writes,
            by: by.clone(),
        });
        conflict
    }
}

impl Driver {
    fn order(&self) -> MutexGuard<'_, Order> {
        lock(&self.order)
    }

    /// A new stream on the current device; one that does not block neither waits for the null stream nor holds it up.
    pub fn create_stream(&self, blocking: bool) -> Result<u64, Status> {
        let (handle, device) = (self.handle(), self.current()?);
        let stream = Stream {
            device,
            blocking,
            clock: Clock::default(),
        };
        self.order().streams.insert(handle, stream);
        Ok(handle)
    }

    /// Forgets a stream. Its work goes on, and waiting for the device's null stream waits for that too.
    pub fn destroy_stream(&self, stream: u64) -> Result<(), Status> {
        let mut order = self.order();
        let gone = order
            .streams
            .remove(&stream)
            .ok_or(Status::INVALID_HANDLE)?;
        if let Some(null) = order.streams.get_mut(&(gone.device as u64)) {
            null.clock.join(&gone.clock);
        }
        Ok(())
    }

    /// A stream's key; the null streams are the current device's.
    fn stream(&self, handle: u64) -> Result<u64, Status> {
        match handle {
            0..=2 => Ok(self.current()? as u64),
            _ => Ok(handle),
        }
    }

    /// The device of a stream.
    pub fn stream_device(&self, stream: u64) -> Result<usize, Status> {
        let stream = self.stream(stream)?;
        let device = self.order().streams.get(&stream).map(|s| s.device);
        self.alive(device.ok_or(Status::INVALID_HANDLE)?)
    }

    /// Puts work into a stream.
    pub fn queue(&self, stream: u64, what: &str) -> Result<Work, Status> {
        let stream = self.stream(stream)?;
        let work = self.order().put(stream, what.into());
        let work = work.ok_or(Status::INVALID_HANDLE)?;
        self.alive(work.device).map(|_| work)
    }

    /// Notes that work reads or writes `size` bytes; what is not ordered with an earlier use is reported.
    pub fn uses(&self, work: &Work, place: Place, size: u64, writes: bool) -> Result<(), Status> {
        if !self.configuration.settings.checks.streams || size == 0 {
            return Ok(());
        }
        let (allocation, start) = match place {
            Place::Host(address, block) => (Place::Host(block, block), address),
            Place::Device(address) => {
                let memory = self.read_memory(self.owner(address)?);
                // What is not there is reported by who looks into it.
                let Some(region) = memory.find(address, size) else {
                    return Ok(());
                };
                (Place::Device(region.base), address)
            }
        };
        let conflict = self
            .order()
            .note(allocation, work, start..start + size, writes);
        let Some(earlier) = conflict else {
            return Ok(());
        };
        let name = |w: &Work| match w.stream {
            0..16 => format!("{} on the null stream of device {}", w.what, w.device),
            stream => format!("{} on stream {stream:#x} of device {}", w.what, w.device),
        };
        report(&format!(
            "streams in no order: {} {} {size} bytes at {start:#x}, which {} uses; nothing makes either wait for the other",
            name(work),
            if writes { "writes" } else { "reads" },
            name(&earlier),
        ));
        Err(Status::LAUNCH_FAILED)
    }

    /// [`Driver::uses`], of memory on the work's own device only.
    pub fn uses_own(
        &self,
        work: &Work,
        address: u64,
        size: u64,
        writes: bool,
    ) -> Result<(), Status> {
        let owner = self.owner(address)?;
        if owner != work.device {
            report(&format!(
                "{} on device {} uses {address:#x}, which is memory of device {owner}",
                work.what, work.device
            ));
            return Err(Status::ILLEGAL_ADDRESS);
        }
        self.uses(work, Place::Device(address), size, writes)
    }

    /// Notes that work frees an allocation, which all earlier uses must be over for.
    pub fn frees(&self, work: &Work, address: u64) -> Result<(), Status> {
        let memory = self.read_memory(self.owner(address)?);
        let size = memory.find(address, 1).map_or(0, |region| region.size);
        drop(memory);
        let result = self.uses(work, Place::Device(address), size, true);
        self.forget_uses(Place::Device(address));
        result
    }

    /// Forgets who used an allocation.
    pub fn forget_uses(&self, allocation: Place) {
        self.order().uses.remove(&allocation);
    }

    /// Makes a stream wait for what an event was recorded after.
    pub(super) fn stream_waits(&self, stream: u64, clock: &Clock) -> Result<(), Status> {
        let stream = self.stream(stream)?;
        let mut order = self.order();
        let own = order
            .streams
            .get_mut(&stream)
            .ok_or(Status::INVALID_HANDLE)?;
        own.clock.join(clock);
        Ok(())
    }

    /// What is over when a stream's work so far is.
    pub(super) fn clock_of(&self, stream: u64) -> Result<Clock, Status> {
        let stream = self.stream(stream)?;
        Ok(self.order().clock_of(stream))
    }

    /// Makes the host wait for what an event was recorded after.
    pub(super) fn host_waits(&self, clock: &Clock) {
        self.order().host.join(clock);
    }

    /// Makes the host wait for a stream.
    pub fn wait_for_stream(&self, stream: u64) -> Result<(), Status> {
        self.host_waits(&self.clock_of(stream)?);
        Ok(())
    }

    /// Makes the host wait for all streams of a device.
    pub fn wait_for_device(&self, device: usize) {
        let mut order = self.order();
        let mut all = Clock::default();
        for stream in order.streams.values().filter(|s| s.device == device) {
            all.join(&stream.clock);
        }
        order.host.join(&all);
    }

    /// Whether the host has waited for work.
    pub fn is_over(&self, work: &Work) -> bool {
        self.order().host.knows(work.stream, work.number)
    }

    /// Whether work is over before other work begins.
    pub fn is_before(&self, work: &Work, later: &Work) -> bool {
        later.clock.knows(work.stream, work.number)
    }

    /// Whether the host has waited for all that used an allocation; if not, what it has not waited for is reported.
    pub fn host_may_free(&self, allocation: Place) -> Result<(), Status> {
        let order = self.order();
        let uses = order.uses.get(&allocation).into_iter().flatten();
        let Some(running) = uses
            .map(|u| &u.by)
            .find(|w| !order.host.knows(w.stream, w.number))
        else {
            return Ok(());
        };
        report(&format!(
            "memory freed too early: the host has not waited for {}, which uses it",
            running.what
        ));
        Err(Status::LAUNCH_FAILED)
    }
}
