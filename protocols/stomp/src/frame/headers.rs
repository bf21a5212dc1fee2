//! The headers of one frame: one block of text and where each header lies in it, so that reading a header copies
//! nothing and a frame costs no allocation for up to eight of them.

use std::borrow::Cow;

use bytes::Bytes;
use crossdock_common::Text;
use smallvec::SmallVec;

use super::{Escaping, FrameError, unescape};

/// The headers of one frame.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    block: Text,
    spans: SmallVec<[Span; 8]>,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    name: (u32, u32),
    value: (u32, u32),
    escaped: bool,
}

impl Headers {
    /// Reads header lines, each ended by LF or CR LF. Their number and length were bounded by the decoder.
    pub fn parse(block: Bytes, escaping: Escaping) -> Result<Self, FrameError> {
        let block = Text::try_from(block).map_err(|_| FrameError::malformed("headers are not UTF-8"))?;
        let mut headers = Self { block: block.clone(), spans: SmallVec::new() };
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', block.as_bytes()) {
            let line = block.get(start..end).unwrap_or_default();
            let span = Span::of_line(line.strip_suffix('\r').unwrap_or(line), start, escaping)?;
            headers.spans.push(span);
            start = end + 1;
        }
        Ok(headers)
    }

    /// The value of the first header called `name` (1.2: "only the first header entry should be used").
    pub fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        let span = self.spans.iter().find(|span| self.is_called(span, name))?;
        Some(self.plain(span, span.value))
    }

    /// To look for many names among a thousand headers must not cost more than the headers: what cannot be the name is not unescaped.
    fn is_called(&self, span: &Span, name: &str) -> bool {
        let written = self.slice(span.name);
        // An escape is two bytes for one.
        if span.escaped && written.len() <= 2 * name.len() { unescape(written) == name } else { written == name }
    }

    /// The value as a shared text.
    pub fn text(&self, name: &str) -> Option<Text> {
        self.get(name).map(|value| Text::from(value.into_owned()))
    }

    /// Whether a header says `true`.
    pub fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value == "true")
    }

    /// All headers in order, unescaped.
    pub fn iter(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        self.spans.iter().map(|span| (self.plain(span, span.name), self.plain(span, span.value)))
    }

    fn plain(&self, span: &Span, part: (u32, u32)) -> Cow<'_, str> {
        let written = self.slice(part);
        if span.escaped { unescape(written) } else { Cow::Borrowed(written) }
    }

    /// Takes leading spaces from values, as 1.0 clients write them.
    pub fn trim(&mut self) {
        let block = self.block.clone();
        for span in &mut self.spans {
            let value = block.get(span.value.0 as usize..span.value.1 as usize).unwrap_or_default();
            let spaces = value.len() - value.trim_start_matches(' ').len();
            span.value.0 += u32::try_from(spaces).unwrap_or(0);
        }
    }

    fn slice(&self, (start, end): (u32, u32)) -> &str {
        self.block.get(start as usize..end as usize).unwrap_or_default()
    }
}

impl Span {
    fn of_line(line: &str, start: usize, escaping: Escaping) -> Result<Self, FrameError> {
        let Some((name, value)) = line.split_once(':') else {
            return Err(FrameError::malformed("a header line without ':'"));
        };
        if name.is_empty() {
            return Err(FrameError::malformed("a header without a name"));
        }
        let check = |text| escaping.check(text).map_err(|escape| FrameError::escape(name, &escape));
        let escaped = check(name)? | check(value)?;
        let at = |offset: usize| u32::try_from(start + offset).map_err(|_| FrameError::malformed("headers too long"));
        let colon = name.len();
        Ok(Self { name: (at(0)?, at(colon)?), value: (at(colon + 1)?, at(line.len())?), escaped })
    }
}
