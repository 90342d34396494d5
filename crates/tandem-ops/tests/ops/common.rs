//! Comparing tensors, reading fixtures, finite differences.

use candle_core::{DType, Device, Result, Tensor};
use std::collections::HashMap;
#[cfg(feature = "cuda")]
use std::sync::OnceLock;

/// Random shapes tried for each operation in a run.
pub const CASES: u32 = 1000;

pub struct Fixture {
    tensors: HashMap<String, Tensor>,
    metadata: HashMap<String, String>,
}

impl Fixture {
    pub fn read(name: &str) -> Self {
        // Of the environment first: a test program may have left the machine that built it.
        let root = std::env::var("CARGO_MANIFEST_DIR");
        let root = root.unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
        let path = format!("{root}/tests/fixtures/{name}.safetensors");
        let bytes = std::fs::read(&path).expect("the fixture is in the repository");
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        Self {
            tensors: candle_core::safetensors::load(path, &Device::Cpu).unwrap(),
            metadata: header.metadata().clone().unwrap(),
        }
    }

    pub fn tensor(&self, name: &str, place: &Place) -> Tensor {
        let tensor = self.tensors[name].to_dtype(place.dtype).unwrap();
        tensor.to_device(&place.device).unwrap()
    }

    pub fn labels(&self, name: &str, place: &Place) -> Tensor {
        let tensor = self.tensors[name].to_dtype(DType::U32).unwrap();
        tensor.to_device(&place.device).unwrap()
    }

    /// A parameter; values in the metadata are JSON.
    pub fn value(&self, name: &str) -> serde_json::Value {
        serde_json::from_str(&self.metadata[name]).unwrap()
    }

    pub fn number(&self, name: &str) -> f64 {
        self.value(name).as_f64().unwrap()
    }

    pub fn size(&self, name: &str) -> usize {
        self.value(name).as_u64().unwrap() as usize
    }
}

/// A device, and an element type that operations have there.
pub struct Place {
    pub device: Device,
    pub dtype: DType,
}

/// Where golden values are checked: the CPU, and a GPU (or the emulator) in a build with `cuda`.
pub fn places() -> Vec<Place> {
    let cpu = |dtype| Place {
        device: Device::Cpu,
        dtype,
    };
    #[cfg_attr(not(feature = "cuda"), allow(unused_mut, reason = "a GPU is one more"))]
    let mut places = vec![cpu(DType::F32), cpu(DType::F64)];
    #[cfg(feature = "cuda")]
    places.push(Place {
        device: gpu(),
        dtype: DType::F32,
    });
    places
}

/// The first GPU, opened once.
#[cfg(feature = "cuda")]
pub fn gpu() -> Device {
    static GPU: OnceLock<Device> = OnceLock::new();
    let open = || tandem_ops::cuda::device::open(0).expect("a GPU, or the emulator, is there");
    GPU.get_or_init(open).clone()
}

pub fn values(tensor: &Tensor) -> Vec<f64> {
    let tensor = tensor.to_device(&Device::Cpu).unwrap();
    let flat = tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap();
    flat.to_vec1().unwrap()
}

/// Fails if a value differs by more than `absolute + relative · |want|`: says where, both values,
/// the largest error and how many.
pub fn assert_near(what: &str, got: &[f64], want: &[f64], absolute: f64, relative: f64) {
    assert_eq!(got.len(), want.len(), "{what}: number of values");
    let error = |i: usize| (got[i] - want[i]).abs();
    let fits = |i: usize| got[i] == want[i] || error(i) <= absolute + relative * want[i].abs();
    let bad: Vec<usize> = (0..got.len()).filter(|&i| !fits(i)).collect();
    if let Some(&first) = bad.first() {
        let largest = bad.iter().map(|&i| error(i)).fold(0.0, f64::max);
        panic!(
            "{what}: value {first} is {} and should be {}; {} of {} differ, by {largest:e} at most",
            got[first],
            want[first],
            bad.len(),
            got.len()
        );
    }
}

/// The tolerance of golden values: stored as f32, so f64 cannot agree better than their rounding.
pub fn assert_golden(what: &str, got: &Tensor, want: &Tensor) {
    let (absolute, relative) = match got.dtype() {
        DType::F64 => (1e-6, 1e-5),
        _ => (1e-5, 1e-4),
    };
    assert_near(what, &values(got), &values(want), absolute, relative);
}

/// Compares `gradient`, of `f` for `x` with the weights `dy` on its outputs, with central
/// differences in f64.
pub fn check_gradient(
    what: &str,
    x: &Tensor,
    dy: &Tensor,
    gradient: &Tensor,
    f: impl Fn(&Tensor) -> Result<Tensor>,
) {
    let step = 1e-5;
    let base = values(x);
    let dy = values(dy);
    let differences: Vec<f64> = (0..base.len())
        .map(|i| {
            let at = |delta: f64| -> f64 {
                let mut moved = base.clone();
                moved[i] += delta;
                let x = Tensor::from_vec(moved, x.shape(), x.device()).unwrap();
                values(&f(&x).unwrap())
                    .iter()
                    .zip(&dy)
                    .map(|(y, dy)| y * dy)
                    .sum()
            };
            (at(step) - at(-step)) / (2.0 * step)
        })
        .collect();
    assert_near(what, &values(gradient), &differences, 1e-6, 1e-6);
}

/// Values that look random and do not repeat in the small; the same for the same seed.
pub fn noise(seed: u64, shape: &[usize]) -> Tensor {
    let count: usize = shape.iter().product();
    let values: Vec<f64> = (0..count as u64)
        .map(|i| {
            let words = tandem_ops::random::philox([seed as u32, 7], [i as u32, 0, 0, 0]);
            f64::from(words[0]) / f64::from(u32::MAX) * 4.0 - 2.0
        })
        .collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

pub fn config() -> proptest::prelude::ProptestConfig {
    proptest::prelude::ProptestConfig {
        cases: CASES,
        max_global_rejects: 100_000,
        failure_persistence: None,
        ..Default::default()
    }
}

/// The same values, neither at the start of their storage nor contiguous.
pub fn scattered(tensor: &Tensor) -> Tensor {
    let last = tensor.rank() - 1;
    let run = || -> Result<Tensor> {
        let padded = tensor.pad_with_zeros(0, 1, 0)?.transpose(0, last)?;
        padded
            .contiguous()?
            .transpose(0, last)?
            .narrow(0, 1, tensor.dim(0)?)
    };
    run().unwrap()
}

/// Fails unless `f` gives the same bits with one thread and with three.
pub fn assert_same_for_any_threads(f: impl Fn() -> Vec<Tensor> + Send + Sync) {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let tensors = pool.install(&f);
        let all = tensors.iter().flat_map(values);
        all.map(f64::to_bits).collect::<Vec<_>>()
    };
    assert_eq!(run(1), run(3));
}
