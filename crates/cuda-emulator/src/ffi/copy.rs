//! Copies and fills.

use std::ffi::c_void;

use super::{CuDevicePtr, CuResult, Handle, code, id, pinned};
use crate::driver::{Call, Place, Status, driver};

/// Whether the host waits for a copy: a GPU reaches pinned memory only by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Host {
    Waits,
    GoesOn,
}

fn to_device(
    to: CuDevicePtr,
    from: *const c_void,
    size: usize,
    stream: Handle,
    host: Host,
) -> CuResult {
    if size == 0 {
        return Status::SUCCESS.0;
    }
    if from.is_null() {
        return Status::INVALID_VALUE.0;
    }
    code((|| {
        let device = driver().owner(to)?;
        let _turn = driver().turn([to; 2]);
        let place = pinned::place(from);
        let waits = host == Host::Waits || place.is_none();
        if place.is_none() {
            // Ordinary memory goes through the driver's own; the host waits for that, not for the copy to the device.
            driver().wait_for_stream(id(stream))?;
        }
        let work = driver().queue(id(stream), "a copy from the host")?;
        driver().uses(&work, Place::Device(to), size as u64, true)?;
        match place {
            // SAFETY: not null, and the caller vouches for the rest.
            None => driver().write(to, unsafe { std::slice::from_raw_parts(from.cast(), size) })?,
            Some(place) => {
                driver().uses(&work, place, size as u64, false)?;
                // SAFETY: as above.
                driver().write(to, &unsafe { pinned::send(from, size, &work) }?)?;
            }
        }
        driver().trace(Call::CopyToDevice(device, size));
        if waits {
            driver().trace(Call::Synchronize(device));
            if place.is_some() {
                driver().wait_for_stream(id(stream))?;
            }
            pinned::settle()?;
        }
        Ok(())
    })())
}

fn to_host(
    to: *mut c_void,
    from: CuDevicePtr,
    size: usize,
    stream: Handle,
    host: Host,
) -> CuResult {
    if size == 0 {
        return Status::SUCCESS.0;
    }
    if to.is_null() {
        return Status::INVALID_VALUE.0;
    }
    code((|| {
        let device = driver().owner(from)?;
        let _turn = driver().turn([from; 2]);
        let work = driver().queue(id(stream), "a copy to the host")?;
        driver().uses(&work, Place::Device(from), size as u64, false)?;
        // The caller's memory may never have been written, so it is filled from a buffer of ours.
        let mut buffer = vec![0; size];
        driver().read(from, &mut buffer)?;
        driver().trace(Call::CopyToHost(device, size));
        let place = pinned::place(to);
        match place {
            Some(place) => {
                driver().uses(&work, place, size as u64, true)?;
                pinned::receive(to, buffer, &work)?;
            }
            // SAFETY: the caller of the C function vouches for `size` bytes at `to`.
            None => unsafe {
                std::ptr::copy_nonoverlapping(buffer.as_ptr(), to.cast(), size);
            },
        }
        if host == Host::Waits || place.is_none() {
            driver().wait_for_stream(id(stream))?;
            driver().trace(Call::Synchronize(device));
            pinned::settle()?;
        }
        Ok(())
    })())
}

fn within(to: CuDevicePtr, from: CuDevicePtr, size: usize, stream: Handle) -> CuResult {
    if size == 0 {
        return Status::SUCCESS.0;
    }
    code((|| {
        let _turn = driver().turn([from, to]);
        let work = driver().queue(id(stream), "a copy")?;
        // One that is refused uses nothing.
        driver().copy(to, from, size as u64)?;
        driver().uses(&work, Place::Device(from), size as u64, false)?;
        driver().uses(&work, Place::Device(to), size as u64, true)?;
        driver().trace(match (driver().owner(from)?, driver().owner(to)?) {
            (source, target) if source == target => Call::Copy(source, size),
            (source, target) => Call::CopyPeer(source, target, size),
        });
        Ok(())
    })())
}

fn fill(address: CuDevicePtr, pattern: &[u8], count: usize, stream: Handle) -> CuResult {
    if count == 0 {
        return Status::SUCCESS.0;
    }
    code((|| {
        let bytes = pattern.len() * count;
        if !address.is_multiple_of(pattern.len() as u64) {
            return Err(Status::INVALID_VALUE);
        }
        let _turn = driver().turn([address; 2]);
        let work = driver().queue(id(stream), "a memset")?;
        driver().fill(address, pattern, count as u64)?;
        driver().uses(&work, Place::Device(address), bytes as u64, true)?;
        driver().trace(Call::Set(driver().owner(address)?, bytes));
        Ok(())
    })())
}

/// The stream of calls that name none.
const NULL: Handle = std::ptr::null_mut();

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
    to_device(to, from, size, NULL, Host::Waits)
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
    to_host(to, from, size, NULL, Host::Waits)
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
    within(to, from, size, NULL)
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
    within(to, from, size, NULL)
}

/// `cuMemsetD8_v2` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemsetD8_v2(address: CuDevicePtr, value: u8, count: usize) -> CuResult {
    fill(address, &value.to_le_bytes(), count, NULL)
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
    fill(address, &value.to_le_bytes(), count, NULL)
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
    fill(address, &value.to_le_bytes(), count, NULL)
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
    stream: Handle,
) -> CuResult {
    to_device(to, from, size, stream, Host::GoesOn)
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
    stream: Handle,
) -> CuResult {
    to_host(to, from, size, stream, Host::GoesOn)
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
    stream: Handle,
) -> CuResult {
    within(to, from, size, stream)
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
    stream: Handle,
) -> CuResult {
    within(to, from, size, stream)
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
    stream: Handle,
) -> CuResult {
    fill(address, &value.to_le_bytes(), count, stream)
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
    stream: Handle,
) -> CuResult {
    fill(address, &value.to_le_bytes(), count, stream)
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
    stream: Handle,
) -> CuResult {
    fill(address, &value.to_le_bytes(), count, stream)
}
