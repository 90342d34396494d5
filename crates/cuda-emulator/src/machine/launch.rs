//! A launch: a grid of blocks, run in parallel over the cores.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use rayon::prelude::*;

use crate::checks::Fault;

pub use super::access::Checks;
use super::block::Runner;
use super::decode::Kernel;
use super::memory::Memory;
use super::touched::{Touch, Touched};

/// The next block's serial number; see [`super::shadow::Actor`].
static NEXT_SERIAL: AtomicU32 = AtomicU32::new(1);

/// Sizes of a launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Blocks along x, y, z.
    pub grid: [u32; 3],
    /// Threads of a block along x, y, z.
    pub block: [u32; 3],
    /// Dynamic shared memory.
    pub shared_bytes: u32,
}

impl Geometry {
    /// Blocks in all.
    pub fn blocks(&self) -> u64 {
        self.grid.iter().map(|&n| u64::from(n)).product()
    }

    /// Threads of a block.
    pub fn threads(&self) -> u32 {
        self.block.iter().product()
    }

    /// Index of a block from its linear number.
    pub fn block_index(&self, linear: u64) -> [u32; 3] {
        let [x, y, _] = self.grid.map(u64::from);
        [
            (linear % x) as u32,
            (linear / x % y) as u32,
            (linear / (x * y)) as u32,
        ]
    }

    /// Index of a thread from its linear number.
    pub fn thread_index(&self, linear: u32) -> [u32; 3] {
        let [x, y, _] = self.block;
        [linear % x, linear / x % y, linear / (x * y)]
    }
}

/// How kernels run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Decides the order in which warps run.
    pub seed: u64,
    /// Instructions that the warps of a block may execute.
    pub budget: u64,
    /// What is looked for.
    pub checks: Checks,
}

/// What the blocks of a launch share.
pub(super) struct Launch<'a> {
    pub kernel: &'a Kernel,
    pub memory: &'a Memory,
    pub device: usize,
    pub geometry: Geometry,
    pub parameters: Vec<u8>,
    pub first_serial: u32,
    pub seed: u64,
    pub budget: u64,
    pub checks: Checks,
    pub touched: Touched,
}

/// Runs a kernel over a grid, and says which allocations it touched. The first fault found stops it.
pub fn launch(
    kernel: &Kernel,
    memory: &Memory,
    device: usize,
    geometry: Geometry,
    parameters: Vec<u8>,
    settings: Settings,
) -> Result<Vec<Touch>, Box<Fault>> {
    let blocks = geometry.blocks();
    let mut checks = settings.checks;
    let taken = NEXT_SERIAL.fetch_update(Relaxed, Relaxed, |n| {
        n.checked_add(u32::try_from(blocks).ok()?)
    });
    // After four thousand million blocks serial numbers run out, and with them the search for races.
    checks.races &= taken.is_ok();
    let launch = Launch {
        kernel,
        memory,
        device,
        geometry,
        parameters,
        first_serial: taken.unwrap_or(0),
        seed: settings.seed,
        budget: settings.budget,
        checks,
        touched: Touched::new(),
    };
    let threads = rayon::current_num_threads() as u64;
    let pieces = blocks.min(threads * 4);
    if pieces <= 1 || blocks * u64::from(geometry.threads()) < 1024 {
        let mut runner = Runner::new(&launch);
        (0..blocks).try_for_each(|b| runner.run(b))?;
        return Ok(launch.touched.all());
    }
    let results: Vec<Result<(), Box<Fault>>> = (0..pieces)
        .into_par_iter()
        .map(|piece| {
            let mut runner = Runner::new(&launch);
            (piece * blocks / pieces..(piece + 1) * blocks / pieces).try_for_each(|b| runner.run(b))
        })
        .collect();
    results.into_iter().collect::<Result<(), _>>()?;
    Ok(launch.touched.all())
}
