//! Frames for clients, written straight into the output with their exact length known first.

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};
use crossdock_common::output::OutgoingBytes;
use smallvec::SmallVec;

use super::{Version, canonical, unescape};

/// One header.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    name: Cow<'a, str>,
    value: Cow<'a, str>,
}

impl<'a> Line<'a> {
    /// A header with its plain name and value, to be written as the version wants it.
    pub fn plain(version: Version, name: &'a str, value: &'a str) -> Self {
        Self { name: escape(version, name, true), value: escape(version, value, false) }
    }

    /// A header from a stored message, where names and values have all escapes of 1.2.
    pub fn stored(version: Version, name: &'a str, value: &'a str) -> Self {
        if version == Version::V1_2 {
            return Self { name: Cow::Borrowed(name), value: Cow::Borrowed(value) };
        }
        Self { name: again(version, unescape(name), true), value: again(version, unescape(value), false) }
    }

    fn encoded_len(&self) -> usize {
        self.name.len() + 1 + self.value.len() + 1
    }

    /// Writes it with its line end.
    pub(crate) fn encode(&self, into: &mut BytesMut) {
        into.put_slice(self.name.as_bytes());
        into.put_u8(b':');
        into.put_slice(self.value.as_bytes());
        into.put_u8(b'\n');
    }
}

/// A frame for a client.
#[derive(Debug)]
pub struct ServerFrame<'a> {
    version: Version,
    command: &'static str,
    lines: SmallVec<[Line<'a>; 12]>,
}

impl<'a> ServerFrame<'a> {
    /// A frame without headers.
    pub fn new(version: Version, command: &'static str) -> Self {
        Self { version, command, lines: SmallVec::new() }
    }

    /// Adds a header.
    pub fn header(mut self, name: &'a str, value: &'a str) -> Self {
        self.lines.push(Line::plain(self.version, name, value));
        self
    }

    /// Adds a header if there is a value.
    pub fn header_if(self, name: &'a str, value: Option<&'a str>) -> Self {
        match value {
            Some(value) => self.header(name, value),
            None => self,
        }
    }

    /// Bytes of the frame without its body and NUL.
    pub fn encoded_len(&self) -> usize {
        self.command.len() + 1 + self.lines.iter().map(Line::encoded_len).sum::<usize>() + 1
    }

    /// Writes the frame with its body.
    pub fn write(&self, body: &Bytes, output: &mut OutgoingBytes) {
        let buffer = output.buffer();
        let before = buffer.len();
        buffer.reserve(self.encoded_len() + 1);
        buffer.put_slice(self.command.as_bytes());
        buffer.put_u8(b'\n');
        for line in &self.lines {
            line.encode(buffer);
        }
        buffer.put_u8(b'\n');
        debug_assert_eq!(buffer.len() - before, self.encoded_len(), "the length was computed wrong");
        output.put_body(body);
        output.buffer().put_slice(b"\0");
    }
}

/// As the version wants it. 1.0 has no escapes, but a line end in a header would begin another header there, and a `:`
/// in a name would end it: these are escaped as in 1.1.
pub(crate) fn escape(version: Version, plain: &str, is_name: bool) -> Cow<'_, str> {
    let cr = if version == Version::V1_1 { "\\r" } else { "" };
    match version {
        Version::V1_2 => canonical(plain),
        Version::V1_1 if plain.contains('\r') => Cow::Owned(canonical(plain).replace(cr, "\r")),
        Version::V1_1 => canonical(plain),
        Version::V1_0 if plain.contains('\n') || (is_name && plain.contains(':')) => {
            let escaped = plain.replace('\n', "\\n");
            Cow::Owned(if is_name { escaped.replace(':', "\\c") } else { escaped })
        }
        Version::V1_0 => Cow::Borrowed(plain),
    }
}

fn again(version: Version, plain: Cow<'_, str>, is_name: bool) -> Cow<'_, str> {
    match plain {
        Cow::Borrowed(text) => escape(version, text, is_name),
        Cow::Owned(text) => Cow::Owned(escape(version, &text, is_name).into_owned()),
    }
}
