//! The GPUs as this build meets them: opened, asked what they have, and tried in pairs.

use serde::Serialize;

use crate::report::table::bytes;

#[derive(Debug, Default, Serialize)]
pub(super) struct Gpus {
    /// What this build was given beyond the CPU: `cuda`, `cudnn`.
    features: Vec<&'static str>,
    /// Versions of CUDA: what the driver serves, and what the kernels are compiled by.
    driver_serves: Option<String>,
    kernels_need: Option<String>,
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
            ..Self::default()
        };
        if let Err(error) = gpus.meet() {
            gpus.error = Some(error.to_string());
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
                    route: match device::route(a, b)? {
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
        lines.extend(self.error.iter().map(|error| ("error", error.clone())));
        lines
    }
}
