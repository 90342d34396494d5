//! The one font of our pictures, carried along so that they look the same on a bare machine.

use anyhow::{Result, anyhow};
use plotters::style::{FontStyle, register_font};

/// DejaVu Sans, Latin letters only; licence and making in `assets/DejaVuSans-LICENSE.txt`.
static DEJAVU_SANS: &[u8] = include_bytes!("../../assets/DejaVuSans-Latin.ttf");

/// The name plotters knows the font by.
pub const FAMILY: &str = "DejaVu Sans";

/// Makes [`FAMILY`] known to plotters; harmless when done again.
pub fn register() -> Result<()> {
    register_font(FAMILY, FontStyle::Normal, DEJAVU_SANS)
        .map_err(|_| anyhow!("the built-in font does not parse"))
}
