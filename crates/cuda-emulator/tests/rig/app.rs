//! An application: it knows the C functions only.

use std::ffi::{CStr, CString, c_void};
use std::ptr::{null, null_mut};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use cuda_emulator::ffi::{Handle, context::*, copy::*, device::*, memory::*, module::*};

use super::Plain;

/// Tests share the process's driver; one runs at a time, so that each sees its own leaks.
static TURN: Mutex<()> = Mutex::new(());

/// An application on two devices.
pub struct App {
    pub contexts: [Handle; 2],
    _turn: MutexGuard<'static, ()>,
}

pub fn ok(status: i32) {
    assert_eq!(status, 0, "{}", error_name(status));
}

pub fn error_name(status: i32) -> String {
    let mut name = null();
    unsafe {
        cuGetErrorName(status, &mut name);
        if name.is_null() {
            status.to_string()
        } else {
            CStr::from_ptr(name).to_string_lossy().into_owned()
        }
    }
}

/// What stands before [`module`]'s text.
pub const HEAD: &str = ".version 8.0\n.target sm_80\n.address_size 64\n";

/// A module of this PTX.
pub fn module(text: &str) -> Handle {
    whole_module(format!("{HEAD}{text}"))
}

/// A module of a text that has its own head.
fn whole_module(text: String) -> Handle {
    let text = CString::new(text).unwrap();
    let mut m = null_mut();
    unsafe { ok(cuModuleLoadData(&mut m, text.as_ptr().cast())) };
    m
}

/// A kernel of a module.
pub fn function(m: Handle, name: &str) -> Handle {
    let name = CString::new(name).unwrap();
    let mut f = null_mut();
    unsafe { ok(cuModuleGetFunction(&mut f, m, name.as_ptr())) };
    f
}

const INCREMENT: &str = ".entry inc(.param .u64 p) { .reg .pred %p<2>; .reg .b32 %r<4>; .reg .b64 %rd<2>; ld.param.u64 %rd1,[p]; mov.u32 %r2,0; $l: ld.global.u32 %r1,[%rd1]; add.u32 %r1,%r1,1; st.global.u32 [%rd1],%r1; add.u32 %r2,%r2,1; setp.lt.u32 %p1,%r2,50; @%p1 bra $l; ret; }";

/// A kernel that adds one to a word fifty times.
pub fn increment() -> Handle {
    function(module(INCREMENT), "inc")
}

/// Launches a kernel in any shape.
pub fn launch(
    f: Handle,
    grid: [u32; 3],
    block: [u32; 3],
    shared: u32,
    stream: Handle,
    arguments: &mut [u64],
) -> i32 {
    let mut pointers: Vec<*mut c_void> = arguments
        .iter_mut()
        .map(|a| (a as *mut u64).cast())
        .collect();
    unsafe {
        cuLaunchKernel(
            f,
            grid[0],
            grid[1],
            grid[2],
            block[0],
            block[1],
            block[2],
            shared,
            stream,
            pointers.as_mut_ptr(),
            null_mut(),
        )
    }
}

impl App {
    pub fn start() -> App {
        static ONCE: Once = Once::new();
        // SAFETY: it happens once, before any other thread of this test reads the environment.
        ONCE.call_once(|| unsafe { std::env::set_var("CUDA_EMULATOR_DEVICES", "2") });
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut contexts = [null_mut(); 2];
        unsafe {
            ok(cuInit(0));
            for (d, context) in contexts.iter_mut().enumerate() {
                let mut device = -1;
                ok(cuDeviceGet(&mut device, d as i32));
                ok(cuDevicePrimaryCtxRetain(context, device));
            }
        }
        let app = App {
            contexts,
            _turn: turn,
        };
        app.on(0);
        app
    }

    pub fn on(&self, device: usize) {
        unsafe { ok(cuCtxSetCurrent(self.contexts[device])) };
    }

    pub fn upload<T: Plain>(&self, values: &[T]) -> u64 {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.bytes()).collect();
        let mut address = 0;
        unsafe {
            ok(cuMemAlloc_v2(&mut address, bytes.len()));
            ok(cuMemcpyHtoD_v2(address, bytes.as_ptr().cast(), bytes.len()));
            // From memory that is not pinned the call returns when the bytes are on their way.
            ok(cuCtxSynchronize());
        }
        address
    }

    pub fn download<T: Plain>(&self, address: u64, count: usize) -> Result<Vec<T>, String> {
        let mut bytes = vec![0u8; count * size_of::<T>()];
        match unsafe { cuMemcpyDtoH_v2(bytes.as_mut_ptr().cast(), address, bytes.len()) } {
            0 => Ok(bytes.chunks(size_of::<T>()).map(T::from_bytes).collect()),
            status => Err(error_name(status)),
        }
    }

    pub fn kernel(&self, file: &str, name: &str) -> Handle {
        function(whole_module(super::text(file)), name)
    }

    /// On the null stream.
    pub fn launch(
        &self,
        function: Handle,
        blocks: u32,
        threads: u32,
        arguments: &mut [u64],
    ) -> i32 {
        self.launch_on(null_mut(), function, blocks, threads, arguments)
    }

    pub fn launch_on(
        &self,
        stream: Handle,
        function: Handle,
        blocks: u32,
        threads: u32,
        arguments: &mut [u64],
    ) -> i32 {
        let (grid, block) = ([blocks, 1, 1], [threads, 1, 1]);
        launch(function, grid, block, 0, stream, arguments)
    }
}

impl Drop for App {
    fn drop(&mut self) {
        for device in 0..2 {
            unsafe { cuDevicePrimaryCtxRelease_v2(device) };
        }
    }
}
