//! Which mean a Caffe network subtracts: in its file, beside it, or the known one.

use std::fs;
use std::path::{Path, PathBuf};

use super::layers::{Pictures, SaidMean};
use crate::error::Problem;
use crate::mean::{ILSVRC, Mean};
use crate::{ChannelOrder, Options};

/// The mean of a Caffe network: of `--mean`, of numbers in the file, of a file beside it, or the known
/// one.
pub(super) fn find(
    pictures: &Pictures,
    channels: usize,
    folder: Option<&Path>,
    options: &Options,
    notes: &mut Vec<String>,
) -> Result<Mean, Problem> {
    if let Some(path) = &options.mean {
        if let SaidMean::Values(values) = &pictures.mean {
            notes.push(format!(
                "the mean in the file, {values:?}, gives way to that of --mean"
            ));
        }
        return Mean::read(path);
    }
    let called = match &pictures.mean {
        SaidMean::Values(values) => return Ok(Mean::Channels(values.clone())),
        SaidMean::Zero => {
            notes
                .push("nothing is subtracted from pictures: its data layer has no mean".to_owned());
            return Ok(Mean::Channels(vec![0.0]));
        }
        SaidMean::File(name) => Some(name.as_str()),
        SaidMean::Unsaid => None,
    };
    if let Some(path) = folder.and_then(|folder| beside(folder, called)) {
        let mean = Mean::read(&path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        notes.push(format!(
            "the mean is that of {name}, which lies beside the file"
        ));
        return Ok(mean);
    }
    if channels != 3 {
        return Err(Problem::Unsaid {
            what: format!("the mean of its pictures of {channels} channels"),
            hint: "give it by --mean FILE, a .binaryproto or .npy",
        });
    }
    notes.push(format!(
        "the mean picture{} is not beside the file: ILSVRC 2012's known channel means are subtracted, {} of red, {} of green, {} of blue; --mean FILE gives a .binaryproto or .npy",
        called.map(|name| format!(" ({name})")).unwrap_or_default(),
        ILSVRC[2],
        ILSVRC[1],
        ILSVRC[0],
    ));
    Ok(Mean::ilsvrc(ChannelOrder::Bgr))
}

/// The mean's file in `folder`: of the name that the network has for it, or the only `.binaryproto`.
fn beside(folder: &Path, called: Option<&str>) -> Option<PathBuf> {
    // The path is of the machine that trained the network: its last part is all that can be found here.
    let name = called.and_then(|called| called.rsplit(['/', '\\']).next());
    let named = name.filter(|name| !matches!(*name, "" | "." | ".."));
    if let Some(path) = named
        .map(|name| folder.join(name))
        .filter(|path| path.is_file())
    {
        return Some(path);
    }
    let entries = fs::read_dir(folder).ok()?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut means = paths.filter(|path| path.extension().is_some_and(|e| e == "binaryproto"));
    match (means.next(), means.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}
