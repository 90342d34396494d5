//! A machine to run one kernel on.
#![allow(dead_code)]

pub mod app;
pub mod nvrtc;

use std::collections::HashMap;

use cuda_emulator::checks::Fault;
use cuda_emulator::machine::Memory;
use cuda_emulator::machine::decode::{Program, decode};
use cuda_emulator::machine::launch::{Checks, Geometry, Settings, launch};
use cuda_emulator::ptx::{self, PtxError};

pub struct Rig {
    pub memory: Memory,
    pub seed: u64,
    program: Program,
}

pub fn text(name: &str) -> String {
    let path = format!("{}/tests/ptx/{name}.ptx", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

pub fn load(text: &str) -> Result<Program, PtxError> {
    decode(&ptx::parse(text)?, &HashMap::new())
}

/// Bytes of plain values.
pub trait Plain: Copy {
    fn bytes(self) -> Vec<u8>;
    fn from_bytes(bytes: &[u8]) -> Self;
}

macro_rules! plain {
    ($($t:ty)*) => {$(
        impl Plain for $t {
            fn bytes(self) -> Vec<u8> { self.to_le_bytes().to_vec() }
            fn from_bytes(bytes: &[u8]) -> Self { <$t>::from_le_bytes(bytes.try_into().unwrap()) }
        }
    )*};
}
plain!(u8 u16 u32 u64 i32 f32 f64);

impl Rig {
    /// With the PTX of a file in `tests/ptx`.
    pub fn file(name: &str) -> Rig {
        Rig::new(&text(name))
    }

    pub fn new(text: &str) -> Rig {
        let program = load(text).unwrap_or_else(|e| panic!("{e}"));
        Rig {
            memory: Memory::new(0, 1 << 30),
            seed: 0,
            program,
        }
    }

    /// A kernel around a body; parameter `i` is `%rd<i>`, `%tid.x` is `%r0` and `%rd9` is four times that.
    pub fn body(parameters: usize, body: &str) -> Rig {
        let list: Vec<String> = (0..parameters)
            .map(|i| format!(".param .u64 p{i}"))
            .collect();
        let loads: String = (0..parameters)
            .map(|i| format!("ld.param.u64 %rd{i}, [p{i}];"))
            .collect();
        Rig::new(&format!(
            ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry broken({}) {{ .reg .pred %p<8>; .reg .b16 %rs<8>; .reg .b32 %r<16>; .reg .f32 %f<16>; .reg .f64 %fd<8>; .reg .b64 %rd<16>; {loads} mov.u32 %r0, %tid.x; mul.wide.u32 %rd9, %r0, 4;\n{body}\nret;\n}}",
            list.join(", ")
        ))
    }

    pub fn upload<T: Plain>(&mut self, values: &[T]) -> u64 {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.bytes()).collect();
        let address = self.memory.allocate(bytes.len() as u64).unwrap();
        let region = self.memory.find(address, bytes.len() as u64).unwrap();
        region.write(0, &bytes);
        address
    }

    pub fn empty(&mut self, bytes: u64) -> u64 {
        self.memory.allocate(bytes).unwrap()
    }

    pub fn read<T: Plain>(&self, address: u64, count: usize) -> Vec<T> {
        let size = size_of::<T>();
        let mut bytes = vec![0; count * size];
        let region = self.memory.find(address, bytes.len() as u64).unwrap();
        assert_eq!(
            region.read(address - region.base, &mut bytes),
            None,
            "memory never written"
        );
        bytes.chunks(size).map(T::from_bytes).collect()
    }

    pub fn run(
        &self,
        kernel: &str,
        blocks: u32,
        threads: u32,
        arguments: &[u64],
    ) -> Result<(), Box<Fault>> {
        self.run_with(kernel, blocks, threads, 0, arguments)
    }

    pub fn run_with(
        &self,
        kernel: &str,
        blocks: u32,
        threads: u32,
        shared_bytes: u32,
        arguments: &[u64],
    ) -> Result<(), Box<Fault>> {
        let kernel = &self.program.kernels[kernel];
        let mut parameters = vec![0; kernel.parameter_bytes as usize];
        for (p, value) in kernel.parameters.iter().zip(arguments) {
            parameters[p.offset as usize..][..p.size as usize]
                .copy_from_slice(&value.to_le_bytes()[..p.size as usize]);
        }
        let geometry = Geometry {
            grid: [blocks, 1, 1],
            block: [threads, 1, 1],
            shared_bytes,
        };
        let settings = Settings {
            seed: self.seed,
            checks: Checks {
                races: true,
                unwritten: true,
                streams: true,
            },
        };
        launch(kernel, &self.memory, 0, geometry, parameters, settings).map(|_| ())
    }

    /// Runs the kernel of [`Rig::body`], which must fault, and returns what is reported.
    pub fn fault(&self, blocks: u32, threads: u32, arguments: &[u64]) -> String {
        let fault = self
            .run("broken", blocks, threads, arguments)
            .expect_err("the fault must be found");
        fault.to_string()
    }
}
