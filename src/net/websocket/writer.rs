//! Puts headers before what a machine writes: all frames of one write go to the wire with one call.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crossdock_websocket::{HEADER_BYTES_MAX, Opcode, StompFrames, header};
use tokio::io::AsyncWrite;

/// Frames of one write.
const FRAMES_MAX: usize = 32;
/// Headers and pieces of payload of one write.
const PIECES_MAX: usize = 128;

/// Payload of one write beyond which no further frame is looked for: the wire would not take it, and the next write would look
/// through it again.
const PLANNED_BYTES_MAX: usize = 256 << 10;

/// What the messages of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) enum Messages {
    /// Bytes, wherever they begin and end.
    Binary,
    /// A STOMP frame each: text, if it is UTF-8.
    StompFrames,
}

/// A frame that is being written.
#[derive(Clone, Copy, Debug, Default)]
struct Frame {
    head: [u8; HEADER_BYTES_MAX],
    head_written: usize,
    head_bytes: usize,
    payload_left: usize,
}

impl Frame {
    fn new(opcode: Opcode, payload_bytes: usize) -> Self {
        let (head, head_bytes) = header(opcode, payload_bytes);
        Self { head, head_written: 0, head_bytes, payload_left: payload_bytes }
    }

    fn head_left(&self) -> &[u8] {
        &self.head[self.head_written..self.head_bytes]
    }

    fn is_written(&self) -> bool {
        self.head_written == self.head_bytes && self.payload_left == 0
    }

    /// Takes so many bytes of it as written, and gives how many were payload, and how many were none of its.
    fn advance(&mut self, count: usize) -> (usize, usize) {
        let of_head = count.min(self.head_bytes - self.head_written);
        let of_payload = (count - of_head).min(self.payload_left);
        self.head_written += of_head;
        self.payload_left -= of_payload;
        (of_payload, count - of_head - of_payload)
    }
}

/// Writes frames. What it is given is always the beginning of what was not written yet.
pub(super) struct Writer {
    messages: Messages,
    /// The rest of a frame that the wire had no room for.
    current: Frame,
}

impl Writer {
    pub(super) fn new(messages: Messages) -> Self {
        Self { messages, current: Frame::default() }
    }

    /// Whether nothing else may be written now.
    pub(super) fn is_within_a_frame(&self) -> bool {
        !self.current.is_written()
    }

    /// Gives how much of the payload was written, which is more than nothing.
    pub(super) fn poll_write<W: AsyncWrite + Unpin>(
        &mut self,
        wire: &mut W,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut frames = [Frame::default(); FRAMES_MAX];
            let count = self.plan(slices, &mut frames);
            let mut pieces = [IoSlice::new(&[]); PIECES_MAX];
            let used = fill(&frames[..count], slices, &mut pieces);
            let written = ready!(Pin::new(&mut *wire).poll_write_vectored(context, &pieces[..used]))?;
            let payload_bytes = self.advance(&mut frames[..count], written);
            if payload_bytes > 0 || written == 0 {
                return Poll::Ready(Ok(payload_bytes));
            }
        }
    }

    /// The frames that the slices make: first what is left of one that was begun.
    fn plan(&self, slices: &[IoSlice<'_>], frames: &mut [Frame; FRAMES_MAX]) -> usize {
        let mut count = 0;
        if self.is_within_a_frame() {
            frames[0] = self.current;
            count = 1;
        }
        let begun_bytes = self.current.payload_left;
        match self.messages {
            Messages::Binary => {
                let payload_bytes = slices.iter().map(|slice| slice.len()).sum::<usize>().saturating_sub(begun_bytes);
                if count == 0 && payload_bytes > 0 {
                    frames[0] = Frame::new(Opcode::Binary, payload_bytes);
                    count = 1;
                }
            }
            Messages::StompFrames => {
                let mut planned_bytes = begun_bytes;
                let mut found = StompFrames::new(behind(slices, begun_bytes));
                while count < FRAMES_MAX && planned_bytes < PLANNED_BYTES_MAX {
                    let Some(stomp) = found.next() else { break };
                    planned_bytes += stomp.bytes;
                    let opcode = if stomp.is_text { Opcode::Text } else { Opcode::Binary };
                    frames[count] = Frame::new(opcode, stomp.bytes);
                    count += 1;
                }
                // More than one write takes: its bytes count, its end is not known.
                let payload_bytes = slices.iter().map(|slice| slice.len()).sum();
                if count == 0 && payload_bytes > 0 {
                    frames[0] = Frame::new(Opcode::Binary, payload_bytes);
                    count = 1;
                }
            }
        }
        count
    }

    /// Takes so many bytes as written, and gives how many of them were payload.
    fn advance(&mut self, frames: &mut [Frame], mut written: usize) -> usize {
        let mut payload_bytes = 0;
        for frame in frames {
            if written == 0 && frame.head_written == 0 {
                break;
            }
            let (of_payload, rest) = frame.advance(written);
            payload_bytes += of_payload;
            written = rest;
            self.current = *frame;
        }
        payload_bytes
    }
}

/// The slices without so many bytes at their beginning.
fn behind<'a>(slices: &'a [IoSlice<'a>], mut bytes: usize) -> impl Iterator<Item = &'a [u8]> + Clone {
    slices.iter().map(move |slice| {
        let passed = bytes.min(slice.len());
        bytes -= passed;
        &slice[passed..]
    })
}

/// Headers and payloads one behind the other; gives how many pieces that are. What does not fit is for the next write.
fn fill<'a>(frames: &'a [Frame], slices: &'a [IoSlice<'a>], pieces: &mut [IoSlice<'a>; PIECES_MAX]) -> usize {
    let (mut used, mut next, mut offset) = (0, 0, 0);
    for frame in frames {
        let head = frame.head_left();
        if !head.is_empty() {
            if used == PIECES_MAX {
                return used;
            }
            pieces[used] = IoSlice::new(head);
            used += 1;
        }
        let mut left = frame.payload_left;
        while left > 0 && used < PIECES_MAX {
            let Some(slice) = slices.get(next) else { return used };
            let rest = &slice[offset..];
            let taken = &rest[..left.min(rest.len())];
            pieces[used] = IoSlice::new(taken);
            used += 1;
            left -= taken.len();
            offset += taken.len();
            if offset == slice.len() {
                (next, offset) = (next + 1, 0);
            }
        }
        if left > 0 {
            return used;
        }
    }
    used
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// Takes so many bytes with each write.
    struct Narrow {
        bytes: Vec<u8>,
        room: usize,
    }

    impl AsyncWrite for Narrow {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            let count = bytes.len().min(self.room);
            self.bytes.extend(&bytes[..count]);
            Poll::Ready(Ok(count))
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let all: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).take(self.room).collect();
            self.bytes.extend(&all);
            Poll::Ready(Ok(all.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// What is on the wire after all of the parts are written, with so much room each time.
    fn on_the_wire(messages: Messages, parts: &[&[u8]], room: usize) -> Vec<u8> {
        let (mut writer, mut wire) = (Writer::new(messages), Narrow { bytes: Vec::new(), room });
        let mut left: Vec<Vec<u8>> = parts.iter().map(|part| part.to_vec()).collect();
        while !left.is_empty() {
            let slices: Vec<IoSlice<'_>> = left.iter().map(|part| IoSlice::new(part)).collect();
            let mut context = Context::from_waker(Waker::noop());
            let Poll::Ready(Ok(mut count)) = writer.poll_write(&mut wire, &mut context, &slices) else { panic!() };
            assert!(count > 0);
            while count > 0 {
                let taken = count.min(left[0].len());
                left[0].drain(..taken);
                count -= taken;
                left.retain(|part| !part.is_empty());
            }
        }
        assert!(!writer.is_within_a_frame());
        wire.bytes
    }

    #[test]
    fn bytes_are_one_frame_however_they_leave() {
        let parts: [&[u8]; 3] = [b"ab", &[7; 200], b"c"];
        let expected = [b"\x82\x7e\0\xcb", &b"ab"[..], &[7; 200], b"c"].concat();
        for room in 1..220 {
            assert_eq!(on_the_wire(Messages::Binary, &parts, room), expected, "{room}");
        }
    }

    #[test]
    fn every_stomp_frame_is_a_message_however_it_leaves() {
        let parts: [&[u8]; 4] =
            [b"RECEIPT\nreceipt-id:1\n\n\0\nMESS", b"AGE\ncontent-length:2\n\n", b"\xff\xfe", b"\0\n"];
        let expected = [
            &b"\x81\x17RECEIPT\nreceipt-id:1\n\n\0"[..],
            b"\x81\x01\n",
            b"\x82\x1dMESSAGE\ncontent-length:2\n\n\xff\xfe\0",
            b"\x81\x01\n",
        ]
        .concat();
        for room in 1..100 {
            assert_eq!(on_the_wire(Messages::StompFrames, &parts, room), expected, "{room}");
        }
        let many = b"RECEIPT\nreceipt-id:1\n\n\0".repeat(3 * FRAMES_MAX);
        let expected = b"\x81\x17RECEIPT\nreceipt-id:1\n\n\0".repeat(3 * FRAMES_MAX);
        assert_eq!(on_the_wire(Messages::StompFrames, &[&many], 10_000), expected);
    }

    #[test]
    fn a_stomp_frame_of_which_the_end_is_not_there_leaves_as_bytes() {
        let sent = on_the_wire(Messages::StompFrames, &[b"MESSAGE\n\nno end"], 100);
        assert_eq!(sent, b"\x82\x0fMESSAGE\n\nno end");
    }
}
