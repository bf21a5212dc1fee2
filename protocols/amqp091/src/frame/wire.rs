//! The elementary types of AMQP 0-9-1 (section 4.2.5), read with nom *complete* on an exact slice.

use bytes::BufMut;
use nom::bytes::complete::take;
use nom::error::{ErrorKind, ParseError};
use nom::number::complete::{be_u8, be_u32};
use nom::{IResult, Parser as _};

/// What is wrong with bytes that should have been arguments, properties or a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl<I> ParseError<I> for Malformed {
    fn from_error_kind(_: I, _: ErrorKind) -> Self {
        Self("arguments are cut short")
    }

    fn append(_: I, _: ErrorKind, other: Self) -> Self {
        other
    }
}

/// What every parser here gives.
pub type Parsed<'a, T> = IResult<&'a [u8], T, Malformed>;

/// A parser that fails for `reason`.
pub fn fail<T>(reason: &'static str) -> Parsed<'static, T> {
    Err(nom::Err::Failure(Malformed(reason)))
}

/// A short string's bytes.
pub fn short(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (input, length) = be_u8(input)?;
    take(length).parse(input)
}

/// A short string that must be text: names of things.
pub fn short_text(input: &[u8]) -> Parsed<'_, &str> {
    let (rest, bytes) = short(input)?;
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok((rest, text)),
        Err(_) => fail("a name is not UTF-8"),
    }
}

/// A long string's bytes, also the content of a table or array.
pub fn long(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (input, length) = be_u32(input)?;
    take(length).parse(input)
}

/// Eight packed bits, the first being the lowest.
pub fn bits(input: &[u8]) -> Parsed<'_, Bits> {
    let (rest, octet) = be_u8(input)?;
    Ok((rest, Bits(octet)))
}

/// Packed bits.
#[derive(Clone, Copy, Debug)]
pub struct Bits(u8);

impl Bits {
    /// Whether the bit at `index` (0 is the first) is set.
    pub fn is_set(self, index: u8) -> bool {
        self.0.checked_shr(index.into()).unwrap_or(0) & 1 == 1
    }
}

/// Runs a parser that must use all of `input`.
pub fn whole<'a, T>(input: &'a [u8], parser: impl FnOnce(&'a [u8]) -> Parsed<'a, T>) -> Result<T, Malformed> {
    match parser(input) {
        Ok(([], value)) => Ok(value),
        Ok(_) => Err(Malformed("there are bytes after the arguments")),
        Err(nom::Err::Error(malformed) | nom::Err::Failure(malformed)) => Err(malformed),
        Err(nom::Err::Incomplete(_)) => Err(Malformed("arguments are cut short")),
    }
}

/// The length of a short string that holds as much of `bytes` as fits.
pub fn short_len(bytes: &[u8]) -> usize {
    1 + bytes.len().min(255)
}

/// Writes a short string; what exceeds 255 bytes is cut.
pub fn put_short(buffer: &mut impl BufMut, bytes: &[u8]) {
    let fitting = bytes.get(..255).unwrap_or(bytes);
    buffer.put_u8(u8::try_from(fitting.len()).unwrap_or(u8::MAX));
    buffer.put_slice(fitting);
}

/// Writes a long string.
pub fn put_long(buffer: &mut impl BufMut, bytes: &[u8]) {
    buffer.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    buffer.put_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_beyond_the_slice_are_malformed() {
        assert_eq!(whole(&[3, b'a', b'b'], short), Err(Malformed("arguments are cut short")));
        assert_eq!(whole(&[0xFF, 0xFF, 0xFF, 0xFF, 1], long), Err(Malformed("arguments are cut short")));
        assert_eq!(whole(&[1, b'a', b'b'], short), Err(Malformed("there are bytes after the arguments")));
        assert_eq!(whole(&[1, 0xFF], short_text), Err(Malformed("a name is not UTF-8")));
    }

    #[test]
    fn short_strings_hold_255_bytes() {
        for (length, kept) in [(254, 254), (255, 255), (256, 255)] {
            let bytes = vec![b'x'; length];
            let mut buffer = Vec::new();
            put_short(&mut buffer, &bytes);
            assert_eq!((buffer.len(), short_len(&bytes)), (kept + 1, kept + 1));
        }
    }
}
