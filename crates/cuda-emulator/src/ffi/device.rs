//! Initialisation, errors by name, and what a device says of itself.

use std::ffi::{c_char, c_int, c_uint, c_void};

use super::{CuDevice, CuResult, code, put};
use crate::driver::{Status, driver};

/// Values of `CUdevice_attribute` that the emulator gives: those of a middling GPU of compute capability 9.0.
fn attribute(device: usize, attribute: c_int) -> c_int {
    match attribute {
        1 => 1024,             // MAX_THREADS_PER_BLOCK
        2 | 3 => 1024,         // MAX_BLOCK_DIM_X, Y
        4 => 64,               // MAX_BLOCK_DIM_Z
        5 => i32::MAX,         // MAX_GRID_DIM_X
        6 | 7 => 65535,        // MAX_GRID_DIM_Y, Z
        8 => 48 << 10,         // MAX_SHARED_MEMORY_PER_BLOCK
        9 => 64 << 10,         // TOTAL_CONSTANT_MEMORY
        10 => 32,              // WARP_SIZE
        12 | 82 => 65536,      // MAX_REGISTERS_PER_BLOCK, PER_MULTIPROCESSOR
        13 => 1_000_000,       // CLOCK_RATE
        15 => 1,               // GPU_OVERLAP
        16 => 4,               // MULTIPROCESSOR_COUNT
        19 | 31 | 41 => 1,     // CAN_MAP_HOST_MEMORY, CONCURRENT_KERNELS, UNIFIED_ADDRESSING
        33 => device as c_int, // PCI_BUS_ID
        36 => 1_000_000,       // MEMORY_CLOCK_RATE
        37 => 256,             // GLOBAL_MEMORY_BUS_WIDTH
        38 => 4 << 20,         // L2_CACHE_SIZE
        39 => 2048,            // MAX_THREADS_PER_MULTIPROCESSOR
        75 => 9,               // COMPUTE_CAPABILITY_MAJOR
        76 => 0,               // COMPUTE_CAPABILITY_MINOR
        81 | 97 => 227 << 10,  // MAX_SHARED_MEMORY_PER_MULTIPROCESSOR, PER_BLOCK_OPTIN
        106 => 32,             // MAX_BLOCKS_PER_MULTIPROCESSOR
        115 => 1,              // MEMORY_POOLS_SUPPORTED
        _ => 0,
    }
}

extern "C" fn at_exit() {
    for device in 0..driver().count() {
        driver().report_leaks(device);
    }
}

unsafe extern "C" {
    fn atexit(callback: extern "C" fn()) -> c_int;
}

/// `cuInit` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuInit(flags: c_uint) -> CuResult {
    static ONCE: std::sync::Once = std::sync::Once::new();
    // SAFETY: the callback is a function of this library, which stays loaded.
    ONCE.call_once(|| unsafe {
        atexit(at_exit);
    });
    code(match (flags, driver().count()) {
        (0, 0) => Err(Status::NO_DEVICE),
        (0, _) => Ok(()),
        _ => Err(Status::INVALID_VALUE),
    })
}

/// `cuDriverGetVersion` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDriverGetVersion(version: *mut c_int) -> CuResult {
    // SAFETY: the caller vouches for the pointer.
    code(unsafe {
        put(
            version,
            driver().configuration.injected.driver.unwrap_or(13000) as c_int,
        )
    })
}

/// `cuGetExportTable` of the CUDA driver API: there are no such tables. NVRTC asks for one, and
/// without this function calls nothing at all.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetExportTable(
    table: *mut *const c_void,
    _id: *const c_void,
) -> CuResult {
    // SAFETY: the caller vouches for the pointer.
    code(unsafe { put(table, std::ptr::null()).and(Err(Status::NOT_SUPPORTED)) })
}

/// `cuGetErrorName` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetErrorName(error: CuResult, text: *mut *const c_char) -> CuResult {
    // SAFETY: the caller vouches for the pointer.
    code(unsafe {
        match Status(error).describe() {
            Some((name, _)) => put(text, name.as_ptr().cast()),
            None => put(text, std::ptr::null()).and(Err(Status::INVALID_VALUE)),
        }
    })
}

/// `cuGetErrorString` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetErrorString(error: CuResult, text: *mut *const c_char) -> CuResult {
    // SAFETY: the caller vouches for the pointer.
    code(unsafe {
        match Status(error).describe() {
            Some((_, description)) => put(text, description.as_ptr().cast()),
            None => put(text, std::ptr::null()).and(Err(Status::INVALID_VALUE)),
        }
    })
}

/// `cuDeviceGetCount` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetCount(count: *mut c_int) -> CuResult {
    // SAFETY: the caller vouches for the pointer.
    code(unsafe { put(count, driver().count() as c_int) })
}

/// `cuDeviceGet` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGet(device: *mut CuDevice, ordinal: c_int) -> CuResult {
    // SAFETY: the caller vouches for the pointer.
    code(
        driver()
            .device(ordinal)
            .and_then(|d| unsafe { put(device, d as c_int) }),
    )
}

/// `cuDeviceGetName` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetName(
    name: *mut c_char,
    length: c_int,
    device: CuDevice,
) -> CuResult {
    let text = b"CUDA emulator\0";
    if name.is_null() || length < text.len() as c_int || driver().device(device).is_err() {
        return Status::INVALID_VALUE.0;
    }
    // SAFETY: the caller gives at least `length` bytes, which the text fits.
    unsafe { std::ptr::copy_nonoverlapping(text.as_ptr().cast(), name, text.len()) };
    Status::SUCCESS.0
}

/// `cuDeviceGetUuid` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetUuid(uuid: *mut [u8; 16], device: CuDevice) -> CuResult {
    // SAFETY: the caller vouches for the pointer.
    code(driver().device(device).and_then(|d| {
        let mut bytes = *b"CUDA emulator\0\0\0";
        bytes[15] = d as u8;
        unsafe { put(uuid, bytes) }
    }))
}

/// `cuDeviceGetUuid_v2` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetUuid_v2(uuid: *mut [u8; 16], device: CuDevice) -> CuResult {
    // SAFETY: the same as ours.
    unsafe { cuDeviceGetUuid(uuid, device) }
}

/// `cuDeviceTotalMem_v2` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceTotalMem_v2(bytes: *mut usize, device: CuDevice) -> CuResult {
    // SAFETY: the caller vouches for the pointer.
    code(
        driver()
            .device(device)
            .and_then(|d| unsafe { put(bytes, driver().memory_info(d).1 as usize) }),
    )
}

/// `cuDeviceGetAttribute` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetAttribute(
    value: *mut c_int,
    which: c_int,
    device: CuDevice,
) -> CuResult {
    // SAFETY: the caller vouches for the pointer.
    code(
        driver()
            .device(device)
            .and_then(|d| unsafe { put(value, attribute(d, which)) }),
    )
}

/// `cuProfilerStart` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuProfilerStart() -> CuResult {
    Status::SUCCESS.0
}

/// `cuProfilerStop` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuProfilerStop() -> CuResult {
    Status::SUCCESS.0
}
