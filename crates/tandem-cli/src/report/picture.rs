//! Writing a picture so that whoever looks at it never finds half of one.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use anyhow::{Context, Result};
use image::{ImageFormat, RgbImage};

/// Writes `picture` as a PNG beside `path`, then renames it into place: pictures are refreshed while
/// a viewer may have them open.
pub fn save(picture: &RgbImage, path: &Path) -> Result<()> {
    let mut png = Cursor::new(Vec::new());
    picture.write_to(&mut png, ImageFormat::Png)?;
    let beside = path.with_extension("png.tmp");
    let written = fs::write(&beside, png.into_inner()).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // The error to report is the one there is.
        let _ = fs::remove_file(&beside);
    }
    written.with_context(|| format!("writing {}", path.display()))
}
