//! Says whether the emulator knows everything in PTX files: `cargo run --example check_ptx -- FILE…`

use std::collections::HashMap;
use std::process::ExitCode;
use std::time::Instant;

use cuda_emulator::machine::decode::decode;
use cuda_emulator::ptx;

fn main() -> ExitCode {
    let mut failed = false;
    for path in std::env::args().skip(1) {
        let started = Instant::now();
        let result = std::fs::read_to_string(&path)
            .map_err(|e| e.to_string())
            .and_then(|text| {
                let module = ptx::parse(&text).map_err(|e| e.to_string())?;
                // Any addresses will do: nothing runs.
                let globals: HashMap<String, u64> = module
                    .variables
                    .iter()
                    .map(|v| (v.name.clone(), 0))
                    .collect();
                decode(&module, &globals).map_err(|e| e.to_string())
            });
        match result {
            Ok(program) => println!(
                "{path}: {} kernels, {:.0?}",
                program.kernels.len(),
                started.elapsed()
            ),
            Err(message) => {
                println!("{path}: {message}");
                failed = true;
            }
        }
    }
    ExitCode::from(u8::from(failed))
}
