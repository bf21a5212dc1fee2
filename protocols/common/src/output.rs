//! What comes out of a machine: commands for the core, bytes for the peer, and perhaps the wish to close.

use std::io::IoSlice;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::Command;

/// Bodies of at least this many bytes are linked into the output; smaller ones are copied, which is cheaper than another
/// slice of a vectored write.
pub const LINK_BYTES_MIN: usize = 4 << 10;

/// Whoever has written no more than that at once may be idle from now on.
const QUIET_BYTES_MAX: usize = 4 << 10;

/// Everything a machine produced in one call. The driver drains it and hands it in again.
#[derive(Debug, Default)]
pub struct Output {
    /// What the core shall do, in order.
    pub commands: Vec<Command>,
    /// What the peer shall read, in order.
    pub bytes: OutgoingBytes,
    /// Messages that the peer does not get: a reason for each.
    pub drops: Vec<DropReason>,
    /// Set when the connection is over: the driver flushes `bytes`, then closes.
    pub close: Option<Close>,
}

impl Output {
    /// Ends the connection after the bytes written so far. The first reason wins.
    pub fn close(&mut self, close: Close) {
        self.close.get_or_insert(close);
    }
}

/// Why a peer does not get a message that was on its way to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// It is larger than the peer takes.
    TooLarge,
    /// Its time ran out after its queue had handed it out.
    ExpiredOnTheWay,
    /// The protocol has no name for where it comes from.
    NoName,
    /// The peer may not read it, or not any more.
    NotAuthorised,
}

impl DropReason {
    /// All there are, in the order of their discriminants.
    pub const ALL: [Self; 4] = [Self::TooLarge, Self::ExpiredOnTheWay, Self::NoName, Self::NotAuthorised];

    /// For metrics and the management API.
    pub fn word(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::ExpiredOnTheWay => "expired_on_the_way",
            Self::NoName => "no_name",
            Self::NotAuthorised => "not_authorised",
        }
    }
}

/// Why a connection ends, for the log and the counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Close {
    /// Both sides said goodbye.
    Normal,
    /// The peer broke a rule of the protocol: one log line names it.
    Violation { rule: &'static str, detail: String },
    /// Not authenticated, or not allowed.
    Refused(String),
    /// The peer was silent for too long.
    TimedOut(&'static str),
    /// The broker shuts down or an operator closed the connection.
    Shutdown,
    /// Another connection took this one's session.
    TakenOver,
}

/// Bytes on their way out: small writes are gathered in one buffer, large bodies are linked without a copy.
#[derive(Debug, Default)]
pub struct OutgoingBytes {
    chunks: std::collections::VecDeque<Bytes>,
    chunked_bytes: usize,
    tail: BytesMut,
}

impl OutgoingBytes {
    /// The buffer for small writes: frames and headers are encoded straight into it.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.tail
    }

    /// Appends a body: copied when small, linked when large.
    pub fn put_body(&mut self, body: &Bytes) {
        if body.len() < LINK_BYTES_MIN {
            self.tail.put_slice(body);
            return;
        }
        self.seal_tail();
        self.chunked_bytes += body.len();
        self.chunks.push_back(body.clone());
    }

    /// Bytes waiting to be written.
    pub fn len(&self) -> usize {
        self.chunked_bytes + self.tail.len()
    }

    /// Nothing is waiting.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `slices` for a vectored write and says how many it used.
    pub fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let tail = (!self.tail.is_empty()).then_some(&self.tail[..]);
        let mut used = 0;
        for (slot, chunk) in slices.iter_mut().zip(self.chunks.iter().map(|chunk| &chunk[..]).chain(tail)) {
            *slot = IoSlice::new(chunk);
            used += 1;
        }
        used
    }

    /// Forgets the first `count` bytes, which were written.
    pub fn advance(&mut self, mut count: usize) {
        while let Some(front) = self.chunks.front_mut() {
            let step = count.min(front.len());
            front.advance(step);
            self.chunked_bytes -= step;
            count -= step;
            if !front.is_empty() {
                return;
            }
            self.chunks.pop_front();
        }
        if count >= self.tail.len() && count < QUIET_BYTES_MAX {
            // An idle connection holds no buffer.
            self.tail = BytesMut::new();
        } else if count >= self.tail.len() {
            self.tail.clear();
        } else {
            self.tail.advance(count);
        }
    }

    /// Everything in one piece, for tests.
    pub fn take_all(&mut self) -> Bytes {
        let mut all = BytesMut::with_capacity(self.len());
        for chunk in self.chunks.drain(..) {
            all.put_slice(&chunk);
        }
        self.chunked_bytes = 0;
        all.put_slice(&self.tail.split());
        all.freeze()
    }

    fn seal_tail(&mut self) {
        if !self.tail.is_empty() {
            self.chunked_bytes += self.tail.len();
            self.chunks.push_back(self.tail.split().freeze());
        }
    }
}
