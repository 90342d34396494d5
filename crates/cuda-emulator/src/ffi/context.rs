//! Contexts: each device has its primary one.

use std::ffi::{c_int, c_uint};

use super::{CuDevice, CuResult, Handle, code, handle, id, pinned, put, put_if_wanted};
use crate::driver::{Call, Status, driver};

/// A device's primary context is this plus the device's number, times sixteen.
const CONTEXT: u64 = 0xc0;

/// Device of a context handle.
pub(super) fn device_of(context: Handle, kind: u64) -> Result<usize, Status> {
    let number = (id(context) >> 4)
        .checked_sub(kind)
        .ok_or(Status::INVALID_CONTEXT)?;
    driver()
        .device(number as i32)
        .map_err(|_| Status::INVALID_CONTEXT)
}

pub(super) fn context_of(device: usize, kind: u64) -> Handle {
    handle((kind + device as u64) << 4)
}

/// `cuDevicePrimaryCtxRetain` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDevicePrimaryCtxRetain(
    context: *mut Handle,
    device: CuDevice,
) -> CuResult {
    code(driver().device(device).and_then(|d| {
        driver().retain(d);
        // SAFETY: the caller vouches for the pointer.
        unsafe { put(context, context_of(d, CONTEXT)) }
    }))
}

/// `cuDevicePrimaryCtxRelease` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDevicePrimaryCtxRelease(device: CuDevice) -> CuResult {
    code(driver().device(device).and_then(|d| driver().release(d)))
}

/// `cuDevicePrimaryCtxRelease_v2` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDevicePrimaryCtxRelease_v2(device: CuDevice) -> CuResult {
    // SAFETY: the same as ours.
    unsafe { cuDevicePrimaryCtxRelease(device) }
}

/// `cuDeviceCanAccessPeer` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceCanAccessPeer(
    can: *mut c_int,
    device: CuDevice,
    peer: CuDevice,
) -> CuResult {
    code((|| {
        let (device, peer) = (driver().device(device)?, driver().device(peer)?);
        // SAFETY: the caller vouches for the pointer.
        unsafe { put(can, driver().can_access_peer(device, peer).into()) }
    })())
}

/// `cuCtxEnablePeerAccess` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxEnablePeerAccess(peer: Handle, _flags: c_uint) -> CuResult {
    code(device_of(peer, CONTEXT).and_then(|p| driver().enable_peer(p)))
}

/// `cuCtxDisablePeerAccess` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxDisablePeerAccess(peer: Handle) -> CuResult {
    code(device_of(peer, CONTEXT).and_then(|p| driver().disable_peer(p)))
}

/// `cuCtxGetCurrent` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetCurrent(context: *mut Handle) -> CuResult {
    let current = driver()
        .peek_current()
        .map_or(handle(0), |d| context_of(d, CONTEXT));
    // SAFETY: the caller vouches for the pointer.
    code(unsafe { put(context, current) })
}

/// `cuCtxSetCurrent` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxSetCurrent(context: Handle) -> CuResult {
    code((|| {
        let device = if context.is_null() {
            None
        } else {
            Some(device_of(context, CONTEXT)?)
        };
        driver().set_current(device);
        Ok(())
    })())
}

/// `cuCtxPushCurrent_v2` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxPushCurrent_v2(context: Handle) -> CuResult {
    code(device_of(context, CONTEXT).map(|device| driver().push_context(device)))
}

/// `cuCtxPopCurrent_v2` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxPopCurrent_v2(context: *mut Handle) -> CuResult {
    let popped = driver().pop_context().ok_or(Status::INVALID_CONTEXT);
    code(popped.map(|device| {
        // SAFETY: the caller vouches for the pointer.
        unsafe { put_if_wanted(context, context_of(device, CONTEXT)) };
    }))
}

/// `cuCtxGetDevice` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetDevice(device: *mut CuDevice) -> CuResult {
    // SAFETY: the caller vouches for the pointer.
    code(
        driver()
            .current()
            .and_then(|d| unsafe { put(device, d as c_int) }),
    )
}

/// `cuCtxSynchronize` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxSynchronize() -> CuResult {
    code(driver().current().and_then(|device| {
        driver().wait_for_device(device);
        driver().trace(Call::Synchronize(device));
        pinned::settle()
    }))
}

/// `cuCtxSetFlags` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxSetFlags(_flags: c_uint) -> CuResult {
    code(driver().current().map(|_| ()))
}

/// `cuCtxGetLimit` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetLimit(value: *mut usize, _limit: c_int) -> CuResult {
    // SAFETY: the caller vouches for the pointer.
    code(driver().current().and_then(|_| unsafe { put(value, 0) }))
}

/// `cuCtxSetLimit` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxSetLimit(_limit: c_int, _value: usize) -> CuResult {
    code(driver().current().map(|_| ()))
}

/// `cuCtxGetCacheConfig` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetCacheConfig(config: *mut c_int) -> CuResult {
    // SAFETY: the caller vouches for the pointer.
    code(driver().current().and_then(|_| unsafe { put(config, 0) }))
}

/// `cuCtxSetCacheConfig` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxSetCacheConfig(_config: c_int) -> CuResult {
    code(driver().current().map(|_| ()))
}

/// `cuCtxGetStreamPriorityRange` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetStreamPriorityRange(
    least: *mut c_int,
    greatest: *mut c_int,
) -> CuResult {
    // SAFETY: the caller vouches for the pointers.
    unsafe {
        put_if_wanted(least, 0);
        put_if_wanted(greatest, 0);
    }
    Status::SUCCESS.0
}

/// `cuCtxDestroy_v2`: there are primary contexts only, and those are released, not destroyed.
#[unsafe(no_mangle)]
pub extern "C" fn cuCtxDestroy_v2(_context: Handle) -> CuResult {
    Status::INVALID_CONTEXT.0
}
