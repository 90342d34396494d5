//! The two element types of the CPU path, f32 and f64, over `pulp`'s safe SIMD vectors.

use candle_core::{CpuStorage, Result, WithDType};
use pulp::{Arch, Simd, WithSimd};

/// An element type of the CPU kernels together with its SIMD vector for each instruction set.
pub trait Real: WithDType + Copy + Send + Sync + PartialOrd + 'static {
    /// A register of these elements under instruction set `S`.
    type Vector<S: Simd>: Copy + Send + Sync;

    const ZERO: Self;

    fn sqrt(self) -> Self;
    fn powf(self, exponent: Self) -> Self;
    fn exp(self) -> Self;
    fn ln(self) -> Self;

    fn splat<S: Simd>(simd: S, value: Self) -> Self::Vector<S>;
    fn vadd<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    fn vmax<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    /// `a * b + c` in one rounding where the processor has it.
    fn mul_add<S: Simd>(
        simd: S,
        a: Self::Vector<S>,
        b: Self::Vector<S>,
        c: Self::Vector<S>,
    ) -> Self::Vector<S>;
    fn reduce_sum<S: Simd>(simd: S, a: Self::Vector<S>) -> Self;
    /// The slice as whole vectors, and what is left over at its end.
    fn as_simd<S: Simd>(slice: &[Self]) -> (&[Self::Vector<S>], &[Self]);
    fn as_mut_simd<S: Simd>(slice: &mut [Self]) -> (&mut [Self::Vector<S>], &mut [Self]);

    /// The elements of a CPU storage of this type.
    fn slice(storage: &CpuStorage) -> Result<&[Self]> {
        storage.as_slice::<Self>()
    }

    /// Elements in a vector register of this machine.
    fn lanes() -> usize {
        machine::<Self>().0
    }

    /// Vector registers of this machine.
    fn registers() -> usize {
        machine::<Self>().1
    }
}

fn machine<T: Real>() -> (usize, usize) {
    struct Ask<T>(std::marker::PhantomData<T>);
    impl<T: Real> WithSimd for Ask<T> {
        type Output = (usize, usize);
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> (usize, usize) {
            (
                size_of::<T::Vector<S>>() / size_of::<T>(),
                S::REGISTER_COUNT,
            )
        }
    }
    Arch::new().dispatch(Ask::<T>(std::marker::PhantomData))
}

macro_rules! real {
    ($type:ty, $vector:ident, $splat:ident, $add:ident, $max:ident, $fma:ident, $sum:ident, $as:ident, $as_mut:ident) => {
        impl Real for $type {
            type Vector<S: Simd> = S::$vector;

            const ZERO: Self = 0.0;

            #[inline(always)]
            fn sqrt(self) -> Self {
                <$type>::sqrt(self)
            }
            #[inline(always)]
            fn powf(self, exponent: Self) -> Self {
                <$type>::powf(self, exponent)
            }
            #[inline(always)]
            fn exp(self) -> Self {
                <$type>::exp(self)
            }
            #[inline(always)]
            fn ln(self) -> Self {
                <$type>::ln(self)
            }

            #[inline(always)]
            fn splat<S: Simd>(simd: S, value: Self) -> S::$vector {
                simd.$splat(value)
            }
            #[inline(always)]
            fn vadd<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
                simd.$add(a, b)
            }
            #[inline(always)]
            fn vmax<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
                simd.$max(a, b)
            }
            #[inline(always)]
            fn mul_add<S: Simd>(
                simd: S,
                a: S::$vector,
                b: S::$vector,
                c: S::$vector,
            ) -> S::$vector {
                simd.$fma(a, b, c)
            }
            #[inline(always)]
            fn reduce_sum<S: Simd>(simd: S, a: S::$vector) -> Self {
                simd.$sum(a)
            }
            #[inline(always)]
            fn as_simd<S: Simd>(slice: &[Self]) -> (&[S::$vector], &[Self]) {
                S::$as(slice)
            }
            #[inline(always)]
            fn as_mut_simd<S: Simd>(slice: &mut [Self]) -> (&mut [S::$vector], &mut [Self]) {
                S::$as_mut(slice)
            }
        }
    };
}

real!(
    f32,
    f32s,
    splat_f32s,
    add_f32s,
    max_f32s,
    mul_add_f32s,
    reduce_sum_f32s,
    as_simd_f32s,
    as_mut_simd_f32s
);
real!(
    f64,
    f64s,
    splat_f64s,
    add_f64s,
    max_f64s,
    mul_add_f64s,
    reduce_sum_f64s,
    as_simd_f64s,
    as_mut_simd_f64s
);
