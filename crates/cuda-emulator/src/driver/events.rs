//! Events.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use super::order::Clock;
use super::{Driver, Status, lock};

/// An event, of the device that was current when it was made.
pub(super) struct Event {
    device: usize,
    recorded: Option<Recorded>,
}

/// When an event was recorded, and after what.
struct Recorded {
    at: Instant,
    clock: Clock,
}

impl Driver {
    /// A new event on the current device.
    pub fn create_event(&self) -> Result<u64, Status> {
        let (handle, device) = (self.handle(), self.current()?);
        let recorded = None;
        lock(&self.events).insert(handle, Event { device, recorded });
        Ok(handle)
    }

    /// Forgets an event.
    pub fn destroy_event(&self, event: u64) -> Result<(), Status> {
        lock(&self.events)
            .remove(&event)
            .map(|_| ())
            .ok_or(Status::INVALID_HANDLE)
    }

    /// Records an event, in a stream of its own device only.
    pub fn record_event(&self, event: u64, stream: u64) -> Result<(), Status> {
        let (device, clock) = (self.stream_device(stream)?, self.clock_of(stream)?);
        let mut events = lock(&self.events);
        let event = events.get_mut(&event).ok_or(Status::INVALID_HANDLE)?;
        if event.device != device {
            return Err(Status::INVALID_HANDLE);
        }
        let at = Instant::now();
        event.recorded = Some(Recorded { at, clock });
        Ok(())
    }

    /// The device of an event and what it was recorded after, if it was.
    fn recorded(&self, event: u64) -> Result<Option<(usize, Clock)>, Status> {
        let events = lock(&self.events);
        let event = events.get(&event).ok_or(Status::INVALID_HANDLE)?;
        let recorded = event.recorded.as_ref();
        Ok(recorded.map(|r| (event.device, r.clock.clone())))
    }

    /// Makes the host wait for an event; the device that it waited for, unless the event was never recorded.
    pub fn wait_for_event(&self, event: u64) -> Result<Option<usize>, Status> {
        Ok(self.recorded(event)?.map(|(device, clock)| {
            self.host_waits(&clock);
            device
        }))
    }

    /// Makes a stream wait for an event. One that was never recorded holds nobody up.
    pub fn make_stream_wait(&self, stream: u64, event: u64) -> Result<(), Status> {
        let recorded = self.recorded(event)?;
        let before = self.waits.fetch_add(1, Relaxed);
        match recorded {
            Some((_, clock)) if self.configuration.injected.deaf != Some(before) => {
                self.stream_waits(stream, &clock)
            }
            _ => Ok(()),
        }
    }

    /// Milliseconds of the host's clock between two events.
    pub fn elapsed(&self, start: u64, end: u64) -> Result<f32, Status> {
        let events = lock(&self.events);
        let recorded = |event| events.get(&event).and_then(|e: &Event| e.recorded.as_ref());
        let (Some(start), Some(end)) = (recorded(start), recorded(end)) else {
            return Err(Status::INVALID_HANDLE);
        };
        Ok(end.at.saturating_duration_since(start.at).as_secs_f32() * 1e3)
    }
}
