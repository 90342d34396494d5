//! Each kernel of an operation on a GPU: its time, the bytes it must move, and its share of the
//! bandwidth that a copy from device memory to device memory has in the same run.

use anyhow::Result;
use candle_core::Device;
use serde::Serialize;

use super::operations::Work;
#[cfg(feature = "cuda")]
use super::stopwatch::median;
use crate::args::Bench;
use crate::report::table::{Align, table};

/// What is measured on a GPU only.
#[derive(Debug, Serialize)]
pub struct OnGpu {
    /// As its driver names it: the emulator's times mean nothing.
    device_name: String,
    dtype: &'static str,
    /// Of the buffer that was copied; a copy moves twice that.
    copy_bytes: usize,
    copy_gigabytes_per_second: f64,
    kernels: Vec<Kernel>,
}

/// A kernel within one operation, all its launches together.
#[derive(Debug, Serialize)]
struct Kernel {
    /// "conv1/lrn forward".
    operation: String,
    /// The entry point in `kernels/`, or "product" for a matrix product by cuBLAS. A first version
    /// kept for comparison has "naive" in its name.
    kernel: String,
    launches: usize,
    /// The median over the steps timed, by the GPU's own clock.
    seconds: f64,
    /// Inputs read once and outputs written once.
    bytes: u64,
    gigabytes_per_second: f64,
    share_of_copy: f64,
    /// Multiplications and additions of products; 0 of other kernels.
    operations: u64,
}

#[cfg(not(feature = "cuda"))]
pub fn time(_: &Device, _: &[Work], _: &Bench) -> Result<Option<OnGpu>> {
    Ok(None)
}

/// Runs each work alone, with the fast kernels and then with the naive ones where there are some.
#[cfg(feature = "cuda")]
pub fn time(device: &Device, all: &[Work], args: &Bench) -> Result<Option<OnGpu>> {
    use tandem_ops::cuda::Version;
    use tandem_ops::cuda::timing::{Meter, Timed};

    if !device.is_cuda() {
        return Ok(None);
    }
    let mut meter = Meter::new(device)?;
    let times = |run: &mut dyn FnMut() -> candle_core::Result<Vec<Timed>>| {
        for _ in 0..args.warmup {
            run()?;
        }
        let runs = (0..args.steps.get()).map(|_| run());
        runs.collect::<candle_core::Result<Vec<_>>>()
    };
    let copies = times(&mut || Ok(vec![meter.copy()?]))?;
    let copy = rate(
        copies[0][0].bytes,
        median(copies.iter().map(|run| run[0].seconds)),
    );
    let mut kernels: Vec<Kernel> = Vec::new();
    for work in all {
        for version in Version::ALL {
            let runs = times(&mut || meter.time(|| version.run(|| work.run())))?;
            let first = &runs[0];
            for (index, timed) in first.iter().enumerate() {
                let name = &timed.name;
                let met = |kernel: &Kernel| kernel.operation == work.name && kernel.kernel == *name;
                // Another launch of the same, or a kernel of which there is one version only.
                if kernels.iter().any(met) {
                    continue;
                }
                let launches = || first[index..].iter().filter(|other| other.name == *name);
                let bytes = launches().map(|timed| timed.bytes).sum();
                let seconds = median(runs.iter().map(|run| {
                    let same = run.iter().filter(|other| other.name == *name);
                    same.map(|timed| timed.seconds).sum()
                }));
                kernels.push(Kernel {
                    operation: work.name.clone(),
                    kernel: name.clone(),
                    launches: launches().count(),
                    seconds,
                    bytes,
                    gigabytes_per_second: rate(bytes, seconds),
                    share_of_copy: rate(bytes, seconds) / copy,
                    operations: launches().map(|timed| timed.operations).sum(),
                });
            }
        }
    }
    Ok(Some(OnGpu {
        device_name: meter.name()?,
        dtype: args.dtype.name(),
        copy_bytes: meter.copied(),
        copy_gigabytes_per_second: copy,
        kernels,
    }))
}

/// Gigabytes a second, 10⁹ bytes each.
#[cfg(feature = "cuda")]
fn rate(bytes: u64, seconds: f64) -> f64 {
    bytes as f64 / seconds / 1e9
}

impl OnGpu {
    /// A line on the GPU, and a table of the kernels.
    pub fn words(&self) -> String {
        let head = [
            ("operation", Align::Left),
            ("kernel", Align::Left),
            ("launches", Align::Right),
            ("median", Align::Right),
            ("moves", Align::Right),
            ("rate", Align::Right),
            ("of a copy", Align::Right),
        ];
        let rows: Vec<_> = self.kernels.iter().map(Kernel::row).collect();
        format!(
            "{}, {}: copies {} MB at {:.1} GB/s; the second cache is cleared before each operation\n\n{}",
            self.device_name,
            self.dtype,
            self.copy_bytes / 1_000_000,
            self.copy_gigabytes_per_second,
            table(&head, &rows)
        )
    }
}

impl Kernel {
    fn row(&self) -> Vec<String> {
        let (rate, share) = match self.operations {
            0 => (
                format!("{:.1} GB/s", self.gigabytes_per_second),
                format!("{:.0} %", 100.0 * self.share_of_copy),
            ),
            operations => (
                format!("{:.1} TFLOP/s", operations as f64 / self.seconds / 1e12),
                String::new(),
            ),
        };
        vec![
            self.operation.clone(),
            self.kernel.clone(),
            self.launches.to_string(),
            format!("{:.1} us", 1e6 * self.seconds),
            format!("{:.2} MB", self.bytes as f64 / 1e6),
            rate,
            share,
        ]
    }
}

#[cfg(all(test, feature = "cuda"))]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use crate::bench::measure;
    use clap::Parser;

    /// What `tandem bench` measures of `mini` on the first GPU, or the emulator.
    fn kernels(mode: &str, dtype: &str) -> OnGpu {
        let line = format!(
            "tandem bench --model mini --batch 2 --steps 1 --warmup 0 --devices cuda:0 \
             --mode {mode} --dtype {dtype}"
        );
        let Command::Bench(args) = Cli::try_parse_from(line.split_whitespace())
            .unwrap()
            .command
        else {
            panic!("not bench")
        };
        measure(&args).unwrap().0.gpu.unwrap()
    }

    /// Name and bytes of each kernel of an operation.
    fn of(found: &OnGpu, operation: &str) -> Vec<(String, u64)> {
        let its = found.kernels.iter().filter(|k| k.operation == operation);
        its.map(|k| (k.kernel.clone(), k.bytes)).collect()
    }

    #[test]
    fn both_versions_of_a_kernel_are_named_with_the_bytes_they_must_move() {
        let found = kernels("lrn", "f32");
        assert!(!found.device_name.is_empty() && found.copy_gigabytes_per_second > 0.0);
        // 2 pictures, conv1's 32 channels of 28 x 28, read and written.
        let map = 2 * 32 * 28 * 28 * 4;
        let named = |name: &str, maps: u64| (name.to_owned(), maps * map);
        assert_eq!(
            of(&found, "conv1/lrn forward"),
            [
                named("lrn_forward_pair_f32", 2),
                named("lrn_forward_naive_f32", 2)
            ]
        );
        assert_eq!(
            of(&found, "conv1/lrn backward"),
            [
                named("lrn_backward_pair_f32", 3),
                named("lrn_backward_naive_f32", 3)
            ]
        );
        for kernel in &found.kernels {
            assert!(
                kernel.seconds > 0.0 && kernel.share_of_copy > 0.0,
                "{kernel:?}"
            );
        }
    }

    #[test]
    fn lrn_and_pooling_in_one_kernel_stand_beside_the_two() {
        let found = kernels("lrn-pool", "bf16");
        let names: Vec<_> = of(&found, "conv1/lrn and pooling forward")
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(
            names,
            [
                "lrn_max_pool_forward_bf16",
                "lrn_forward_naive_bf16",
                "max_pool_forward_naive_bf16"
            ]
        );
    }

    #[test]
    fn augmentation_reads_the_bytes_and_writes_what_the_network_sees() {
        let found = kernels("augment", "bf16");
        // 2 pictures of three channels, a scale and an offset for each, twice three numbers a draw, and
        // the maps of bf16.
        let pixels = 2 * 3 * 28 * 28;
        let bytes = pixels + 3 * 2 * 4 + 2 * 2 * 3 * 4 + pixels * 2;
        let both = ["augment_affine_four_bf16", "augment_affine_naive_bf16"];
        let both = both.map(|name| (name.to_owned(), bytes));
        assert_eq!(of(&found, "augmentation"), both);
    }

    #[test]
    fn products_have_operations_and_launches_are_counted() {
        let found = kernels("linear", "f16");
        let backward = found
            .kernels
            .iter()
            .find(|kernel| kernel.kernel == "product" && kernel.operation.ends_with("backward"));
        let backward = backward.unwrap();
        assert!(
            backward.launches == 2 && backward.operations > 0,
            "{backward:?}"
        );
    }
}
