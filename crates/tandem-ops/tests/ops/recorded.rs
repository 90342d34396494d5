//! Results of a GPU kept in a file, so that scripts/gpu/accept.sh can compare the emulator's with a
//! GPU's.

use crate::common::values;
use candle_core::Tensor;
use std::fs::OpenOptions;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

/// Adds `got` to the file that the variable `TANDEM_RESULTS` names, as a line of JSON with the
/// tolerance it is held to; does nothing where it is not set. Results of one name belong to one
/// test, so they come in the same order in each run.
pub fn record(what: &str, got: &Tensor, absolute: f64, relative: f64) {
    static FILE: Mutex<()> = Mutex::new(());
    let Some(path) = std::env::var_os("TANDEM_RESULTS") else {
        return;
    };
    // As words: JSON has no infinity. No type here is wider than f32.
    let words: Vec<String> = values(got)
        .into_iter()
        .map(|value| (value as f32).to_string())
        .collect();
    let mut line = serde_json::json!({
        "what": what,
        "type": got.dtype().as_str(),
        "absolute": absolute,
        "relative": relative,
        "values": words.join(" "),
    })
    .to_string();
    line.push('\n');
    let _one_at_a_time = FILE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    file.write_all(line.as_bytes()).unwrap();
}
