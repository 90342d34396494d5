//! Modules, functions and launches.

use std::ffi::{c_char, c_int, c_uint, c_void};

use super::{CuDevicePtr, CuResult, Handle, code, handle, id, put, put_if_wanted};
use crate::driver::{Status, driver};

use std::ffi::CStr;

use crate::driver::report;
use crate::machine::launch::Geometry;

/// `cuModuleLoadData` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleLoadData(module: *mut Handle, image: *const c_void) -> CuResult {
    if image.is_null() {
        return Status::INVALID_VALUE.0;
    }
    // SAFETY: the caller gives PTX as a zero-terminated text, or an image that starts with four bytes of magic.
    let magic = unsafe { std::slice::from_raw_parts(image.cast::<u8>(), 4) };
    if magic == b"\x7fELF" || magic == 0xba55_ed50u32.to_le_bytes() {
        report("this module is machine code of a GPU; the emulator runs PTX only");
        return Status::NO_BINARY_FOR_GPU.0;
    }
    // SAFETY: as above; it is no binary, so it is text.
    let text = unsafe { CStr::from_ptr(image.cast()) };
    code((|| {
        let text = text.to_str().map_err(|_| Status::INVALID_PTX)?;
        let loaded = driver().load_module(driver().current()?, text)?;
        // SAFETY: the caller vouches for the pointer.
        unsafe { put(module, handle(loaded)) }
    })())
}

/// `cuModuleLoadDataEx` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleLoadDataEx(
    module: *mut Handle,
    image: *const c_void,
    _count: c_uint,
    _options: *mut c_int,
    _values: *mut *mut c_void,
) -> CuResult {
    // SAFETY: the same as ours.
    unsafe { cuModuleLoadData(module, image) }
}

/// `cuModuleLoad` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleLoad(module: *mut Handle, path: *const c_char) -> CuResult {
    // SAFETY: the caller gives a zero-terminated path.
    let path = unsafe { CStr::from_ptr(path) }
        .to_string_lossy()
        .into_owned();
    code((|| {
        let text = std::fs::read_to_string(path).map_err(|_| Status::NOT_FOUND)?;
        let loaded = driver().load_module(driver().current()?, &text)?;
        // SAFETY: the caller vouches for the pointer.
        unsafe { put(module, handle(loaded)) }
    })())
}

/// `cuModuleUnload` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleUnload(module: Handle) -> CuResult {
    code(driver().unload_module(id(module)))
}

/// `cuModuleGetFunction` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleGetFunction(
    function: *mut Handle,
    module: Handle,
    name: *const c_char,
) -> CuResult {
    // SAFETY: the caller gives a zero-terminated name.
    let name = unsafe { CStr::from_ptr(name) }.to_string_lossy();
    // SAFETY: the caller vouches for the pointer.
    code(
        driver()
            .function(id(module), &name)
            .and_then(|f| unsafe { put(function, handle(f)) }),
    )
}

/// `cuModuleGetGlobal_v2` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleGetGlobal_v2(
    address: *mut CuDevicePtr,
    size: *mut usize,
    module: Handle,
    name: *const c_char,
) -> CuResult {
    // SAFETY: the caller gives a zero-terminated name.
    let name = unsafe { CStr::from_ptr(name) }.to_string_lossy();
    code(driver().global(id(module), &name).map(|(base, bytes)| {
        // SAFETY: the caller vouches for the pointers, either of which may be null.
        unsafe {
            put_if_wanted(address, base);
            put_if_wanted(size, bytes as usize);
        }
    }))
}

/// `cuFuncGetAttribute` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuFuncGetAttribute(
    value: *mut c_int,
    attribute: c_int,
    function: Handle,
) -> CuResult {
    code(driver().lookup(id(function)).and_then(|f| {
        let known = match attribute {
            0 => f.kernel.max_threads.unwrap_or(1024) as c_int, // MAX_THREADS_PER_BLOCK
            1 => f.kernel.static_shared_bytes as c_int,         // SHARED_SIZE_BYTES
            3 => f.kernel.local_bytes() as c_int,               // LOCAL_SIZE_BYTES
            4 => 32,                                            // NUM_REGS
            5 | 6 => 90,                                        // PTX_VERSION, BINARY_VERSION
            8 => f.dynamic_limit as c_int,                      // MAX_DYNAMIC_SHARED_SIZE_BYTES
            _ => 0,
        };
        // SAFETY: the caller vouches for the pointer.
        unsafe { put(value, known) }
    }))
}

/// `cuFuncSetAttribute` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuFuncSetAttribute(
    function: Handle,
    attribute: c_int,
    value: c_int,
) -> CuResult {
    code(match attribute {
        8 => driver().allow_shared(id(function), value.max(0) as u64),
        _ => driver().lookup(id(function)).map(|_| ()),
    })
}

/// `cuFuncSetCacheConfig` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuFuncSetCacheConfig(function: Handle, _config: c_int) -> CuResult {
    code(driver().lookup(id(function)).map(|_| ()))
}

/// `cuLaunchKernel` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments)]
pub unsafe extern "C" fn cuLaunchKernel(
    function: Handle,
    gx: c_uint,
    gy: c_uint,
    gz: c_uint,
    bx: c_uint,
    by: c_uint,
    bz: c_uint,
    shared_bytes: c_uint,
    stream: Handle,
    parameters: *mut *mut c_void,
    extra: *mut *mut c_void,
) -> CuResult {
    code((|| {
        let function = driver().lookup(id(function))?;
        if !extra.is_null() {
            report("launch parameters in a buffer (`extra`) are not supported");
            return Err(Status::NOT_SUPPORTED);
        }
        if parameters.is_null() && !function.kernel.parameters.is_empty() {
            return Err(Status::INVALID_VALUE);
        }
        let mut block = vec![0u8; function.kernel.parameter_bytes as usize];
        for (i, parameter) in function.kernel.parameters.iter().enumerate() {
            let target = &mut block[parameter.offset as usize..][..parameter.size as usize];
            // SAFETY: the caller gives a pointer for each parameter of the kernel, to as many bytes as it has.
            unsafe {
                let source = *parameters.add(i);
                std::ptr::copy_nonoverlapping(
                    source.cast::<u8>(),
                    target.as_mut_ptr(),
                    target.len(),
                );
            }
        }
        let geometry = Geometry {
            grid: [gx, gy, gz],
            block: [bx, by, bz],
            shared_bytes,
        };
        driver().launch(&function, id(stream), geometry, block)
    })())
}

/// `cuOccupancyMaxActiveBlocksPerMultiprocessor` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuOccupancyMaxActiveBlocksPerMultiprocessor(
    blocks: *mut c_int,
    function: Handle,
    threads: c_int,
    _dynamic: usize,
) -> CuResult {
    code(driver().lookup(id(function)).and_then(|_| {
        // SAFETY: the caller vouches for the pointer.
        unsafe { put(blocks, (2048 / threads.max(1)).min(32)) }
    }))
}
