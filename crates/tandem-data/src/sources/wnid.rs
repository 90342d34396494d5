//! WordNet's names of classes: `n01751748`, and the words people read.
//!
//! `data/ilsvrc2012/README.md` says where the list comes from.

use std::collections::BTreeMap;
use std::sync::LazyLock;

static ILSVRC: LazyLock<BTreeMap<&'static str, &'static str>> = LazyLock::new(|| {
    include_str!("../../../../data/ilsvrc2012/classes.txt")
        .lines()
        .filter_map(|line| Some((line.split_once(' ')?.0, line)))
        .collect()
});

/// Whether `name` is a WNID: `n` and eight digits.
pub(crate) fn is_wnid(name: &str) -> bool {
    name.len() == 9 && name.starts_with('n') && name[1..].bytes().all(|byte| byte.is_ascii_digit())
}

/// The WNID that `text` begins with, if one is there and nothing runs on from it.
pub(crate) fn leading(text: &str) -> Option<&str> {
    let end = text
        .find(|c: char| !c.is_ascii_alphanumeric())
        .unwrap_or(text.len());
    Some(&text[..end]).filter(|wnid| is_wnid(wnid))
}

/// The WNIDs of ILSVRC 2012's 1,000 classes, sorted.
pub(crate) fn of_ilsvrc() -> impl Iterator<Item = &'static str> {
    ILSVRC.keys().copied()
}

/// The classes of ILSVRC 2012 in the order of their labels, sorted by WNID: `n01440764 tench, Tinca
/// tinca` is 0.
#[must_use]
pub fn ilsvrc_classes() -> Vec<String> {
    ILSVRC.values().map(|&class| class.to_owned()).collect()
}

/// The class of a WNID: `n01751748 sea snake`. The words are the shipped list's, so that they are the
/// same in every form of ILSVRC, or else the source's. Of what is no WNID: itself.
pub(crate) fn class(wnid: &str, words: Option<&str>) -> String {
    match (ILSVRC.get(wnid), words) {
        (Some(class), _) => (*class).into(),
        (None, Some(words)) if is_wnid(wnid) => format!("{wnid} {}", words.trim()),
        _ => wnid.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::{class, is_wnid, leading, of_ilsvrc};

    #[test]
    fn the_shipped_list_has_a_thousand_classes_and_the_sea_snake_is_the_65th() {
        assert_eq!(of_ilsvrc().count(), 1000);
        assert!(of_ilsvrc().is_sorted() && of_ilsvrc().all(is_wnid));
        assert_eq!(of_ilsvrc().nth(65), Some("n01751748"));
        assert_eq!(
            class("n01751748", Some("something else")),
            "n01751748 sea snake"
        );
    }

    #[test]
    fn a_class_beyond_the_list_has_the_words_of_its_source() {
        assert_eq!(
            class("n00004475", Some("organism, being ")),
            "n00004475 organism, being"
        );
        assert_eq!(class("n00004475", None), "n00004475");
        assert_eq!(class("cat", Some("a pet")), "cat");
    }

    #[test]
    fn a_wnid_is_an_n_and_eight_digits() {
        assert_eq!(leading("n01440764_10026.JPEG"), Some("n01440764"));
        assert_eq!(leading("n01440764.tar"), Some("n01440764"));
        for name in ["n0144076", "n014407641", "m01440764", "n0144076é", ""] {
            assert!(!is_wnid(name) && leading(name).is_none(), "{name}");
        }
    }
}
