//! "Did you mean": the nearest known name to a mistyped one.

use strsim::damerau_levenshtein;

/// The known name nearest to `word`: one that goes on where it ends, else one near enough to be a slip
/// of the keyboard, at most one edit in three letters.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let is_begun = |name: &str| {
        let rest = name.strip_prefix(&*word);
        // Not every word that begins with a letter or two.
        word.chars().count() > 2
            && rest.is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
    };
    known
        .into_iter()
        .map(|name| {
            let lower = name.to_lowercase();
            let distance = damerau_levenshtein(&word, &lower);
            (!is_begun(&lower), distance, name)
        })
        .min_by_key(|&(slip, distance, _)| (slip, distance))
        .filter(|&(slip, distance, name)| {
            !slip || distance <= (word.len().max(name.len()) / 3).max(1)
        })
        .map(|(.., name)| name)
}

/// `; did you mean ...?`, or nothing where no name is near.
pub fn hint<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, known).map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

/// A message of serde with the nearest name added where it speaks of an unknown field or variant.
///
/// serde lists what it expected in backticks and stops there: "unknown field `kernal`, expected one
/// of `name`, `kernel`".
pub(crate) fn with_hint(message: &str) -> String {
    let message = message.trim_end();
    for opening in ["unknown field `", "unknown variant `"] {
        let Some((_, rest)) = message.split_once(opening) else {
            continue;
        };
        let Some((word, expected)) = rest.split_once("`, expected ") else {
            continue;
        };
        // Every second piece between backticks is a name.
        let known = expected.split('`').skip(1).step_by(2);
        return format!("{message}{}", hint(word, known));
    }
    message.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_name_and_nonsense_finds_none() {
        assert_eq!(nearest("alexnte", ["alexnet", "mini"]), Some("alexnet"));
        assert_eq!(
            nearest("Caffenet", ["alexnet", "caffenet"]),
            Some("caffenet")
        );
        assert_eq!(nearest("resnet50", ["alexnet", "mini"]), None);
        let classes = ["Shirt", "T-shirt/top", "Ankle boot"];
        assert_eq!(nearest("T-shirt", classes), Some("T-shirt/top"));
        assert_eq!(nearest("Skirt", classes), Some("Shirt"));
        for part in ["T", "Ank"] {
            assert_eq!(nearest(part, classes), None, "{part}");
        }
    }

    #[test]
    fn a_message_of_serde_gains_the_nearest_name() {
        let message = "unknown field `kernal`, expected one of `name`, `kernel`, `stride`";
        assert_eq!(
            with_hint(message),
            format!("{message}; did you mean `kernel`?")
        );
        assert_eq!(with_hint("missing field `name`"), "missing field `name`");
    }
}
