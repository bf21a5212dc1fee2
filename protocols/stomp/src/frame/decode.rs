//! Bytes to frames, as they arrive: a header line or a body is searched once, however often more of it comes.

use bytes::{Buf, Bytes, BytesMut};
use crossdock_common::Limits;

use super::{Escaping, Frame, Headers, Verb, Version};
use crate::error::{Fault, quote};

/// Most headers of a CONNECT: what they cost is not in proportion to their bytes.
const STRANGER_HEADERS_MAX: usize = 64;

/// Bytes that no frame can be made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameError {
    /// Short, for the `message` header.
    pub message: &'static str,
    /// For people.
    pub detail: String,
}

impl FrameError {
    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self { message: "Malformed frame", detail: detail.into() }
    }

    pub(crate) fn escape(name: &str, escape: &str) -> Self {
        Self::malformed(format!("header '{}' has the undefined escape '{escape}'", quote(name)))
    }

    fn too_large(what: &str, limit: usize) -> Self {
        Self { message: "Frame too large", detail: format!("{what} exceeds the limit of {limit}") }
    }
}

impl From<FrameError> for Fault {
    fn from(error: FrameError) -> Self {
        Self::violation(error.message, error.detail)
    }
}

/// What frames may be like now.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    version: Option<Version>,
    header_bytes_max: usize,
    headers_max: usize,
    body_bytes_max: usize,
}

impl Rules {
    /// Before the version is negotiated: small frames without escapes.
    pub fn of_stranger(limits: &Limits) -> Self {
        let first = limits.first_frame_bytes_max;
        Self {
            version: None,
            header_bytes_max: limits.header_bytes_max.min(first),
            headers_max: limits.table_entries_max.min(STRANGER_HEADERS_MAX),
            body_bytes_max: limits.message_bytes_max.min(first),
        }
    }

    /// After CONNECTED.
    pub fn of_version(version: Version, limits: &Limits) -> Self {
        Self {
            version: Some(version),
            header_bytes_max: limits.header_bytes_max,
            headers_max: limits.table_entries_max,
            body_bytes_max: limits.message_bytes_max,
        }
    }

    fn escaping(&self, verb: Verb) -> Escaping {
        match self.version {
            Some(version) if verb != Verb::Connect => version.into(),
            _ => Escaping::None,
        }
    }
}

/// Where in a frame the input begins.
// There is one for each connection, and an allocation for each frame would cost more than its room.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Default)]
enum Stage {
    /// Between frames: line ends are heart-beats.
    #[default]
    Between,
    /// In the command and header lines; `scanned` bytes of them hold `lines` whole lines.
    Head { verb: Option<(Verb, usize)>, scanned: usize, line_start: usize, lines: usize },
    /// In the body.
    Body { verb: Verb, head: Bytes, headers: Headers, length: Option<usize>, scanned: usize },
}

/// The decoder of one connection.
#[derive(Debug, Default)]
pub struct Decoder {
    stage: Stage,
}

impl Decoder {
    /// Takes the next whole frame out of `input`. `None` when there is none yet.
    pub fn next(&mut self, input: &mut BytesMut, rules: &Rules) -> Result<Option<Frame>, FrameError> {
        loop {
            match &mut self.stage {
                Stage::Between => {
                    skip_line_ends(input);
                    if matches!(&input[..], [] | [b'\r']) {
                        return Ok(None);
                    }
                    self.stage = Stage::Head { verb: None, scanned: 0, line_start: 0, lines: 0 };
                }
                Stage::Head { .. } => match self.head(input, rules)? {
                    Some(body) => self.stage = body,
                    None => return Ok(None),
                },
                Stage::Body { length, scanned, .. } => {
                    let Some(size) = body_size(input, *length, scanned, rules)? else { return Ok(None) };
                    return Ok(self.finish(input, size));
                }
            }
        }
    }

    /// How many bytes of input the frame that has begun can need.
    pub fn input_bytes_max(&self, rules: &Rules) -> usize {
        match &self.stage {
            Stage::Between | Stage::Head { .. } => rules.header_bytes_max.saturating_add(1),
            Stage::Body { length, .. } => length.unwrap_or(rules.body_bytes_max).saturating_add(1),
        }
    }

    /// No frame has begun.
    pub(crate) fn is_between(&self) -> bool {
        matches!(self.stage, Stage::Between)
    }

    fn head(&mut self, input: &mut BytesMut, rules: &Rules) -> Result<Option<Stage>, FrameError> {
        let Stage::Head { verb, scanned, line_start, lines } = &mut self.stage else { return Ok(None) };
        if verb.is_none() {
            check_command(input)?;
        }
        while let Some(found) = find_line_end(input, *scanned, rules)? {
            let line = input.get(*line_start..found).unwrap_or_default();
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let end = found + 1;
            match verb {
                None => *verb = Some((parse_verb(line)?, end)),
                Some((verb, head_start)) if line.is_empty() => {
                    let (verb, head_start, blank_start) = (*verb, *head_start, *line_start);
                    return Ok(Some(start_body(input, verb, head_start..blank_start, end, rules)?));
                }
                Some(_) => {
                    *lines += 1;
                    if *lines > rules.headers_max {
                        return Err(FrameError::too_large("the number of headers", rules.headers_max));
                    }
                }
            }
            (*scanned, *line_start) = (end, end);
        }
        *scanned = input.len();
        Ok(None)
    }

    fn finish(&mut self, input: &mut BytesMut, size: usize) -> Option<Frame> {
        let Stage::Body { verb, head, headers, .. } = std::mem::take(&mut self.stage) else { return None };
        let body = input.split_to(size).freeze();
        input.advance(1);
        Some(Frame { verb, head, headers, body })
    }
}

fn skip_line_ends(input: &mut BytesMut) {
    let mut skipped = 0;
    loop {
        match input.get(skipped..).unwrap_or_default() {
            [b'\n', ..] => skipped += 1,
            [b'\r', b'\n', ..] => skipped += 2,
            _ => break,
        }
    }
    input.advance(skipped);
}

/// The next LF within the limit. NUL ends a frame and cannot stand among headers.
fn find_line_end(input: &[u8], from: usize, rules: &Rules) -> Result<Option<usize>, FrameError> {
    let limit = rules.header_bytes_max;
    let window = input.get(from..input.len().min(limit)).unwrap_or_default();
    match memchr::memchr2(b'\n', 0, window).map(|offset| (from + offset, window.get(offset))) {
        Some((_, Some(0))) => Err(FrameError::malformed("the frame ends before an empty line ended its headers")),
        Some((at, _)) => Ok(Some(at)),
        None if input.len() > limit => Err(FrameError::too_large("the header section in bytes", limit)),
        None => Ok(None),
    }
}

fn parse_verb(line: &[u8]) -> Result<Verb, FrameError> {
    Verb::parse(line).ok_or_else(|| FrameError {
        message: "Bad command",
        detail: format!("Could not interpret command \"{}\"", quote(&String::from_utf8_lossy(line))),
    })
}

/// What cannot become a command (a TLS hello, an endless line) is refused without waiting for its line end.
fn check_command(input: &[u8]) -> Result<(), FrameError> {
    let begun = input.get(..input.len().min(Verb::NAME_BYTES_MAX + 2)).unwrap_or_default();
    let word = begun.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    match begun.get(word..).unwrap_or_default() {
        [] | [b'\r'] if word <= Verb::NAME_BYTES_MAX => Ok(()),
        [b'\n', ..] | [b'\r', b'\n', ..] if word > 0 => Ok(()),
        _ => Err(FrameError { message: "Bad command", detail: "no STOMP command where a frame begins".to_owned() }),
    }
}

fn start_body(
    input: &mut BytesMut,
    verb: Verb,
    lines: std::ops::Range<usize>,
    end: usize,
    rules: &Rules,
) -> Result<Stage, FrameError> {
    let head: Bytes = input.split_to(end).freeze();
    let mut headers = Headers::parse(head.slice(lines), rules.escaping(verb))?;
    if rules.version == Some(Version::V1_0) {
        headers.trim();
    }
    let length = content_length(&headers, rules)?;
    Ok(Stage::Body { verb, head, headers, length, scanned: 0 })
}

fn content_length(headers: &Headers, rules: &Rules) -> Result<Option<usize>, FrameError> {
    let Some(text) = headers.get("content-length") else { return Ok(None) };
    let digits = text.trim();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(FrameError::malformed(format!("content-length '{}' is not a number", quote(&text))));
    }
    match digits.parse::<usize>() {
        Ok(length) if length <= rules.body_bytes_max => Ok(Some(length)),
        _ => Err(FrameError::too_large("the body in bytes", rules.body_bytes_max)),
    }
}

/// The size of a body that is there in whole, with its NUL.
fn body_size(
    input: &[u8],
    length: Option<usize>,
    scanned: &mut usize,
    rules: &Rules,
) -> Result<Option<usize>, FrameError> {
    if let Some(length) = length {
        return match input.get(length) {
            None => Ok(None),
            Some(0) => Ok(Some(length)),
            Some(_) => Err(FrameError::malformed(format!("no NUL after the {length} bytes that content-length says"))),
        };
    }
    let window_end = input.len().min(rules.body_bytes_max.saturating_add(1));
    let window = input.get(*scanned..window_end).unwrap_or_default();
    if let Some(offset) = memchr::memchr(0, window) {
        return Ok(Some(*scanned + offset));
    }
    if input.len() > rules.body_bytes_max {
        return Err(FrameError::too_large("the body in bytes", rules.body_bytes_max));
    }
    *scanned = input.len();
    Ok(None)
}
