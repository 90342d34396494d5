//! `libcublas`: matrix products. Values of 16 bits are multiplied and summed in f32.

use std::ffi::{c_int, c_longlong, c_void};

use half::{bf16, f16};

use super::multiply::{Matrix, multiply};
use super::{CuDevicePtr, Handle, handle, put};
use crate::driver::{Call, Status, driver, report};

/// `cublasStatus_t`.
pub type BlasStatus = c_int;

const SUCCESS: BlasStatus = 0;
const NOT_INITIALIZED: BlasStatus = 1;
const INVALID_VALUE: BlasStatus = 7;
const EXECUTION_FAILED: BlasStatus = 13;
const NOT_SUPPORTED: BlasStatus = 15;

/// Element types of `cudaDataType_t` that products take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    F16,
    Bf16,
    F32,
    F64,
}

impl Element {
    fn from_code(code: c_int) -> Option<Element> {
        Some(match code {
            0 => Element::F32,
            1 => Element::F64,
            2 => Element::F16,
            14 => Element::Bf16,
            _ => return None,
        })
    }

    fn bytes(self) -> usize {
        match self {
            Element::F16 | Element::Bf16 => 2,
            Element::F32 => 4,
            Element::F64 => 8,
        }
    }
}

/// What products are computed in.
trait Number: Copy + Default + 'static {
    fn decode(element: Element, bytes: &[u8]) -> Self;
    fn encode(self, element: Element, bytes: &mut [u8]);
}

impl Number for f32 {
    fn decode(element: Element, bytes: &[u8]) -> f32 {
        match element {
            Element::F16 => f16::from_le_bytes([bytes[0], bytes[1]]).to_f32(),
            Element::Bf16 => bf16::from_le_bytes([bytes[0], bytes[1]]).to_f32(),
            _ => f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
        }
    }
    fn encode(self, element: Element, bytes: &mut [u8]) {
        match element {
            Element::F16 => bytes.copy_from_slice(&f16::from_f32(self).to_le_bytes()),
            Element::Bf16 => bytes.copy_from_slice(&bf16::from_f32(self).to_le_bytes()),
            _ => bytes.copy_from_slice(&self.to_le_bytes()),
        }
    }
}

impl Number for f64 {
    fn decode(_: Element, bytes: &[u8]) -> f64 {
        let mut eight = [0; 8];
        eight.copy_from_slice(&bytes[..8]);
        f64::from_le_bytes(eight)
    }
    fn encode(self, _: Element, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.to_le_bytes());
    }
}

/// A matrix in device memory, column-major.
#[derive(Debug, Clone, Copy)]
struct Place {
    address: CuDevicePtr,
    element: Element,
    /// Elements from one column to the next.
    leading: usize,
    /// Elements from one matrix of a batch to the next.
    stride: i64,
}

impl Place {
    fn column(&self, batch: usize, column: usize) -> u64 {
        let elements = self.stride * batch as i64 + (column * self.leading) as i64;
        self.address
            .wrapping_add((elements * self.element.bytes() as i64) as u64)
    }

    fn read<T: Number>(
        &self,
        batch: usize,
        rows: usize,
        columns: usize,
    ) -> Result<Matrix<T>, Status> {
        let size = self.element.bytes();
        let mut values = Vec::with_capacity(rows * columns);
        let mut bytes = vec![0; rows * size];
        for column in 0..columns {
            driver().read(self.column(batch, column), &mut bytes)?;
            values.extend(bytes.chunks_exact(size).map(|b| T::decode(self.element, b)));
        }
        Ok(Matrix { values, rows })
    }

    fn write<T: Number>(&self, batch: usize, matrix: &Matrix<T>) -> Result<(), Status> {
        let size = self.element.bytes();
        let mut bytes = vec![0; matrix.rows * size];
        for (column, values) in matrix.values.chunks_exact(matrix.rows.max(1)).enumerate() {
            for (value, target) in values.iter().zip(bytes.chunks_exact_mut(size)) {
                value.encode(self.element, target);
            }
            driver().write(self.column(batch, column), &bytes)?;
        }
        Ok(())
    }
}

/// Sizes, as the C functions give them.
struct Shape {
    transposed: [c_int; 2],
    m: c_int,
    n: c_int,
    k: c_int,
    batch: c_int,
}

fn product<T: Number>(
    shape: &Shape,
    a: Place,
    b: Place,
    c: Place,
    alpha: T,
    beta: T,
    reads_c: bool,
) -> BlasStatus {
    let size = |v: c_int| usize::try_from(v).ok();
    let (Some(m), Some(n), Some(k), Some(batch)) = (
        size(shape.m),
        size(shape.n),
        size(shape.k),
        size(shape.batch),
    ) else {
        return INVALID_VALUE;
    };
    let [a_transposed, b_transposed] = shape.transposed.map(|t| t != 0);
    let (a_rows, a_columns) = if a_transposed { (k, m) } else { (m, k) };
    let (b_rows, b_columns) = if b_transposed { (n, k) } else { (k, n) };
    if a.leading < a_rows.max(1) || b.leading < b_rows.max(1) || c.leading < m.max(1) {
        return INVALID_VALUE;
    }
    let run = || -> Result<(), Status> {
        driver().trace(Call::Product(driver().owner(c.address)?, [m, n, k, batch]));
        for i in 0..batch {
            let left = a.read::<T>(i, a_rows, a_columns)?;
            let right = b.read::<T>(i, b_rows, b_columns)?;
            let mut out = match reads_c {
                true => c.read::<T>(i, m, n)?,
                false => Matrix {
                    values: vec![T::default(); m * n],
                    rows: m,
                },
            };
            multiply(
                [m, n, k],
                (&left, a_transposed),
                (&right, b_transposed),
                &mut out,
                alpha,
                beta,
                reads_c,
            );
            c.write(i, &out)?;
        }
        Ok(())
    };
    if run().is_ok() {
        SUCCESS
    } else {
        EXECUTION_FAILED
    }
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
    // SAFETY: the caller vouches for the pointer.
    if unsafe { put(blas, handle(0xb1a5)) }.is_ok() {
        SUCCESS
    } else {
        INVALID_VALUE
    }
}

/// `cublasDestroy_v2`.
#[unsafe(no_mangle)]
pub extern "C" fn cublasDestroy_v2(_blas: Handle) -> BlasStatus {
    SUCCESS
}

/// `cublasSetStream_v2`.
#[unsafe(no_mangle)]
pub extern "C" fn cublasSetStream_v2(_blas: Handle, _stream: Handle) -> BlasStatus {
    SUCCESS
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
    match compute {
        // COMPUTE_16F
        64 | 65 => {
            // SAFETY: the caller vouches for two f16.
            let (alpha, beta) = unsafe { (*alpha.cast::<f16>(), *beta.cast::<f16>()) };
            product(
                shape,
                a,
                b,
                c,
                alpha.to_f32(),
                beta.to_f32(),
                beta != f16::ZERO,
            )
        }
        // COMPUTE_32F and its FAST forms, which the emulator computes in full.
        68 | 69 | 74 | 75 | 77 => {
            // SAFETY: the caller vouches for two f32.
            let (alpha, beta) = unsafe { (*alpha.cast::<f32>(), *beta.cast::<f32>()) };
            product(shape, a, b, c, alpha, beta, beta != 0.0)
        }
        // COMPUTE_64F
        70 | 71 => {
            // SAFETY: the caller vouches for two f64.
            let (alpha, beta) = unsafe { (*alpha.cast::<f64>(), *beta.cast::<f64>()) };
            product(shape, a, b, c, alpha, beta, beta != 0.0)
        }
        other => {
            report(&format!("{name}: compute type {other} is not supported"));
            NOT_SUPPORTED
        }
    }
}

/// `cublasGemmStridedBatchedEx`.
///
/// # Safety
///
/// Pointers are valid as the cuBLAS documentation asks.
#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments)]
pub unsafe extern "C" fn cublasGemmStridedBatchedEx(
    _blas: Handle,
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
    let place = |address, code, leading: c_int, stride| {
        Element::from_code(code).map(|element| Place {
            address,
            element,
            leading: leading.max(0) as usize,
            stride,
        })
    };
    let (Some(a), Some(b), Some(c)) = (
        place(a, a_type, lda, stride_a),
        place(b, b_type, ldb, stride_b),
        place(c, c_type, ldc, stride_c),
    ) else {
        report(&format!(
            "cublasGemmStridedBatchedEx: data types {a_type}, {b_type}, {c_type} are not supported"
        ));
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
    _blas: Handle,
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
    let place = |address, code, leading: c_int, stride| {
        Element::from_code(code).map(|element| Place {
            address,
            element,
            leading: leading.max(0) as usize,
            stride,
        })
    };
    let (Some(a), Some(b), Some(c)) = (
        place(a, a_type, lda, 0),
        place(b, b_type, ldb, 0),
        place(c, c_type, ldc, 0),
    ) else {
        report(&format!(
            "cublasGemmEx: data types {a_type}, {b_type}, {c_type} are not supported"
        ));
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
    unsafe { compute_with(&shape, a, b, c, alpha, beta, compute, "cublasGemmEx") }
}

/// `cublasSgemm_v2`.
///
/// # Safety
///
/// Pointers are valid as the cuBLAS documentation asks.
#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments)]
pub unsafe extern "C" fn cublasSgemm_v2(
    _blas: Handle,
    a_operation: c_int,
    b_operation: c_int,
    m: c_int,
    n: c_int,
    k: c_int,
    alpha: *const f32,
    a: CuDevicePtr,
    lda: c_int,
    b: CuDevicePtr,
    ldb: c_int,
    beta: *const f32,
    c: CuDevicePtr,
    ldc: c_int,
) -> BlasStatus {
    let place = |address, leading: c_int, stride| Place {
        address,
        element: Element::F32,
        leading: leading.max(0) as usize,
        stride,
    };
    let (a, b, c) = (place(a, lda, 0), place(b, ldb, 0), place(c, ldc, 0));
    let shape = Shape {
        transposed: [a_operation, b_operation],
        m,
        n,
        k,
        batch: 1,
    };
    // SAFETY: the caller gives scalars of this type.
    unsafe {
        compute_with(
            &shape,
            a,
            b,
            c,
            alpha.cast(),
            beta.cast(),
            68,
            "cublasSgemm_v2",
        )
    }
}

/// `cublasSgemmStridedBatched`.
///
/// # Safety
///
/// Pointers are valid as the cuBLAS documentation asks.
#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments)]
pub unsafe extern "C" fn cublasSgemmStridedBatched(
    _blas: Handle,
    a_operation: c_int,
    b_operation: c_int,
    m: c_int,
    n: c_int,
    k: c_int,
    alpha: *const f32,
    a: CuDevicePtr,
    lda: c_int,
    stride_a: c_longlong,
    b: CuDevicePtr,
    ldb: c_int,
    stride_b: c_longlong,
    beta: *const f32,
    c: CuDevicePtr,
    ldc: c_int,
    stride_c: c_longlong,
    batch: c_int,
) -> BlasStatus {
    let place = |address, leading: c_int, stride| Place {
        address,
        element: Element::F32,
        leading: leading.max(0) as usize,
        stride,
    };
    let (a, b, c) = (
        place(a, lda, stride_a),
        place(b, ldb, stride_b),
        place(c, ldc, stride_c),
    );
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
            &shape,
            a,
            b,
            c,
            alpha.cast(),
            beta.cast(),
            68,
            "cublasSgemmStridedBatched",
        )
    }
}

/// `cublasDgemm_v2`.
///
/// # Safety
///
/// Pointers are valid as the cuBLAS documentation asks.
#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments)]
pub unsafe extern "C" fn cublasDgemm_v2(
    _blas: Handle,
    a_operation: c_int,
    b_operation: c_int,
    m: c_int,
    n: c_int,
    k: c_int,
    alpha: *const f64,
    a: CuDevicePtr,
    lda: c_int,
    b: CuDevicePtr,
    ldb: c_int,
    beta: *const f64,
    c: CuDevicePtr,
    ldc: c_int,
) -> BlasStatus {
    let place = |address, leading: c_int, stride| Place {
        address,
        element: Element::F64,
        leading: leading.max(0) as usize,
        stride,
    };
    let (a, b, c) = (place(a, lda, 0), place(b, ldb, 0), place(c, ldc, 0));
    let shape = Shape {
        transposed: [a_operation, b_operation],
        m,
        n,
        k,
        batch: 1,
    };
    // SAFETY: the caller gives scalars of this type.
    unsafe {
        compute_with(
            &shape,
            a,
            b,
            c,
            alpha.cast(),
            beta.cast(),
            70,
            "cublasDgemm_v2",
        )
    }
}

/// `cublasDgemmStridedBatched`.
///
/// # Safety
///
/// Pointers are valid as the cuBLAS documentation asks.
#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments)]
pub unsafe extern "C" fn cublasDgemmStridedBatched(
    _blas: Handle,
    a_operation: c_int,
    b_operation: c_int,
    m: c_int,
    n: c_int,
    k: c_int,
    alpha: *const f64,
    a: CuDevicePtr,
    lda: c_int,
    stride_a: c_longlong,
    b: CuDevicePtr,
    ldb: c_int,
    stride_b: c_longlong,
    beta: *const f64,
    c: CuDevicePtr,
    ldc: c_int,
    stride_c: c_longlong,
    batch: c_int,
) -> BlasStatus {
    let place = |address, leading: c_int, stride| Place {
        address,
        element: Element::F64,
        leading: leading.max(0) as usize,
        stride,
    };
    let (a, b, c) = (
        place(a, lda, stride_a),
        place(b, ldb, stride_b),
        place(c, ldc, stride_c),
    );
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
            &shape,
            a,
            b,
            c,
            alpha.cast(),
            beta.cast(),
            70,
            "cublasDgemmStridedBatched",
        )
    }
}
