//! The protocol of NATS by hand.

use std::io::Write as _;
use std::net::TcpStream;

use anyhow::{Context as _, Result, bail};

use crate::inbox::Inbox;

/// A connected client.
pub struct Nats {
    pub stream: TcpStream,
    pub lines: Lines,
}

/// Cuts what arrives into messages and other lines.
#[derive(Default)]
pub struct Lines {
    pub inbox: Inbox,
}

/// What a client hears.
pub enum Line<'a> {
    Message(&'a [u8]),
    Other(&'a [u8]),
}

/// A message to a subject.
pub fn publish(subject: &str, body: &[u8]) -> Vec<u8> {
    [format!("PUB {subject} {}\r\n", body.len()).as_bytes(), body, b"\r\n"].concat()
}

impl Nats {
    pub fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        let mut nats = Self { stream, lines: Lines::default() };
        nats.say(b"CONNECT {\"verbose\":false,\"pedantic\":false,\"name\":\"load\"}\r\n")?;
        Ok(nats)
    }

    pub fn subscribe(&mut self, subject: &str) -> Result<()> {
        self.say(format!("SUB {subject} 1\r\n").as_bytes())
    }

    /// Says something and waits until the server has taken note.
    fn say(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(&[bytes, b"PING\r\n"].concat())?;
        loop {
            while let Some(line) = self.lines.next() {
                match line {
                    Line::Other(b"PONG\r\n") => return Ok(()),
                    Line::Other(line) if line.starts_with(b"-ERR") => bail!("{}", String::from_utf8_lossy(line)),
                    _ => {}
                }
            }
            if self.lines.inbox.read(&mut self.stream).context("NATS")? == Some(0) {
                bail!("hung up");
            }
        }
    }
}

impl Lines {
    /// The next whole one.
    pub fn next(&mut self) -> Option<Line<'_>> {
        let rest = self.inbox.rest();
        let line = rest.iter().position(|byte| *byte == b'\n')? + 1;
        if !rest.starts_with(b"MSG ") {
            return Some(Line::Other(self.inbox.take(line)));
        }
        // The last field is the size: MSG subject sid size.
        let digits = rest[..line - 2].rsplit(|byte| *byte == b' ').next()?;
        let size = digits.iter().fold(0, |size, digit| size * 10 + usize::from(digit & 15));
        if rest.len() < line + size + 2 {
            return None;
        }
        Some(Line::Message(&self.inbox.take(line + size + 2)[line..line + size]))
    }
}
