//! AMQP 0-9-1 frames by hand: whole batches are built once and written again and again.

use std::io::Write as _;
use std::net::TcpStream;

use anyhow::{Context, Result, bail};

use crate::inbox::Inbox;

/// A connection with channel 1 open.
pub struct Amqp {
    pub stream: TcpStream,
    pub frames: Frames,
}

/// Cuts what arrives into frames.
#[derive(Default)]
pub struct Frames {
    pub inbox: Inbox,
}

/// What a consumer or publisher hears.
pub enum Heard<'a> {
    Deliver {
        tag: u64,
    },
    Body(&'a [u8]),
    Ack {
        tag: u64,
        multiple: bool,
    },
    /// A queue is declared.
    Declared,
    Other,
}

fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, 0, 1];
    bytes.extend((payload.len() as u32).to_be_bytes());
    bytes.extend(payload);
    bytes.push(0xce);
    bytes
}

fn method(class: u16, method: u16, arguments: &[u8]) -> Vec<u8> {
    frame(1, &[&class.to_be_bytes()[..], &method.to_be_bytes(), arguments].concat())
}

fn on_connection(mut frame: Vec<u8>) -> Vec<u8> {
    frame[2] = 0;
    frame
}

fn text(text: &str) -> Vec<u8> {
    [&[text.len() as u8][..], text.as_bytes()].concat()
}

/// A message; the empty exchange leads to the queue that the key names.
pub fn publish(exchange: &str, key: &str, persistent: bool, body: &[u8]) -> Vec<u8> {
    let mut bytes = method(60, 40, &[&[0, 0][..], &text(exchange), &text(key), &[0]].concat());
    let properties: &[u8] = if persistent { &[0x10, 0, 2] } else { &[0, 0] };
    bytes.extend(frame(2, &[&[0, 60, 0, 0][..], &(body.len() as u64).to_be_bytes(), properties].concat()));
    bytes.extend(frame(3, body));
    bytes
}

/// The declaration of a durable queue, to be written among others.
pub fn declare_durable(queue: &str) -> Vec<u8> {
    method(50, 10, &[&[0, 0][..], &text(queue), &[0b10, 0, 0, 0, 0]].concat())
}

/// A binding that is not answered, to be written among others.
pub fn bind_topic(queue: &str, key: &str) -> Vec<u8> {
    method(50, 20, &[&[0, 0][..], &text(queue), &text("amq.topic"), &text(key), &[1, 0, 0, 0, 0]].concat())
}

/// An acknowledgement.
pub fn ack(tag: u64, multiple: bool) -> [u8; 21] {
    let mut frame = [1, 0, 1, 0, 0, 0, 13, 0, 60, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, u8::from(multiple), 0xce];
    frame[11..19].copy_from_slice(&tag.to_be_bytes());
    frame
}

/// An argument of a declaration.
pub type Argument = (&'static str, Value);

/// What an argument says.
#[derive(Clone, Copy)]
pub enum Value {
    Text(&'static str),
    Number(i32),
    Flag(bool),
}

impl Value {
    fn encode(self) -> Vec<u8> {
        match self {
            Self::Text(text) => [b"S", &(text.len() as u32).to_be_bytes()[..], text.as_bytes()].concat(),
            Self::Number(number) => [b"I", &number.to_be_bytes()[..]].concat(),
            Self::Flag(flag) => vec![b't', u8::from(flag)],
        }
    }
}

fn table(arguments: &[Argument]) -> Vec<u8> {
    let entries: Vec<u8> = arguments.iter().flat_map(|(name, value)| [text(name), value.encode()].concat()).collect();
    [&(entries.len() as u32).to_be_bytes()[..], &entries].concat()
}

impl Amqp {
    pub fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        let mut amqp = Self { stream, frames: Frames::default() };
        amqp.stream.write_all(b"AMQP\0\0\x09\x01")?;
        amqp.expect(10, 10)?;
        let plain = [&[0, 0, 0, 0][..], &text("PLAIN"), &[0, 0, 0, 12], b"\0guest\0guest", &text("en_US")].concat();
        amqp.stream.write_all(&on_connection(method(10, 11, &plain)))?;
        amqp.expect(10, 30)?;
        // 2,047 channels (RabbitMQ refuses more), frames of 128 KiB, no heartbeats.
        let tune_ok = [0x07, 0xff, 0, 2, 0, 0, 0, 0];
        amqp.stream.write_all(&on_connection(method(10, 31, &tune_ok)))?;
        amqp.stream.write_all(&on_connection(method(10, 40, &[&text("/")[..], &[0, 0]].concat())))?;
        amqp.expect(10, 41)?;
        amqp.call(20, 10, &[0], 11)?;
        Ok(amqp)
    }

    /// Declares a queue.
    pub fn declare(&mut self, queue: &str, durable: bool, arguments: &[Argument]) -> Result<()> {
        let flags = if durable { 0b10 } else { 0 };
        let arguments = [&[0, 0][..], &text(queue), &[flags], &table(arguments)].concat();
        self.call(50, 10, &arguments, 11)?;
        Ok(())
    }

    /// Binds a queue to an exchange, with an empty key.
    pub fn bind(&mut self, queue: &str, exchange: &str) -> Result<()> {
        self.call(50, 20, &[&[0, 0][..], &text(queue), &text(exchange), &[0, 0, 0, 0, 0, 0]].concat(), 21)?;
        Ok(())
    }

    /// Opens a further channel, and waits until it is open.
    pub fn open_channel(&mut self, number: u16) -> Result<()> {
        let mut open = method(20, 10, &[0]);
        open[1..3].copy_from_slice(&number.to_be_bytes());
        self.stream.write_all(&open)?;
        self.expect(20, 11)?;
        Ok(())
    }

    /// Says goodbye, and waits for the answer.
    pub fn close(mut self) -> Result<()> {
        self.stream.write_all(&on_connection(method(10, 50, &[0; 7])))?;
        self.expect(10, 51)?;
        Ok(())
    }

    /// How many messages of a queue are ready. A queue that is not there is an error.
    pub fn ready(&mut self, queue: &str) -> Result<u64> {
        let answer = self.call(50, 10, &[&[0, 0][..], &text(queue), &[0b1, 0, 0, 0, 0]].concat(), 11)?;
        let counts = answer.len().checked_sub(8).context("a short answer")?;
        Ok(number(&answer, counts) >> 32)
    }

    pub fn delete(&mut self, queue: &str) -> Result<()> {
        self.call(50, 40, &[&[0, 0][..], &text(queue), &[0]].concat(), 41)?;
        Ok(())
    }

    pub fn select_confirms(&mut self) -> Result<()> {
        self.call(85, 10, &[0], 11)?;
        Ok(())
    }

    pub fn qos(&mut self, prefetch: u16) -> Result<()> {
        self.call(60, 10, &[&[0, 0, 0, 0][..], &prefetch.to_be_bytes(), &[0]].concat(), 11)?;
        Ok(())
    }

    pub fn consume(&mut self, queue: &str, automatic_ack: bool) -> Result<()> {
        let flags = if automatic_ack { 0b10 } else { 0 };
        self.call(60, 20, &[&[0, 0][..], &text(queue), &text("c"), &[flags], &[0, 0, 0, 0]].concat(), 21)?;
        Ok(())
    }

    /// Consumes with arguments, acknowledging.
    pub fn consume_with(&mut self, queue: &str, arguments: &[Argument]) -> Result<()> {
        self.call(60, 20, &[&[0, 0][..], &text(queue), &text("c"), &[0], &table(arguments)].concat(), 21)?;
        Ok(())
    }

    fn call(&mut self, class: u16, number: u16, arguments: &[u8], answer: u16) -> Result<Vec<u8>> {
        self.stream.write_all(&method(class, number, arguments))?;
        self.expect(class, answer)
    }

    /// Reads until that method comes, and gives its payload.
    fn expect(&mut self, class: u16, number: u16) -> Result<Vec<u8>> {
        loop {
            while let Some((kind, payload)) = self.frames.next() {
                let heard =
                    (u16::from_be_bytes([payload[0], payload[1]]), u16::from_be_bytes([payload[2], payload[3]]));
                if kind == 1 && heard == (class, number) {
                    return Ok(payload.to_vec());
                }
                if kind == 1 && matches!(heard, (10, 50) | (20, 40)) {
                    bail!("closed: {}", String::from_utf8_lossy(payload));
                }
            }
            if self.frames.inbox.read(&mut self.stream)? == Some(0) {
                bail!("hung up while {class}.{number} was expected");
            }
        }
    }
}

impl Frames {
    /// The next whole frame: type and payload.
    pub fn next(&mut self) -> Option<(u8, &[u8])> {
        let rest = self.inbox.rest();
        let size = u32::from_be_bytes(rest.get(3..7)?.try_into().ok()?) as usize;
        if rest.len() < size + 8 {
            return None;
        }
        let frame = self.inbox.take(size + 8);
        Some((frame[0], &frame[7..7 + size]))
    }

    /// The next whole frame, understood.
    pub fn hear(&mut self) -> Option<Heard<'_>> {
        let (kind, payload) = self.next()?;
        Some(match (kind, payload) {
            (3, body) => Heard::Body(body),
            (1, [0, 60, 0, 60, tag_length, rest @ ..]) => {
                let at = usize::from(*tag_length);
                Heard::Deliver { tag: number(rest, at) }
            }
            (1, [0, 60, 0, 80, rest @ ..]) => Heard::Ack { tag: number(rest, 0), multiple: rest[8] & 1 == 1 },
            (1, [0, 50, 0, 11, ..]) => Heard::Declared,
            _ => Heard::Other,
        })
    }
}

fn number(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes)
}
