//! What has arrived on a connection and is not yet understood.

use std::io::{ErrorKind, Read as _};
use std::net::TcpStream;

use anyhow::{Context as _, Result};

use crate::web;

/// Most bytes of one read.
pub const READ_BYTES: usize = 256 << 10;

/// Bytes of a connection: read as many as there are, taken as many as are whole.
#[derive(Default)]
pub struct Inbox {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// What is read is in frames of a WebSocket.
    web: Option<web::Frames>,
}

impl Inbox {
    /// Of a WebSocket.
    pub fn of_web() -> Self {
        Self { web: Some(web::Frames::default()), ..Self::default() }
    }

    /// Reads what is there. 0 means the end, `None` that nothing is there yet.
    pub fn read(&mut self, stream: &mut TcpStream) -> Result<Option<usize>> {
        self.make_room();
        match stream.read(&mut self.buffer[self.end..]) {
            Ok(count) => {
                let read = &mut self.buffer[self.end..self.end + count];
                self.end += self.web.as_mut().map_or(count, |frames| frames.strip(read));
                Ok(Some(count))
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(None),
            Err(error) => Err(error).context("reading"),
        }
    }

    /// The buffer is made once: clearing it for each read would cost more than the broker does.
    fn make_room(&mut self) {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.buffer.len() < self.end + READ_BYTES {
            self.buffer.resize(self.end + READ_BYTES, 0);
        }
    }

    /// All that is not taken yet.
    pub fn rest(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Takes so many bytes, which must be there.
    pub fn take(&mut self, count: usize) -> &[u8] {
        let at = self.start;
        self.start += count;
        &self.buffer[at..self.start]
    }
}
