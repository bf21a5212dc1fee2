//! Where STOMP frames end in what a server writes: each is a message of its own, since clients in browsers take messages for frames.

use crate::utf8::Utf8;

const CONTENT_LENGTH: &[u8] = b"content-length:";

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
    slice: &'a [u8],
}

impl<'a, I: Iterator<Item = &'a [u8]> + Clone> StompFrames<'a, I> {
    /// The first byte of the slices has to be a frame's first.
    pub fn new(slices: I) -> Self {
        Self { slices, slice: &[] }
    }

    /// The next frame, if it is whole.
    fn find(&mut self) -> Option<StompFrame> {
        let mut seen = Seen::default();
        let first = self.byte(&mut seen)?;
        if matches!(first, b'\n' | b'\r') {
            return Some(StompFrame { bytes: seen.bytes, is_text: true });
        }
        let body_bytes = self.pass_headers(&mut seen)?;
        match body_bytes {
            Some(count) => self.pass(count, &mut seen)?,
            None => self.pass_to_null(&mut seen)?,
        }
        if body_bytes.is_some() && self.byte(&mut seen)? != 0 {
            return None;
        }
        Some(StompFrame { bytes: seen.bytes, is_text: seen.is_text && seen.utf8.end() })
    }

    /// Passes over the headers and the empty line behind them, and gives what they say of the body's length: the first one counts.
    fn pass_headers(&mut self, seen: &mut Seen) -> Option<Option<usize>> {
        let (mut line, mut length) = (Line::default(), None);
        loop {
            match self.byte(seen)? {
                b'\r' => {}
                b'\n' if line.bytes == 0 && seen.lines > 0 => return Some(length),
                b'\n' => {
                    length = length.or(line.content_length());
                    seen.lines += 1;
                    line = Line::default();
                }
                byte => line.take(byte),
            }
        }
    }

    fn pass_to_null(&mut self, seen: &mut Seen) -> Option<()> {
        loop {
            self.fill()?;
            let end = memchr::memchr(0, self.slice);
            self.take(end.map_or(self.slice.len(), |end| end + 1), seen);
            if end.is_some() {
                return Some(());
            }
        }
    }

    fn pass(&mut self, mut count: usize, seen: &mut Seen) -> Option<()> {
        while count > 0 {
            self.fill()?;
            let taken = count.min(self.slice.len());
            self.take(taken, seen);
            count -= taken;
        }
        Some(())
    }

    fn byte(&mut self, seen: &mut Seen) -> Option<u8> {
        self.fill()?;
        let byte = self.slice[0];
        self.take(1, seen);
        Some(byte)
    }

    fn take(&mut self, count: usize, seen: &mut Seen) {
        let (taken, rest) = self.slice.split_at(count);
        seen.is_text = seen.is_text && seen.utf8.take(taken);
        seen.bytes += count;
        self.slice = rest;
    }

    /// There is a byte; `None` at the end.
    fn fill(&mut self) -> Option<()> {
        while self.slice.is_empty() {
            self.slice = self.slices.next()?;
        }
        Some(())
    }
}

impl<'a, I: Iterator<Item = &'a [u8]> + Clone> Iterator for StompFrames<'a, I> {
    type Item = StompFrame;

    fn next(&mut self) -> Option<StompFrame> {
        self.find()
    }
}

/// What was passed over of a frame.
struct Seen {
    bytes: usize,
    lines: usize,
    utf8: Utf8,
    is_text: bool,
}

impl Default for Seen {
    fn default() -> Self {
        Self { bytes: 0, lines: 0, utf8: Utf8::default(), is_text: true }
    }
}

/// What was seen of a line.
#[derive(Default)]
struct Line {
    bytes: usize,
    /// All of it was `content-length:` and digits.
    is_other: bool,
    value: usize,
}

impl Line {
    fn take(&mut self, byte: u8) {
        match CONTENT_LENGTH.get(self.bytes) {
            Some(expected) => self.is_other |= byte != *expected,
            None if byte.is_ascii_digit() => {
                self.value = self.value.saturating_mul(10).saturating_add(usize::from(byte - b'0'));
            }
            None => self.is_other = true,
        }
        self.bytes += 1;
    }

    fn content_length(&self) -> Option<usize> {
        (!self.is_other && self.bytes > CONTENT_LENGTH.len()).then_some(self.value)
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
