//! Frames: the envelope here, the methods of each class, the content header and the field table in files of their own.
//!
//! Decoding borrows from the read buffer; nothing here allocates except [`table::decode`].

pub mod access;
pub mod basic;
pub mod channel;
pub mod confirm;
pub mod connection;
pub mod exchange;
pub mod method;
pub mod properties;
pub mod queue;
pub mod table;
pub mod tx;
pub mod wire;

use std::fmt;

use bytes::{BufMut, Bytes};
use crossdock_common::output::{LINK_BYTES_MIN, OutgoingBytes};
use nom::Parser as _;
use nom::bytes::streaming::take;
use nom::number::streaming::{be_u8, be_u16, be_u32};

pub use method::{Method, MethodId, put_empty, put_method};

/// The first bytes that a client sends, and our answer to any other first bytes.
pub const PROTOCOL_HEADER: [u8; 8] = *b"AMQP\x00\x00\x09\x01";
/// Ends every frame.
pub const FRAME_END: u8 = 0xCE;
/// Type (1), channel (2), size (4).
pub const HEAD_BYTES: usize = 7;
/// The head and the end octet: what a frame costs beyond its payload.
pub const FRAME_OVERHEAD: usize = HEAD_BYTES + 1;
/// No side may ask for smaller frames (specification section 4.2.3).
pub const FRAME_BYTES_MIN: usize = 4096;
/// A whole heart-beat frame.
pub const HEARTBEAT_FRAME: [u8; FRAME_OVERHEAD] = [8, 0, 0, 0, 0, 0, 0, FRAME_END];

/// The four frame types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 1
    Method,
    /// 2
    Header,
    /// 3
    Body,
    /// 8
    Heartbeat,
}

/// What follows a frame in the read buffer.
#[derive(Clone, Copy)]
pub(crate) struct Rest<'a> {
    pub buffer: &'a Bytes,
    pub at: usize,
}

impl<'a> Rest<'a> {
    pub(crate) fn bytes(self) -> &'a [u8] {
        self.buffer.get(self.at..).unwrap_or_default()
    }
}

impl Kind {
    fn from_octet(octet: u8) -> Option<Self> {
        Some(match octet {
            1 => Self::Method,
            2 => Self::Header,
            3 => Self::Body,
            8 => Self::Heartbeat,
            _ => return None,
        })
    }

    pub(crate) fn octet(self) -> u8 {
        match self {
            Self::Method => 1,
            Self::Header => 2,
            Self::Body => 3,
            Self::Heartbeat => 8,
        }
    }

    /// The word in error texts.
    pub fn word(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Header => "content header",
            Self::Body => "content body",
            Self::Heartbeat => "heartbeat",
        }
    }
}

/// One frame, borrowed from the read buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its type.
    pub kind: Kind,
    /// Its channel.
    pub channel: u16,
    /// What is between head and end octet.
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// Bytes on the wire.
    pub fn encoded_len(&self) -> usize {
        self.payload.len() + FRAME_OVERHEAD
    }
}

/// The envelope is broken: what follows cannot be read any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameError {
    kind: u8,
    /// Up to 16 bytes of the payload, as RabbitMQ shows them.
    snippet: Vec<u8>,
    reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    TooLarge { size: usize, max: usize },
    UnknownKind,
    EndMarker(u8),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let which = if self.snippet.len() < 16 { "all" } else { "first 16" };
        write!(f, "type {}, {which} octets = <<", self.kind)?;
        for (at, octet) in self.snippet.iter().enumerate() {
            write!(f, "{}{octet}", if at == 0 { "" } else { "," })?;
        }
        match self.reason {
            Reason::TooLarge { size, max } => write!(f, ">>: {{frame_too_large,{size},{max}}}"),
            Reason::UnknownKind => write!(f, ">>: unknown_frame"),
            Reason::EndMarker(octet) => write!(f, ">>: {{invalid_frame_end_marker,{octet}}}"),
        }
    }
}

/// The first frame of `input`; `None` while it is not whole. Its size is checked as soon as its head is there.
pub fn parse(input: &[u8], frame_bytes_max: usize) -> Result<Option<Frame<'_>>, FrameError> {
    let Ok((rest, (octet, channel, size))) = head(input) else { return Ok(None) };
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let max = frame_bytes_max.saturating_sub(FRAME_OVERHEAD);
    let broken = |snippet: &[u8], reason| FrameError { kind: octet, snippet: snippet.to_vec(), reason };
    let Some(kind) = Kind::from_octet(octet) else { return Err(broken(&[], Reason::UnknownKind)) };
    if size > max {
        return Err(broken(&[], Reason::TooLarge { size, max }));
    }
    let Ok((_, (payload, end))) = payload_and_end(rest, size) else { return Ok(None) };
    if end != FRAME_END {
        let snippet = payload.get(..16).unwrap_or(payload);
        return Err(broken(snippet, Reason::EndMarker(end)));
    }
    Ok(Some(Frame { kind, channel, payload }))
}

fn head(input: &[u8]) -> nom::IResult<&[u8], (u8, u16, u32)> {
    (be_u8, be_u16, be_u32).parse(input)
}

fn payload_and_end(input: &[u8], size: usize) -> nom::IResult<&[u8], (&[u8], u8)> {
    (take(size), be_u8).parse(input)
}

/// Begins a frame; its payload of `size` bytes and [`FRAME_END`] must follow.
pub fn put_head(buffer: &mut impl BufMut, kind: Kind, channel: u16, size: usize) {
    let [c, d] = channel.to_be_bytes();
    let [e, f, g, h] = u32::try_from(size).unwrap_or(u32::MAX).to_be_bytes();
    // In one piece: the buffer looks for room at every call.
    buffer.put_slice(&[kind.octet(), c, d, e, f, g, h]);
}

/// The content header and as many body frames as `frame_bytes_max` demands.
pub fn put_content(output: &mut OutgoingBytes, channel: u16, frame_bytes_max: usize, properties: &[u8], body: &Bytes) {
    let properties = if properties.is_empty() { &[0, 0] } else { properties };
    let header_bytes = properties::HEADER_BYTES_MIN + properties.len();
    output.buffer().reserve(2 * FRAME_OVERHEAD + header_bytes + body.len().min(LINK_BYTES_MIN));
    put_head(output.buffer(), Kind::Header, channel, header_bytes);
    properties::put_header(output.buffer(), body.len(), properties);
    output.buffer().put_u8(FRAME_END);
    let payload_max = frame_bytes_max.max(FRAME_BYTES_MIN) - FRAME_OVERHEAD;
    if body.len() <= payload_max {
        return put_body_frame(output, channel, body);
    }
    let mut rest = body.clone();
    while !rest.is_empty() {
        put_body_frame(output, channel, &rest.split_to(rest.len().min(payload_max)));
    }
}

fn put_body_frame(output: &mut OutgoingBytes, channel: u16, piece: &Bytes) {
    if piece.is_empty() {
        return;
    }
    put_head(output.buffer(), Kind::Body, channel, piece.len());
    output.put_body(piece);
    output.buffer().put_u8(FRAME_END);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_once_it_is_whole() {
        let bytes = [1, 0, 7, 0, 0, 0, 2, 0xAA, 0xBB, FRAME_END, 8];
        for end in 0..10 {
            assert_eq!(parse(&bytes[..end], 4096), Ok(None));
        }
        let frame = parse(&bytes, 4096).unwrap().unwrap();
        assert_eq!((frame.kind, frame.channel, frame.payload), (Kind::Method, 7, &[0xAA, 0xBB][..]));
        assert_eq!(frame.encoded_len(), 10);
    }

    #[test]
    fn the_size_is_judged_by_the_head_alone() {
        let head = |size: u32| [&[1, 0, 0][..], &size.to_be_bytes()].concat();
        assert_eq!(parse(&head(4087), 4096), Ok(None));
        assert_eq!(parse(&head(4088), 4096), Ok(None));
        let error = parse(&head(4089), 4096).unwrap_err();
        assert_eq!(error.to_string(), "type 1, all octets = <<>>: {frame_too_large,4089,4088}");
        assert!(parse(&head(u32::MAX), 4096).is_err());
        assert!(parse(&head(0x8000_0000), 4096).is_err());
    }

    #[test]
    fn unknown_types_and_wrong_ends_are_named() {
        let error = parse(&[9, 0, 0, 0, 0, 0, 0], 4096).unwrap_err();
        assert_eq!(error.to_string(), "type 9, all octets = <<>>: unknown_frame");
        let error = parse(&[3, 0, 1, 0, 0, 0, 2, 1, 2, 0xCD], 4096).unwrap_err();
        assert_eq!(error.to_string(), "type 3, all octets = <<1,2>>: {invalid_frame_end_marker,205}");
    }

    #[test]
    fn bodies_are_cut_to_the_frame_size() {
        let mut output = OutgoingBytes::default();
        put_content(&mut output, 1, 4096, &[], &Bytes::from(vec![7; 4088 + 1]));
        let bytes = output.take_all();
        let header = parse(&bytes, 4096).unwrap().unwrap();
        let first = parse(&bytes[header.encoded_len()..], 4096).unwrap().unwrap();
        let second = parse(&bytes[header.encoded_len() + first.encoded_len()..], 4096).unwrap().unwrap();
        assert_eq!((header.payload.len(), first.payload.len(), second.payload.len()), (14, 4088, 1));
    }
}
