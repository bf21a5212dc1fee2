//! What is said beside the payload: the answer to the last ping, and the end.

use bytes::Buf;
use crossdock_websocket::{CONTROL_BYTES_MAX, CloseCode, Opcode, close_frame, header};

const FRAME_BYTES_MAX: usize = CONTROL_BYTES_MAX + 2;

/// A control frame that is being written, and what comes after it.
pub(super) struct Control {
    frame: [u8; FRAME_BYTES_MAX],
    written: usize,
    length: usize,
    /// The payload of a ping that came meanwhile: an older one need not be answered (section 5.5.3).
    ping: Option<([u8; CONTROL_BYTES_MAX], usize)>,
    close: Close,
}

enum Close {
    /// Not yet; then with this code.
    Open(Option<CloseCode>),
    /// As soon as nothing else is being written.
    Due(Option<CloseCode>),
    /// Nothing is said after that.
    Said,
}

impl Default for Control {
    fn default() -> Self {
        let close = Close::Open(Some(CloseCode::NORMAL));
        Self { frame: [0; FRAME_BYTES_MAX], written: 0, length: 0, ping: None, close }
    }
}

impl Control {
    /// Answers a ping.
    pub(super) fn pong(&mut self, payload: &[u8]) {
        let mut ping = [0; CONTROL_BYTES_MAX];
        ping[..payload.len()].copy_from_slice(payload);
        self.ping = Some((ping, payload.len()));
        self.next();
    }

    /// The code that the close frame will have.
    pub(super) fn close_with(&mut self, code: Option<CloseCode>) {
        if let Close::Open(known) = &mut self.close {
            *known = code;
        }
    }

    /// Says that it is over, unless that is said already.
    pub(super) fn close(&mut self) {
        if let Close::Open(code) = self.close {
            self.close = Close::Due(code);
            self.next();
        }
    }

    /// Nothing is waiting to be written.
    pub(super) fn is_empty(&self) -> bool {
        !self.has_remaining()
    }

    /// The next frame, once the last one is written.
    fn next(&mut self) {
        if self.has_remaining() {
            return;
        }
        if let Close::Due(code) = self.close {
            (self.frame, self.length) = close_frame(code);
            (self.written, self.close, self.ping) = (0, Close::Said, None);
        } else if let Some((payload, length)) = self.ping.take() {
            if matches!(self.close, Close::Said) {
                return;
            }
            let (head, head_bytes) = header(Opcode::Pong, length);
            self.frame[..head_bytes].copy_from_slice(&head[..head_bytes]);
            self.frame[head_bytes..head_bytes + length].copy_from_slice(&payload[..length]);
            (self.written, self.length) = (0, head_bytes + length);
        }
    }
}

impl Buf for Control {
    fn remaining(&self) -> usize {
        self.length - self.written
    }

    fn chunk(&self) -> &[u8] {
        &self.frame[self.written..self.length]
    }

    fn advance(&mut self, count: usize) {
        self.written += count;
        self.next();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(control: &mut Control) -> Vec<u8> {
        control.copy_to_bytes(control.remaining()).to_vec()
    }

    #[test]
    fn only_the_last_of_several_pings_is_answered() {
        let mut control = Control::default();
        control.pong(b"one");
        control.advance(1);
        control.pong(b"two");
        control.pong(b"three");
        assert_eq!(written(&mut control), b"\x03one");
        assert_eq!(written(&mut control), b"\x8a\x05three");
        assert!(control.is_empty());
    }

    #[test]
    fn a_close_is_said_once_and_nothing_after_it() {
        let mut control = Control::default();
        control.close_with(Some(CloseCode::TOO_BIG));
        assert!(control.is_empty());
        control.close();
        control.close_with(Some(CloseCode::NORMAL));
        control.close();
        control.pong(b"x");
        assert_eq!(written(&mut control), b"\x88\x02\x03\xf1");
        control.close();
        assert!(control.is_empty());
    }
}
