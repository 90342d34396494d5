//! `libcurand`: uniform and normal numbers from a plain counter-based generator. They are not the numbers a
//! GPU draws, only as good for tests, and the same for the same seed.

use std::collections::HashMap;
use std::ffi::{c_int, c_uint, c_ulonglong};
use std::sync::{Mutex, PoisonError};

use super::{CuDevicePtr, Handle, handle, id, put};
use crate::driver::{Call, Status, driver};

/// `curandStatus_t`.
pub type RandStatus = c_int;

const SUCCESS: RandStatus = 0;
const NOT_INITIALIZED: RandStatus = 101;
const OUT_OF_RANGE: RandStatus = 104;
const LENGTH_NOT_MULTIPLE: RandStatus = 105;
const LAUNCH_FAILURE: RandStatus = 201;
const INTERNAL_ERROR: RandStatus = 999;

#[derive(Clone, Copy, Default)]
struct Generator {
    seed: u64,
    position: u64,
    stream: u64,
}

static GENERATORS: Mutex<Option<HashMap<u64, Generator>>> = Mutex::new(None);

impl Generator {
    fn next(&mut self) -> u64 {
        self.position += 1;
        let mut z = self.seed ^ self.position.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for multiplier in [0xbf58_476d_1ce4_e5b9u64, 0x94d0_49bb_1331_11eb] {
            z = (z ^ z >> 30).wrapping_mul(multiplier);
        }
        z ^ z >> 31
    }

    /// In (0, 1], as cuRAND draws: 0 is excluded, 1 included.
    fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// Two from N(0, 1), by Box and Muller.
    fn normals(&mut self) -> [f64; 2] {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * self.uniform()).sin_cos();
        [radius * cos, radius * sin]
    }
}

fn with(generator: Handle, f: impl FnOnce(&mut Generator) -> RandStatus) -> RandStatus {
    let mut all = GENERATORS.lock().unwrap_or_else(PoisonError::into_inner);
    all.get_or_insert_default()
        .get_mut(&id(generator))
        .map_or(NOT_INITIALIZED, f)
}

fn fill(name: &str, stream: u64, to: CuDevicePtr, bytes: Vec<u8>) -> RandStatus {
    let filled = || -> Result<(), Status> {
        let _turn = driver().turn([to; 2]);
        let work = driver().queue(stream, name)?;
        driver().uses_own(&work, to, bytes.len() as u64, true)?;
        driver().write(to, &bytes)?;
        driver().trace(Call::Launch(driver().owner(to)?, name));
        Ok(())
    };
    match filled() {
        Ok(()) => SUCCESS,
        Err(_) => LAUNCH_FAILURE,
    }
}

/// `curandCreateGenerator`.
///
/// # Safety
///
/// Pointers are valid as the cuRAND documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn curandCreateGenerator(generator: *mut Handle, _kind: c_int) -> RandStatus {
    let mut all = GENERATORS.lock().unwrap_or_else(PoisonError::into_inner);
    let all = all.get_or_insert_default();
    let key = all.keys().max().map_or(1, |k| k + 1);
    all.insert(key, Generator::default());
    // SAFETY: the caller vouches for the pointer.
    if unsafe { put(generator, handle(key)) }.is_ok() {
        SUCCESS
    } else {
        OUT_OF_RANGE
    }
}

/// `curandDestroyGenerator`, which a lost device does not do.
#[unsafe(no_mangle)]
pub extern "C" fn curandDestroyGenerator(generator: Handle) -> RandStatus {
    let mut all = GENERATORS.lock().unwrap_or_else(PoisonError::into_inner);
    all.get_or_insert_default()
        .remove(&id(generator))
        .map_or(NOT_INITIALIZED, |g| {
            match driver().stream_device(g.stream) {
                Ok(_) => SUCCESS,
                Err(_) => INTERNAL_ERROR,
            }
        })
}

/// `curandSetStream`.
#[unsafe(no_mangle)]
pub extern "C" fn curandSetStream(generator: Handle, stream: Handle) -> RandStatus {
    with(generator, |g| {
        g.stream = id(stream);
        SUCCESS
    })
}

/// `curandSetPseudoRandomGeneratorSeed`.
#[unsafe(no_mangle)]
pub extern "C" fn curandSetPseudoRandomGeneratorSeed(
    generator: Handle,
    seed: c_ulonglong,
) -> RandStatus {
    with(generator, |g| {
        (g.seed, g.position) = (seed, 0);
        SUCCESS
    })
}

/// `curandSetGeneratorOffset`.
#[unsafe(no_mangle)]
pub extern "C" fn curandSetGeneratorOffset(generator: Handle, offset: c_ulonglong) -> RandStatus {
    with(generator, |g| {
        g.position = offset;
        SUCCESS
    })
}

/// `curandGenerate`: 32 random bits each.
#[unsafe(no_mangle)]
pub extern "C" fn curandGenerate(generator: Handle, to: CuDevicePtr, count: usize) -> RandStatus {
    with(generator, |g| {
        fill(
            "curandGenerate",
            g.stream,
            to,
            (0..count)
                .flat_map(|_| (g.next() as c_uint).to_le_bytes())
                .collect(),
        )
    })
}

/// `curandGenerateUniform`: in (0, 1].
#[unsafe(no_mangle)]
pub extern "C" fn curandGenerateUniform(
    generator: Handle,
    to: CuDevicePtr,
    count: usize,
) -> RandStatus {
    with(generator, |g| {
        let single = |g: &mut Generator| ((g.next() >> 40) + 1) as f32 / (1 << 24) as f32;
        fill(
            "curandGenerateUniform",
            g.stream,
            to,
            (0..count).flat_map(|_| single(g).to_le_bytes()).collect(),
        )
    })
}

/// `curandGenerateUniformDouble`: in (0, 1].
#[unsafe(no_mangle)]
pub extern "C" fn curandGenerateUniformDouble(
    generator: Handle,
    to: CuDevicePtr,
    count: usize,
) -> RandStatus {
    with(generator, |g| {
        fill(
            "curandGenerateUniformDouble",
            g.stream,
            to,
            (0..count).flat_map(|_| g.uniform().to_le_bytes()).collect(),
        )
    })
}

/// `curandGenerateNormal`. An odd count is refused, as cuRAND refuses it.
#[unsafe(no_mangle)]
pub extern "C" fn curandGenerateNormal(
    generator: Handle,
    to: CuDevicePtr,
    count: usize,
    mean: f32,
    deviation: f32,
) -> RandStatus {
    if !count.is_multiple_of(2) {
        return LENGTH_NOT_MULTIPLE;
    }
    with(generator, |g| {
        let stream = g.stream;
        let pairs = (0..count / 2).flat_map(|_| g.normals());
        fill(
            "curandGenerateNormal",
            stream,
            to,
            pairs
                .flat_map(|v| (v as f32 * deviation + mean).to_le_bytes())
                .collect(),
        )
    })
}

/// `curandGenerateNormalDouble`. An odd count is refused, as cuRAND refuses it.
#[unsafe(no_mangle)]
pub extern "C" fn curandGenerateNormalDouble(
    generator: Handle,
    to: CuDevicePtr,
    count: usize,
    mean: f64,
    deviation: f64,
) -> RandStatus {
    if !count.is_multiple_of(2) {
        return LENGTH_NOT_MULTIPLE;
    }
    with(generator, |g| {
        let stream = g.stream;
        let pairs = (0..count / 2).flat_map(|_| g.normals());
        fill(
            "curandGenerateNormalDouble",
            stream,
            to,
            pairs
                .flat_map(|v| (v * deviation + mean).to_le_bytes())
                .collect(),
        )
    })
}
