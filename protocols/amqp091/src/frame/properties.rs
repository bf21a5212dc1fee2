//! The content header (section 4.2.6): class, weight, body size, and the property list of class `basic`.

use bytes::BufMut;
use nom::Parser as _;
use nom::number::complete::{be_u8, be_u16, be_u64};

use super::method::BASIC;
use super::wire::{Malformed, Parsed, fail, long, put_long, put_short, short, short_len, whole};

/// Class, weight and body size.
pub const HEADER_BYTES_MIN: usize = 12;

/// A content header, its properties not decoded yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// The class of the method that announced it.
    pub class: u16,
    /// How many body bytes follow.
    pub body_size: u64,
    /// Property flags and list, verbatim.
    pub properties: &'a [u8],
}

/// Reads the payload of a header frame.
pub fn parse_header(payload: &[u8]) -> Result<Header<'_>, Malformed> {
    let fixed = |input| (be_u16, be_u16, be_u64).parse(input);
    let parsed: Parsed<'_, (u16, u16, u64)> = fixed(payload);
    match parsed {
        Ok((properties, (class, _weight, body_size))) => Ok(Header { class, body_size, properties }),
        Err(_) => Err(Malformed("content header is cut short")),
    }
}

/// Writes the payload of a header frame.
pub fn put_header(buffer: &mut impl BufMut, body_bytes: usize, properties: &[u8]) {
    let mut fixed = [0; HEADER_BYTES_MIN];
    fixed[..2].copy_from_slice(&BASIC.to_be_bytes());
    fixed[4..].copy_from_slice(&(body_bytes as u64).to_be_bytes());
    buffer.put_slice(&fixed);
    buffer.put_slice(properties);
}

/// The properties of class `basic`, borrowed. Short strings are bytes: clients put anything in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Properties<'a> {
    /// MIME type.
    pub content_type: Option<&'a [u8]>,
    /// MIME encoding.
    pub content_encoding: Option<&'a [u8]>,
    /// The content of the header table.
    pub headers: Option<&'a [u8]>,
    /// 2 is persistent.
    pub delivery_mode: Option<u8>,
    /// 0 to 255.
    pub priority: Option<u8>,
    /// Ties an answer to its question.
    pub correlation_id: Option<&'a [u8]>,
    /// Where to answer.
    pub reply_to: Option<&'a [u8]>,
    /// Time to live in milliseconds, in decimal.
    pub expiration: Option<&'a [u8]>,
    /// The application's id.
    pub message_id: Option<&'a [u8]>,
    /// Seconds since 1970.
    pub timestamp: Option<u64>,
    /// The application's type.
    pub message_type: Option<&'a [u8]>,
    /// Who the publisher says they are.
    pub user_id: Option<&'a [u8]>,
    /// The application.
    pub app_id: Option<&'a [u8]>,
    /// Reserved by the specification; passed on.
    pub cluster_id: Option<&'a [u8]>,
}

impl<'a> Properties<'a> {
    /// Reads flags and list. No bytes at all mean no properties.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        whole(bytes, Self::parse_list)
    }

    fn parse_list(input: &'a [u8]) -> Parsed<'a, Self> {
        let (mut rest, flags) = be_u16(input)?;
        if flags & 0b11 != 0 {
            return fail("unknown property flags");
        }
        let mut found = Self::default();
        let mut bit = 0x8000u16;
        while bit > 0b11 {
            if flags & bit != 0 {
                rest = found.take(bit, rest)?;
            }
            bit >>= 1;
        }
        Ok((rest, found))
    }

    fn take(&mut self, bit: u16, input: &'a [u8]) -> Result<&'a [u8], nom::Err<Malformed>> {
        let slot = match bit {
            0x8000 => &mut self.content_type,
            0x4000 => &mut self.content_encoding,
            0x2000 => return store(&mut self.headers, long(input)?),
            0x1000 => return store(&mut self.delivery_mode, be_u8(input)?),
            0x0800 => return store(&mut self.priority, be_u8(input)?),
            0x0400 => &mut self.correlation_id,
            0x0200 => &mut self.reply_to,
            0x0100 => &mut self.expiration,
            0x0080 => &mut self.message_id,
            0x0040 => return store(&mut self.timestamp, be_u64(input)?),
            0x0020 => &mut self.message_type,
            0x0010 => &mut self.user_id,
            0x0008 => &mut self.app_id,
            _ => &mut self.cluster_id,
        };
        store(slot, short(input)?)
    }

    fn shorts(&self) -> [(u16, Option<&'a [u8]>); 10] {
        [
            (0x8000, self.content_type),
            (0x4000, self.content_encoding),
            (0x0400, self.correlation_id),
            (0x0200, self.reply_to),
            (0x0100, self.expiration),
            (0x0080, self.message_id),
            (0x0020, self.message_type),
            (0x0010, self.user_id),
            (0x0008, self.app_id),
            (0x0004, self.cluster_id),
        ]
    }

    /// Bytes of flags and list.
    pub fn encoded_len(&self) -> usize {
        let shorts: usize = self.shorts().iter().filter_map(|(_, text)| text.map(short_len)).sum();
        2 + shorts
            + self.headers.map_or(0, |headers| 4 + headers.len())
            + usize::from(self.delivery_mode.is_some())
            + usize::from(self.priority.is_some())
            + self.timestamp.map_or(0, |_| 8)
    }

    /// Writes flags and list.
    pub fn encode(&self, buffer: &mut impl BufMut) {
        buffer.put_u16(self.flags());
        let shorts = self.shorts();
        let (before, after) = shorts.split_at(2);
        put_shorts(buffer, before);
        if let Some(headers) = self.headers {
            put_long(buffer, headers);
        }
        for octet in [self.delivery_mode, self.priority].into_iter().flatten() {
            buffer.put_u8(octet);
        }
        let (ids, rest) = after.split_at(4);
        put_shorts(buffer, ids);
        if let Some(seconds) = self.timestamp {
            buffer.put_u64(seconds);
        }
        put_shorts(buffer, rest);
    }

    /// Flags and list in a buffer of exactly their size.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut buffer = Vec::with_capacity(self.encoded_len());
        self.encode(&mut buffer);
        debug_assert_eq!(buffer.len(), self.encoded_len());
        buffer
    }

    fn flags(&self) -> u16 {
        let shorts = self.shorts().iter().filter(|(_, text)| text.is_some()).fold(0, |flags, (bit, _)| flags | bit);
        let flag = |present: bool, bit: u16| if present { bit } else { 0 };
        shorts
            | flag(self.headers.is_some(), 0x2000)
            | flag(self.delivery_mode.is_some(), 0x1000)
            | flag(self.priority.is_some(), 0x0800)
            | flag(self.timestamp.is_some(), 0x0040)
    }
}

fn store<'a, T>(slot: &mut Option<T>, (rest, value): (&'a [u8], T)) -> Result<&'a [u8], nom::Err<Malformed>> {
    *slot = Some(value);
    Ok(rest)
}

fn put_shorts(buffer: &mut impl BufMut, shorts: &[(u16, Option<&[u8]>)]) {
    for text in shorts.iter().filter_map(|(_, text)| *text) {
        put_short(buffer, text);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_pika_sends_is_read() {
        // BasicProperties(content_type='text/plain', delivery_mode=2, headers={'a': 1})
        let bytes = b"\xb0\x00\x0atext/plain\x00\x00\x00\x07\x01aI\x00\x00\x00\x01\x02";
        let properties = Properties::parse(bytes).unwrap();
        assert_eq!(properties.content_type, Some(&b"text/plain"[..]));
        assert_eq!(properties.headers, Some(&b"\x01aI\x00\x00\x00\x01"[..]));
        assert_eq!(properties.delivery_mode, Some(2));
        assert_eq!(properties.to_vec(), bytes);
    }

    #[test]
    fn undefined_flags_and_rest_bytes_are_refused() {
        assert!(Properties::parse(&[0, 1, 0, 0]).is_err());
        assert!(Properties::parse(&[0, 2]).is_err());
        assert!(Properties::parse(&[0, 0, 9]).is_err());
        assert!(Properties::parse(&[0x80, 0, 5, b'a']).is_err());
        assert!(Properties::parse(&[0]).is_err());
        assert_eq!(Properties::parse(&[]), Ok(Properties::default()));
    }

    #[test]
    fn a_cut_header_is_refused() {
        assert!(parse_header(&[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0]).is_err());
        let header = parse_header(&[0, 60, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
        assert_eq!((header.class, header.body_size, header.properties), (60, 1 << 63, &[0, 0][..]));
    }

    proptest! {
        #[test]
        fn any_set_of_properties_survives(
            texts in prop::array::uniform10(prop::option::of(prop::collection::vec(any::<u8>(), 0..9))),
            headers in prop::option::of(prop::collection::vec(any::<u8>(), 0..9)),
            delivery_mode: Option<u8>, priority: Option<u8>, timestamp: Option<u64>,
        ) {
            let [content_type, content_encoding, correlation_id, reply_to, expiration, message_id, message_type,
                user_id, app_id, cluster_id] = texts.each_ref().map(|text| text.as_deref());
            let headers = headers.as_deref();
            let properties = Properties { content_type, content_encoding, headers, delivery_mode, priority,
                correlation_id, reply_to, expiration, message_id, timestamp, message_type, user_id, app_id, cluster_id };
            let bytes = properties.to_vec();
            prop_assert_eq!(bytes.len(), properties.encoded_len());
            prop_assert_eq!(Properties::parse(&bytes), Ok(properties));
        }
    }
}
