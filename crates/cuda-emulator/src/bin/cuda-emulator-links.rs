//! Lays out a folder in which programs find the emulator under the names of NVIDIA's libraries.
//!
//! `cargo run -p cuda-emulator --bin cuda-emulator-links -- FOLDER`, then
//! `LD_LIBRARY_PATH=FOLDER program`; give FOLDER to the linker too (`LIBRARY_PATH`) to build without a driver.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Names by which CUDA 13 libraries are linked (`.so`) and loaded (`.so.N`).
const NAMES: [&str; 10] = [
    "libcuda.so",
    "libcuda.so.1",
    "libcublas.so",
    "libcublas.so.13",
    "libcudnn.so",
    "libcudnn.so.9",
    "libcublasLt.so",
    "libcublasLt.so.13",
    "libcurand.so",
    "libcurand.so.10",
];

/// The shared library beside this program.
fn library() -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(|e| format!("where this program is: {e}"))?;
    let library = program.with_file_name("libcuda_emulator.so");
    match library.exists() {
        true => Ok(library),
        false => Err(format!(
            "{} is not there; build the package's library first",
            library.display()
        )),
    }
}

fn link(library: &Path, folder: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    for name in NAMES {
        let path = folder.join(name);
        // A link left from an earlier build is replaced.
        let _ = std::fs::remove_file(&path);
        std::os::unix::fs::symlink(library, &path)
            .map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(())
}

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1) else {
        eprintln!("usage: cuda-emulator-links FOLDER");
        return ExitCode::from(2);
    };
    match library().and_then(|library| link(&library, Path::new(&folder))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("cuda-emulator-links: {message}");
            ExitCode::FAILURE
        }
    }
}
