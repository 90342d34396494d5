//! What cuDNN computes of the descriptors: a convolution, and its gradients for the data and the filter.

use std::ffi::{c_int, c_void};

use super::super::convolution::Pass;
use super::super::{CuDevicePtr, Handle};
use super::{
    BAD_PARAM, DnnStatus, EXECUTION_FAILED, NOT_INITIALIZED, NOT_SUPPORTED, SUCCESS, application,
    give, stream,
};
use crate::driver::report;

const MISALIGNED: DnnStatus = 2003;
const SIZE_INSUFFICIENT: DnnStatus = 2006;

/// `cudnnConvolutionFwdAlgoPerf_t` and its two siblings.
#[repr(C)]
pub struct Performance {
    algorithm: c_int,
    status: DnnStatus,
    time: f32,
    memory: usize,
    deterministic: c_int,
    math: c_int,
    reserved: [c_int; 3],
}

/// # Safety
///
/// `results` is valid for writing `requested` of them, `returned` for one number.
unsafe fn algorithms(
    pass: Pass,
    tensors: [Handle; 3],
    how: Handle,
    requested: c_int,
    returned: *mut c_int,
    results: *mut Performance,
) -> DnnStatus {
    let application = match application(pass, tensors, how) {
        Ok(application) => application,
        Err(status) => return status,
    };
    let room = usize::try_from(requested).unwrap_or(0);
    let known = &pass.algorithms()[..room.min(pass.algorithms().len())];
    if results.is_null() {
        return BAD_PARAM;
    }
    for (index, algorithm) in known.iter().enumerate() {
        let found = Performance {
            algorithm: *algorithm,
            status: SUCCESS,
            time: -1.0,
            memory: application.workspace(*algorithm),
            deterministic: 1,
            math: 0,
            reserved: [0; 3],
        };
        // SAFETY: there are no more than the caller has room for.
        unsafe { results.add(index).write(found) };
    }
    // SAFETY: the caller vouches for the pointer.
    unsafe { give(returned, known.len() as c_int) }
}

/// # Safety
///
/// `bytes` is null or valid for writing.
unsafe fn workspace(
    pass: Pass,
    tensors: [Handle; 3],
    how: Handle,
    algorithm: c_int,
    bytes: *mut usize,
) -> DnnStatus {
    let found = application(pass, tensors, how);
    match found.and_then(|found| known(pass, algorithm).map(|_| found.workspace(algorithm))) {
        Err(status) => status,
        // SAFETY: the caller vouches for the pointer.
        Ok(needed) => unsafe { give(bytes, needed) },
    }
}

fn known(pass: Pass, algorithm: c_int) -> Result<(), DnnStatus> {
    if pass.algorithms().contains(&algorithm) {
        return Ok(());
    }
    report(&format!(
        "{}: algorithm {algorithm} is not supported",
        pass.name()
    ));
    Err(NOT_SUPPORTED)
}

/// # Safety
///
/// `alpha` and `beta` are null or valid for reading an f32.
#[allow(clippy::too_many_arguments)]
unsafe fn run(
    pass: Pass,
    library: Handle,
    tensors: [Handle; 3],
    how: Handle,
    addresses: [CuDevicePtr; 3],
    [alpha, beta]: [*const c_void; 2],
    algorithm: c_int,
    workspace: (CuDevicePtr, usize),
) -> DnnStatus {
    let Some(stream) = stream(library) else {
        return NOT_INITIALIZED;
    };
    if alpha.is_null() || beta.is_null() || addresses.contains(&0) {
        return BAD_PARAM;
    }
    if addresses.iter().any(|address| address % 16 != 0) {
        report(&format!(
            "{}: a tensor is not at a multiple of 16 bytes",
            pass.name()
        ));
        return MISALIGNED;
    }
    let found = application(pass, tensors, how);
    let application = match found.and_then(|found| known(pass, algorithm).map(|()| found)) {
        Ok(found) => found,
        Err(status) => return status,
    };
    let needed = application.workspace(algorithm);
    if workspace.1 < needed {
        let what = pass.name();
        report(&format!(
            "{what}: a workspace of {} bytes, and it needs {needed}",
            workspace.1
        ));
        return SIZE_INSUFFICIENT;
    }
    // SAFETY: the caller vouches for two f32.
    let scalars = unsafe { [*alpha.cast::<f32>(), *beta.cast::<f32>()] };
    let workspace = (workspace.0, needed);
    let addresses = pass.in_order(addresses);
    match application.run(pass, stream, addresses, scalars, workspace) {
        Ok(()) => SUCCESS,
        Err(_) => EXECUTION_FAILED,
    }
}

/// The three functions of a pass. Each is given what it computes from, and then what it computes.
macro_rules! pass {
    ($pass:expr, $algorithms:ident, $workspace:ident, $run:ident) => {
        #[doc = concat!("`", stringify!($algorithms), "`.")]
        ///
        /// # Safety
        ///
        /// Pointers are valid as the cuDNN documentation asks.
        #[unsafe(no_mangle)]
        #[allow(clippy::too_many_arguments)]
        pub unsafe extern "C" fn $algorithms(
            _library: Handle,
            from: Handle,
            and: Handle,
            how: Handle,
            to: Handle,
            requested: c_int,
            returned: *mut c_int,
            results: *mut Performance,
        ) -> DnnStatus {
            // SAFETY: the caller vouches for the pointers.
            unsafe { algorithms($pass, [from, and, to], how, requested, returned, results) }
        }

        #[doc = concat!("`", stringify!($workspace), "`.")]
        ///
        /// # Safety
        ///
        /// Pointers are valid as the cuDNN documentation asks.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $workspace(
            _library: Handle,
            from: Handle,
            and: Handle,
            how: Handle,
            to: Handle,
            algorithm: c_int,
            bytes: *mut usize,
        ) -> DnnStatus {
            // SAFETY: the caller vouches for the pointer.
            unsafe { workspace($pass, [from, and, to], how, algorithm, bytes) }
        }

        #[doc = concat!("`", stringify!($run), "`.")]
        ///
        /// # Safety
        ///
        /// Pointers are valid as the cuDNN documentation asks.
        #[unsafe(no_mangle)]
        #[allow(clippy::too_many_arguments)]
        pub unsafe extern "C" fn $run(
            library: Handle,
            alpha: *const c_void,
            from: Handle,
            from_at: CuDevicePtr,
            and: Handle,
            and_at: CuDevicePtr,
            how: Handle,
            algorithm: c_int,
            workspace: CuDevicePtr,
            bytes: usize,
            beta: *const c_void,
            to: Handle,
            to_at: CuDevicePtr,
        ) -> DnnStatus {
            let (tensors, addresses) = ([from, and, to], [from_at, and_at, to_at]);
            let (scalars, workspace) = ([alpha, beta], (workspace, bytes));
            // SAFETY: the caller vouches for the scalars.
            unsafe {
                run(
                    $pass, library, tensors, how, addresses, scalars, algorithm, workspace,
                )
            }
        }
    };
}
pass!(
    Pass::Forward,
    cudnnGetConvolutionForwardAlgorithm_v7,
    cudnnGetConvolutionForwardWorkspaceSize,
    cudnnConvolutionForward
);
pass!(
    Pass::Data,
    cudnnGetConvolutionBackwardDataAlgorithm_v7,
    cudnnGetConvolutionBackwardDataWorkspaceSize,
    cudnnConvolutionBackwardData
);
pass!(
    Pass::Filter,
    cudnnGetConvolutionBackwardFilterAlgorithm_v7,
    cudnnGetConvolutionBackwardFilterWorkspaceSize,
    cudnnConvolutionBackwardFilter
);
