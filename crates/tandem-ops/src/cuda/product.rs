//! Batches of matrix products as cuBLAS takes them, checked.

use crate::error::OpError;

/// `C[i] = A[i] · B[i]`, or `C[i] += …`, for `i` in a batch; all row-major, `C` `(m, n)`. `A` is
/// stored `(m, k)`, or `(k, m)` where transposed; `B` `(k, n)`, or `(n, k)` where transposed. The
/// matrices of a batch lie one after the other; with `batch` 1 that says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Product {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub batch: usize,
    pub transpose_a: bool,
    pub transpose_b: bool,
    pub accumulate: bool,
}

/// The same as cuBLAS takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    pub m: i32,
    pub n: i32,
    pub k: i32,
    pub batch: i32,
    pub pitch_a: i32,
    pub pitch_b: i32,
    pub stride_a: i64,
    pub stride_b: i64,
    pub stride_c: i64,
}

impl Product {
    /// The sizes, if they fit cuBLAS's integers and buffers of these lengths.
    pub(super) fn checked(&self, a: usize, b: usize, c: usize) -> Result<Sizes, OpError> {
        let fail = |what: &str| {
            OpError::shape(
                "product",
                what,
                format!("{self:?}, buffers of {a}, {b}, {c}"),
            )
        };
        let area = |x: usize, y: usize| x.checked_mul(y);
        let fits = |matrix: Option<usize>, len: usize| {
            matrix
                .and_then(|area| area.checked_mul(self.batch))
                .is_some_and(|need| need <= len)
        };
        let (in_a, in_b, in_c) = (
            area(self.m, self.k),
            area(self.k, self.n),
            area(self.m, self.n),
        );
        if !(fits(in_a, a) && fits(in_b, b) && fits(in_c, c)) {
            return Err(fail("a buffer is too short"));
        }
        if [self.m, self.n, self.k, self.batch].contains(&0) {
            return Err(fail("a size is zero"));
        }
        let int = |value: usize| i32::try_from(value).map_err(|_| fail("a size is above 2³¹ − 1"));
        let stride = |matrix: Option<usize>| {
            matrix
                .and_then(|area| i64::try_from(area).ok())
                .ok_or_else(|| fail("a matrix is above 2⁶³ − 1"))
        };
        Ok(Sizes {
            m: int(self.m)?,
            n: int(self.n)?,
            k: int(self.k)?,
            batch: int(self.batch)?,
            pitch_a: int(if self.transpose_a { self.m } else { self.k })?,
            pitch_b: int(if self.transpose_b { self.k } else { self.n })?,
            stride_a: stride(in_a)?,
            stride_b: stride(in_b)?,
            stride_c: stride(in_c)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRODUCT: Product = Product {
        m: 2,
        n: 3,
        k: 5,
        batch: 4,
        transpose_a: false,
        transpose_b: true,
        accumulate: false,
    };

    #[test]
    fn a_buffer_one_element_short_is_refused() {
        assert!(PRODUCT.checked(40, 60, 24).is_ok());
        for (a, b, c) in [(39, 60, 24), (40, 59, 24), (40, 60, 23)] {
            let error = PRODUCT.checked(a, b, c).unwrap_err().to_string();
            assert!(error.contains("a buffer is too short"), "{error}");
        }
        let huge = Product {
            m: usize::MAX,
            ..PRODUCT
        };
        assert!(huge.checked(40, 60, 24).is_err());
    }

    #[test]
    fn pitches_are_the_lengths_of_stored_rows() {
        let sizes = PRODUCT.checked(40, 60, 24).unwrap();
        assert_eq!((sizes.pitch_a, sizes.pitch_b), (5, 5));
        assert_eq!(
            (sizes.stride_a, sizes.stride_b, sizes.stride_c),
            (10, 15, 6)
        );
        let turned = Product {
            transpose_a: true,
            transpose_b: false,
            ..PRODUCT
        };
        let sizes = turned.checked(40, 60, 24).unwrap();
        assert_eq!((sizes.pitch_a, sizes.pitch_b), (2, 3));
    }
}
