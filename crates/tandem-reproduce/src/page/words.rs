//! Numbers as they are printed.

/// The minus of typesetting, as wide as a plus.
pub const MINUS: &str = "\u{2212}";

/// `value` with as many decimals, and no minus before what is rounded to nothing.
pub fn number(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(size) if size.chars().any(|c| ('1'..='9').contains(&c)) => format!("{MINUS}{size}"),
        Some(size) => size.to_owned(),
        None => text,
    }
}

/// As [`number`], with a plus where it is above zero: a difference.
pub fn difference(value: f64, decimals: usize) -> String {
    let text = number(value, decimals);
    let above = value > 0.0 && text.chars().any(|c| ('1'..='9').contains(&c));
    if above { format!("+{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_rounded_to_nothing_has_no_sign() {
        assert_eq!(number(-0.004, 2), "0.00");
        assert_eq!(difference(0.004, 2), "0.00");
        assert_eq!(number(-0.006, 2), "−0.01");
        assert_eq!(difference(0.006, 2), "+0.01");
        assert_eq!(difference(-10.0, 0), "−10");
    }
}
