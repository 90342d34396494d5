//! `CUDA_EMULATOR_TRACE`: what was asked of the devices, a line a call, in the order of the calls.

use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;

use super::{Driver, lock, report};

/// A call that launches, copies, waits or synchronises. `Display` gives its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call<'a> {
    /// A kernel; of cuRAND and cuDNN, the function that computes.
    Launch(usize, &'a str),
    /// A matrix product of cuBLAS: m, n, k and how many of them.
    Product(usize, [usize; 4]),
    /// Bytes from host memory.
    CopyToDevice(usize, usize),
    /// Bytes to host memory.
    CopyToHost(usize, usize),
    /// From the first device to the second.
    CopyPeer(usize, usize, usize),
    /// Within a device.
    Copy(usize, usize),
    /// A memset.
    Set(usize, usize),
    /// The host waits for the device.
    Synchronize(usize),
    /// An event is put into a stream.
    Record(usize),
    /// A stream waits for an event; the host does not.
    Wait(usize),
    /// New memory.
    Allocate(usize, usize),
    /// Memory given back.
    Free(usize),
}

impl fmt::Display for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Call::Launch(device, kernel) => write!(f, "launch {device} {kernel}"),
            Call::Product(device, [m, n, k, batch]) => {
                write!(f, "product {device} {m} {n} {k} {batch}")
            }
            Call::CopyToDevice(device, bytes) => write!(f, "copy_to_device {device} {bytes}"),
            Call::CopyToHost(device, bytes) => write!(f, "copy_to_host {device} {bytes}"),
            Call::CopyPeer(from, to, bytes) => write!(f, "copy_peer {from} {to} {bytes}"),
            Call::Copy(device, bytes) => write!(f, "copy {device} {bytes}"),
            Call::Set(device, bytes) => write!(f, "set {device} {bytes}"),
            Call::Synchronize(device) => write!(f, "synchronize {device}"),
            Call::Record(device) => write!(f, "record {device}"),
            Call::Wait(device) => write!(f, "wait {device}"),
            Call::Allocate(device, bytes) => write!(f, "allocate {device} {bytes}"),
            Call::Free(device) => write!(f, "free {device}"),
        }
    }
}

/// Where the lines go, if anywhere.
pub(super) struct Trace(Option<Mutex<File>>);

impl Trace {
    /// Empties the file. One that cannot be written stops the process, so that a test does not pass by accident.
    pub fn open(path: Option<&Path>) -> Trace {
        Trace(path.map(|path| match File::create(path) {
            Ok(file) => Mutex::new(file),
            Err(e) => {
                report(&format!("CUDA_EMULATOR_TRACE={}: {e}", path.display()));
                std::process::exit(1);
            }
        }))
    }
}

impl Driver {
    /// Adds a line, which is in the file when this returns.
    pub fn trace(&self, call: Call<'_>) {
        let Some(file) = &self.trace.0 else { return };
        if let Err(e) = lock(file).write_all(format!("{call}\n").as_bytes()) {
            report(&format!("CUDA_EMULATOR_TRACE: {e}"));
            std::process::exit(1);
        }
    }
}
