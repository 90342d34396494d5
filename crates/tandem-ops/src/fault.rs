//! Errors that a GPU made, told apart from those of inputs.

use candle_core::Error;
#[cfg(feature = "cuda")]
use {
    crate::cuda::driver::name, candle_core::cuda_backend::CudaError,
    candle_core::cuda_backend::cudarc::cublas::sys::cublasStatus_t as Blas,
    candle_core::cuda_backend::cudarc::driver::sys::CUresult as Code,
};

/// Errors after which the driver answers nothing else until the program starts anew.
#[cfg(feature = "cuda")]
const LOST: [Code; 15] = [
    Code::CUDA_ERROR_DEINITIALIZED,
    Code::CUDA_ERROR_DEVICE_UNAVAILABLE,
    Code::CUDA_ERROR_ECC_UNCORRECTABLE,
    Code::CUDA_ERROR_NVLINK_UNCORRECTABLE,
    Code::CUDA_ERROR_ILLEGAL_ADDRESS,
    Code::CUDA_ERROR_LAUNCH_TIMEOUT,
    Code::CUDA_ERROR_CONTEXT_IS_DESTROYED,
    Code::CUDA_ERROR_ASSERT,
    Code::CUDA_ERROR_HARDWARE_STACK_ERROR,
    Code::CUDA_ERROR_ILLEGAL_INSTRUCTION,
    Code::CUDA_ERROR_MISALIGNED_ADDRESS,
    Code::CUDA_ERROR_INVALID_ADDRESS_SPACE,
    Code::CUDA_ERROR_INVALID_PC,
    Code::CUDA_ERROR_LAUNCH_FAILED,
    Code::CUDA_ERROR_UNKNOWN,
];

/// What became of a GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Its memory does not suffice.
    OutOfMemory,
    /// It no longer does what it is asked, and will not before the program starts anew.
    Lost { code: String },
}

impl Fault {
    /// The fault behind an error of an operation, where it is one; never in a build without CUDA.
    pub fn of(error: &Error) -> Option<Self> {
        #[cfg(feature = "cuda")]
        return Self::of_cuda(cuda(error)?);
        #[cfg(not(feature = "cuda"))]
        {
            let _ = error;
            None
        }
    }

    /// The driver's code behind an error, where there is one.
    #[cfg(feature = "cuda")]
    pub(crate) fn code(error: &Error) -> Option<Code> {
        match cuda(error)? {
            CudaError::Cuda(error) | CudaError::Load { cuda: error, .. } => Some(error.0),
            _ => None,
        }
    }

    #[cfg(feature = "cuda")]
    fn of_cuda(error: &CudaError) -> Option<Self> {
        match error {
            CudaError::Cuda(error) | CudaError::Load { cuda: error, .. } => match error.0 {
                Code::CUDA_ERROR_OUT_OF_MEMORY => Some(Self::OutOfMemory),
                code if LOST.contains(&code) => Some(Self::Lost { code: name(*error) }),
                _ => None,
            },
            CudaError::Cublas(error) => match error.0 {
                Blas::CUBLAS_STATUS_ALLOC_FAILED => Some(Self::OutOfMemory),
                Blas::CUBLAS_STATUS_EXECUTION_FAILED | Blas::CUBLAS_STATUS_INTERNAL_ERROR => {
                    Some(Self::Lost {
                        code: format!("{:?}", error.0),
                    })
                }
                _ => None,
            },
            _ => None,
        }
    }
}

/// candle's error of a GPU behind any context.
#[cfg(feature = "cuda")]
fn cuda(error: &Error) -> Option<&CudaError> {
    match error {
        Error::Cuda(inner) => inner.downcast_ref(),
        Error::Context { inner, .. }
        | Error::WithPath { inner, .. }
        | Error::WithBacktrace { inner, .. } => cuda(inner),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_inputs_is_no_fault_of_the_gpu() {
        assert_eq!(Fault::of(&Error::msg("a shape").context("conv2")), None);
    }

    #[cfg(feature = "cuda")]
    #[test]
    fn memory_and_a_lost_gpu_are_told_apart_behind_any_context() {
        use candle_core::cuda_backend::cudarc::driver::DriverError;
        let cuda = |code| Error::from(CudaError::Cuda(DriverError(code))).context("conv2");
        let full = Fault::of(&cuda(Code::CUDA_ERROR_OUT_OF_MEMORY));
        assert_eq!(full, Some(Fault::OutOfMemory));
        let lost = Fault::of(&cuda(Code::CUDA_ERROR_LAUNCH_FAILED));
        let code = "CUDA_ERROR_LAUNCH_FAILED".to_owned();
        assert_eq!(lost, Some(Fault::Lost { code }));
        let other = Fault::of(&cuda(Code::CUDA_ERROR_INVALID_PTX));
        assert_eq!(other, None, "a kernel that does not load is no lost GPU");
    }
}
