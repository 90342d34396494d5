//! Matrix products for [`super::blas`].

/// A matrix of `f32` or `f64` in column-major order without gaps.
pub(super) struct Matrix<T> {
    /// Column by column.
    pub values: Vec<T>,
    /// Length of a column.
    pub rows: usize,
}

/// `α · op(a) · op(b) + β · c`, where `op` transposes if the flag says so.
#[allow(clippy::too_many_arguments)]
pub(super) fn multiply<T: Copy + 'static>(
    [m, n, k]: [usize; 3],
    a: (&Matrix<T>, bool),
    b: (&Matrix<T>, bool),
    c: &mut Matrix<T>,
    alpha: T,
    beta: T,
    reads_c: bool,
) {
    let strides = |matrix: &Matrix<T>, transposed: bool| match transposed {
        false => (matrix.rows as isize, 1),
        true => (1, matrix.rows as isize),
    };
    let ((a_column, a_row), (b_column, b_row)) = (strides(a.0, a.1), strides(b.0, b.1));
    assert!(
        a.0.values.len() >= m * k
            && b.0.values.len() >= k * n
            && c.values.len() >= m * n
            && c.rows == m
    );
    if m == 0 || n == 0 {
        return;
    }
    // SAFETY: the matrices have no gaps, so with the sizes asserted every element that the strides reach lies
    // inside; `c` is borrowed mutably, so it overlaps neither `a` nor `b`.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.values.as_mut_ptr(),
            m as isize,
            1,
            reads_c,
            a.0.values.as_ptr(),
            a_column,
            a_row,
            b.0.values.as_ptr(),
            b_column,
            b_row,
            beta,
            alpha,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
