//! The words of a selector.

use super::SelectorError;

/// One word.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A name, or a keyword, as it was written.
    Word(String),
    /// A name in double quotes: never a keyword.
    Quoted(String),
    Text(String),
    Int(i64),
    Float(f64),
    /// `=`, `<>`, `<=`, `(` …
    Sign(&'static str),
    End,
}

const SIGNS: [&str; 14] = ["<>", "!=", "<=", ">=", "=", "<", ">", "(", ")", ",", "+", "-", "*", "/"];

/// The words with where each begins; the last is [`Token::End`]. With `hyphens`, names may contain `-`.
pub(super) fn tokens(text: &str, hyphens: bool) -> Result<Vec<(usize, Token)>, SelectorError> {
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        at += rest.len() - rest.trim_start().len();
        let rest = rest.trim_start();
        if rest.is_empty() {
            found.push((at, Token::End));
            return Ok(found);
        }
        let (token, length) = token(rest, hyphens).map_err(|reason| SelectorError::new(at, reason))?;
        found.push((at, token));
        at += length;
    }
}

fn token(rest: &str, hyphens: bool) -> Result<(Token, usize), String> {
    let first = rest.chars().next().unwrap_or_default();
    match first {
        '\'' => quoted(rest, '\'').map(|(text, length)| (Token::Text(text), length)),
        '"' => quoted(rest, '"').map(|(text, length)| (Token::Quoted(text), length)),
        _ if is_number(rest) => number(rest),
        _ if is_name_start(first) => {
            let is_part = |c: char| is_name_start(c) || c.is_numeric() || c == '.' || hyphens && c == '-';
            let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
            Ok((Token::Word(rest.get(..length).unwrap_or_default().to_owned()), length))
        }
        _ => match SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            Some(sign) => Ok((Token::Sign(sign), sign.len())),
            None => Err(format!("unexpected '{}'", first.escape_debug())),
        },
    }
}

fn is_name_start(c: char) -> bool {
    c.is_alphabetic() || c == '_' || c == '$'
}

fn is_number(rest: &str) -> bool {
    let mut bytes = rest.bytes();
    match bytes.next() {
        Some(b'0'..=b'9') => true,
        Some(b'.') => bytes.next().is_some_and(|next| next.is_ascii_digit()),
        _ => false,
    }
}

/// A text in quotes, which are doubled within it.
fn quoted(rest: &str, quote: char) -> Result<(String, usize), String> {
    let mut text = String::new();
    let mut characters = rest.char_indices().skip(1).peekable();
    while let Some((at, character)) = characters.next() {
        if character != quote {
            text.push(character);
        } else if characters.peek().is_some_and(|(_, next)| *next == quote) {
            characters.next();
            text.push(quote);
        } else {
            return Ok((text, at + 1));
        }
    }
    Err(format!("{quote} without its end"))
}

/// As Java writes them: decimal, hexadecimal, octal, with a point or exponent, with a suffix for the type.
fn number(rest: &str) -> Result<(Token, usize), String> {
    let length = number_length(rest.as_bytes());
    let text = rest.get(..length).unwrap_or_default();
    let token = if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        i64::from_str_radix(digits.trim_end_matches(['l', 'L']), 16).map(Token::Int).ok()
    } else if text.contains(['.', 'e', 'E', 'f', 'F', 'd', 'D']) {
        text.trim_end_matches(['f', 'F', 'd', 'D']).parse().map(Token::Float).ok()
    } else {
        let digits = text.trim_end_matches(['l', 'L']);
        let radix = if digits.len() > 1 && digits.starts_with('0') { 8 } else { 10 };
        i64::from_str_radix(digits, radix).map(Token::Int).ok()
    };
    token.map(|token| (token, length)).ok_or_else(|| format!("'{text}' is not a number in its range"))
}

fn number_length(bytes: &[u8]) -> usize {
    let mut end = 0;
    while let Some(byte) = bytes.get(end) {
        let after_exponent = end > 0 && matches!(bytes.get(end - 1), Some(b'e' | b'E')) && !bytes.starts_with(b"0x");
        match byte {
            b'+' | b'-' if after_exponent => {}
            b'.' | b'_' => {}
            _ if byte.is_ascii_alphanumeric() => {}
            _ => break,
        }
        end += 1;
    }
    end
}
