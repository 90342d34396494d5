//! Labels that stand in a file of their own, beside a folder of pictures.

use std::collections::HashMap;
use std::path::PathBuf;

use super::listing::{Sample, stem};
use super::slice::Slice;
use super::tree::Folder;
use crate::DataError;

/// The labels of a folder's pictures.
#[derive(Debug)]
pub(crate) struct Labels {
    /// Where they stand.
    pub(crate) file: PathBuf,
    /// By the picture's [`stem`].
    pub(crate) of: HashMap<String, u32>,
}

/// Which label each WNID has.
pub(crate) type Places = HashMap<String, u32>;

/// The labels of WNIDs in their order.
pub(crate) fn places(wnids: &[String]) -> Places {
    wnids.iter().cloned().zip(0..).collect()
}

/// Reads lines of a picture's name and its WNID, as `fields` finds them in a line; lines where it finds
/// nothing are headings. An error is of a line, from 1.
pub(crate) fn parse<'a>(
    text: &'a str,
    classes: &Places,
    fields: impl Fn(&'a str) -> Option<(&'a str, &'a str)>,
) -> Result<HashMap<String, u32>, (usize, String)> {
    let mut labels = HashMap::new();
    for (line, (picture, wnid)) in (1..)
        .zip(text.lines())
        .filter_map(|(line, text)| Some((line, fields(text)?)))
    {
        let label = *classes.get(wnid).ok_or_else(|| {
            (
                line,
                format!("{wnid:?} is none of the {} classes", classes.len()),
            )
        })?;
        if labels.insert(stem(picture).into(), label).is_some() {
            return Err((line, format!("a second label of {picture:?}")));
        }
    }
    Ok(labels)
}

/// `LOC_val_solution.csv`: `ILSVRC2012_val_00048981,n03995372 85 1 499 272 …`, a WNID and a box for
/// each object, all objects of one class.
pub(crate) fn kaggle(line: &str) -> Option<(&str, &str)> {
    let (picture, boxes) = line.split_once(',')?;
    let wnid = boxes.split_whitespace().next().unwrap_or_default();
    (picture != "ImageId").then_some((picture.trim(), wnid))
}

/// `val_annotations.txt`: `val_0.JPEG`, a tab, `n03444034`, and a box.
pub(crate) fn tiny(line: &str) -> Option<(&str, &str)> {
    let mut fields = line.split('\t');
    let picture = fields.next().filter(|picture| !picture.is_empty())?;
    Some((picture, fields.next().unwrap_or_default().trim()))
}

impl Labels {
    /// The pictures directly in `folder`, each with its label.
    ///
    /// # Errors
    ///
    /// If a picture has no label, or there are not as many labels as pictures.
    pub(crate) fn of_pictures(&self, folder: &Folder) -> Result<Vec<Sample<Slice>>, DataError> {
        let pictures = folder.pictures()?;
        let mut samples = Vec::with_capacity(pictures.len());
        for picture in pictures {
            let label = *self
                .of
                .get(stem(&picture.name))
                .ok_or_else(|| DataError::NoLabel {
                    picture: picture.path(),
                    labels: self.file.clone(),
                })?;
            samples.push(Sample {
                label: Some(label),
                place: picture.slice(),
                key: picture.name,
            });
        }
        if samples.len() != self.of.len() {
            return Err(DataError::Counts {
                images: folder.path(),
                pictures: samples.len(),
                labels: self.file.clone(),
                count: self.of.len(),
            });
        }
        Ok(samples)
    }
}
