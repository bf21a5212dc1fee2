//! STOMP 1.2 frames by hand.

use std::io::Write as _;
use std::net::TcpStream;

use anyhow::{Result, bail};

use crate::inbox::Inbox;
use crate::web::{self, Place};

/// A connected client.
pub struct Stomp {
    pub stream: TcpStream,
    pub frames: Frames,
    is_web: bool,
}

/// Cuts what arrives into frames.
#[derive(Default)]
pub struct Frames {
    pub inbox: Inbox,
}

/// What a frame is to a load.
pub enum Heard<'a> {
    Message(&'a [u8]),
    Receipt,
    Other,
}

/// A SEND; with receipts, each asks for one. All receipts have the same length.
pub fn send(queue: &str, persistent: bool, receipt: Option<u16>, body: &[u8]) -> Vec<u8> {
    let persistent = if persistent { "persistent:true\n" } else { "" };
    let receipt = receipt.map(|number| format!("receipt:{number:05}\n")).unwrap_or_default();
    let length = body.len();
    let head = format!("SEND\ndestination:/queue/{queue}\n{persistent}{receipt}content-length:{length}\n\n");
    [head.as_bytes(), body, b"\0"].concat()
}

impl Stomp {
    pub fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        Self { stream, frames: Frames::default(), is_web: false }.log_in()
    }

    /// The same within a WebSocket.
    pub fn open_web(place: Place) -> Result<Self> {
        let (stream, frames) = (web::connect(place, "v12.stomp")?, Frames { inbox: Inbox::of_web() });
        Self { stream, frames, is_web: true }.log_in()
    }

    fn log_in(mut self) -> Result<Self> {
        self.say("CONNECT\naccept-version:1.2\nhost:/\nlogin:guest\npasscode:guest\nheart-beat:0,0\n\n\0")?;
        self.expect("CONNECTED")?;
        Ok(self)
    }

    /// Deliveries count as acknowledged when they are sent.
    pub fn subscribe(&mut self, queue: &str) -> Result<()> {
        self.say(&format!("SUBSCRIBE\nid:0\ndestination:/queue/{queue}\nack:auto\nreceipt:s\n\n\0"))?;
        self.expect("RECEIPT")
    }

    fn say(&mut self, frame: &str) -> Result<()> {
        let bytes = if self.is_web { web::frame(frame.as_bytes()) } else { frame.into() };
        Ok(self.stream.write_all(&bytes)?)
    }

    fn expect(&mut self, verb: &str) -> Result<()> {
        loop {
            if let Some((head, _)) = self.frames.next() {
                if head.starts_with(verb.as_bytes()) {
                    return Ok(());
                }
                bail!("{} instead of {verb}", String::from_utf8_lossy(head));
            }
            if self.frames.inbox.read(&mut self.stream)? == Some(0) {
                bail!("hung up");
            }
        }
    }
}

impl Frames {
    /// The next whole frame: its lines and its body.
    fn next(&mut self) -> Option<(&[u8], &[u8])> {
        let line_ends = self.inbox.rest().iter().take_while(|byte| **byte == b'\n').count();
        self.inbox.take(line_ends);
        let rest = self.inbox.rest();
        let head = find_empty_line(rest)?;
        let body = match content_length(&rest[..head]) {
            Some(length) => length,
            None => rest[head..].iter().position(|byte| *byte == 0)?,
        };
        if rest.len() <= head + body {
            return None;
        }
        Some(self.inbox.take(head + body + 1)[..head + body].split_at(head))
    }

    pub fn hear(&mut self) -> Option<Heard<'_>> {
        let (head, body) = self.next()?;
        Some(match head.first() {
            Some(b'M') => Heard::Message(body),
            Some(b'R') => Heard::Receipt,
            _ => Heard::Other,
        })
    }
}

fn find_empty_line(bytes: &[u8]) -> Option<usize> {
    bytes.windows(2).position(|pair| pair == b"\n\n").map(|at| at + 2)
}

fn content_length(head: &[u8]) -> Option<usize> {
    let line = head.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"content-length:"))?;
    std::str::from_utf8(line).ok()?.trim().parse().ok()
}
