//! What an expected packet looks like: bytes in hex, `..` for any byte, `*` for any number of bytes.

/// One word of a pattern.
#[derive(Clone, Copy, PartialEq)]
enum Token {
    Byte(u8),
    Any,
    Rest,
}

pub struct Pattern(Vec<Token>);

impl Pattern {
    pub fn parse(text: &str) -> Self {
        let token = |word: &str| match word {
            ".." => Token::Any,
            "*" => Token::Rest,
            hex => Token::Byte(u8::from_str_radix(hex, 16).unwrap_or_else(|_| panic!("no hex: {hex}"))),
        };
        Self(text.split_whitespace().map(token).collect())
    }

    /// Whether the packet is meant. The order of properties is nobody's business but that of user properties.
    pub fn matches(&self, packet: &[u8], version: u8) -> bool {
        if matches(&self.0, packet) {
            return true;
        }
        let found: Vec<Token> = packet.iter().map(|byte| Token::Byte(*byte)).collect();
        match (sorted(&self.0, version), sorted(&found, version)) {
            (Some(wanted), Some(found)) => {
                wanted.len() == found.len() && wanted.iter().zip(&found).all(|(a, b)| *a == Token::Any || a == b)
            }
            _ => false,
        }
    }
}

fn matches(mut pattern: &[Token], mut packet: &[u8]) -> bool {
    loop {
        match (pattern.split_first(), packet.split_first()) {
            (None, None) | (Some((Token::Rest, [])), _) => return true,
            (Some((Token::Rest, rest)), _) => return (0..=packet.len()).any(|skip| matches(rest, &packet[skip..])),
            (Some((Token::Byte(wanted), _)), Some((found, _))) if wanted != found => return false,
            (Some((_, next)), Some((_, others))) => (pattern, packet) = (next, others),
            _ => return false,
        }
    }
}

/// A PUBLISH of version 5 with its properties sorted by their identifiers; `None` for other packets.
fn sorted(tokens: &[Token], version: u8) -> Option<Vec<Token>> {
    let Some(Token::Byte(first)) = tokens.first().copied() else { return None };
    if version != 5 || first >> 4 != 3 || tokens.contains(&Token::Rest) {
        return None;
    }
    let (_, length_bytes) = variable(tokens.get(1..)?)?;
    let topic_at = 1 + length_bytes;
    let topic_bytes = number(tokens.get(topic_at..topic_at + 2)?)?;
    let section_at = topic_at + 2 + topic_bytes + if first & 0b110 == 0 { 0 } else { 2 };
    let (section_bytes, length_bytes) = variable(tokens.get(section_at..)?)?;
    let start = section_at + length_bytes;
    let mut properties = split(tokens.get(start..start + section_bytes)?)?;
    properties.sort_by_key(|property| match property.first() {
        Some(Token::Byte(id)) => *id,
        _ => 0,
    });
    let mut all = tokens[..start].to_vec();
    properties.iter().for_each(|property| all.extend_from_slice(property));
    all.extend_from_slice(&tokens[start + section_bytes..]);
    Some(all)
}

fn split(mut section: &[Token]) -> Option<Vec<&[Token]>> {
    let mut all = Vec::new();
    while let Some(Token::Byte(id)) = section.first() {
        let value = section.get(1..)?;
        let text = |at: usize| Some(2 + number(value.get(at..at + 2)?)?);
        let bytes = match id {
            0x01 => 1,
            0x02 => 4,
            0x0b => variable(value)?.1,
            0x23 => 2,
            0x26 => text(0)? + text(text(0)?)?,
            _ => text(0)?,
        };
        let (property, rest) = section.split_at_checked(1 + bytes)?;
        all.push(property);
        section = rest;
    }
    Some(all)
}

fn number(tokens: &[Token]) -> Option<usize> {
    match tokens {
        [Token::Byte(high), Token::Byte(low)] => Some(usize::from(u16::from_be_bytes([*high, *low]))),
        _ => None,
    }
}

/// A variable byte integer and how many bytes it has.
fn variable(tokens: &[Token]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (place, token) in tokens.iter().take(4).enumerate() {
        let Token::Byte(byte) = token else { return None };
        value |= usize::from(byte & 127) << (7 * place);
        if *byte < 128 {
            return Some((value, place + 1));
        }
    }
    None
}

#[test]
fn patterns() {
    let matches = |pattern: &str, packet: &[u8]| Pattern::parse(pattern).matches(packet, 5);
    assert!(matches("20 .. 00 *", &[0x20, 3, 0, 0, 0]) && matches("20 .. 00 *", &[0x20, 1, 0]));
    assert!(!matches("20 .. 01 *", &[0x20, 3, 0, 0, 0]) && !matches("20", &[0x20, 0]));
    assert!(matches("* 21 00 0a *", &[0x20, 1, 0x21, 0, 10]));
    let (one, other) = ([0x30, 8, 0, 1, b't', 4, 1, 1, 0x0b, 5], "30 08 00 01 74 04 0b 05 01 01");
    assert!(matches(other, &one) && !matches("30 08 00 01 74 04 0b 06 01 01", &one));
}
