//! Comparing tensors, reading fixtures, finite differences, one body for every device.
#![allow(dead_code, unused_macros, reason = "each test file uses some of it")]

use std::collections::HashMap;

use candle_core::{DType, Device, Result, Tensor, Var};
use tandem_ops::random::philox;

/// `(absolute, relative)`: |got − want| ≤ absolute + relative · |want|.
pub type Tolerance = (f64, f64);

/// Fixtures are stored as f32, so f64 cannot agree better than their rounding.
pub fn fixture_tolerance(dtype: DType) -> Tolerance {
    match dtype {
        DType::F64 => (1e-6, 1e-5),
        _ => (1e-5, 1e-4),
    }
}

/// Against the plain reference in f64, given the same inputs.
pub fn reference_tolerance(dtype: DType) -> Tolerance {
    match dtype {
        DType::F64 => (1e-12, 1e-10),
        _ => (1e-5, 1e-5),
    }
}

/// Fails if a value differs: says where, both values, the largest error and how many.
/// NaN equals NaN, and an infinity itself.
#[track_caller]
pub fn assert_all_close(
    what: &str,
    dims: &[usize],
    got: &[f64],
    want: &[f64],
    (absolute, relative): Tolerance,
) {
    assert_eq!(got.len(), want.len(), "{what}: number of values");
    let error = |i: usize| match got[i] == want[i] || (got[i].is_nan() && want[i].is_nan()) {
        true => 0.0,
        false => (got[i] - want[i]).abs(),
    };
    // Written so that an error that is NaN counts as wrong.
    let fits = |i: usize| error(i) <= absolute + relative * want[i].abs();
    let wrong: Vec<usize> = (0..got.len()).filter(|&i| !fits(i)).collect();
    if let Some(&first) = wrong.first() {
        let largest = wrong.iter().map(|&i| error(i)).fold(0.0, f64::max);
        let mut rest = first;
        let mut index: Vec<usize> = Vec::new();
        for size in dims.iter().rev() {
            index.insert(0, rest % size);
            rest /= size;
        }
        panic!(
            "{what} at {index:?} is {:e} and should be {:e}; {} of {} differ, by {largest:e} at most",
            got[first],
            want[first],
            wrong.len(),
            got.len()
        );
    }
}

/// [`assert_all_close`] for tensors, whose shapes must be equal too.
#[track_caller]
pub fn assert_close(what: &str, got: &Tensor, want: &Tensor, tolerance: Tolerance) {
    assert_eq!(got.dims(), want.dims(), "{what}: shape");
    assert_all_close(what, got.dims(), &values(got), &values(want), tolerance);
}

/// The values in row-major order, whatever the element type, layout and device.
pub fn values(tensor: &Tensor) -> Vec<f64> {
    let tensor = tensor.to_device(&Device::Cpu).unwrap();
    let flat = tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap();
    flat.to_vec1().unwrap()
}

/// Inputs and outputs computed by PyTorch in float64, with the parameters they belong to.
pub struct Fixture {
    tensors: HashMap<String, Tensor>,
    metadata: HashMap<String, String>,
}

/// Reads `fixtures/{name}.safetensors`.
pub fn fixture(name: &str) -> Fixture {
    let root = env!("CARGO_MANIFEST_DIR");
    let path = format!("{root}/tests/fixtures/{name}.safetensors");
    let bytes = std::fs::read(&path).expect("the fixture is in the repository");
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    Fixture {
        tensors: candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).unwrap(),
        metadata: header.metadata().clone().unwrap(),
    }
}

impl Fixture {
    pub fn tensor(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor> {
        self.tensors[name].to_dtype(dtype)?.to_device(device)
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

    pub fn flag(&self, name: &str) -> bool {
        self.value(name).as_bool().unwrap()
    }
}

fn drawn(
    dims: &[usize],
    seed: u64,
    dtype: DType,
    device: &Device,
    of: impl Fn(u32) -> f64,
) -> Result<Tensor> {
    let count = dims.iter().product::<usize>() as u32;
    let key = [seed as u32, (seed >> 32) as u32];
    let values: Vec<f64> = (0..count)
        .map(|i| of(philox(key, [i, 0, 0, 0])[0]))
        .collect();
    Tensor::from_vec(values, dims, &Device::Cpu)?
        .to_dtype(dtype)?
        .to_device(device)
}

/// Values in −2..2 that look random; the same for the same seed.
pub fn noise(seed: u64, dims: &[usize], dtype: DType, device: &Device) -> Result<Tensor> {
    drawn(dims, seed, dtype, device, |word| {
        f64::from(word) / f64::from(1u32 << 30) - 2.0
    })
}

/// Whole numbers from 0 to 3: most windows hold their maximum more than once.
pub fn steps(seed: u64, dims: &[usize], dtype: DType, device: &Device) -> Result<Tensor> {
    drawn(dims, seed, dtype, device, |word| f64::from(word >> 30))
}

/// The same values in other places: last dimension first in memory, and not from the storage's start.
pub fn scattered(tensor: &Tensor) -> Result<Tensor> {
    let last = tensor.rank() - 1;
    let moved = tensor.transpose(0, last)?.contiguous()?;
    let longer = Tensor::cat(&[&moved, &moved], 0)?;
    let tail = longer.narrow(0, moved.dim(0)?, moved.dim(0)?)?;
    tail.transpose(0, last)
}

/// Compares the gradients that candle's tape finds through `f` with central differences, in f64.
/// The weights on the outputs are noise, so that mistakes cannot cancel.
#[track_caller]
pub fn check_gradient(what: &str, inputs: &[Tensor], f: impl Fn(&[Tensor]) -> Result<Tensor>) {
    const STEP: f64 = 1e-5;
    let variables: Vec<Var> = inputs
        .iter()
        .map(|x| Var::from_tensor(x).unwrap())
        .collect();
    let tracked: Vec<Tensor> = variables.iter().map(|x| x.as_tensor().clone()).collect();
    let y = f(&tracked).unwrap();
    let dy = noise(0xd1ff, y.dims(), DType::F64, y.device()).unwrap();
    let gradients = y.mul(&dy).unwrap().sum_all().unwrap().backward().unwrap();
    let dy = values(&dy);
    for (which, x) in inputs.iter().enumerate() {
        let at = |i: usize, delta: f64| -> f64 {
            let mut moved = values(x);
            moved[i] += delta;
            let mut inputs = inputs.to_vec();
            let moved = Tensor::from_vec(moved, x.shape(), &Device::Cpu).unwrap();
            inputs[which] = moved.to_device(x.device()).unwrap();
            values(&f(&inputs).unwrap())
                .iter()
                .zip(&dy)
                .map(|(y, dy)| y * dy)
                .sum()
        };
        let differences: Vec<f64> = (0..x.elem_count())
            .map(|i| (at(i, STEP) - at(i, -STEP)) / (2.0 * STEP))
            .collect();
        let what = format!("{what}: gradient of input {which}");
        let got = gradients
            .get(&variables[which])
            .unwrap_or_else(|| panic!("{what} is missing"));
        assert_all_close(&what, x.dims(), &values(got), &differences, (1e-7, 1e-6));
    }
}

/// The very same bits with 1, 2, 3 and 7 threads.
#[track_caller]
pub fn assert_same_for_any_threads(f: impl Fn() -> Result<Tensor> + Sync) {
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        values(&pool.install(&f).unwrap())
            .into_iter()
            .map(f64::to_bits)
            .collect::<Vec<_>>()
    };
    let one = with(1);
    for threads in [2, 3, 7] {
        assert!(
            with(threads) == one,
            "{threads} threads give other bits than one"
        );
    }
}

/// Random shapes tried for each operation in a run.
pub fn cases() -> proptest::prelude::ProptestConfig {
    proptest::prelude::ProptestConfig {
        cases: 1000,
        failure_persistence: None,
        ..Default::default()
    }
}

/// One body, a test for each device: `test_devices! { fn it_holds(device) { …; Ok(()) } }` makes
/// `cpu::it_holds`.
macro_rules! test_devices {
    ($($(#[$attribute:meta])* fn $name:ident($device:ident) $body:block)*) => {
        $($(#[$attribute])* fn $name($device: &candle_core::Device) -> candle_core::Result<()> $body)*

        mod cpu {
            $(#[test]
            fn $name() -> candle_core::Result<()> {
                super::$name(&candle_core::Device::Cpu)
            })*
        }
    };
}
