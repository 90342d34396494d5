//! A machine to run one kernel on.
#![allow(dead_code)]

pub mod app;
pub mod nvrtc;
pub mod values;

use std::collections::HashMap;

use cuda_emulator::checks::Fault;
use cuda_emulator::machine::Memory;
use cuda_emulator::machine::decode::{Program, decode};
use cuda_emulator::machine::launch::{Checks, Geometry, Settings, launch};
use cuda_emulator::ptx::{self, Initial, PtxError, Space};

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

/// Memory for a module's variables, with their first values.
fn variables(memory: &mut Memory, module: &ptx::Module) -> HashMap<String, u64> {
    let mut places = HashMap::new();
    let placed = || {
        module
            .variables
            .iter()
            .filter(|v| v.space != Space::Shared && v.size > 0)
    };
    for v in placed() {
        places.insert(v.name.clone(), memory.allocate(v.size).unwrap());
    }
    for v in placed() {
        let mut bytes = Vec::new();
        for value in &v.initial {
            let bits = match value {
                Initial::Bits(bits) => *bits,
                Initial::Address(name, offset) => places[name].wrapping_add(*offset as u64),
            };
            bytes.extend(&bits.to_le_bytes()[..v.ty.bytes().min(8) as usize]);
        }
        bytes.resize(v.size as usize, 0);
        let address = places[&v.name];
        memory.find(address, v.size).unwrap().write(0, &bytes);
        if v.space == Space::Const {
            memory.protect(address);
        }
    }
    places
}

/// Sizes of a launch.
pub struct Shape {
    pub grid: [u32; 3],
    pub block: [u32; 3],
    pub shared: u32,
}

/// A launch along x only.
pub fn shape(blocks: u32, threads: u32) -> Shape {
    Shape {
        grid: [blocks, 1, 1],
        block: [threads, 1, 1],
        shared: 0,
    }
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
plain!(u8 i8 u16 i16 u32 i32 u64 i64 f32 f64);

impl Rig {
    /// With the PTX of a file in `tests/ptx`.
    pub fn file(name: &str) -> Rig {
        Rig::new(&text(name))
    }

    pub fn new(text: &str) -> Rig {
        let module = ptx::parse(text).unwrap_or_else(|e| panic!("{e}"));
        let mut memory = Memory::new(0, 1 << 30).among(2);
        let globals = variables(&mut memory, &module);
        Rig {
            memory,
            seed: 0,
            program: decode(&module, &globals).unwrap_or_else(|e| panic!("{e}")),
        }
    }

    /// With the kernels of a text in CUDA C++.
    pub fn cuda(source: &str) -> Rig {
        Rig::new(&nvrtc::compile(source, &[]))
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
            ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry broken({}) {{ .reg .pred %p<8>; .reg .b16 %rs<8>; .reg .b32 %r<32>; .reg .f32 %f<16>; .reg .f64 %fd<8>; .reg .b64 %rd<32>; {loads} mov.u32 %r0, %tid.x; mul.wide.u32 %rd9, %r0, 4;\n{body}\nret;\n}}",
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
        shared: u32,
        arguments: &[u64],
    ) -> Result<(), Box<Fault>> {
        let shape = Shape {
            shared,
            ..shape(blocks, threads)
        };
        self.launch(kernel, shape, arguments)
    }

    /// A parameter of more than eight bytes takes several arguments.
    pub fn launch(&self, kernel: &str, shape: Shape, arguments: &[u64]) -> Result<(), Box<Fault>> {
        let kernel = &self.program.kernels[kernel];
        let mut parameters = vec![0; kernel.parameter_bytes as usize];
        let mut arguments = arguments.iter();
        for p in &kernel.parameters {
            let target = &mut parameters[p.offset as usize..][..p.size as usize];
            for (piece, value) in target.chunks_mut(8).zip(&mut arguments) {
                piece.copy_from_slice(&value.to_le_bytes()[..piece.len()]);
            }
        }
        let geometry = Geometry {
            grid: shape.grid,
            block: shape.block,
            shared_bytes: shape.shared,
        };
        let settings = Settings {
            seed: self.seed,
            budget: 1 << 20,
            checks: Checks {
                races: true,
                unwritten: true,
                streams: true,
            },
        };
        launch(kernel, &self.memory, 0, geometry, parameters, settings).map(|_| ())
    }

    /// Runs the only kernel.
    pub fn only(&self, shape: Shape, arguments: &[u64]) -> Result<(), Box<Fault>> {
        let names: Vec<_> = self.program.kernels.keys().collect();
        assert_eq!(names.len(), 1);
        self.launch(names[0], shape, arguments)
    }

    /// Runs the only kernel, in which nothing may be found.
    #[track_caller]
    pub fn ok(&self, shape: Shape, arguments: &[u64]) {
        if let Err(fault) = self.only(shape, arguments) {
            panic!("false alarm: {fault}");
        }
    }

    /// Runs the only kernel, whose fault must be found and contain these words; gives the report.
    #[track_caller]
    pub fn faults(&self, shape: Shape, arguments: &[u64], words: &str) -> String {
        let fault = self
            .only(shape, arguments)
            .expect_err("the fault must be found");
        let report = fault.to_string();
        assert!(report.contains(words), "expected `{words}`: {report}");
        report
    }

    /// Runs the kernel of [`Rig::body`], which must fault, and returns what is reported.
    pub fn fault(&self, blocks: u32, threads: u32, arguments: &[u64]) -> String {
        let fault = self
            .run("broken", blocks, threads, arguments)
            .expect_err("the fault must be found");
        fault.to_string()
    }
}
