//! A parsed module to executable kernels: registers become slots, device functions are inlined, variables
//! get addresses. Opcodes are given their meaning in [`super::operations`].

mod call;
mod operand;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::ptx::{self, Function, Module, Operand, PtxError, Space, Statement, Type, Variable};

use super::instruction::{Atom, Instruction, Op, Pred, Slot};
use super::operations;
pub use super::special::Special;

/// A parameter of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    /// Of its first byte in the parameter block.
    pub offset: u32,
    /// In bytes.
    pub size: u32,
}

/// A kernel ready to run.
#[derive(Debug)]
pub struct Kernel {
    /// As in the PTX.
    pub name: String,
    /// Flat code; branches hold indices.
    pub code: Vec<Instruction>,
    /// Registers, constants and specials together.
    pub slots: u32,
    /// Number of predicates.
    pub predicates: u32,
    /// Slots that hold a constant.
    pub constants: Vec<(Slot, u64)>,
    /// Slots that hold a special register.
    pub specials: Vec<(Slot, Special)>,
    /// In order.
    pub parameters: Vec<Parameter>,
    /// Bytes of the parameter block.
    pub parameter_bytes: u32,
    /// Variables in shared memory: first byte and size.
    pub shared: Vec<(u64, u64)>,
    /// Where dynamic shared memory starts, after all variables.
    pub dynamic_shared: u64,
    /// What a GPU would allot for the shared variables.
    pub static_shared_bytes: u64,
    /// Variables in a thread's local memory: first byte and size, in order.
    pub locals: Vec<(u64, u64)>,
    /// Uses memory fences, so blocks may hand data to each other.
    pub has_fence: bool,
    /// From `.maxntid`.
    pub max_threads: Option<u32>,
}

impl Kernel {
    /// Bytes of local memory a thread.
    pub fn local_bytes(&self) -> u64 {
        self.locals.last().map_or(0, |(start, size)| start + size)
    }

    /// From a thread's local memory to the next thread's.
    pub fn local_stride(&self) -> u64 {
        align(self.local_bytes(), 16)
    }
}

/// All kernels of a module.
#[derive(Debug, Default)]
pub struct Program {
    /// By name.
    pub kernels: HashMap<String, Arc<Kernel>>,
}

/// Shared variables lie this far apart, or as far as the first of two is long, so that an index past the end of one
/// does not reach the next.
const SHARED_GAP: u64 = 256;
/// The same of local variables.
const LOCAL_GAP: u64 = 16;

/// Decodes every kernel of a module whose global variables have these addresses.
pub fn decode(module: &Module, globals: &HashMap<String, u64>) -> Result<Program, PtxError> {
    let mut program = Program::default();
    for function in module.functions.iter().filter(|f| f.entry) {
        let kernel = Decoder::new(module, globals, function)?.kernel(function)?;
        program
            .kernels
            .insert(function.name.clone(), Arc::new(kernel));
    }
    Ok(program)
}

/// Where a variable of a function lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Location {
    Shared(u64),
    Local(u64),
    KernelParam(u32),
}

/// One function body being decoded: the kernel, or a device function at a place where it is called.
pub(super) struct Frame<'m> {
    function: &'m Function,
    /// Slot or predicate of each register.
    registers: Vec<u32>,
    variables: HashMap<String, Location>,
    labels: HashMap<String, u32>,
    jumps: Vec<(usize, String, u32)>,
    /// Branches that return from an inlined function.
    returns: Vec<usize>,
}

/// Decodes one kernel.
pub(super) struct Decoder<'m> {
    module: &'m Module,
    globals: &'m HashMap<String, u64>,
    pub(super) code: Vec<Instruction>,
    slots: u32,
    predicates: u32,
    constants: HashMap<u64, Slot>,
    specials: HashMap<Special, Slot>,
    shared: Vec<(u64, u64)>,
    shared_names: HashMap<String, u64>,
    static_shared_bytes: u64,
    dynamic_names: Vec<String>,
    locals: Vec<(u64, u64)>,
    pub(super) has_fence: bool,
    calls: Vec<String>,
}

fn align(value: u64, to: u64) -> u64 {
    value.div_ceil(to.max(1)) * to.max(1)
}

fn parameters(variables: &[Variable]) -> (Vec<Parameter>, u32) {
    let mut end = 0;
    let list = variables
        .iter()
        .map(|v| {
            let offset = align(end, u64::from(v.align));
            end = offset + v.size;
            Parameter {
                offset: offset as u32,
                size: v.size as u32,
            }
        })
        .collect();
    (list, end as u32)
}

impl<'m> Decoder<'m> {
    fn new(
        module: &'m Module,
        globals: &'m HashMap<String, u64>,
        kernel: &'m Function,
    ) -> Result<Self, PtxError> {
        let mut decoder = Decoder {
            module,
            globals,
            code: Vec::new(),
            slots: 0,
            // The first is false for ever.
            predicates: 1,
            constants: HashMap::new(),
            specials: HashMap::new(),
            shared: Vec::new(),
            shared_names: HashMap::new(),
            static_shared_bytes: 0,
            dynamic_names: Vec::new(),
            locals: Vec::new(),
            has_fence: false,
            calls: vec![kernel.name.clone()],
        };
        for variable in module.variables.iter().filter(|v| v.space == Space::Shared) {
            decoder.place_shared(variable);
        }
        Ok(decoder)
    }

    fn place_shared(&mut self, variable: &Variable) {
        if variable.size == 0 {
            self.dynamic_names.push(variable.name.clone());
            return;
        }
        let offset = align(self.after_shared(), u64::from(variable.align).max(16));
        self.static_shared_bytes =
            align(self.static_shared_bytes, u64::from(variable.align)) + variable.size;
        self.shared.push((offset, variable.size));
        self.shared_names.insert(variable.name.clone(), offset);
    }

    /// Behind the last shared variable and its gap.
    fn after_shared(&self) -> u64 {
        let end = |(start, size): &(u64, u64)| start + size + SHARED_GAP.max(*size);
        self.shared.last().map_or(0, end)
    }

    fn kernel(mut self, function: &'m Function) -> Result<Kernel, PtxError> {
        // Every shared variable of this kernel is placed before code refers to the dynamic part behind them.
        for variable in self.reachable_shared(function) {
            self.place_shared(variable);
        }
        let dynamic_shared = align(self.after_shared(), 128);
        for name in std::mem::take(&mut self.dynamic_names) {
            self.shared_names.insert(name, dynamic_shared);
        }
        let (list, parameter_bytes) = parameters(&function.params);
        let mut variables = HashMap::new();
        for (parameter, variable) in list.iter().zip(&function.params) {
            variables.insert(
                variable.name.clone(),
                Location::KernelParam(parameter.offset),
            );
        }
        self.inline(function, variables)?;
        self.push(Op::Exit, function.line);
        self.forgive_reads_before_swaps();
        let sorted = |map: HashMap<u64, Slot>| map.into_iter().map(|(v, s)| (s, v)).collect();
        Ok(Kernel {
            name: function.name.clone(),
            code: self.code,
            slots: self.slots,
            predicates: self.predicates,
            constants: sorted(self.constants),
            specials: self.specials.into_iter().map(|(v, s)| (s, v)).collect(),
            parameters: list,
            parameter_bytes,
            shared: self.shared,
            dynamic_shared,
            static_shared_bytes: self.static_shared_bytes,
            locals: self.locals,
            has_fence: self.has_fence,
            max_threads: function.max_threads,
        })
    }

    /// A plain load by the same register as a compare-and-swap only guesses what the swap then checks: it counts as
    /// atomic.
    fn forgive_reads_before_swaps(&mut self) {
        let swapped: HashSet<_> = self
            .code
            .iter()
            .filter_map(|i| match &i.op {
                Op::Atomic {
                    place,
                    atom: Atom::CompareAndSwap,
                    ..
                } => Some((place.base, place.offset, place.size)),
                _ => None,
            })
            .collect();
        for instruction in &mut self.code {
            if let Op::Load { place, parts, .. } = &mut instruction.op {
                place.atomic |=
                    parts.len() == 1 && swapped.contains(&(place.base, place.offset, place.size));
            }
        }
    }

    /// Shared variables declared in the kernel and in the device functions of its module.
    fn reachable_shared(&self, kernel: &'m Function) -> Vec<&'m Variable> {
        let device = self.module.functions.iter().filter(|f| !f.entry);
        std::iter::once(kernel)
            .chain(device)
            .flat_map(|f| &f.variables)
            .filter(|v| v.space == Space::Shared)
            .collect()
    }

    /// Appends the code of a function whose parameters lie at the given places.
    fn inline(
        &mut self,
        function: &'m Function,
        mut variables: HashMap<String, Location>,
    ) -> Result<(), PtxError> {
        let body = function.body.as_ref().ok_or_else(|| {
            PtxError::new(
                function.line,
                format!("function `{}` has no body", function.name),
            )
        })?;
        for variable in &function.variables {
            let place = match variable.space {
                Space::Shared => match self.shared_names.get(&variable.name) {
                    Some(&offset) => Location::Shared(offset),
                    None => continue,
                },
                _ => Location::Local(self.local(variable.size, variable.align)),
            };
            variables.insert(variable.name.clone(), place);
        }
        let registers = function
            .registers
            .iter()
            .map(|ty| {
                if *ty == Type::Pred {
                    self.predicate()
                } else {
                    self.slot()
                }
            })
            .collect();
        let mut frame = Frame {
            function,
            registers,
            variables,
            labels: HashMap::new(),
            jumps: Vec::new(),
            returns: Vec::new(),
        };
        for statement in body {
            match statement {
                Statement::Label(name) => {
                    frame.labels.insert(name.clone(), self.code.len() as u32);
                }
                Statement::Instruction(instruction) => self.instruction(&mut frame, instruction)?,
            }
        }
        let end = self.code.len() as u32;
        for (at, name, line) in &frame.jumps {
            let target = *frame
                .labels
                .get(name)
                .ok_or_else(|| PtxError::new(*line, format!("there is no label `{name}`")))?;
            self.code[*at].op = Op::Branch { target };
        }
        for at in frame.returns {
            self.code[at].op = Op::Branch { target: end };
        }
        Ok(())
    }

    fn local(&mut self, size: u64, alignment: u32) -> u64 {
        let end = |(start, size): &(u64, u64)| start + size + LOCAL_GAP;
        let offset = align(
            self.locals.last().map_or(0, end),
            u64::from(alignment).max(8),
        );
        self.locals.push((offset, size));
        offset
    }

    pub(super) fn slot(&mut self) -> Slot {
        self.slots += 1;
        self.slots - 1
    }

    pub(super) fn predicate(&mut self) -> Pred {
        self.predicates += 1;
        self.predicates - 1
    }

    pub(super) fn push(&mut self, op: Op, line: u32) {
        self.code.push(Instruction {
            op,
            guard: None,
            flush: false,
            line,
        });
    }

    pub(super) fn constant(&mut self, bits: u64) -> Slot {
        if let Some(&slot) = self.constants.get(&bits) {
            return slot;
        }
        let slot = self.slot();
        self.constants.insert(bits, slot);
        slot
    }

    fn special(&mut self, special: Special) -> Slot {
        if let Some(&slot) = self.specials.get(&special) {
            return slot;
        }
        let slot = self.slot();
        self.specials.insert(special, slot);
        slot
    }

    fn instruction(
        &mut self,
        frame: &mut Frame<'m>,
        source: &ptx::Instruction,
    ) -> Result<(), PtxError> {
        let start = self.code.len();
        let stem = source.opcode.split('.').next().unwrap_or_default();
        match stem {
            "call" => return self.call(frame, source),
            "bra" => {
                let Some(Operand::Name(name)) = source.operands.first() else {
                    return Err(PtxError::new(source.line, "a branch needs a label"));
                };
                frame.jumps.push((start, name.clone(), source.line));
                self.push(Op::Nop, source.line);
            }
            "ret" if self.calls.len() > 1 => {
                frame.returns.push(start);
                self.push(Op::Nop, source.line);
            }
            "ret" | "exit" => self.push(Op::Exit, source.line),
            _ => operations::decode(self, frame, source)?,
        }
        if let Some((register, negated)) = source.guard {
            let guard = Some((frame.registers[register as usize], negated));
            for instruction in &mut self.code[start..] {
                instruction.guard = guard;
            }
        }
        Ok(())
    }
}
