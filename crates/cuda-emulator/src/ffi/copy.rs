//! Copies and fills.

use std::ffi::c_void;

use super::memory::{Host, is_pinned, wait_if};
use super::{CuDevicePtr, CuResult, Handle, code};
use crate::driver::{Call, Status, driver};

/// Bytes at a pointer of the caller's.
///
/// # Safety
///
/// `data` is valid for reading `size` bytes, or `size` is zero.
unsafe fn bytes<'a>(data: *const c_void, size: usize) -> Result<&'a [u8], Status> {
    if size == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(Status::INVALID_VALUE);
    }
    // SAFETY: not null, and the caller vouches for the rest.
    Ok(unsafe { std::slice::from_raw_parts(data.cast(), size) })
}

fn to_device(to: CuDevicePtr, from: *const c_void, size: usize, host: Host) -> CuResult {
    if size == 0 {
        return Status::SUCCESS.0;
    }
    code((|| {
        // SAFETY: the caller of the C function vouches for the pointer.
        driver().write(to, unsafe { bytes(from, size) }?)?;
        let device = driver().owner(to)?;
        driver().trace(Call::CopyToDevice(device, size));
        wait_if(host, device);
        Ok(())
    })())
}

fn to_host(to: *mut c_void, from: CuDevicePtr, size: usize, host: Host) -> CuResult {
    if size == 0 {
        return Status::SUCCESS.0;
    }
    if to.is_null() {
        return Status::INVALID_VALUE.0;
    }
    code((|| {
        // The caller's memory may never have been written, so it is filled from a buffer of ours.
        let mut buffer = vec![0; size];
        driver().read(from, &mut buffer)?;
        // SAFETY: the caller of the C function vouches for `size` bytes at `to`.
        unsafe { std::ptr::copy_nonoverlapping(buffer.as_ptr(), to.cast(), size) };
        let device = driver().owner(from)?;
        driver().trace(Call::CopyToHost(device, size));
        // A GPU copies by itself to pinned memory only.
        wait_if(if is_pinned(to) { host } else { Host::Waits }, device);
        Ok(())
    })())
}

fn within(to: CuDevicePtr, from: CuDevicePtr, size: usize) -> CuResult {
    if size == 0 {
        return Status::SUCCESS.0;
    }
    code((|| {
        driver().copy(to, from, size as u64)?;
        driver().trace(match (driver().owner(from)?, driver().owner(to)?) {
            (source, target) if source == target => Call::Copy(source, size),
            (source, target) => Call::CopyPeer(source, target, size),
        });
        Ok(())
    })())
}

fn fill(address: CuDevicePtr, pattern: &[u8], count: usize) -> CuResult {
    if count == 0 {
        return Status::SUCCESS.0;
    }
    code((|| {
        driver().fill(address, pattern, count as u64)?;
        let device = driver().owner(address)?;
        driver().trace(Call::Set(device, pattern.len() * count));
        Ok(())
    })())
}

/// `cuMemcpyHtoD_v2` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyHtoD_v2(
    to: CuDevicePtr,
    from: *const c_void,
    size: usize,
) -> CuResult {
    to_device(to, from, size, Host::Waits)
}

/// `cuMemcpyDtoH_v2` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyDtoH_v2(
    to: *mut c_void,
    from: CuDevicePtr,
    size: usize,
) -> CuResult {
    to_host(to, from, size, Host::Waits)
}

/// `cuMemcpyDtoD_v2` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyDtoD_v2(
    to: CuDevicePtr,
    from: CuDevicePtr,
    size: usize,
) -> CuResult {
    within(to, from, size)
}

/// `cuMemcpyPeer` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyPeer(
    to: CuDevicePtr,
    _to_context: Handle,
    from: CuDevicePtr,
    _from_context: Handle,
    size: usize,
) -> CuResult {
    within(to, from, size)
}

/// `cuMemsetD8_v2` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemsetD8_v2(address: CuDevicePtr, value: u8, count: usize) -> CuResult {
    fill(address, &value.to_le_bytes(), count)
}

/// `cuMemsetD16_v2` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemsetD16_v2(
    address: CuDevicePtr,
    value: u16,
    count: usize,
) -> CuResult {
    fill(address, &value.to_le_bytes(), count)
}

/// `cuMemsetD32_v2` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemsetD32_v2(
    address: CuDevicePtr,
    value: u32,
    count: usize,
) -> CuResult {
    fill(address, &value.to_le_bytes(), count)
}

/// `cuMemcpyHtoDAsync_v2` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyHtoDAsync_v2(
    to: CuDevicePtr,
    from: *const c_void,
    size: usize,
    _stream: Handle,
) -> CuResult {
    to_device(to, from, size, Host::GoesOn)
}

/// `cuMemcpyDtoHAsync_v2` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyDtoHAsync_v2(
    to: *mut c_void,
    from: CuDevicePtr,
    size: usize,
    _stream: Handle,
) -> CuResult {
    to_host(to, from, size, Host::GoesOn)
}

/// `cuMemcpyDtoDAsync_v2` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyDtoDAsync_v2(
    to: CuDevicePtr,
    from: CuDevicePtr,
    size: usize,
    _stream: Handle,
) -> CuResult {
    within(to, from, size)
}

/// `cuMemcpyPeerAsync` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyPeerAsync(
    to: CuDevicePtr,
    _to_context: Handle,
    from: CuDevicePtr,
    _from_context: Handle,
    size: usize,
    _stream: Handle,
) -> CuResult {
    within(to, from, size)
}

/// `cuMemsetD8Async` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemsetD8Async(
    address: CuDevicePtr,
    value: u8,
    count: usize,
    _stream: Handle,
) -> CuResult {
    fill(address, &value.to_le_bytes(), count)
}

/// `cuMemsetD16Async` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemsetD16Async(
    address: CuDevicePtr,
    value: u16,
    count: usize,
    _stream: Handle,
) -> CuResult {
    fill(address, &value.to_le_bytes(), count)
}

/// `cuMemsetD32Async` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemsetD32Async(
    address: CuDevicePtr,
    value: u32,
    count: usize,
    _stream: Handle,
) -> CuResult {
    fill(address, &value.to_le_bytes(), count)
}
