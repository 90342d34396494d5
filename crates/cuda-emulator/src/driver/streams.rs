//! Streams and events.

use std::time::Instant;

use super::{Driver, Status, lock};

/// Where and when an event was recorded.
#[derive(Debug, Clone, Copy)]
pub struct Recorded {
    /// Of the stream it was put into.
    pub device: usize,
    at: Instant,
}

impl Driver {
    /// A new stream on the current device.
    pub fn create_stream(&self) -> Result<u64, Status> {
        let (handle, device) = (self.handle(), self.current()?);
        lock(&self.streams).insert(handle, device);
        Ok(handle)
    }

    /// Forgets a stream.
    pub fn destroy_stream(&self, stream: u64) -> Result<(), Status> {
        lock(&self.streams)
            .remove(&stream)
            .map(|_| ())
            .ok_or(Status::INVALID_HANDLE)
    }

    /// The device of a stream; the null streams are the current device's.
    pub fn stream_device(&self, stream: u64) -> Result<usize, Status> {
        if stream <= 2 {
            return self.current();
        }
        let streams = lock(&self.streams);
        self.alive(*streams.get(&stream).ok_or(Status::INVALID_HANDLE)?)
    }

    /// A new event.
    pub fn create_event(&self) -> u64 {
        let handle = self.handle();
        lock(&self.events).insert(handle, None);
        handle
    }

    /// Forgets an event.
    pub fn destroy_event(&self, event: u64) -> Result<(), Status> {
        lock(&self.events)
            .remove(&event)
            .map(|_| ())
            .ok_or(Status::INVALID_HANDLE)
    }

    /// Records an event: everything before it is done already.
    pub fn record_event(&self, event: u64, device: usize) -> Result<(), Status> {
        let mut events = lock(&self.events);
        let at = Instant::now();
        *events.get_mut(&event).ok_or(Status::INVALID_HANDLE)? = Some(Recorded { device, at });
        Ok(())
    }

    /// Where an event was last recorded, if it was.
    pub fn check_event(&self, event: u64) -> Result<Option<Recorded>, Status> {
        lock(&self.events)
            .get(&event)
            .copied()
            .ok_or(Status::INVALID_HANDLE)
    }

    /// Milliseconds of the host's clock between two events.
    pub fn elapsed(&self, start: u64, end: u64) -> Result<f32, Status> {
        let events = lock(&self.events);
        match (events.get(&start), events.get(&end)) {
            (Some(Some(start)), Some(Some(end))) => {
                Ok(end.at.saturating_duration_since(start.at).as_secs_f32() * 1e3)
            }
            _ => Err(Status::INVALID_HANDLE),
        }
    }
}
