//! NVIDIA's driver: whether it serves this build, which GPUs it has.

use super::launch;
use crate::fault::Fault;
use candle_core::cuda_backend::cudarc::driver::sys::CUresult as Code;
use candle_core::cuda_backend::cudarc::driver::{CudaContext, DriverError, result};
use candle_core::{Device, Error};

/// A GPU that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The driver was loaded and does not start.
    #[error("NVIDIA's driver does not start ({code}): {advice}")]
    Driver { code: String, advice: &'static str },
    /// PTX of a toolkit runs on drivers of its version and newer.
    #[error(
        "NVIDIA's driver serves CUDA {driver} and this build needs {needed}: install a newer driver, or build with \
         the toolkit of CUDA {driver}"
    )]
    OldDriver { driver: Version, needed: Version },
    #[error("there is no cuda:{ordinal}: the driver has {}", gpus(*count))]
    NoSuchGpu { ordinal: usize, count: usize },
    #[error("cuda:{ordinal} does not open ({code}): {advice}")]
    Failed {
        ordinal: usize,
        code: String,
        advice: &'static str,
    },
}

impl OpenError {
    /// Of an error that candle gives.
    pub(super) fn failed(ordinal: usize, error: &Error) -> Self {
        let code = Fault::code(error).or_else(|| {
            let full = Fault::of(error) == Some(Fault::OutOfMemory);
            full.then_some(Code::CUDA_ERROR_OUT_OF_MEMORY)
        });
        Self::Failed {
            ordinal,
            advice: advice(code),
            code: code.map_or_else(|| error.to_string(), |code| name(DriverError(code))),
        }
    }
}

fn gpus(count: usize) -> String {
    match count {
        0 => "none".to_owned(),
        1 => "one GPU, cuda:0".to_owned(),
        many => format!("{many} GPUs, cuda:0 to cuda:{}", many - 1),
    }
}

/// A version of CUDA: 13.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    pub major: u32,
    pub minor: u32,
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The version of CUDA that the driver serves.
pub fn version() -> Result<Version, OpenError> {
    let number = launch::driver_version().map_err(not_starting)?;
    Ok(Version {
        major: number / 1000,
        minor: number % 1000 / 10,
    })
}

/// The version of NVRTC, which compiles the kernels.
pub fn compiler_version() -> Result<Version, OpenError> {
    let compiler = launch::compiler().map_err(|code| OpenError::Driver {
        code,
        advice: "libnvrtc of the toolkit that this was built with must be found by the loader",
    })?;
    Ok(compiler.version)
}

/// Starts the driver, finds it fit for this build's kernels, and counts its GPUs.
pub fn count() -> Result<usize, OpenError> {
    result::init().map_err(not_starting)?;
    let (driver, needed) = (version()?, compiler_version()?);
    if driver < needed {
        return Err(OpenError::OldDriver { driver, needed });
    }
    let count = CudaContext::device_count().map_err(not_starting)?;
    Ok(usize::try_from(count).unwrap_or(0))
}

fn not_starting(error: DriverError) -> OpenError {
    OpenError::Driver {
        code: name(error),
        advice: advice(Some(error.0)),
    }
}

/// What helps against an error of the driver before any work.
fn advice(code: Option<Code>) -> &'static str {
    match code {
        Some(Code::CUDA_ERROR_NO_DEVICE) => {
            "it finds no GPU; `nvidia-smi` lists what it sees, and CUDA_VISIBLE_DEVICES can hide one"
        }
        Some(Code::CUDA_ERROR_STUB_LIBRARY) => {
            "the libcuda found is the linker's stub: take the toolkit's stubs folder off LD_LIBRARY_PATH"
        }
        Some(Code::CUDA_ERROR_SYSTEM_DRIVER_MISMATCH) => {
            "its library and its kernel module are of different versions: restart the machine"
        }
        Some(Code::CUDA_ERROR_SYSTEM_NOT_READY) => {
            "the system is not ready: is nvidia-fabricmanager running?"
        }
        Some(Code::CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE) => {
            "this GPU takes no libcuda newer than its kernel module: take the toolkit's compat folder off \
             LD_LIBRARY_PATH"
        }
        Some(Code::CUDA_ERROR_OPERATING_SYSTEM) => {
            "the system keeps the GPU's devices from it: is there a /dev/nvidiactl? A container needs `--gpus all`"
        }
        Some(Code::CUDA_ERROR_DEVICE_UNAVAILABLE) => {
            "another process has it for itself alone; `nvidia-smi` lists whose it is"
        }
        Some(Code::CUDA_ERROR_OUT_OF_MEMORY) => {
            "its memory is full; `nvidia-smi` lists who uses it"
        }
        _ => "`nvidia-smi` says more; `tandem doctor` lists what is missing",
    }
}

/// What the driver says of a GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    pub name: String,
    /// Bytes.
    pub memory: usize,
    /// Bytes that nothing holds now, or that this process would use again.
    pub free: usize,
    /// 90 for 9.0.
    pub compute_capability: u32,
}

/// What the driver says of the GPU behind `device`; nothing of a CPU.
pub fn gpu(device: &Device) -> Result<Option<Gpu>, OpenError> {
    let Device::Cuda(device) = device else {
        return Ok(None);
    };
    let stream = device.cuda_stream();
    let context = stream.context();
    let ask = || -> Result<Gpu, DriverError> {
        let (major, minor) = context.compute_capability()?;
        let (free, memory) = context.mem_get_info()?;
        Ok(Gpu {
            name: context.name()?,
            memory,
            free: free + launch::kept_memory(device)?,
            compute_capability: (major * 10 + minor).unsigned_abs(),
        })
    };
    ask().map(Some).map_err(|error| OpenError::Failed {
        ordinal: context.ordinal(),
        code: name(error),
        advice: advice(Some(error.0)),
    })
}

/// `CUDA_ERROR_NO_DEVICE`.
pub(crate) fn name(error: DriverError) -> String {
    match error.error_name() {
        Ok(name) => name.to_string_lossy().into_owned(),
        Err(_) => format!("{:?}", error.0),
    }
}
