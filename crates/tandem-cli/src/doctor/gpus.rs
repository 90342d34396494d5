//! The GPUs as this build meets them: opened, asked what they have, and tried in pairs.

use std::path::PathBuf;

use serde::Serialize;

#[cfg(feature = "cuda")]
use crate::failure::Failure;
use crate::report::table::bytes;

#[derive(Debug, Default, Serialize)]
pub(super) struct Gpus {
    /// What this build was given beyond the CPU: `cuda`, `cudnn`.
    features: Vec<&'static str>,
    /// Versions of CUDA: what the driver serves, and what the kernels are compiled by.
    driver_serves: Option<String>,
    kernels_need: Option<String>,
    /// Where this build keeps its compiled kernels; of a build for GPUs that keeps none, empty.
    kernel_cache: Option<PathBuf>,
    gpus: Vec<Gpu>,
    pairs: Vec<Pair>,
    /// Why no GPU can be used.
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Gpu {
    name: String,
    memory_bytes: usize,
    free_bytes: usize,
    compute_capability: String,
}

/// How tensors go from one GPU to another.
#[derive(Debug, Serialize)]
struct Pair {
    from: usize,
    to: usize,
    /// `peer`, `driver` or `host`.
    route: &'static str,
}

/// What became of one of two GPUs that were asked to hand tensors to each other.
#[cfg(feature = "cuda")]
fn explained(error: candle_core::Error, from: usize, to: usize) -> anyhow::Error {
    match format!("cuda:{from},cuda:{to}").parse() {
        Ok(pair) => crate::gpu::explain(error.into(), &pair),
        Err(_) => error.into(),
    }
}

impl Gpus {
    #[cfg(not(feature = "cuda"))]
    pub(super) fn met() -> Self {
        Self::default()
    }

    #[cfg(feature = "cuda")]
    pub(super) fn met() -> Self {
        use tandem_ops::cuda::driver;
        let mut gpus = Self {
            features: match cfg!(feature = "cudnn") {
                true => vec!["cuda", "cudnn"],
                false => vec!["cuda"],
            },
            driver_serves: driver::version().ok().map(|v| v.to_string()),
            kernels_need: driver::compiler_version().ok().map(|v| v.to_string()),
            kernel_cache: Some(tandem_ops::cuda::kernel_cache().unwrap_or_default()),
            ..Self::default()
        };
        if let Err(error) = gpus.meet() {
            let hint = error.downcast_ref().and_then(Failure::hint);
            let hint = hint.map_or_else(String::new, |hint| format!(": {hint}"));
            gpus.error = Some(format!("{error}{hint}"));
        }
        gpus
    }

    #[cfg(feature = "cuda")]
    fn meet(&mut self) -> anyhow::Result<()> {
        use tandem_ops::cuda::device::{self, Route};
        use tandem_ops::cuda::driver;
        let mut devices = Vec::new();
        for ordinal in 0..driver::count()? {
            let device = device::open(ordinal)?;
            let gpu = driver::gpu(&device)?;
            self.gpus.extend(gpu.map(|gpu| Gpu {
                name: gpu.name,
                memory_bytes: gpu.memory,
                free_bytes: gpu.free,
                compute_capability: format!(
                    "{}.{}",
                    gpu.compute_capability / 10,
                    gpu.compute_capability % 10
                ),
            }));
            devices.push(device);
        }
        for (from, a) in devices.iter().enumerate() {
            for (to, b) in devices.iter().enumerate().filter(|(to, _)| *to != from) {
                self.pairs.push(Pair {
                    from,
                    to,
                    route: match device::route(a, b).map_err(|error| explained(error, from, to))? {
                        Route::Peer => "peer",
                        Route::Driver => "driver",
                        Route::Host => "host",
                    },
                });
            }
        }
        Ok(())
    }

    /// Whether there are GPUs and all of them answer.
    pub(super) fn serve(&self) -> bool {
        !self.gpus.is_empty() && self.error.is_none()
    }

    #[cfg(test)]
    pub(super) fn failing(error: &str) -> Self {
        Self {
            error: Some(error.to_owned()),
            ..Self::default()
        }
    }

    /// Why a build for GPUs can use none.
    pub(super) fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    pub(super) fn lines(&self) -> Vec<(&'static str, String)> {
        let features = match self.features.as_slice() {
            [] => "none: built without --features cuda".to_owned(),
            some => some.join(", "),
        };
        let mut lines = vec![("features", features)];
        if let (Some(serves), Some(needs)) = (&self.driver_serves, &self.kernels_need) {
            let text = format!("the driver serves {serves}, the kernels need {needs}");
            lines.push(("CUDA", text));
        }
        if let Some(folder) = &self.kernel_cache {
            let text = match folder.as_os_str().is_empty() {
                true => "compiled at each start: TANDEM_KERNEL_CACHE is empty".to_owned(),
                false => format!("kept in {}", folder.display()),
            };
            lines.push(("kernels", text));
        }
        for (number, gpu) in self.gpus.iter().enumerate() {
            let text = format!(
                "cuda:{number}  {}, {} ({} free), compute capability {}",
                gpu.name,
                bytes(gpu.memory_bytes as u64),
                bytes(gpu.free_bytes as u64),
                gpu.compute_capability
            );
            lines.push(("GPU", text));
        }
        for Pair { from, to, route } in &self.pairs {
            let way = match *route {
                "peer" => "directly",
                "driver" => "by the driver through the host's memory: it has no direct way",
                _ => "through the host's memory: the driver's copies fail or arrive wrong",
            };
            lines.push(("copies", format!("cuda:{from} to cuda:{to} {way}")));
        }
        lines
    }
}
