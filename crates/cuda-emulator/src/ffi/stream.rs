//! Streams and events. Work is done when asked for, so there is never anything to wait for.

use std::ffi::{c_int, c_uint, c_void};

use super::{CuDevicePtr, CuResult, Handle, code, handle, id, put};
use crate::driver::{Call, Status, driver};

/// `cuStreamCreate` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamCreate(stream: *mut Handle, _flags: c_uint) -> CuResult {
    // SAFETY: the caller vouches for the pointer.
    code(
        driver()
            .create_stream()
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
    code(
        driver()
            .stream_device(id(stream))
            .map(|d| driver().trace(Call::Synchronize(d))),
    )
}

/// `cuStreamQuery` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamQuery(stream: Handle) -> CuResult {
    code(driver().stream_device(id(stream)).map(|_| ()))
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
        driver().check_event(id(event))?;
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
    _stream: Handle,
    callback: extern "C" fn(*mut c_void),
    data: *mut c_void,
) -> CuResult {
    callback(data);
    Status::SUCCESS.0
}

/// `cuEventCreate` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventCreate(event: *mut Handle, _flags: c_uint) -> CuResult {
    // SAFETY: the caller vouches for the pointer.
    code(unsafe { put(event, handle(driver().create_event())) })
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
        driver().record_event(id(event), device)?;
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
    code(driver().check_event(id(event)).map(|recorded| {
        // An event that was never recorded holds nobody up.
        if let Some(recorded) = recorded {
            driver().trace(Call::Synchronize(recorded.device));
        }
    }))
}

/// `cuEventQuery` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventQuery(event: Handle) -> CuResult {
    code(driver().check_event(id(event)).map(|_| ()))
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
