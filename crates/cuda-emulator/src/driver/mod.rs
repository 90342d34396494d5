//! The driver's state, in safe Rust: devices, contexts, modules, streams, events. The C functions in
//! [`crate::ffi`] check pointers and call this.
//!
//! Work is done when it is asked for: a stream is empty whenever a call returns.

mod settings;
mod status;

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};
use std::time::Instant;

use crate::checks::FaultKind;
use crate::machine::decode::{Kernel, Program, decode};
use crate::machine::launch::{Geometry, launch};
use crate::machine::memory::{Memory, Missing};
use crate::machine::region::Region;
use crate::ptx::{self, Initial, Space};

pub use settings::Configuration;
pub use status::Status;

/// Threads of a block at most.
pub const MAX_THREADS: u32 = 1024;
/// Shared memory of a block without asking for more, and after asking.
pub const SHARED_DEFAULT: u64 = 48 << 10;
/// See [`SHARED_DEFAULT`].
pub const SHARED_OPT_IN: u64 = 227 << 10;

/// One emulated GPU.
pub struct Device {
    memory: RwLock<Memory>,
    /// How often its primary context was retained.
    retained: Mutex<u32>,
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
    devices: Vec<Device>,
    next: AtomicU64,
    modules: Mutex<HashMap<u64, Module>>,
    functions: Mutex<HashMap<u64, Function>>,
    streams: Mutex<HashMap<u64, usize>>,
    events: Mutex<HashMap<u64, Option<Instant>>>,
}

thread_local! {
    static CURRENT: Cell<Option<usize>> = const { Cell::new(None) };
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
            memory: RwLock::new(Memory::new(d, configuration.memory)),
            retained: Mutex::new(0),
        };
        Driver {
            devices: (0..configuration.devices).map(device).collect(),
            configuration,
            next: AtomicU64::new(1),
            modules: Mutex::default(),
            functions: Mutex::default(),
            streams: Mutex::default(),
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
        CURRENT.get().ok_or(Status::INVALID_CONTEXT)
    }

    /// Makes a device's context current in this thread; `None` leaves the thread without.
    pub fn set_current(&self, device: Option<usize>) {
        CURRENT.set(device);
    }

    /// The device of the current context, for asking what is current.
    pub fn peek_current(&self) -> Option<usize> {
        CURRENT.get()
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

    /// Allocations that nobody freed, module variables aside.
    pub fn leaks(&self, device: usize) -> Vec<(u64, u64)> {
        let modules = lock(&self.modules);
        let owned: Vec<u64> = modules
            .values()
            .flat_map(|m| m.globals.values().map(|g| g.0))
            .collect();
        let all = self.read_memory(device).leaks();
        all.into_iter()
            .filter(|(base, _)| !owned.contains(base))
            .collect()
    }

    /// Says which memory of a device was not freed.
    pub fn report_leaks(&self, device: usize) {
        let leaks = self.leaks(device);
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

    /// Free and total bytes of a device.
    pub fn memory_info(&self, device: usize) -> (u64, u64) {
        self.read_memory(device).info()
    }

    /// New memory on a device.
    pub fn allocate(&self, device: usize, size: u64) -> Result<u64, Status> {
        if size == 0 {
            return Err(Status::INVALID_VALUE);
        }
        self.write_memory(device)
            .allocate(size)
            .ok_or(Status::OUT_OF_MEMORY)
    }

    /// Gives memory back.
    pub fn free(&self, address: u64) -> Result<(), Status> {
        if address == 0 {
            return Ok(());
        }
        let device = Memory::owner(address)
            .filter(|d| *d < self.devices.len())
            .ok_or(Status::INVALID_VALUE)?;
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
        let device = Memory::owner(address).filter(|d| *d < self.devices.len());
        let Some(device) = device else {
            report(&format!(
                "{what} at {address:#x}, which is no device address"
            ));
            return Err(Status::INVALID_VALUE);
        };
        let memory = self.read_memory(device);
        match memory.find(address, size) {
            Some(region) => f(region, address - region.base),
            None => {
                let why = match memory.missing(address) {
                    Missing::Freed => "which was freed".to_string(),
                    Missing::Device(other) => format!("which is memory of device {other}"),
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
        self.with(to, size, "copy to device memory", |target, at| {
            self.with(from, size, "copy from device memory", |source, offset| {
                target.copy_from(at, source, offset, size);
                Ok(())
            })
        })
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

    /// Parses a module, places its variables and decodes its kernels.
    pub fn load_module(&self, device: usize, text: &str) -> Result<u64, Status> {
        let invalid = |e: ptx::PtxError| {
            report(&e.to_string());
            Status::INVALID_PTX
        };
        let parsed = ptx::parse(text).map_err(invalid)?;
        let mut globals = HashMap::new();
        for variable in parsed
            .variables
            .iter()
            .filter(|v| v.space != Space::Shared && v.size > 0)
        {
            globals.insert(
                variable.name.clone(),
                (self.allocate(device, variable.size)?, variable.size),
            );
        }
        let addresses = globals
            .iter()
            .map(|(name, place)| (name.clone(), place.0))
            .collect();
        for variable in &parsed.variables {
            let Some(&(address, size)) = globals.get(&variable.name) else {
                continue;
            };
            let mut bytes = Vec::new();
            for value in &variable.initial {
                let bits = match value {
                    Initial::Bits(bits) => *bits,
                    Initial::Address(name, offset) => globals
                        .get(name)
                        .map_or(0, |g| g.0)
                        .wrapping_add(*offset as u64),
                };
                bytes.extend(&bits.to_le_bytes()[..variable.ty.bytes().min(8) as usize]);
            }
            // Module variables without a value start as zero, and a value may be shorter than its variable.
            bytes.resize(size as usize, 0);
            self.write(address, &bytes)?;
            if variable.space == Space::Const {
                self.write_memory(device).protect(address);
            }
        }
        let program = decode(&parsed, &addresses).map_err(invalid)?;
        let handle = self.handle();
        lock(&self.modules).insert(
            handle,
            Module {
                device,
                program,
                globals,
            },
        );
        Ok(handle)
    }

    /// Unloads a module and frees its variables.
    pub fn unload_module(&self, handle: u64) -> Result<(), Status> {
        let module = lock(&self.modules)
            .remove(&handle)
            .ok_or(Status::INVALID_HANDLE)?;
        module
            .globals
            .values()
            .try_for_each(|(address, _)| self.free(*address))
    }

    /// A kernel by name.
    pub fn function(&self, module: u64, name: &str) -> Result<u64, Status> {
        let modules = lock(&self.modules);
        let module = modules.get(&module).ok_or(Status::INVALID_HANDLE)?;
        let kernel = module.program.kernels.get(name).ok_or(Status::NOT_FOUND)?;
        let handle = self.handle();
        let function = Function {
            kernel: kernel.clone(),
            device: module.device,
            dynamic_limit: SHARED_DEFAULT,
        };
        lock(&self.functions).insert(handle, function);
        Ok(handle)
    }

    /// Address and size of a module's variable.
    pub fn global(&self, module: u64, name: &str) -> Result<(u64, u64), Status> {
        let modules = lock(&self.modules);
        let module = modules.get(&module).ok_or(Status::INVALID_HANDLE)?;
        module.globals.get(name).copied().ok_or(Status::NOT_FOUND)
    }

    /// What a function handle stands for.
    pub fn lookup(&self, function: u64) -> Result<Function, Status> {
        lock(&self.functions)
            .get(&function)
            .cloned()
            .ok_or(Status::INVALID_HANDLE)
    }

    /// Allows more dynamic shared memory.
    pub fn allow_shared(&self, function: u64, bytes: u64) -> Result<(), Status> {
        let mut functions = lock(&self.functions);
        let function = functions.get_mut(&function).ok_or(Status::INVALID_HANDLE)?;
        if bytes + function.kernel.static_shared_bytes > SHARED_OPT_IN {
            return Err(Status::INVALID_VALUE);
        }
        function.dynamic_limit = bytes;
        Ok(())
    }

    /// Runs a kernel now. A fault is reported and becomes the status a GPU would give.
    pub fn launch(
        &self,
        function: &Function,
        geometry: Geometry,
        parameters: Vec<u8>,
    ) -> Result<(), Status> {
        let Function {
            kernel,
            device,
            dynamic_limit,
        } = function;
        let threads = geometry
            .block
            .iter()
            .map(|&n| u64::from(n))
            .product::<u64>();
        let limit = kernel.max_threads.unwrap_or(MAX_THREADS).min(MAX_THREADS);
        let too_much_shared = u64::from(geometry.shared_bytes) + kernel.static_shared_bytes
            > SHARED_DEFAULT
            && u64::from(geometry.shared_bytes) > *dynamic_limit;
        if threads == 0 || geometry.blocks() == 0 || threads > u64::from(limit) || too_much_shared {
            report(&format!(
                "launch of {} with grid {:?}, block {:?} and {} bytes of shared memory is not valid",
                kernel.name, geometry.grid, geometry.block, geometry.shared_bytes
            ));
            return Err(Status::INVALID_VALUE);
        }
        let memory = self.read_memory(*device);
        launch(
            kernel,
            &memory,
            *device,
            geometry,
            parameters,
            self.configuration.settings,
        )
        .map_err(|fault| {
            report(&fault.to_string());
            match fault.kind {
                FaultKind::Misaligned { .. } => Status::MISALIGNED_ADDRESS,
                FaultKind::Trap { .. } => Status::ASSERT,
                FaultKind::Race { .. }
                | FaultKind::DivergentBarrier { .. }
                | FaultKind::Unsupported { .. } => Status::LAUNCH_FAILED,
                _ => Status::ILLEGAL_ADDRESS,
            }
        })
    }

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
        lock(&self.streams)
            .get(&stream)
            .copied()
            .ok_or(Status::INVALID_HANDLE)
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
    pub fn record_event(&self, event: u64) -> Result<(), Status> {
        let mut events = lock(&self.events);
        *events.get_mut(&event).ok_or(Status::INVALID_HANDLE)? = Some(Instant::now());
        Ok(())
    }

    /// Whether an event exists.
    pub fn check_event(&self, event: u64) -> Result<(), Status> {
        lock(&self.events)
            .get(&event)
            .map(|_| ())
            .ok_or(Status::INVALID_HANDLE)
    }

    /// Milliseconds of the host's clock between two events.
    pub fn elapsed(&self, start: u64, end: u64) -> Result<f32, Status> {
        let events = lock(&self.events);
        match (events.get(&start), events.get(&end)) {
            (Some(Some(start)), Some(Some(end))) => {
                Ok(end.saturating_duration_since(*start).as_secs_f32() * 1e3)
            }
            _ => Err(Status::INVALID_HANDLE),
        }
    }
}
