//! The one order in which a set's pictures stand, in whatever form the set is found: by label, then
//! by key.

use std::path::PathBuf;

use super::slice::Slice;
use crate::decode::decode_at;
use crate::fingerprint::Fingerprint;
use crate::{DataError, Dataset, Part, Picture};

/// Picture 9, 19, 29 … of a class is held out where no pictures are set apart.
const EVERY: usize = 10;

/// A picture of a list: what it is called, what it shows, and its place.
#[derive(Debug)]
pub(crate) struct Sample<P> {
    /// Not known of pictures to be judged on.
    pub(crate) label: Option<u32>,
    /// The file's name with its ending, until [`put_in_order`] makes it the key.
    pub(crate) key: String,
    /// Where its bytes are.
    pub(crate) place: P,
}

/// What a file is called without its ending, and without the `_n01440764` that Hugging Face's copy of
/// ILSVRC appends to every name.
pub(crate) fn stem(name: &str) -> &str {
    let stem = match name.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => name,
    };
    match stem.rsplit_once('_') {
        Some((before, wnid)) if !before.is_empty() && super::wnid::is_wnid(wnid) => before,
        _ => stem,
    }
}

/// Makes keys of the samples' file names and sorts by (label, key). Pictures of one class whose names
/// differ only in the ending (`a.jpg`, `a.png`) keep it.
///
/// # Errors
///
/// [`DataError::Label`] if a label is beyond the classes, [`DataError::Duplicate`] if two pictures of
/// a class have the same name. `name` says where a picture is.
pub(crate) fn put_in_order<P>(
    samples: &mut [Sample<P>],
    classes: &[String],
    name: impl Fn(&P) -> String,
) -> Result<(), DataError> {
    for (index, sample) in samples.iter().enumerate() {
        if let Some(label) = sample
            .label
            .filter(|&label| label as usize >= classes.len())
        {
            return Err(DataError::Label {
                path: name(&sample.place).into(),
                index,
                label,
                classes: classes.len(),
            });
        }
    }
    samples.sort_unstable_by(|a, b| {
        (a.label, stem(&a.key), &a.key).cmp(&(b.label, stem(&b.key), &b.key))
    });
    let same = |a: &Sample<P>, b: &Sample<P>| a.label == b.label && stem(&a.key) == stem(&b.key);
    for run in samples.chunk_by_mut(same) {
        if let [only] = run {
            only.key = stem(&only.key).into();
        }
    }
    samples.sort_by(|a, b| (a.label, &a.key).cmp(&(b.label, &b.key)));
    let twins = |pair: &&[Sample<P>]| pair[0].label == pair[1].label && pair[0].key == pair[1].key;
    if let Some([first, second]) = samples.windows(2).find(twins) {
        return Err(DataError::Duplicate {
            first: name(&first.place),
            second: name(&second.place),
            key: first.key.clone(),
        });
    }
    Ok(())
}

/// Of samples in order, those of one part where no pictures are set apart: every tenth of a class is
/// held out.
pub(crate) fn hold_out<P>(samples: Vec<Sample<P>>, part: Part) -> Vec<Sample<P>> {
    let (mut class, mut place) = (None, 0);
    let mut samples = samples;
    samples.retain(|sample| {
        place = if sample.label == class { place + 1 } else { 0 };
        class = sample.label;
        (place % EVERY == EVERY - 1) == (part != Part::Train)
    });
    samples
}

/// Fingerprint of a list: its classes, and of each picture key, label and encoded length.
pub(crate) fn fingerprint<'a>(
    classes: &[String],
    samples: impl Iterator<Item = (&'a str, Option<u32>, u64)>,
) -> u64 {
    let mut print = Fingerprint::new();
    print.word(classes.len() as u64);
    classes
        .iter()
        .for_each(|class| print.bytes(class.as_bytes()));
    for (key, label, length) in samples {
        print.bytes(key.as_bytes());
        print.word(label.map_or(u64::MAX, u64::from));
        print.word(length);
    }
    print.finish()
}

/// A data set of encoded pictures, each a slice of a file.
#[derive(Debug)]
pub(crate) struct Listing {
    classes: Vec<String>,
    samples: Vec<Sample<Slice>>,
    fingerprint: u64,
}

impl Listing {
    /// Puts the samples of `path` in order. With `held_out`, keeps of them what [`hold_out`] gives that
    /// part.
    ///
    /// # Errors
    ///
    /// [`put_in_order`]'s, and [`DataError::NoPictures`] if none are left.
    pub(crate) fn new(
        path: PathBuf,
        classes: Vec<String>,
        mut samples: Vec<Sample<Slice>>,
        held_out: Option<Part>,
    ) -> Result<Self, DataError> {
        put_in_order(&mut samples, &classes, Slice::name)?;
        if let Some(part) = held_out {
            samples = hold_out(samples, part);
        }
        if samples.is_empty() {
            return Err(DataError::NoPictures {
                path,
                reason: match held_out {
                    None => "there is no class folder in it",
                    Some(_) => {
                        "no class has ten pictures, of which every tenth would be held out; add \
                         pictures, or put some apart, val/ beside train/"
                    }
                },
            });
        }
        samples.shrink_to_fit();
        let fields = samples
            .iter()
            .map(|sample| (sample.key.as_str(), sample.label, sample.place.length()));
        Ok(Self {
            fingerprint: fingerprint(&classes, fields),
            classes,
            samples,
        })
    }
}

impl Dataset for Listing {
    fn len(&self) -> usize {
        self.samples.len()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, i: usize) -> Option<u32> {
        self.samples[i].label
    }

    fn picture(&self, i: usize) -> Result<Picture, DataError> {
        decode_at(&self.samples[i].place.read()?, || self.name(i))
    }

    fn name(&self, i: usize) -> String {
        self.samples[i].place.name()
    }

    fn key(&self, i: usize) -> String {
        self.samples[i].key.clone()
    }

    fn channels(&self) -> usize {
        3
    }

    fn fingerprint(&self) -> u64 {
        self.fingerprint
    }
}

#[cfg(test)]
mod tests {
    use super::{Sample, put_in_order, stem};
    use crate::DataError;

    fn ordered(names: &[(u32, &str)]) -> Result<Vec<String>, DataError> {
        let mut samples: Vec<_> = names
            .iter()
            .map(|&(label, name)| Sample {
                label: Some(label),
                key: name.into(),
                place: format!("folder {label}/{name}"),
            })
            .collect();
        put_in_order(&mut samples, &["zero".into(), "one".into()], Clone::clone)?;
        Ok(samples.into_iter().map(|sample| sample.key).collect())
    }

    #[test]
    fn a_key_is_the_name_without_its_ending_and_without_an_appended_wnid() {
        assert_eq!(stem("n01440764_10026.JPEG"), "n01440764_10026");
        assert_eq!(stem("n01440764_10026_n01440764.JPEG"), "n01440764_10026");
        assert_eq!(stem("n01440764.JPEG"), "n01440764");
        assert_eq!(stem("_n01440764.png"), "_n01440764");
        assert_eq!(stem("a.b.jpg"), "a.b");
        assert_eq!(stem(".jpg"), ".jpg");
    }

    #[test]
    fn the_order_is_by_label_then_by_key_not_by_file_name() {
        // As file names "a-b.jpg" comes before "a.jpg".
        let names = [(1, "a.jpg"), (0, "b.png"), (0, "a-b.jpg"), (0, "a.jpg")];
        assert_eq!(ordered(&names).unwrap(), ["a", "a-b", "b", "a"]);
    }

    #[test]
    fn names_that_differ_only_in_the_ending_keep_it() {
        let names = [(0, "a.png"), (0, "b.jpg"), (0, "a.jpg"), (1, "a.jpg")];
        assert_eq!(ordered(&names).unwrap(), ["a.jpg", "a.png", "b", "a"]);
    }

    #[test]
    fn two_pictures_of_one_name_are_refused_and_both_are_named() {
        let error = ordered(&[(0, "a.jpg"), (1, "b.jpg"), (1, "b.jpg")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "folder 1/b.jpg and folder 1/b.jpg are both picture `b.jpg` of their class; remove \
             or rename one"
        );
        // One that keeps its ending may meet another that has lost its own.
        assert!(ordered(&[(0, "a.jpg"), (0, "a.png"), (0, "a.jpg.png")]).is_err());
    }

    #[test]
    fn a_label_beyond_the_classes_is_named() {
        let error = ordered(&[(0, "a.jpg"), (2, "b.jpg")]).unwrap_err();
        assert!(
            error.to_string().starts_with("folder 2/b.jpg: label 2"),
            "{error}"
        );
    }
}
