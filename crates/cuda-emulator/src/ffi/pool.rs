//! Memory pools: each device has its default one, which keeps nothing.

use std::ffi::{c_int, c_void};

use super::context::{context_of, device_of};
use super::memory::allocate;
use super::{CuDevice, CuDevicePtr, CuResult, Handle, code, put};
use crate::driver::driver;

/// A device's default pool is this plus the device's number, times sixteen, as contexts are.
const POOL: u64 = 0xd0;

/// `cuDeviceGetDefaultMemPool` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetDefaultMemPool(
    pool: *mut Handle,
    device: CuDevice,
) -> CuResult {
    // SAFETY: the caller vouches for the pointer.
    code(
        driver()
            .device(device)
            .and_then(|d| unsafe { put(pool, context_of(d, POOL)) }),
    )
}

/// `cuDeviceGetMemPool` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetMemPool(pool: *mut Handle, device: CuDevice) -> CuResult {
    // SAFETY: the caller vouches for the pointer.
    code(
        driver()
            .device(device)
            .and_then(|d| unsafe { put(pool, context_of(d, POOL)) }),
    )
}

/// `cuDeviceSetMemPool` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceSetMemPool(device: CuDevice, _pool: Handle) -> CuResult {
    code(driver().device(device).map(|_| ()))
}

/// `cuMemPoolSetAttribute`: accepted, without effect: memory goes back at once.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemPoolSetAttribute(
    pool: Handle,
    _attribute: c_int,
    _value: *mut c_void,
) -> CuResult {
    code(device_of(pool, POOL).map(|_| ()))
}

/// `cuMemPoolSetAccess`: accepted; which copies between devices work is said by
/// `cuDeviceCanAccessPeer` and the faults.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemPoolSetAccess(
    pool: Handle,
    _map: *const c_void,
    _count: usize,
) -> CuResult {
    code(device_of(pool, POOL).map(|_| ()))
}

/// `cuMemPoolGetAttribute` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemPoolGetAttribute(
    pool: Handle,
    _attribute: c_int,
    value: *mut u64,
) -> CuResult {
    // SAFETY: the caller vouches for the pointer.
    code(device_of(pool, POOL).and_then(|_| unsafe { put(value, 0) }))
}

/// `cuMemPoolTrimTo` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemPoolTrimTo(pool: Handle, _keep: usize) -> CuResult {
    code(device_of(pool, POOL).map(|_| ()))
}

/// `cuMemAllocFromPoolAsync` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAllocFromPoolAsync(
    address: *mut CuDevicePtr,
    size: usize,
    pool: Handle,
    stream: Handle,
) -> CuResult {
    allocate(address, size, device_of(pool, POOL), Some(stream))
}
