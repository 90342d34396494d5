//! Plain tables and quantities for people.

/// Where a column's words stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

/// Rows under a head, each column as wide as its widest cell, two spaces between.
///
/// Rows shorter than the head leave their last columns empty; no line ends in spaces.
pub fn table(head: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = head
        .iter()
        .enumerate()
        .map(|(column, (name, _))| {
            let cells = rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count());
            cells.max().unwrap_or(0).max(name.chars().count())
        })
        .collect();
    let names: Vec<String> = head.iter().map(|(name, _)| (*name).to_owned()).collect();
    let mut text = String::new();
    for row in std::iter::once(&names).chain(rows) {
        let cells =
            row.iter()
                .zip(head)
                .zip(&widths)
                .map(|((cell, (_, align)), &width)| match align {
                    Align::Left => format!("{cell:<width$}"),
                    Align::Right => format!("{cell:>width$}"),
                });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// `60,965,224`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `512 B`, `1.11 MiB`: three digits and the unit, powers of 1024.
pub fn bytes(number: u64) -> String {
    scaled(
        number,
        1024.0,
        &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"],
    )
}

/// `999`, `1.35 M`: three digits and the letter, powers of 1000.
pub fn count(number: u64) -> String {
    scaled(number, 1000.0, &["", "K", "M", "G", "T", "P", "E"])
}

fn scaled(number: u64, base: f64, units: &[&str]) -> String {
    let mut value = number as f64;
    let mut unit = 0;
    // 999.5 would be printed as 1000.
    while value >= base.min(999.5) && unit + 1 < units.len() {
        value /= base;
        unit += 1;
    }
    let decimals = match value {
        _ if unit == 0 => 0,
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {}", units[unit])
        .trim_end()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_end_in_words() {
        let rows = [
            vec!["conv1".to_owned(), "7".to_owned()],
            vec!["x".to_owned()],
        ];
        let text = table(&[("name", Align::Left), ("size", Align::Right)], &rows);
        assert_eq!(text, "name   size\nconv1     7\nx\n");
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(
            [0, 999, 1000, 60_965_224].map(grouped),
            ["0", "999", "1,000", "60,965,224"]
        );
    }

    #[test]
    fn quantities_have_three_digits_and_a_unit() {
        assert_eq!(
            [0, 512, 1024, 1_161_600].map(bytes),
            ["0 B", "512 B", "1.00 KiB", "1.11 MiB"]
        );
        assert_eq!(bytes(u64::MAX), "16.0 EiB");
        assert_eq!(
            [999, 1000, 105_415_200].map(count),
            ["999", "1.00 K", "105 M"]
        );
        assert_eq!([999_499, 999_999].map(count), ["999 K", "1.00 M"]);
    }
}
