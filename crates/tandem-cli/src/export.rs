//! `tandem export`: weights as a file of another framework.

use std::path::{Path, PathBuf};

use anyhow::Result;
use tandem_formats::{ExportError, Precision, Target, export, onnx};

use crate::args::{Export, ExportFormat};
use crate::failure::Failure;
use crate::output::print;
use crate::weights::Found;

pub fn run(args: &Export) -> Result<()> {
    let mut weights = Found::read(&args.weights)?.weights;
    let (target, suffix, ending) = match args.to {
        ExportFormat::Safetensors => (Target::Safetensors, "", "safetensors"),
        ExportFormat::Torchvision => (Target::Torchvision, "-torchvision", "safetensors"),
        ExportFormat::Onnx => (Target::Onnx, "", "onnx"),
    };
    let (precision, half) = match args.half {
        true => (Precision::Half, "-half"),
        false => (Precision::Single, ""),
    };
    let out = match &args.out {
        Some(out) => out.clone(),
        None => PathBuf::from(format!("{}{suffix}{half}.{ending}", name(&args.weights))),
    };
    if args.licence.is_some() {
        weights.licence.clone_from(&args.licence);
    }
    export(&weights, target, precision, &out).map_err(hinted)?;
    print(&format!("{}\n", out.display()))
}

/// What a run or a file is called, without folders and the ending.
fn name(named: &str) -> String {
    let path = Path::new(named.trim_end_matches('/'));
    let stem = match path.is_dir() {
        true => path.file_name(),
        false => path.file_stem(),
    };
    let stem = stem.unwrap_or("weights".as_ref());
    stem.to_string_lossy().into_owned()
}

fn hinted(error: ExportError) -> anyhow::Error {
    let hint = match &error {
        ExportError::Exists { .. } => "choose another --out",
        ExportError::NotTorchvision { .. } => {
            "--to safetensors writes any network; `tandem train --model torchvision` trains one of that shape"
        }
        ExportError::NoHalf { .. } | ExportError::Onnx(onnx::ExportError::NoHalf { .. }) => {
            "leave out --half"
        }
        _ => return error.into(),
    };
    Failure::failed(error.to_string(), hint).into()
}
