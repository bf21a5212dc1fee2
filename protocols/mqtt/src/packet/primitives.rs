//! The data types of section 1.5: integers, strings, binary data.

use bytes::BufMut;
use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16, be_u32};
use nom::{Err, IResult};

use crate::reason::Fault;

/// What a decoder gives: the rest and a value.
pub type Parsed<'a, T> = IResult<&'a [u8], T, Fault>;

/// The largest variable byte integer.
pub const VARIABLE_MAX: u32 = 268_435_455;

/// Fails for good.
pub fn fail<T>(fault: Fault) -> Parsed<'static, T> {
    Err(Err::Failure(fault))
}

/// The value, if the decoder used everything.
pub fn whole<'a, T>(parsed: Parsed<'a, T>) -> Result<T, Fault> {
    match parsed {
        Ok(([], value)) => Ok(value),
        Ok(_) => Err(Fault::malformed("packet is longer than its content")),
        Err(error) => Err(fault_of(error)),
    }
}

/// The fault in nom's error; "incomplete" does not happen in complete parsers.
pub fn fault_of(error: Err<Fault>) -> Fault {
    match error {
        Err::Error(fault) | Err::Failure(fault) => fault,
        Err::Incomplete(_) => Fault::malformed("packet ends too early"),
    }
}

/// One byte.
pub fn byte(input: &[u8]) -> Parsed<'_, u8> {
    be_u8(input)
}

/// A two byte integer.
pub fn two_bytes(input: &[u8]) -> Parsed<'_, u16> {
    be_u16(input)
}

/// A four byte integer.
pub fn four_bytes(input: &[u8]) -> Parsed<'_, u32> {
    be_u32(input)
}

/// A packet identifier, which is not 0 ([MQTT-2.2.1-3]).
pub fn packet_id(input: &[u8]) -> Parsed<'_, u16> {
    match be_u16(input)? {
        (_, 0) => fail(Fault::protocol("packet identifier 0 [MQTT-2.2.1-3]")),
        found => Ok(found),
    }
}

/// Binary data (section 1.5.6).
pub fn binary(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (input, length) = be_u16(input)?;
    take(length)(input)
}

/// A UTF-8 string without U+0000 ([MQTT-1.5.4-1], [MQTT-1.5.4-2]).
pub fn string(input: &[u8]) -> Parsed<'_, &str> {
    let (rest, bytes) = binary(input)?;
    match std::str::from_utf8(bytes) {
        Ok(text) if !bytes.contains(&0) => Ok((rest, text)),
        Ok(_) => fail(Fault::malformed("U+0000 in a string [MQTT-1.5.4-2]")),
        Err(_) => fail(Fault::malformed("string is not UTF-8 [MQTT-1.5.4-1]")),
    }
}

/// A variable byte integer of as few bytes as possible ([MQTT-1.5.5-1]).
pub fn variable(input: &[u8]) -> Parsed<'_, u32> {
    let (mut rest, mut value) = (input, 0);
    for place in 0..4 {
        let (after, byte) = be_u8(rest)?;
        rest = after;
        value |= u32::from(byte & 0x7F) << (7 * place);
        if byte == 0 && place > 0 {
            return fail(Fault::malformed("variable byte integer is longer than needed [MQTT-1.5.5-1]"));
        }
        if byte < 0x80 {
            return Ok((rest, value));
        }
    }
    fail(Fault::malformed("variable byte integer has more than 4 bytes"))
}

/// Bytes of a variable byte integer.
pub fn variable_len(value: usize) -> usize {
    match value {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => 4,
    }
}

/// Writes a variable byte integer; the value is at most [`VARIABLE_MAX`].
pub fn put_variable(out: &mut impl BufMut, mut value: usize) {
    debug_assert!(value <= VARIABLE_MAX as usize);
    while value >= 0x80 {
        out.put_u8((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// Writes binary data or a string of at most 65,535 bytes; what is longer is cut, which no caller lets happen.
pub fn put_binary(out: &mut impl BufMut, bytes: &[u8]) {
    debug_assert!(bytes.len() <= usize::from(u16::MAX));
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    out.put_u16(length);
    out.put_slice(bytes.get(..usize::from(length)).unwrap_or(bytes));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_integers_come_back() {
        for value in [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, VARIABLE_MAX] {
            let mut bytes = Vec::new();
            put_variable(&mut bytes, value as usize);
            assert_eq!(bytes.len(), variable_len(value as usize));
            assert_eq!(variable(&bytes), Ok((&[][..], value)));
        }
        variable(&[0x80, 0x00]).expect_err("not minimal");
        variable(&[0xFF, 0xFF, 0xFF, 0xFF, 0x00]).expect_err("five bytes");
    }

    #[test]
    fn strings_are_checked() {
        assert_eq!(string(b"\0\x02hi!"), Ok((&b"!"[..], "hi")));
        for bad in [&b"\0\x03hi"[..], b"\0", b"\0\x01\0", b"\0\x01\xFF", b"\0\x03\xED\xA0\x80"] {
            string(bad).expect_err("bad");
        }
    }
}
