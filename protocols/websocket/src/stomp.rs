//! Where STOMP frames end in what a server writes: each is a message of its own, since clients in browsers take messages for frames.

use crate::utf8::Utf8;

const CONTENT_LENGTH: &[u8] = b"content-length:";
/// No line that says the length is longer.
const LINE_BYTES_MAX: usize = 40;

/// A STOMP frame, or heart-beats between two, at the beginning of what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StompFrame {
    pub bytes: usize,
    /// It is UTF-8, and goes out as text.
    pub is_text: bool,
}

/// Finds frames in bytes that lie in several slices.
#[derive(Debug)]
pub struct StompFrames<'a, I> {
    slices: I,
    /// What is left of the slice.
    slice: &'a [u8],
    /// The same, with what the frame that is being found has of it.
    unchecked: &'a [u8],
}

impl<'a, I: Iterator<Item = &'a [u8]>> StompFrames<'a, I> {
    /// The first byte of the slices has to be a frame's first.
    pub fn new(slices: I) -> Self {
        Self { slices, slice: &[], unchecked: &[] }
    }

    /// The next frame, if it is whole.
    fn find(&mut self) -> Option<StompFrame> {
        let mut seen = Seen { bytes: 0, utf8: Utf8::default(), is_text: true };
        self.unchecked = self.slice;
        self.fill(&mut seen)?;
        if matches!(self.slice[0], b'\n' | b'\r') {
            self.slice = &self.slice[1..];
            return Some(StompFrame { bytes: 1, is_text: true });
        }
        match self.pass_headers(&mut seen)? {
            Some(body_bytes) => self.pass_body(body_bytes, &mut seen)?,
            None => self.pass_to(0, &mut seen, |_| ())?,
        }
        self.check(&mut seen);
        Some(StompFrame { bytes: seen.bytes, is_text: seen.is_text && seen.utf8.end() })
    }

    /// Passes over the headers and the empty line behind them, and gives what they say of the body's length: the first one counts.
    fn pass_headers(&mut self, seen: &mut Seen) -> Option<Option<usize>> {
        let mut length = None;
        loop {
            let mut line = Line::default();
            self.pass_to(b'\n', seen, |piece| line.take(piece))?;
            if line.is_empty() {
                return Some(length);
            }
            length = length.or_else(|| line.content_length());
        }
    }

    /// The body, and the null behind it.
    fn pass_body(&mut self, mut count: usize, seen: &mut Seen) -> Option<()> {
        while count > 0 {
            self.fill(seen)?;
            let taken = count.min(self.slice.len());
            self.slice = &self.slice[taken..];
            count -= taken;
        }
        self.fill(seen)?;
        let (end, rest) = self.slice.split_first()?;
        self.slice = rest;
        (*end == 0).then_some(())
    }

    /// Passes over everything up to the byte and the byte itself.
    fn pass_to(&mut self, byte: u8, seen: &mut Seen, mut pass: impl FnMut(&[u8])) -> Option<()> {
        loop {
            self.fill(seen)?;
            let end = memchr::memchr(byte, self.slice);
            let (passed, rest) = self.slice.split_at(end.unwrap_or(self.slice.len()));
            pass(passed);
            self.slice = rest;
            if end.is_some() {
                self.slice = &self.slice[1..];
                return Some(());
            }
        }
    }

    /// There is a byte; `None` at the end.
    fn fill(&mut self, seen: &mut Seen) -> Option<()> {
        while self.slice.is_empty() {
            self.check(seen);
            self.slice = self.slices.next()?;
            self.unchecked = self.slice;
        }
        Some(())
    }

    /// Takes what the frame has of the slice into account.
    fn check(&mut self, seen: &mut Seen) {
        let passed = &self.unchecked[..self.unchecked.len() - self.slice.len()];
        seen.is_text = seen.is_text && seen.utf8.take(passed);
        seen.bytes += passed.len();
        self.unchecked = self.slice;
    }
}

impl<'a, I: Iterator<Item = &'a [u8]>> Iterator for StompFrames<'a, I> {
    type Item = StompFrame;

    fn next(&mut self) -> Option<StompFrame> {
        self.find()
    }
}

/// What was passed over of a frame.
struct Seen {
    bytes: usize,
    utf8: Utf8,
    is_text: bool,
}

/// The beginning of a line, which may lie in several slices.
struct Line {
    start: [u8; LINE_BYTES_MAX],
    bytes: usize,
}

impl Default for Line {
    fn default() -> Self {
        Self { start: [0; LINE_BYTES_MAX], bytes: 0 }
    }
}

impl Line {
    fn take(&mut self, piece: &[u8]) {
        if let Some(room) = self.start.get_mut(self.bytes..) {
            let count = piece.len().min(room.len());
            room[..count].copy_from_slice(&piece[..count]);
        }
        self.bytes += piece.len();
    }

    /// What of it is known; a carriage return before its end is none of it.
    fn text(&self) -> &[u8] {
        let start = &self.start[..self.bytes.min(LINE_BYTES_MAX)];
        start.strip_suffix(b"\r").unwrap_or(start)
    }

    fn is_empty(&self) -> bool {
        self.text().is_empty()
    }

    fn content_length(&self) -> Option<usize> {
        if self.bytes > LINE_BYTES_MAX {
            return None;
        }
        let digits = self.text().strip_prefix(CONTENT_LENGTH)?;
        let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
        let number = std::str::from_utf8(digits).ok().filter(|_| is_number)?;
        // More than can be counted is more than there is.
        Some(number.parse().unwrap_or(usize::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(bytes: &[u8], cut: usize) -> Vec<(usize, bool)> {
        let (one, other) = bytes.split_at(cut);
        StompFrames::new([one, other].into_iter()).map(|frame| (frame.bytes, frame.is_text)).collect()
    }

    #[test]
    fn frames_end_where_they_say() {
        let parts = [
            (&b"CONNECTED\nversion:1.2\n\n\0"[..], true),
            (b"\n", true),
            (b"MESSAGE\ncontent-length:5\nx-content-length:9\ncontent-length:1\n\na\0b\0c\0", true),
            ("MESSAGE\nkey:\u{4e16}\n\n\u{754c}\0".as_bytes(), true),
            (b"MESSAGE\r\ncontent-length:2\r\n\r\n\xff\xfe\0", false),
            (b"\n", true),
            (b"RECEIPT\nreceipt-id:1\n\n\0", true),
        ];
        let bytes = parts.map(|(part, _)| part).concat();
        let expected = parts.map(|(part, is_text)| (part.len(), is_text)).to_vec();
        for cut in 0..=bytes.len() {
            assert_eq!(found(&bytes, cut), expected, "{cut}");
        }
    }

    #[test]
    fn what_is_not_whole_is_no_frame() {
        let bytes = b"MESSAGE\ncontent-length:3\n\nabc\0";
        for end in 0..bytes.len() {
            assert_eq!(found(&bytes[..end], 0), [], "{end}");
        }
        assert_eq!(found(b"MESSAGE\ncontent-length:3\n\nabcd\0", 0), []);
        assert_eq!(found(b"MESSAGE\ncontent-length:99999999999999999999\n\nabcd\0", 0), []);
    }
}
