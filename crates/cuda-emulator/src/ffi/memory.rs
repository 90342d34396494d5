//! Memory: of devices, and pinned memory of the host.

use std::collections::BTreeMap;
use std::ffi::{c_uint, c_void};
use std::sync::{Mutex, PoisonError};

use super::{CuDevicePtr, CuResult, Handle, code, id, put};
use crate::driver::{Call, Status, driver};

/// Pinned host memory: address to its bytes.
static PINNED: Mutex<BTreeMap<usize, Box<[u64]>>> = Mutex::new(BTreeMap::new());

/// What the host does until the device is done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Host {
    Waits,
    GoesOn,
}

pub(super) fn is_pinned(memory: *const c_void) -> bool {
    let pinned = PINNED.lock().unwrap_or_else(PoisonError::into_inner);
    let at_or_before = pinned.range(..=memory as usize).next_back();
    at_or_before
        .is_some_and(|(start, block)| (memory as usize) < start + size_of_val::<[u64]>(block))
}

pub(super) fn wait_if(host: Host, device: usize) {
    if host == Host::Waits {
        driver().trace(Call::Synchronize(device));
    }
}

fn allocate(address: *mut CuDevicePtr, size: usize, device: Result<usize, Status>) -> CuResult {
    code((|| {
        let device = device?;
        let base = driver().allocate(device, size as u64)?;
        driver().trace(Call::Allocate(device, size));
        // SAFETY: the caller of the C function vouches for the pointer.
        unsafe { put(address, base) }
    })())
}

fn free(address: CuDevicePtr, host: Host) -> CuResult {
    if address == 0 {
        return Status::SUCCESS.0;
    }
    code((|| {
        driver().free(address)?;
        let device = driver().owner(address)?;
        driver().trace(Call::Free(device));
        wait_if(host, device);
        Ok(())
    })())
}

/// `cuMemAlloc_v2` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAlloc_v2(address: *mut CuDevicePtr, size: usize) -> CuResult {
    allocate(address, size, driver().current())
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
    allocate(address, size, driver().stream_device(id(stream)))
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
    free(address, Host::Waits)
}

/// `cuMemFreeAsync` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemFreeAsync(address: CuDevicePtr, _stream: Handle) -> CuResult {
    free(address, Host::GoesOn)
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

/// `cuMemHostAlloc` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemHostAlloc(
    memory: *mut *mut c_void,
    size: usize,
    _flags: c_uint,
) -> CuResult {
    let mut block = vec![0u64; size.div_ceil(8).max(1)].into_boxed_slice();
    let start = block.as_mut_ptr();
    let mut pinned = PINNED.lock().unwrap_or_else(PoisonError::into_inner);
    pinned.insert(start as usize, block);
    // SAFETY: the caller vouches for the pointer.
    code(unsafe { put(memory, start.cast()) })
}

/// `cuMemAllocHost_v2` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAllocHost_v2(memory: *mut *mut c_void, size: usize) -> CuResult {
    // SAFETY: the same as ours.
    unsafe { cuMemHostAlloc(memory, size, 0) }
}

/// `cuMemFreeHost` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemFreeHost(memory: *mut c_void) -> CuResult {
    let mut pinned = PINNED.lock().unwrap_or_else(PoisonError::into_inner);
    code(match pinned.remove(&(memory as usize)) {
        Some(_) => Ok(()),
        None => Err(Status::INVALID_VALUE),
    })
}

/// `cuMemHostRegister_v2` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemHostRegister_v2(
    _memory: *mut c_void,
    _size: usize,
    _flags: c_uint,
) -> CuResult {
    Status::SUCCESS.0
}

/// `cuMemHostUnregister` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemHostUnregister(_memory: *mut c_void) -> CuResult {
    Status::SUCCESS.0
}
