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
        if self.stream_device(stream)? != *device {
            return Err(Status::INVALID_HANDLE);
        }
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
                FaultKind::Race { .. }
                | FaultKind::DivergentBarrier { .. }
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
