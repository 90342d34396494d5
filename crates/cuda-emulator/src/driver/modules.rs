//! Modules, their variables and functions, and launches.

use std::collections::HashMap;

use crate::checks::FaultKind;
use crate::machine::decode::decode;
use crate::machine::launch::{Geometry, launch};
use crate::ptx::{self, Initial, Space};

use super::{
    Call, Driver, Function, MAX_THREADS, Module, Place, SHARED_DEFAULT, SHARED_OPT_IN, Status,
    lock, report,
};

/// Blocks of a grid along x, y, z at most.
const MAX_GRID: [u32; 3] = [i32::MAX as u32, 65535, 65535];
/// Threads of a block along x, y, z at most.
const MAX_BLOCK: [u32; 3] = [MAX_THREADS, MAX_THREADS, 64];

fn exceeds(sizes: [u32; 3], limits: [u32; 3]) -> bool {
    sizes.iter().zip(limits).any(|(&size, limit)| size > limit)
}

impl Driver {
    /// Parses a module, places its variables and decodes its kernels.
    pub fn load_module(&self, device: usize, text: &str) -> Result<u64, Status> {
        let invalid = |e: ptx::PtxError| {
            report(&e.to_string());
            Status::INVALID_PTX
        };
        let parsed = ptx::parse(text).map_err(invalid)?;
        let newest = self.configuration.injected.newest_ptx();
        if newest.is_some_and(|newest| parsed.version > newest) {
            return Err(Status::UNSUPPORTED_PTX_VERSION);
        }
        let mut globals = HashMap::new();
        let placed = self.place_variables(device, &parsed, &mut globals);
        let addresses = globals.iter().map(|(name, place)| (name.clone(), place.0));
        let addresses = addresses.collect();
        let program = match placed.and_then(|()| decode(&parsed, &addresses).map_err(invalid)) {
            Ok(program) => program,
            Err(status) => {
                globals.values().try_for_each(|g| self.free(g.0))?;
                return Err(status);
            }
        };
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

    /// Gives a module's variables memory and their first values.
    fn place_variables(
        &self,
        device: usize,
        module: &ptx::Module,
        globals: &mut HashMap<String, (u64, u64)>,
    ) -> Result<(), Status> {
        for variable in module
            .variables
            .iter()
            .filter(|v| v.space != Space::Shared && v.size > 0)
        {
            let address = self.allocate(device, variable.size)?;
            globals.insert(variable.name.clone(), (address, variable.size));
        }
        for variable in &module.variables {
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
        Ok(())
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
        stream: u64,
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
            .fold(1u64, |all, &n| all.saturating_mul(n.into()));
        let limit = kernel.max_threads.unwrap_or(MAX_THREADS).min(MAX_THREADS);
        let shared = u64::from(geometry.shared_bytes) + kernel.static_shared_bytes;
        // Without asking for more, static and dynamic memory together have the default.
        let allowed = match *dynamic_limit {
            SHARED_DEFAULT => SHARED_DEFAULT,
            asked => asked + kernel.static_shared_bytes,
        };
        let too_much_shared = shared > allowed.max(SHARED_DEFAULT) || shared > SHARED_OPT_IN;
        if geometry.grid.contains(&0)
            || threads == 0
            || threads > u64::from(limit)
            || exceeds(geometry.grid, MAX_GRID)
            || exceeds(geometry.block, MAX_BLOCK)
            || too_much_shared
        {
            report(&format!(
                "launch of {} with grid {:?}, block {:?} and {} bytes of shared memory is not valid",
                kernel.name, geometry.grid, geometry.block, geometry.shared_bytes
            ));
            return Err(Status::INVALID_VALUE);
        }
        if self.stream_device(stream)? != *device {
            return Err(Status::INVALID_HANDLE);
        }
        let _turn = lock(&self.devices[*device].work);
        self.survive_launch(*device)?;
        let work = self.queue(stream, &kernel.name)?;
        self.trace(Call::Launch(*device, &kernel.name));
        let memory = self.read_memory(*device);
        let touched = launch(
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
                FaultKind::Endless { .. } => Status::LAUNCH_TIMEOUT,
                FaultKind::Race { .. }
                | FaultKind::DivergentBarrier { .. }
                | FaultKind::InvalidBarrier { .. }
                | FaultKind::Unsupported { .. } => Status::LAUNCH_FAILED,
                _ => Status::ILLEGAL_ADDRESS,
            }
        })?;
        drop(memory);
        touched.iter().try_for_each(|touch| {
            self.uses(&work, Place::Device(touch.base), touch.size, touch.writes)
        })
    }
}
