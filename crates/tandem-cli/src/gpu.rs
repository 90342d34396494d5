//! What became of a GPU, in words, and what helps.

use anyhow::Error;
use tandem_alexnet::placement::{DeviceName, Placement};
use tandem_alexnet::precision::Precision;
use tandem_alexnet::shapes::Shapes;
use tandem_ops::fault::Fault;

use crate::failure::Failure;
use crate::report::table::bytes;

const LOST: &str = "`nvidia-smi` and `dmesg | grep Xid` tell what became of it";

/// `error`, or in place of a GPU's fault what became of `devices` and what helps.
pub fn explain(error: Error, devices: &Placement) -> Error {
    let less = "a smaller --batch needs less; `nvidia-smi` lists who else uses it";
    explain_with(error, devices, || less.to_owned())
}

fn explain_with(error: Error, devices: &Placement, less_memory: impl FnOnce() -> String) -> Error {
    let fault = |cause: &(dyn std::error::Error + 'static)| Fault::of(cause.downcast_ref()?);
    let Some(fault) = error.chain().find_map(fault) else {
        return error;
    };
    // The driver's errors do not say which.
    let gpu = match devices.places() {
        1 => devices.to_string(),
        _ => format!("one of {devices}"),
    };
    let (what, help) = match fault {
        Fault::OutOfMemory => (format!("{gpu} has too little memory"), less_memory()),
        Fault::Lost { code } => (format!("{gpu} no longer answers ({code})"), LOST.to_owned()),
    };
    Failure::failed(what, help).into()
}

/// A training run, for an error that says what would have fitted.
pub struct Work {
    pub shapes: Shapes,
    pub devices: Placement,
    pub precision: Precision,
    /// Pictures of one forward and backward pass, and how many of these make an update.
    pub batch: usize,
    pub accumulate: usize,
    /// Bytes free on the GPU of each place before the run; none for a CPU.
    pub free: Vec<Option<u64>>,
}

/// A GPU's share of a training step, bytes.
struct Share {
    gpu: DeviceName,
    needs: u64,
    free: u64,
    /// The batch that fits.
    fits: u64,
    /// What an update over several batches needs beside.
    accumulating: u64,
}

impl Work {
    pub fn explain(&self, error: Error) -> Error {
        explain_with(error, &self.devices, || self.memory())
    }

    /// What a step needs on each GPU, what was free there, and the batch that would have fitted.
    fn memory(&self) -> String {
        let shares = self.shares();
        let needs: Vec<String> = shares
            .iter()
            .map(|share| {
                let (needs, free) = (bytes(share.needs), bytes(share.free));
                format!("{needs} on {}, where {free} were free", share.gpu)
            })
            .collect();
        let fits = shares.iter().map(|share| share.fits).min().unwrap_or(0);
        let advice = match fits {
            0 => "no batch fits".to_owned(),
            _ if fits < self.batch as u64 => {
                let several = match self.accumulate {
                    1 => {
                        let most = shares.iter().map(|share| share.accumulating).max();
                        format!(
                            "makes one update of several and needs {} more",
                            bytes(most.unwrap_or(0))
                        )
                    }
                    _ => "can make up for it".to_owned(),
                };
                format!("batch {fits} would fit (--batch {fits}; accumulate {several})")
            }
            _ => "that should have sufficed: `nvidia-smi` lists who else took memory".to_owned(),
        };
        format!(
            "a step of batch {} needs {}; {advice}",
            self.batch,
            needs.join(" and ")
        )
    }

    /// Places on one GPU share what it has.
    fn shares(&self) -> Vec<Share> {
        let names = self.devices.devices();
        let mut shares: Vec<Share> = Vec::new();
        let holdings = self.shapes.holdings(&self.devices);
        for ((&gpu, holding), free) in names.iter().zip(&holdings).zip(&self.free) {
            let Some(free) = *free else { continue };
            let places = names.iter().filter(|name| **name == gpu).count() as u64;
            let accumulating = holding.accumulating_bytes();
            let beside = match self.accumulate {
                1 => 0,
                _ => accumulating,
            };
            let needs = beside + holding.training_bytes(self.batch as u64, self.precision);
            let here = (free / places).saturating_sub(beside);
            let fits = holding.largest_batch(here, self.precision);
            match shares.iter_mut().find(|share| share.gpu == gpu) {
                Some(share) => {
                    share.needs += needs;
                    share.accumulating += accumulating;
                    share.fits = share.fits.min(fits);
                }
                None => shares.push(Share {
                    gpu,
                    needs,
                    free,
                    fits,
                    accumulating,
                }),
            }
        }
        shares
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_alexnet::spec::Spec;

    fn memory(devices: &str, free: u64) -> String {
        let devices: Placement = devices.parse().unwrap();
        let free = vec![Some(free); devices.places()];
        let shapes = Shapes::of(&Spec::preset("alexnet").unwrap()).unwrap();
        let work = Work {
            shapes,
            devices,
            precision: Precision::F32,
            batch: 4096,
            accumulate: 1,
            free,
        };
        work.memory()
    }

    #[test]
    fn too_little_memory_is_answered_with_what_is_needed_and_what_fits() {
        let text = memory("cuda:0", 8 << 30);
        assert!(
            text.contains("on cuda:0, where 8.00 GiB were free"),
            "{text}"
        );
        assert!(text.contains("would fit (--batch "), "{text}");
        assert!(memory("cuda:0,cuda:1", 1 << 20).ends_with("no batch fits"));
    }

    #[test]
    fn two_places_on_one_gpu_share_its_memory() {
        let text = memory("cuda:0,cuda:0", 8 << 30);
        assert_eq!(text.matches("on cuda:0").count(), 1, "{text}");
    }
}
