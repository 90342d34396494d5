//! `libcublas`: matrix products. Values of 16 bits are multiplied and summed in f32.

use std::collections::BTreeMap;
use std::ffi::{c_int, c_longlong, c_void};
use std::sync::{Mutex, PoisonError};

use half::f16;

use super::product::{Element, Place, Shape, product};
use super::{CuDevicePtr, Handle, handle, id, put};
use crate::driver::{driver, report};

/// `cublasStatus_t`.
pub type BlasStatus = c_int;

pub(super) const SUCCESS: BlasStatus = 0;
const NOT_INITIALIZED: BlasStatus = 1;
pub(super) const INVALID_VALUE: BlasStatus = 7;
pub(super) const EXECUTION_FAILED: BlasStatus = 13;
const INTERNAL_ERROR: BlasStatus = 14;
const NOT_SUPPORTED: BlasStatus = 15;

/// The stream of each handle.
static STREAMS: Mutex<BTreeMap<u64, u64>> = Mutex::new(BTreeMap::new());

fn with<R>(f: impl FnOnce(&mut BTreeMap<u64, u64>) -> R) -> R {
    f(&mut STREAMS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// `cublasCreate_v2`.
///
/// # Safety
///
/// Pointers are valid as the cuBLAS documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasCreate_v2(blas: *mut Handle) -> BlasStatus {
    if driver().current().is_err() {
        return NOT_INITIALIZED;
    }
    let made = with(|streams| {
        let next = streams.keys().max().map_or(0xb1a5, |last| last + 1);
        streams.insert(next, 0);
        next
    });
    // SAFETY: the caller vouches for the pointer.
    if unsafe { put(blas, handle(made)) }.is_ok() {
        SUCCESS
    } else {
        INVALID_VALUE
    }
}

/// `cublasDestroy_v2`, which a lost device does not do.
#[unsafe(no_mangle)]
pub extern "C" fn cublasDestroy_v2(blas: Handle) -> BlasStatus {
    match with(|streams| streams.remove(&id(blas))) {
        None => NOT_INITIALIZED,
        Some(stream) if driver().stream_device(stream).is_err() => INTERNAL_ERROR,
        Some(_) => SUCCESS,
    }
}

/// `cublasSetStream_v2`.
#[unsafe(no_mangle)]
pub extern "C" fn cublasSetStream_v2(blas: Handle, stream: Handle) -> BlasStatus {
    with(|streams| streams.get_mut(&id(blas)).map(|s| *s = id(stream)))
        .map_or(NOT_INITIALIZED, |()| SUCCESS)
}

/// `cublasSetMathMode`.
#[unsafe(no_mangle)]
pub extern "C" fn cublasSetMathMode(_blas: Handle, _mode: c_int) -> BlasStatus {
    SUCCESS
}

/// `cublasSetWorkspace_v2`.
#[unsafe(no_mangle)]
pub extern "C" fn cublasSetWorkspace_v2(
    _blas: Handle,
    _workspace: *mut c_void,
    _size: usize,
) -> BlasStatus {
    SUCCESS
}

/// `cublasSetPointerMode_v2`: scalars in host memory only.
#[unsafe(no_mangle)]
pub extern "C" fn cublasSetPointerMode_v2(_blas: Handle, mode: c_int) -> BlasStatus {
    if mode == 0 { SUCCESS } else { NOT_SUPPORTED }
}

/// `cublasGetPointerMode_v2`.
///
/// # Safety
///
/// Pointers are valid as the cuBLAS documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cublasGetPointerMode_v2(_blas: Handle, mode: *mut c_int) -> BlasStatus {
    // SAFETY: the caller vouches for the pointer.
    if unsafe { put(mode, 0) }.is_ok() {
        SUCCESS
    } else {
        INVALID_VALUE
    }
}

/// Reads the scalars as the way to compute says, and computes.
///
/// # Safety
///
/// `alpha` and `beta` are valid for reading one value of that type.
#[allow(clippy::too_many_arguments)]
unsafe fn compute_with(
    blas: Handle,
    shape: &Shape,
    a: Place,
    b: Place,
    c: Place,
    alpha: *const c_void,
    beta: *const c_void,
    compute: c_int,
    name: &str,
) -> BlasStatus {
    if alpha.is_null() || beta.is_null() {
        return INVALID_VALUE;
    }
    let Some(stream) = with(|streams| streams.get(&id(blas)).copied()) else {
        return NOT_INITIALIZED;
    };
    match compute {
        // COMPUTE_16F
        64 | 65 => {
            // SAFETY: the caller vouches for two f16.
            let (alpha, beta) = unsafe { (*alpha.cast::<f16>(), *beta.cast::<f16>()) };
            product(
                stream,
                shape,
                [a, b, c],
                alpha.to_f32(),
                beta.to_f32(),
                beta != f16::ZERO,
            )
        }
        // COMPUTE_32F and its FAST forms, which the emulator computes in full.
        68 | 69 | 74 | 75 | 77 => {
            // SAFETY: the caller vouches for two f32.
            let (alpha, beta) = unsafe { (*alpha.cast::<f32>(), *beta.cast::<f32>()) };
            product(stream, shape, [a, b, c], alpha, beta, beta != 0.0)
        }
        // COMPUTE_64F
        70 | 71 => {
            // SAFETY: the caller vouches for two f64.
            let (alpha, beta) = unsafe { (*alpha.cast::<f64>(), *beta.cast::<f64>()) };
            product(stream, shape, [a, b, c], alpha, beta, beta != 0.0)
        }
        other => {
            report(&format!("{name}: compute type {other} is not supported"));
            NOT_SUPPORTED
        }
    }
}

/// Where three matrices lie, of each its address, `cudaDataType_t`, leading dimension and stride.
/// None, and a report, where an element type is not supported.
fn places(
    name: &str,
    matrices: [(CuDevicePtr, c_int, c_int, c_longlong); 3],
) -> Option<[Place; 3]> {
    let [a, b, c] = matrices.map(|(address, code, leading, stride)| {
        Element::from_code(code).map(|element| Place {
            address,
            element,
            leading: leading.max(0) as usize,
            stride,
        })
    });
    let places = a.zip(b).zip(c).map(|((a, b), c)| [a, b, c]);
    if places.is_none() {
        let [a, b, c] = matrices.map(|(_, code, ..)| code);
        report(&format!(
            "{name}: data types {a}, {b}, {c} are not supported"
        ));
    }
    places
}

/// `cublasGemmStridedBatchedEx`.
///
/// # Safety
///
/// Pointers are valid as the cuBLAS documentation asks.
#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments)]
pub unsafe extern "C" fn cublasGemmStridedBatchedEx(
    blas: Handle,
    a_operation: c_int,
    b_operation: c_int,
    m: c_int,
    n: c_int,
    k: c_int,
    alpha: *const c_void,
    a: CuDevicePtr,
    a_type: c_int,
    lda: c_int,
    stride_a: c_longlong,
    b: CuDevicePtr,
    b_type: c_int,
    ldb: c_int,
    stride_b: c_longlong,
    beta: *const c_void,
    c: CuDevicePtr,
    c_type: c_int,
    ldc: c_int,
    stride_c: c_longlong,
    batch: c_int,
    compute: c_int,
    _algorithm: c_int,
) -> BlasStatus {
    let matrices = [
        (a, a_type, lda, stride_a),
        (b, b_type, ldb, stride_b),
        (c, c_type, ldc, stride_c),
    ];
    let Some([a, b, c]) = places("cublasGemmStridedBatchedEx", matrices) else {
        return NOT_SUPPORTED;
    };
    let shape = Shape {
        transposed: [a_operation, b_operation],
        m,
        n,
        k,
        batch,
    };
    // SAFETY: the caller gives scalars of the type that the way to compute says.
    unsafe {
        compute_with(
            blas,
            &shape,
            a,
            b,
            c,
            alpha,
            beta,
            compute,
            "cublasGemmStridedBatchedEx",
        )
    }
}

/// `cublasGemmEx`.
///
/// # Safety
///
/// Pointers are valid as the cuBLAS documentation asks.
#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments)]
pub unsafe extern "C" fn cublasGemmEx(
    blas: Handle,
    a_operation: c_int,
    b_operation: c_int,
    m: c_int,
    n: c_int,
    k: c_int,
    alpha: *const c_void,
    a: CuDevicePtr,
    a_type: c_int,
    lda: c_int,
    b: CuDevicePtr,
    b_type: c_int,
    ldb: c_int,
    beta: *const c_void,
    c: CuDevicePtr,
    c_type: c_int,
    ldc: c_int,
    compute: c_int,
    _algorithm: c_int,
) -> BlasStatus {
    let matrices = [
        (a, a_type, lda, 0),
        (b, b_type, ldb, 0),
        (c, c_type, ldc, 0),
    ];
    let Some([a, b, c]) = places("cublasGemmEx", matrices) else {
        return NOT_SUPPORTED;
    };
    let shape = Shape {
        transposed: [a_operation, b_operation],
        m,
        n,
        k,
        batch: 1,
    };
    // SAFETY: the caller gives scalars of the type that the way to compute says.
    unsafe { compute_with(blas, &shape, a, b, c, alpha, beta, compute, "cublasGemmEx") }
}

/// The products of one element type: `$plain`, and `$batched` of matrices at regular distances.
macro_rules! products {
    ($plain:ident, $batched:ident, $scalar:ty, $element:ident, $compute:literal) => {
        #[doc = concat!("`", stringify!($plain), "`.")]
        ///
        /// # Safety
        ///
        /// Pointers are valid as the cuBLAS documentation asks.
        #[unsafe(no_mangle)]
        #[allow(clippy::too_many_arguments)]
        pub unsafe extern "C" fn $plain(
            blas: Handle,
            a_operation: c_int,
            b_operation: c_int,
            m: c_int,
            n: c_int,
            k: c_int,
            alpha: *const $scalar,
            a: CuDevicePtr,
            lda: c_int,
            b: CuDevicePtr,
            ldb: c_int,
            beta: *const $scalar,
            c: CuDevicePtr,
            ldc: c_int,
        ) -> BlasStatus {
            // SAFETY: the same pointers, for a batch of one.
            unsafe {
                $batched(
                    blas,
                    a_operation,
                    b_operation,
                    m,
                    n,
                    k,
                    alpha,
                    a,
                    lda,
                    0,
                    b,
                    ldb,
                    0,
                    beta,
                    c,
                    ldc,
                    0,
                    1,
                )
            }
        }

        #[doc = concat!("`", stringify!($batched), "`.")]
        ///
        /// # Safety
        ///
        /// Pointers are valid as the cuBLAS documentation asks.
        #[unsafe(no_mangle)]
        #[allow(clippy::too_many_arguments)]
        pub unsafe extern "C" fn $batched(
            blas: Handle,
            a_operation: c_int,
            b_operation: c_int,
            m: c_int,
            n: c_int,
            k: c_int,
            alpha: *const $scalar,
            a: CuDevicePtr,
            lda: c_int,
            stride_a: c_longlong,
            b: CuDevicePtr,
            ldb: c_int,
            stride_b: c_longlong,
            beta: *const $scalar,
            c: CuDevicePtr,
            ldc: c_int,
            stride_c: c_longlong,
            batch: c_int,
        ) -> BlasStatus {
            let place = |address, leading: c_int, stride| Place {
                address,
                element: Element::$element,
                leading: leading.max(0) as usize,
                stride,
            };
            let shape = Shape {
                transposed: [a_operation, b_operation],
                m,
                n,
                k,
                batch,
            };
            // SAFETY: the caller gives scalars of this type.
            unsafe {
                compute_with(
                    blas,
                    &shape,
                    place(a, lda, stride_a),
                    place(b, ldb, stride_b),
                    place(c, ldc, stride_c),
                    alpha.cast(),
                    beta.cast(),
                    $compute,
                    stringify!($batched),
                )
            }
        }
    };
}

products!(cublasSgemm_v2, cublasSgemmStridedBatched, f32, F32, 68);
products!(cublasDgemm_v2, cublasDgemmStridedBatched, f64, F64, 70);
