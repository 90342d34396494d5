//! The driver's state, in safe Rust: devices, contexts, modules, streams, events. The C functions in
//! [`crate::ffi`] check pointers and call this.
//!
//! Work is done when it is asked for: a stream is empty whenever a call returns. `order` knows what would have been
//! done by then on a GPU.

mod events;
mod inject;
mod memory;
mod modules;
mod order;
mod settings;
mod status;
mod trace;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};

use crate::machine::decode::{Kernel, Program};
use crate::machine::memory::Memory;

pub use inject::{Injected, Peer};
pub use order::{Place, Work};
pub use settings::Configuration;
pub use status::Status;
pub use trace::Call;

/// Threads of a block at most.
pub const MAX_THREADS: u32 = 1024;
/// Shared memory of a block without asking for more, and after asking.
pub const SHARED_DEFAULT: u64 = 48 << 10;
/// See [`SHARED_DEFAULT`].
pub const SHARED_OPT_IN: u64 = 227 << 10;

/// One emulated GPU.
pub struct Device {
    memory: RwLock<Memory>,
    /// Held by the thread whose work the device does.
    work: Mutex<()>,
    /// How often its primary context was retained.
    retained: Mutex<u32>,
    /// Devices whose memory it may reach.
    peers: Mutex<HashSet<usize>>,
    lost: AtomicBool,
}

/// A kernel of a loaded module, on the module's device.
#[derive(Clone)]
pub struct Function {
    /// What runs.
    pub kernel: Arc<Kernel>,
    /// Where it runs.
    pub device: usize,
    /// Dynamic shared memory it may be launched with.
    pub dynamic_limit: u64,
}

struct Module {
    device: usize,
    program: Program,
    globals: HashMap<String, (u64, u64)>,
}

/// Everything the process has.
pub struct Driver {
    /// From the environment.
    pub configuration: Configuration,
    trace: trace::Trace,
    devices: Vec<Device>,
    next: AtomicU64,
    launches: AtomicU64,
    waits: AtomicU64,
    modules: Mutex<HashMap<u64, Module>>,
    functions: Mutex<HashMap<u64, Function>>,
    order: Mutex<order::Order>,
    events: Mutex<HashMap<u64, events::Event>>,
}

thread_local! {
    /// Devices of the thread's stack of contexts, the current one last. Never dropped: what a program drops at the end
    /// of a thread may still ask for it.
    static CONTEXTS: ManuallyDrop<RefCell<Vec<usize>>> =
        const { ManuallyDrop::new(RefCell::new(Vec::new())) };
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The driver of this process.
pub fn driver() -> &'static Driver {
    static DRIVER: OnceLock<Driver> = OnceLock::new();
    DRIVER.get_or_init(|| Driver::new(Configuration::from_environment()))
}

/// Says something to the user. A driver has no other way than standard error.
pub fn report(message: &str) {
    eprintln!("cuda-emulator: {message}");
}

impl Driver {
    /// With devices whose memory is empty.
    pub fn new(configuration: Configuration) -> Driver {
        let device = |d| Device {
            memory: RwLock::new(Memory::new(d, configuration.memory).among(configuration.devices)),
            work: Mutex::default(),
            retained: Mutex::new(0),
            peers: Mutex::default(),
            lost: AtomicBool::new(false),
        };
        Driver {
            order: Mutex::new(order::Order::new(configuration.devices)),
            trace: trace::Trace::open(configuration.trace.as_deref()),
            devices: (0..configuration.devices).map(device).collect(),
            configuration,
            next: AtomicU64::new(1),
            launches: AtomicU64::new(0),
            waits: AtomicU64::new(0),
            modules: Mutex::default(),
            functions: Mutex::default(),
            events: Mutex::default(),
        }
    }

    fn handle(&self) -> u64 {
        self.next.fetch_add(1, Relaxed) << 4
    }

    /// Number of devices.
    pub fn count(&self) -> usize {
        self.devices.len()
    }

    /// Checks a device's number.
    pub fn device(&self, ordinal: i32) -> Result<usize, Status> {
        usize::try_from(ordinal)
            .ok()
            .filter(|d| *d < self.devices.len())
            .ok_or(Status::INVALID_DEVICE)
    }

    /// The device whose context is current in this thread.
    pub fn current(&self) -> Result<usize, Status> {
        self.alive(self.peek_current().ok_or(Status::INVALID_CONTEXT)?)
    }

    /// Makes a device's context current in this thread, in place of the one that was; `None` only takes that away.
    pub fn set_current(&self, device: Option<usize>) {
        self.pop_context();
        if let Some(device) = device {
            self.push_context(device);
        }
    }

    /// Makes a device's context current in this thread until it is popped.
    pub fn push_context(&self, device: usize) {
        CONTEXTS.with(|stack| stack.borrow_mut().push(device));
    }

    /// Makes the context current again that was before the last push, and gives the device of the one that was pushed.
    pub fn pop_context(&self) -> Option<usize> {
        CONTEXTS.with(|stack| stack.borrow_mut().pop())
    }

    /// The device of the current context, for asking what is current.
    pub fn peek_current(&self) -> Option<usize> {
        CONTEXTS.with(|stack| stack.borrow().last().copied())
    }

    /// Lets kernels of the current device reach a peer's memory. To the emulator that stays an error: Tandem's
    /// towers meet in copies only.
    pub fn enable_peer(&self, peer: usize) -> Result<(), Status> {
        let device = self.current()?;
        if !self.can_access_peer(device, peer) {
            return Err(Status::PEER_ACCESS_UNSUPPORTED);
        }
        match lock(&self.devices[device].peers).insert(peer) {
            true => Ok(()),
            false => Err(Status::PEER_ACCESS_ALREADY_ENABLED),
        }
    }

    /// Undoes [`Driver::enable_peer`].
    pub fn disable_peer(&self, peer: usize) -> Result<(), Status> {
        match lock(&self.devices[self.current()?].peers).remove(&peer) {
            true => Ok(()),
            false => Err(Status::PEER_ACCESS_NOT_ENABLED),
        }
    }

    /// Retains a primary context.
    pub fn retain(&self, device: usize) {
        *lock(&self.devices[device].retained) += 1;
    }

    /// Releases a primary context; the last release reports what was not freed.
    pub fn release(&self, device: usize) -> Result<(), Status> {
        let mut retained = lock(&self.devices[device].retained);
        *retained = retained.checked_sub(1).ok_or(Status::INVALID_CONTEXT)?;
        if *retained == 0 {
            self.report_leaks(device);
        }
        Ok(())
    }

    /// Waits until the devices of two addresses do no other thread's work, and keeps it so: what several threads ask of
    /// a device is done one after the other.
    pub fn turn(&self, addresses: [u64; 2]) -> [Option<MutexGuard<'_, ()>>; 2] {
        let [a, b] = addresses.map(|address| self.owner(address).ok());
        let work = |device: Option<usize>| device.map(|d| lock(&self.devices[d].work));
        // The lower device first: two threads do not wait for each other.
        let lower = work(a.min(b));
        [lower, work(a.max(b).filter(|_| a != b))]
    }

    /// Allocations that nobody freed, module variables aside.
    pub fn leaks(&self, device: usize) -> Vec<(u64, u64)> {
        self.leaks_of(&self.read_memory(device))
    }

    fn leaks_of(&self, memory: &Memory) -> Vec<(u64, u64)> {
        let modules = lock(&self.modules);
        let owned: Vec<u64> = modules
            .values()
            .flat_map(|m| m.globals.values().map(|g| g.0))
            .collect();
        let all = memory.leaks();
        all.into_iter()
            .filter(|(base, _)| !owned.contains(base))
            .collect()
    }

    /// Says which memory of a device was not freed; nothing if a kernel still runs on it.
    pub fn report_leaks(&self, device: usize) {
        let Ok(memory) = self.devices[device].memory.try_read() else {
            return;
        };
        let leaks = self.leaks_of(&memory);
        if leaks.is_empty() {
            return;
        }
        let bytes: u64 = leaks.iter().map(|l| l.1).sum();
        report(&format!(
            "leak: {} allocations of {bytes} bytes on device {device} were never freed, the first at {:#x} of {} bytes",
            leaks.len(),
            leaks[0].0,
            leaks[0].1
        ));
    }

    fn read_memory(&self, device: usize) -> RwLockReadGuard<'_, Memory> {
        self.devices[device]
            .memory
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn write_memory(&self, device: usize) -> RwLockWriteGuard<'_, Memory> {
        self.devices[device]
            .memory
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
