//! The C functions: `libcuda`, `libcublas`, `libcudnn` and `libcurand` as an application links them.
//!
//! This is the only module with unsafe code. Every function trusts its caller as the real library does: a
//! pointer it is given is valid for what the CUDA documentation says is read or written there. Null where a
//! result goes is refused.

#![allow(unsafe_code, non_snake_case)]

pub mod blas;
pub mod context;
mod convolution;
pub mod copy;
pub mod device;
pub mod dnn;
pub mod memory;
pub mod module;
mod multiply;
pub mod pinned;
pub mod pool;
mod product;
pub mod random;
pub mod stream;

use std::ffi::c_void;

use crate::driver::Status;

/// `CUresult`.
pub type CuResult = i32;
/// `CUdevice`.
pub type CuDevice = i32;
/// `CUdeviceptr`.
pub type CuDevicePtr = u64;
/// `CUcontext`, `CUmodule`, `CUfunction`, `CUstream`, `CUevent`, `CUmemoryPool`: numbers, never followed.
pub type Handle = *mut c_void;

fn code(result: Result<(), Status>) -> CuResult {
    match result {
        Ok(()) => Status::SUCCESS.0,
        Err(status) => status.0,
    }
}

fn id(handle: Handle) -> u64 {
    handle as usize as u64
}

fn handle(id: u64) -> Handle {
    id as usize as Handle
}

/// Writes a result where the caller wants it.
///
/// # Safety
///
/// `to` is null or valid for writing a `T`.
unsafe fn put<T>(to: *mut T, value: T) -> Result<(), Status> {
    if to.is_null() {
        return Err(Status::INVALID_VALUE);
    }
    // SAFETY: not null, and the caller vouches for the rest.
    unsafe { to.write(value) };
    Ok(())
}

/// Writes a result that the caller may not want.
///
/// # Safety
///
/// `to` is null or valid for writing a `T`.
unsafe fn put_if_wanted<T>(to: *mut T, value: T) {
    if !to.is_null() {
        // SAFETY: not null, and the caller vouches for the rest.
        unsafe { to.write(value) };
    }
}
