//! Where two specs first differ, in the words of their TOML.

use super::Spec;

impl Spec {
    /// What `other` has otherwise, where first; nothing if they are equal.
    pub fn difference(&self, other: &Self) -> Option<String> {
        if self == other {
            return None;
        }
        let (mine, theirs) = (self.to_toml(), other.to_toml());
        let (mut mine, mut theirs) = (mine.lines(), theirs.lines());
        let mut place = "at the top".to_owned();
        let mut layers = 0;
        loop {
            match (mine.next(), theirs.next()) {
                (Some("[input]"), Some("[input]")) => place = "in [input]".to_owned(),
                (Some("[[layer]]"), Some("[[layer]]")) => {
                    place = format!("in {}", self.label(layers));
                    layers += 1;
                }
                (Some(a), Some(b)) if a == b => {}
                // Equal to the last line, though not equal: NaN, which no checked spec holds.
                (None, None) => return Some("in a value that is not a number".to_owned()),
                (a, b) => {
                    let line = |line: Option<&str>| {
                        line.map_or("nothing".to_owned(), |line| format!("`{line}`"))
                    };
                    return Some(format!(
                        "{place}, it has {} and the other {}",
                        line(a),
                        line(b)
                    ));
                }
            }
        }
    }
}
