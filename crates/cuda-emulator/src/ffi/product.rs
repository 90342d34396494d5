//! Matrix products of [`super::blas`], on matrices in device memory.

use std::ffi::c_int;

use half::{bf16, f16};

use super::CuDevicePtr;
use super::blas::{BlasStatus, EXECUTION_FAILED, INVALID_VALUE, SUCCESS};
use super::multiply::{Matrix, multiply};
use crate::driver::{Call, Status, driver};

/// Element types of `cudaDataType_t` that products take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    F16,
    Bf16,
    F32,
    F64,
}

impl Element {
    pub(super) fn from_code(code: c_int) -> Option<Element> {
        Some(match code {
            0 => Element::F32,
            1 => Element::F64,
            2 => Element::F16,
            14 => Element::Bf16,
            _ => return None,
        })
    }

    pub(super) fn bytes(self) -> usize {
        match self {
            Element::F16 | Element::Bf16 => 2,
            Element::F32 => 4,
            Element::F64 => 8,
        }
    }
}

/// What products are computed in.
pub(super) trait Number: Copy + Default + 'static {
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
pub(super) struct Place {
    pub address: CuDevicePtr,
    pub element: Element,
    /// Elements from one column to the next.
    pub leading: usize,
    /// Elements from one matrix of a batch to the next.
    pub stride: i64,
}

impl Place {
    fn column(&self, batch: usize, column: usize) -> u64 {
        let elements = self.stride * batch as i64 + (column * self.leading) as i64;
        self.address
            .wrapping_add((elements * self.element.bytes() as i64) as u64)
    }

    /// Address of a matrix of a batch, and the bytes from its first element to its last.
    fn span(&self, batch: usize, rows: usize, columns: usize) -> (u64, u64) {
        let elements = match columns {
            0 => 0,
            _ => (columns - 1) * self.leading + rows,
        };
        let bytes = elements * self.element.bytes();
        (self.column(batch, 0), bytes as u64)
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
pub(super) struct Shape {
    pub transposed: [c_int; 2],
    pub m: c_int,
    pub n: c_int,
    pub k: c_int,
    pub batch: c_int,
}

pub(super) fn product<T: Number>(
    stream: u64,
    shape: &Shape,
    [a, b, c]: [Place; 3],
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
        let _turn = driver().turn([c.address; 2]);
        let work = driver().queue(stream, "a matrix product")?;
        for (place, [rows, columns], writes) in [
            (&a, [a_rows, a_columns], false),
            (&b, [b_rows, b_columns], false),
            (&c, [m, n], true),
        ] {
            for i in 0..batch {
                let (start, bytes) = place.span(i, rows, columns);
                driver().uses_own(&work, start, bytes, writes)?;
            }
        }
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
