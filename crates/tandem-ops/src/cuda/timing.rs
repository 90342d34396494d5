//! How long each kernel takes on the GPU, and how fast the GPU copies memory: for `tandem bench`.

use super::launch::Buffer;
use crate::error::OpError;
use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::{CudaEvent, sys::CUevent_flags};
use candle_core::{CudaDevice, Device, Result};
use std::cell::RefCell;

/// One kernel, or one matrix product, as the GPU ran it.
#[derive(Clone, Debug, PartialEq)]
pub struct Timed {
    /// The entry point, or `product`.
    pub name: String,
    pub seconds: f64,
    /// What it must move: its inputs read once and its outputs written once.
    pub bytes: u64,
    /// Multiplications and additions of a product; 0 of a kernel.
    pub operations: u64,
}

/// Work on the stream between two events.
struct Span {
    name: String,
    bytes: u64,
    operations: u64,
    events: [CudaEvent; 2],
}

thread_local! {
    /// What this thread has queued since [`Meter::time`] began; `None` when nothing is timed.
    static SPANS: RefCell<Option<Vec<Span>>> = const { RefCell::new(None) };
}

/// Queues `work`, between two events where this thread is timing. `what` gives name, bytes and
/// operations.
pub(super) fn spanned<V>(
    device: &CudaDevice,
    what: impl FnOnce() -> (String, u64, u64),
    work: impl FnOnce() -> Result<V>,
) -> Result<V> {
    if SPANS.with_borrow(Option::is_none) {
        return work();
    }
    let start = event(device)?;
    let value = work()?;
    let events = [start, event(device)?];
    let (name, bytes, operations) = what();
    let span = Span {
        name,
        bytes,
        operations,
        events,
    };
    SPANS.with_borrow_mut(|spans| spans.get_or_insert_default().push(span));
    Ok(value)
}

/// An event after what is in the device's queue.
fn event(device: &CudaDevice) -> Result<CudaEvent> {
    let flags = Some(CUevent_flags::CU_EVENT_DEFAULT);
    device.cuda_stream().record_event(flags).w()
}

/// Times work on one GPU.
///
/// Before each piece of work a buffer larger than the GPU's second cache is written. That clears
/// the cache of what the last piece left there, and keeps the GPU busy while the host queues, so
/// that the time between two events is the kernel's and not the host's. What is left of that
/// writing in the cache is written back at the cost of the work, of a copy as well as of a kernel.
pub struct Meter {
    device: CudaDevice,
    from: Buffer<u8>,
    to: Buffer<u8>,
}

impl Meter {
    /// # Errors
    /// When `device` is no GPU, or has no room for two buffers of [`Meter::copied`] bytes.
    pub fn new(device: &Device) -> Result<Self> {
        let Device::Cuda(device) = device else {
            let device = format!("{:?}", device.location());
            return Err(OpError::Device {
                op: "timing of kernels",
                device,
            }
            .into());
        };
        // 256 MiB is five times the second cache of a Hopper; a small GPU has a small cache.
        let total = device.cuda_stream().context().total_mem().w()?;
        let len = (total / 128).clamp(1 << 20, 256 << 20);
        let mut meter = Self {
            device: device.clone(),
            from: Buffer::new(device, len)?,
            to: Buffer::new(device, len)?,
        };
        meter.flush()?;
        meter.device.cuda_stream().synchronize().w()?;
        Ok(meter)
    }

    /// The GPU's name, as its driver gives it.
    pub fn name(&self) -> Result<String> {
        self.device.cuda_stream().context().name().w()
    }

    /// Bytes of the buffer that [`Meter::copy`] copies.
    pub fn copied(&self) -> usize {
        self.from.slice.len()
    }

    fn flush(&mut self) -> Result<()> {
        let stream = self.device.cuda_stream();
        stream.memset_zeros(&mut self.from.slice).w()
    }

    /// A copy from device memory to device memory.
    pub fn copy(&mut self) -> Result<Timed> {
        let (device, len) = (self.device.clone(), self.copied());
        self.flush()?;
        let (from, to) = (&self.from.slice, &mut self.to.slice);
        let work = || {
            let what = || ("copy".to_owned(), 2 * len as u64, 0);
            let copy = || device.cuda_stream().memcpy_dtod(from, to).w();
            spanned(&device, what, copy)
        };
        let all = collect(&self.device, work)?;
        let copy = all.into_iter().next();
        copy.ok_or_else(|| candle_core::Error::msg("a copy that was timed left no time"))
    }

    /// Each kernel that `work` queues on this GPU from this thread, in order.
    pub fn time(&mut self, work: impl FnOnce() -> Result<()>) -> Result<Vec<Timed>> {
        self.flush()?;
        collect(&self.device, work)
    }
}

/// Runs `work`, waits for the device, and reads the events.
fn collect(device: &CudaDevice, work: impl FnOnce() -> Result<()>) -> Result<Vec<Timed>> {
    SPANS.set(Some(Vec::new()));
    let done = work();
    let spans = SPANS.take().unwrap_or_default();
    done?;
    device.cuda_stream().synchronize().w()?;
    let timed = spans.into_iter().map(|span| {
        let [start, end] = span.events;
        Ok(Timed {
            name: span.name,
            seconds: f64::from(start.elapsed_ms(&end).w()?) / 1000.0,
            bytes: span.bytes,
            operations: span.operations,
        })
    });
    timed.collect()
}
