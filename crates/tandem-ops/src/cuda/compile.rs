//! From a kernel file to PTX for one GPU, by NVRTC.

use super::cache::{Cache, Key};
use super::launch;
use super::signature::{Kind, signatures};
use crate::error::OpError;
use candle_core::cuda_backend::cudarc::nvrtc::{
    CompileError, CompileOptions, compile_ptx_with_opts,
};
use std::collections::HashMap;

const PRELUDE: &str = include_str!("../../../../kernels/prelude.cuh");

/// A file of `kernels/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kernels {
    AvgPool,
    Bias,
    Dropout,
    Lrn,
    LrnMaxPool,
    MaxPool,
    Sgd,
    SoftmaxNll,
    Unfold,
    Augment,
}

impl Kernels {
    pub const ALL: [Self; 10] = [
        Self::AvgPool,
        Self::Bias,
        Self::Dropout,
        Self::Lrn,
        Self::LrnMaxPool,
        Self::MaxPool,
        Self::Sgd,
        Self::SoftmaxNll,
        Self::Unfold,
        Self::Augment,
    ];

    /// The file's name without its ending, and its text.
    fn file(self) -> (&'static str, &'static str) {
        macro_rules! file {
            ($name:literal) => {
                (
                    $name,
                    include_str!(concat!("../../../../kernels/", $name, ".cu")),
                )
            };
        }
        match self {
            Self::AvgPool => file!("avg_pool"),
            Self::Bias => file!("bias"),
            Self::Dropout => file!("dropout"),
            Self::Lrn => file!("lrn"),
            Self::LrnMaxPool => file!("lrn_max_pool"),
            Self::MaxPool => file!("max_pool"),
            Self::Sgd => file!("sgd"),
            Self::SoftmaxNll => file!("softmax_nll"),
            Self::Unfold => file!("unfold"),
            Self::Augment => file!("augment"),
        }
    }

    pub(super) fn name(self) -> &'static str {
        self.file().0
    }
}

/// A compiled file: its PTX, and the parameters of its entry points.
pub(super) struct Module {
    pub ptx: String,
    pub signatures: HashMap<String, Vec<Kind>>,
}

/// Compiles, or takes from the user's cache, one file for a GPU of `capability`, 90 for 9.0.
pub(super) fn module(kernels: Kernels, capability: u32) -> Result<Module, OpError> {
    let compiler = launch::compiler().map_err(|what| failed(kernels, what))?;
    // PTX for an older GPU runs on a newer one, which this NVRTC may not know yet.
    let known = compiler.capabilities.iter().filter(|c| **c <= capability);
    let Some(target) = known.max() else {
        let oldest = compiler.capabilities.iter().min().unwrap_or(&0);
        let what = format!(
            "NVRTC {} compiles for compute capability {} and newer, and the GPU has {}",
            compiler.version,
            dotted(*oldest),
            dotted(capability)
        );
        return Err(failed(kernels, what));
    };
    let (name, text) = kernels.file();
    let key = Key {
        name: name.to_owned(),
        source: format!("#line 1 \"prelude.cuh\"\n{PRELUDE}#line 1 \"{name}.cu\"\n{text}"),
        options: vec!["--std=c++17".to_owned()],
        architecture: format!("compute_{target}"),
        compiler: compiler.version.to_string(),
    };
    let ptx = Cache::of_user().get(&key, || compile(&key, text))?;
    Ok(Module {
        signatures: signatures(&ptx),
        ptx,
    })
}

fn dotted(capability: u32) -> String {
    format!("{}.{}", capability / 10, capability % 10)
}

fn failed(kernels: Kernels, log: String) -> OpError {
    OpError::Compile {
        file: format!("{}.cu", kernels.name()),
        log,
    }
}

fn compile(key: &Key, text: &str) -> Result<String, OpError> {
    let file = format!("{}.cu", key.name);
    let mut options = vec![format!("--gpu-architecture={}", key.architecture)];
    options.extend(key.options.iter().cloned());
    let options = CompileOptions {
        options,
        name: Some(file.clone()),
        ..Default::default()
    };
    match compile_ptx_with_opts(&key.source, options) {
        Ok(ptx) => Ok(ptx.to_src()),
        Err(CompileError::CompileError { log, .. }) => Err(OpError::Compile {
            log: with_source(&log.to_string_lossy(), &file, text),
            file,
        }),
        Err(other) => Err(OpError::Compile {
            log: format!("{other:?}"),
            file,
        }),
    }
}

/// The compiler's log with the line of the source below each message that has it not there already.
fn with_source(log: &str, file: &str, text: &str) -> String {
    let mut out = String::new();
    let lines: Vec<&str> = log.lines().map(str::trim_end).collect();
    for (i, line) in lines.iter().enumerate() {
        if line.is_empty() {
            continue;
        }
        out.push_str(line);
        out.push('\n');
        let number = line
            .strip_prefix(file)
            .and_then(|rest| rest.strip_prefix('('))
            .and_then(|rest| rest.split_once(')'))
            .and_then(|(number, _)| number.parse::<usize>().ok());
        let source = number.and_then(|n| text.lines().nth(n.checked_sub(1)?));
        let next = lines.get(i + 1).map(|next| next.trim());
        if let Some(source) = source.filter(|source| next != Some(source.trim())) {
            out.push_str("    ");
            out.push_str(source.trim());
            out.push('\n');
        }
    }
    out.trim_end().to_owned()
}

/// Compiles every kernel file for a GPU of `capability` (90 for 9.0) without one: what a first start
/// would do, and a check of the kernels.
pub fn compile_all(capability: u32) -> Result<(), OpError> {
    for kernels in Kernels::ALL {
        module(kernels, capability)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_compiles_for_the_supported_gpus_and_declares_its_parameters() {
        for capability in [80, 90] {
            compile_all(capability).unwrap();
        }
        let module = module(Kernels::Dropout, 90).unwrap();
        use Kind::{F32, U32, Wide};
        assert_eq!(
            module.signatures["dropout_four_bf16"],
            [Wide, Wide, Wide, Wide, Wide, Wide, U32, F32]
        );
    }

    #[test]
    fn a_gpu_newer_than_the_compiler_gets_ptx_of_the_newest_it_knows() {
        let newest = module(Kernels::Sgd, 999).unwrap();
        assert!(newest.ptx.contains(".target sm_"), "{}", newest.ptx);
    }

    #[test]
    fn a_gpu_older_than_the_compiler_is_refused_with_both_versions() {
        let error = module(Kernels::Sgd, 35).err().unwrap().to_string();
        assert!(
            error.contains("sgd.cu") && error.contains("the GPU has 3.5"),
            "{error}"
        );
    }

    #[test]
    fn a_compile_error_shows_the_line_of_the_source() {
        let text = "extern \"C\" __global__ void f(float *y) {\n    y[0] = nothing;\n}\n";
        let key = Key {
            name: "wrong".into(),
            source: format!("#line 1 \"prelude.cuh\"\n{PRELUDE}#line 1 \"wrong.cu\"\n{text}"),
            options: vec![],
            architecture: "compute_80".into(),
            compiler: String::new(),
        };
        let error = compile(&key, text).unwrap_err().to_string();
        assert!(
            error.contains("wrong.cu(2)") && error.contains("y[0] = nothing;"),
            "{error}"
        );
    }

    #[test]
    fn a_log_without_source_gets_it_and_one_with_it_does_not_get_it_twice() {
        let text = "one\n  two;\nthree\n";
        assert_eq!(
            with_source("f.cu(2): error: bad\n\n1 error", "f.cu", text),
            "f.cu(2): error: bad\n    two;\n1 error"
        );
        let whole = "f.cu(2): error: bad\n    two;\n    ^";
        assert_eq!(with_source(whole, "f.cu", text), whole);
        assert_eq!(
            with_source("f.cu(9): error: far", "f.cu", text),
            "f.cu(9): error: far"
        );
    }
}
