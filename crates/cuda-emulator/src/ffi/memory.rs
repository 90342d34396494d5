//! Memory of devices.

use std::ffi::c_uint;

use super::{CuDevicePtr, CuResult, Handle, code, id, pinned, put};
use crate::driver::{Call, Place, Status, driver};

/// New memory; of a stream, it is there for work that comes after what the stream has been asked for.
pub(super) fn allocate(
    address: *mut CuDevicePtr,
    size: usize,
    device: Result<usize, Status>,
    stream: Option<Handle>,
) -> CuResult {
    code((|| {
        let device = device?;
        let base = driver().allocate(device, size as u64)?;
        driver().trace(Call::Allocate(device, size));
        if let Some(stream) = stream {
            let work = driver().queue(id(stream), "the allocation")?;
            driver().uses(&work, Place::Device(base), size as u64, true)?;
        }
        // SAFETY: the caller of the C function vouches for the pointer.
        unsafe { put(address, base) }
    })())
}

/// Without a stream the host waits for the device.
fn free(address: CuDevicePtr, stream: Option<Handle>) -> CuResult {
    if address == 0 {
        return Status::SUCCESS.0;
    }
    code((|| {
        let device = driver().owner(address)?;
        let unused = match stream {
            Some(stream) => driver().frees(&driver().queue(id(stream), "the freeing")?, address),
            None => {
                driver().wait_for_device(device);
                driver().host_may_free(Place::Device(address))
            }
        };
        driver().free(address)?;
        driver().trace(Call::Free(device));
        if stream.is_none() {
            driver().trace(Call::Synchronize(device));
            pinned::settle()?;
        }
        unused
    })())
}

/// `cuMemAlloc_v2` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAlloc_v2(address: *mut CuDevicePtr, size: usize) -> CuResult {
    allocate(address, size, driver().current(), None)
}

/// `cuMemAllocAsync` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAllocAsync(
    address: *mut CuDevicePtr,
    size: usize,
    stream: Handle,
) -> CuResult {
    allocate(
        address,
        size,
        driver().stream_device(id(stream)),
        Some(stream),
    )
}

/// `cuMemAllocManaged` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAllocManaged(
    address: *mut CuDevicePtr,
    _size: usize,
    _flags: c_uint,
) -> CuResult {
    let _ = address;
    Status::NOT_SUPPORTED.0
}

/// `cuMemFree_v2` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemFree_v2(address: CuDevicePtr) -> CuResult {
    free(address, None)
}

/// `cuMemFreeAsync` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemFreeAsync(address: CuDevicePtr, stream: Handle) -> CuResult {
    free(address, Some(stream))
}

/// `cuMemGetInfo_v2` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) -> CuResult {
    code(driver().current().and_then(|d| {
        let (free_bytes, total_bytes) = driver().memory_info(d);
        // SAFETY: the caller vouches for the pointers.
        unsafe { put(free, free_bytes as usize).and(put(total, total_bytes as usize)) }
    }))
}
