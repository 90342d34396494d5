//! Streams and events. Work is done when it is asked for; what waits for what is noted, see `driver/order.rs`.

use std::ffi::{c_int, c_uint, c_void};

use super::{CuDevicePtr, CuResult, Handle, code, handle, id, pinned, put};
use crate::driver::{Call, Status, driver};

/// `cuStreamCreate` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamCreate(stream: *mut Handle, flags: c_uint) -> CuResult {
    // SAFETY: the caller vouches for the pointer.
    code(
        driver()
            .create_stream(flags & 1 == 0)
            .and_then(|s| unsafe { put(stream, handle(s)) }),
    )
}

/// `cuStreamCreateWithPriority` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamCreateWithPriority(
    stream: *mut Handle,
    flags: c_uint,
    _priority: c_int,
) -> CuResult {
    // SAFETY: the same as ours.
    unsafe { cuStreamCreate(stream, flags) }
}

/// `cuStreamDestroy_v2` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamDestroy_v2(stream: Handle) -> CuResult {
    code(driver().destroy_stream(id(stream)))
}

/// `cuStreamSynchronize` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamSynchronize(stream: Handle) -> CuResult {
    code(driver().stream_device(id(stream)).and_then(|device| {
        driver().wait_for_stream(id(stream))?;
        driver().trace(Call::Synchronize(device));
        pinned::settle()
    }))
}

/// `cuStreamQuery` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamQuery(stream: Handle) -> CuResult {
    code(driver().stream_device(id(stream)).and_then(|_| {
        driver().wait_for_stream(id(stream))?;
        pinned::settle()
    }))
}

/// `cuStreamWaitEvent` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamWaitEvent(
    stream: Handle,
    event: Handle,
    _flags: c_uint,
) -> CuResult {
    code((|| {
        let device = driver().stream_device(id(stream))?;
        driver().make_stream_wait(id(stream), id(event))?;
        driver().trace(Call::Wait(device));
        Ok(())
    })())
}

/// `cuStreamIsCapturing` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamIsCapturing(_stream: Handle, status: *mut c_int) -> CuResult {
    // SAFETY: the caller vouches for the pointer.
    code(unsafe { put(status, 0) })
}

/// `cuStreamBeginCapture_v2` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamBeginCapture_v2(_stream: Handle, _mode: c_int) -> CuResult {
    Status::NOT_SUPPORTED.0
}

/// `cuStreamAttachMemAsync` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamAttachMemAsync(
    _stream: Handle,
    _address: CuDevicePtr,
    _length: usize,
    _flags: c_uint,
) -> CuResult {
    Status::SUCCESS.0
}

/// `cuLaunchHostFunc` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLaunchHostFunc(
    stream: Handle,
    callback: extern "C" fn(*mut c_void),
    data: *mut c_void,
) -> CuResult {
    code(driver().stream_device(id(stream)).map(|_| callback(data)))
}

/// `cuEventCreate` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventCreate(event: *mut Handle, _flags: c_uint) -> CuResult {
    // SAFETY: the caller vouches for the pointer.
    code(
        driver()
            .create_event()
            .and_then(|e| unsafe { put(event, handle(e)) }),
    )
}

/// `cuEventDestroy_v2` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventDestroy_v2(event: Handle) -> CuResult {
    code(driver().destroy_event(id(event)))
}

/// `cuEventRecord` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventRecord(event: Handle, stream: Handle) -> CuResult {
    code((|| {
        let device = driver().stream_device(id(stream))?;
        driver().record_event(id(event), id(stream))?;
        driver().trace(Call::Record(device));
        Ok(())
    })())
}

/// `cuEventSynchronize` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventSynchronize(event: Handle) -> CuResult {
    code(driver().wait_for_event(id(event)).and_then(|waited| {
        // An event that was never recorded holds nobody up.
        if let Some(device) = waited {
            driver().trace(Call::Synchronize(device));
        }
        pinned::settle()
    }))
}

/// `cuEventQuery` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventQuery(event: Handle) -> CuResult {
    code(
        driver()
            .wait_for_event(id(event))
            .and_then(|_| pinned::settle()),
    )
}

/// `cuEventElapsedTime` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventElapsedTime(
    milliseconds: *mut f32,
    start: Handle,
    end: Handle,
) -> CuResult {
    // SAFETY: the caller vouches for the pointer.
    code(
        driver()
            .elapsed(id(start), id(end))
            .and_then(|ms| unsafe { put(milliseconds, ms) }),
    )
}

/// `cuEventElapsedTime_v2` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventElapsedTime_v2(
    milliseconds: *mut f32,
    start: Handle,
    end: Handle,
) -> CuResult {
    // SAFETY: the caller vouches for the pointer.
    code(
        driver()
            .elapsed(id(start), id(end))
            .and_then(|ms| unsafe { put(milliseconds, ms) }),
    )
}
