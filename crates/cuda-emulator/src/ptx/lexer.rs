//! PTX text to tokens.

use super::PtxError;

/// One token of PTX.
#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    /// Identifier, register, directive or opcode, with its dots: `%tid.x`, `.reg`, `ld.param.u64`.
    Word(String),
    /// Integer literal, as two's complement bits.
    Integer(u64),
    /// `0f3F800000`.
    Single(u32),
    /// `0d3FF0000000000000`.
    Double(u64),
    /// `"nounroll"`.
    Text(String),
    /// A character of punctuation.
    Mark(char),
}

/// A token and the line it stands on.
#[derive(Debug, Clone, PartialEq)]
pub struct Spanned {
    /// The token.
    pub token: Token,
    /// 1-based line.
    pub line: u32,
}

fn starts_word(c: u8) -> bool {
    c.is_ascii_alphabetic() || matches!(c, b'_' | b'$' | b'%' | b'.')
}

fn continues_word(c: u8) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, b'_' | b'$' | b'.' | b'%' | b':')
}

/// Splits PTX text into tokens; comments and white space go.
///
/// A word that starts with a dot ends before the next one: `.reg.b16` is two words. `::` belongs to words (`mbarrier.shared::cta`); a single `:` ends a label and is a mark.
pub fn tokens(text: &str) -> Result<Vec<Spanned>, PtxError> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len() / 4);
    let (mut i, mut line) = (0, 1u32);
    while i < bytes.len() {
        let c = bytes[i];
        let start = i;
        if c == b'\n' {
            line += 1;
            i += 1;
        } else if c.is_ascii_whitespace() || c == 0 {
            i += 1;
        } else if bytes[i..].starts_with(b"//") {
            while i < bytes.len() && bytes[i] != b'\n' {
                i += 1;
            }
        } else if bytes[i..].starts_with(b"/*") {
            i += 2;
            while i < bytes.len() && !bytes[i..].starts_with(b"*/") {
                line += u32::from(bytes[i] == b'\n');
                i += 1;
            }
            i += 2;
        } else if starts_word(c) {
            i += 1;
            while i < bytes.len() && continues_word(bytes[i]) {
                if c == b'.' && bytes[i] == b'.' {
                    break;
                }
                if bytes[i] == b':' {
                    if bytes.get(i + 1) != Some(&b':') {
                        break;
                    }
                    i += 1;
                }
                i += 1;
            }
            out.push(Spanned {
                token: Token::Word(text[start..i].to_string()),
                line,
            });
        } else if c.is_ascii_digit() {
            while i < bytes.len() && bytes[i].is_ascii_alphanumeric() {
                i += 1;
            }
            out.push(Spanned {
                token: number(&text[start..i], line)?,
                line,
            });
        } else if c == b'"' {
            i += 1;
            while i < bytes.len() && bytes[i] != b'"' {
                i += 1;
            }
            out.push(Spanned {
                token: Token::Text(text[start + 1..i.min(text.len())].to_string()),
                line,
            });
            i += 1;
        } else if c.is_ascii_punctuation() {
            out.push(Spanned {
                token: Token::Mark(c as char),
                line,
            });
            i += 1;
        } else {
            return Err(PtxError::new(
                line,
                format!("character {:?} has no place in PTX", c as char),
            ));
        }
    }
    Ok(out)
}

fn number(word: &str, line: u32) -> Result<Token, PtxError> {
    let bad = |_| PtxError::new(line, format!("`{word}` is not a number"));
    let lower = word.to_ascii_lowercase();
    if let Some(hex) = lower.strip_prefix("0f").filter(|h| h.len() == 8) {
        return u32::from_str_radix(hex, 16).map(Token::Single).map_err(bad);
    }
    if let Some(hex) = lower.strip_prefix("0d").filter(|h| h.len() == 16) {
        return u64::from_str_radix(hex, 16).map(Token::Double).map_err(bad);
    }
    let digits = lower.trim_end_matches('u');
    let value = if let Some(hex) = digits.strip_prefix("0x") {
        u64::from_str_radix(hex, 16)
    } else if let Some(bits) = digits.strip_prefix("0b") {
        u64::from_str_radix(bits, 2)
    } else if digits.len() > 1 && digits.starts_with('0') {
        u64::from_str_radix(digits, 8)
    } else {
        digits.parse()
    };
    value.map(Token::Integer).map_err(bad)
}
