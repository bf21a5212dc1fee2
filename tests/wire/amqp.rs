//! AMQP 0-9-1, by hand.

use std::io::{Read, Result, Write};
use std::net::TcpStream;

/// What fits into a frame beside its header and end.
const BODY_FRAME_BYTES: usize = 131_072 - 8;

/// An open connection with channel 1 open.
pub struct Amqp {
    stream: TcpStream,
    input: Vec<u8>,
}

/// A frame: type and payload; everything here happens on channel 1.
pub struct Frame {
    pub kind: u8,
    pub payload: Vec<u8>,
}

impl Frame {
    /// Class and method of a method frame.
    pub fn method(&self) -> (u16, u16) {
        let number = |at: usize| u16::from_be_bytes([self.payload[at], self.payload[at + 1]]);
        (number(0), number(2))
    }
}

/// A method's arguments, written one after the other.
#[derive(Default)]
pub struct Arguments(pub Vec<u8>);

impl Arguments {
    pub fn short(mut self, number: u16) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    pub fn long(mut self, number: u32) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    pub fn long_long(mut self, number: u64) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    pub fn octet(mut self, number: u8) -> Self {
        self.0.push(number);
        self
    }

    pub fn text(mut self, text: &str) -> Self {
        self.0.push(u8::try_from(text.len()).expect("short"));
        self.0.extend(text.as_bytes());
        self
    }

    /// A table of texts.
    pub fn table(mut self, entries: &[(&str, &str)]) -> Self {
        let mut table = Self::default();
        for (name, value) in entries {
            table = table.text(name).octet(b'S').long(u32::try_from(value.len()).expect("short"));
            table.0.extend(value.as_bytes());
        }
        self = self.long(u32::try_from(table.0.len()).expect("short"));
        self.0.extend(table.0);
        self
    }
}

pub fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(channel.to_be_bytes());
    bytes.extend(u32::try_from(payload.len()).expect("fits").to_be_bytes());
    bytes.extend(payload);
    bytes.push(0xce);
    bytes
}

pub fn method(channel: u16, class: u16, method: u16, arguments: Arguments) -> Vec<u8> {
    let mut payload = class.to_be_bytes().to_vec();
    payload.extend(method.to_be_bytes());
    payload.extend(arguments.0);
    frame(1, channel, &payload)
}

/// Everything a client says until channel 1 is open, as guest on vhost `/`.
pub fn opening() -> Vec<u8> {
    opening_with(b"")
}

/// A login of this user to this vhost, without a channel.
pub fn login(user: &str, password: &str, vhost: &str) -> Vec<u8> {
    let plain = format!("\0{user}\0{password}");
    let mut start_ok = Arguments::default().long(0).text("PLAIN");
    start_ok.0.extend(u32::try_from(plain.len()).expect("short").to_be_bytes());
    start_ok.0.extend(plain.as_bytes());
    let mut bytes = b"AMQP\0\0\x09\x01".to_vec();
    bytes.extend(method(0, 10, 11, start_ok.text("en_US")));
    bytes.extend(method(0, 10, 31, Arguments::default().short(0).long(131_072).short(0)));
    bytes.extend(method(0, 10, 40, Arguments::default().text(vhost).octet(0).octet(0)));
    bytes
}

/// An opening with these client properties.
fn opening_with(properties: &[u8]) -> Vec<u8> {
    let mut start_ok = Arguments::default().long(u32::try_from(properties.len()).expect("short"));
    start_ok.0.extend(properties);
    let mut start_ok = start_ok.text("PLAIN").long(12);
    start_ok.0.extend(b"\0guest\0guest");
    let start_ok = start_ok.text("en_US");
    let mut bytes = b"AMQP\0\0\x09\x01".to_vec();
    bytes.extend(method(0, 10, 11, start_ok));
    bytes.extend(method(0, 10, 31, Arguments::default().short(0).long(131_072).short(0)));
    bytes.extend(method(0, 10, 40, Arguments::default().text("/").octet(0).octet(0)));
    bytes.extend(method(1, 20, 10, Arguments::default().octet(0)));
    bytes
}

/// A persistent message with a body, published to the default exchange.
pub fn publish(queue: &str, body: &[u8]) -> Vec<u8> {
    publish_as(queue, body, 2)
}

/// The same, but not persistent.
pub fn publish_transient(queue: &str, body: &[u8]) -> Vec<u8> {
    publish_as(queue, body, 1)
}

fn publish_as(queue: &str, body: &[u8], delivery_mode: u8) -> Vec<u8> {
    let mut bytes = method(1, 60, 40, Arguments::default().short(0).text("").text(queue).octet(0));
    let header =
        Arguments::default().short(60).short(0).long_long(body.len() as u64).short(0x1000).octet(delivery_mode);
    bytes.extend(frame(2, 1, &header.0));
    body.chunks(BODY_FRAME_BYTES).for_each(|piece| bytes.extend(frame(3, 1, piece)));
    bytes
}

impl Amqp {
    pub fn open(port: u16) -> Result<Self> {
        Self::open_saying(port, &opening())
    }

    /// As a client that understands `connection.blocked`.
    pub fn open_with_blocked(port: u16) -> Result<Self> {
        let capability = b"\x12connection.blockedt\x01";
        let mut properties = b"\x0ccapabilitiesF".to_vec();
        properties.extend(u32::try_from(capability.len()).expect("short").to_be_bytes());
        properties.extend(capability);
        Self::open_saying(port, &opening_with(&properties))
    }

    /// After a login of one's own; channel 1 is opened here.
    pub fn open_as(port: u16, login: &[u8]) -> Result<Self> {
        Self::open_saying(port, &[login, &method(1, 20, 10, Arguments::default().octet(0))].concat())
    }

    fn open_saying(port: u16, opening: &[u8]) -> Result<Self> {
        let mut client = Self { stream: super::connect(port)?, input: Vec::new() };
        client.stream.write_all(opening)?;
        client.expect(20, 11)?;
        Ok(client)
    }

    /// Another handle to write with, for a thread that does nothing else.
    pub fn writer(&self) -> TcpStream {
        self.stream.try_clone().expect("clones")
    }

    /// How long the next reads wait.
    pub fn set_patience(&self, patience: std::time::Duration) {
        self.stream.set_read_timeout(Some(patience)).expect("sets");
    }

    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next frame.
    pub fn frame(&mut self) -> Result<Frame> {
        loop {
            if let Some(frame) = self.whole_frame() {
                return Ok(frame);
            }
            let mut buffer = [0; 65_536];
            let count = match self.stream.read(&mut buffer) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                result => result?,
            };
            if count == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            self.input.extend(&buffer[..count]);
        }
    }

    fn whole_frame(&mut self) -> Option<Frame> {
        let size = u32::from_be_bytes(self.input.get(3..7)?.try_into().ok()?) as usize;
        if self.input.len() < size + 8 {
            return None;
        }
        let bytes: Vec<u8> = self.input.drain(..size + 8).collect();
        Some(Frame { kind: bytes[0], payload: bytes[7..size + 7].to_vec() })
    }

    /// Reads until this method comes.
    pub fn expect(&mut self, class: u16, method: u16) -> Result<Frame> {
        loop {
            let frame = self.frame()?;
            if frame.kind == 1 && frame.method() == (class, method) {
                return Ok(frame);
            }
            let closed = frame.kind == 1 && matches!(frame.method(), (10, 50) | (20, 40));
            assert!(!closed, "closed: {}", String::from_utf8_lossy(&frame.payload));
        }
    }

    /// Declares a durable queue.
    pub fn declare(&mut self, queue: &str) -> Result<()> {
        self.declare_as(queue, 0b10)
    }

    /// Declares a queue that does not survive a restart.
    pub fn declare_transient(&mut self, queue: &str) -> Result<()> {
        self.declare_as(queue, 0)
    }

    /// Declares a stream.
    pub fn declare_stream(&mut self, queue: &str) -> Result<()> {
        self.declare_with(queue, 0b10, &[("x-queue-type", "stream")])
    }

    /// Reads a stream from where it begins, acknowledging everything, until `is_last` says so of a body.
    pub fn read_stream(&mut self, stream: &str, mut is_last: impl FnMut(&[u8]) -> bool) -> Result<()> {
        self.send(&method(1, 60, 10, Arguments::default().long(0).short(100).octet(0)))?;
        self.expect(60, 11)?;
        let consume = Arguments::default().short(0).text(stream).text("reader").octet(0);
        self.send(&method(1, 60, 20, consume.table(&[("x-stream-offset", "first")])))?;
        self.expect(60, 21)?;
        loop {
            let deliver = self.expect(60, 60)?.payload;
            let tag = 5 + usize::from(deliver[4]);
            let tag = u64::from_be_bytes(deliver[tag..tag + 8].try_into().expect("8 bytes"));
            let body = self.content()?;
            self.send(&method(1, 60, 80, Arguments::default().long_long(tag).octet(0)))?;
            if is_last(&body) {
                break;
            }
        }
        self.send(&method(1, 60, 30, Arguments::default().text("reader").octet(0)))?;
        self.expect(60, 31).map(drop)
    }

    fn declare_as(&mut self, queue: &str, flags: u8) -> Result<()> {
        self.declare_with(queue, flags, &[])
    }

    fn declare_with(&mut self, queue: &str, flags: u8, table: &[(&str, &str)]) -> Result<()> {
        let arguments = Arguments::default().short(0).text(queue).octet(flags).table(table);
        self.send(&method(1, 50, 10, arguments))?;
        self.expect(50, 11).map(drop)
    }

    /// Binds a queue.
    pub fn bind(&mut self, exchange: &str, queue: &str, key: &str) -> Result<()> {
        let arguments = Arguments::default().short(0).text(queue).text(exchange).text(key).octet(0).long(0);
        self.send(&method(1, 50, 20, arguments))?;
        self.expect(50, 21).map(drop)
    }

    /// Deletes a queue.
    pub fn delete(&mut self, queue: &str) -> Result<()> {
        self.send(&method(1, 50, 40, Arguments::default().short(0).text(queue).octet(0)))?;
        self.expect(50, 41).map(drop)
    }

    /// Empties a queue; gives how many messages went.
    pub fn purge(&mut self, queue: &str) -> Result<u32> {
        self.send(&method(1, 50, 30, Arguments::default().short(0).text(queue).octet(0)))?;
        let frame = self.expect(50, 31)?;
        Ok(u32::from_be_bytes(frame.payload[4..8].try_into().expect("4 bytes")))
    }

    /// From now on publishes are confirmed.
    pub fn select_confirms(&mut self) -> Result<()> {
        self.send(&method(1, 85, 10, Arguments::default().octet(0)))?;
        self.expect(85, 11).map(drop)
    }

    /// The next confirm: delivery tag and `multiple`.
    pub fn confirm(&mut self) -> Result<(u64, bool)> {
        let frame = self.expect(60, 80)?;
        let tag = u64::from_be_bytes(frame.payload[4..12].try_into().expect("8 bytes"));
        Ok((tag, frame.payload[12] & 1 == 1))
    }

    /// Consumes from a queue, without acknowledgements.
    pub fn consume(&mut self, queue: &str) -> Result<()> {
        self.send(&method(1, 60, 20, Arguments::default().short(0).text(queue).text("").octet(0b10).long(0)))?;
        self.expect(60, 21).map(drop)
    }

    /// The next message that a consumer gets.
    pub fn delivered(&mut self) -> Result<Vec<u8>> {
        self.expect(60, 60)?;
        self.content()
    }

    /// Takes one message, or none.
    pub fn get(&mut self, queue: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.get_with(queue, true)?.map(|(_, body)| body))
    }

    /// Gets a message without acknowledging it, and whether it was handed out before.
    pub fn get_and_hold(&mut self, queue: &str) -> Result<Option<(bool, Vec<u8>)>> {
        self.get_with(queue, false)
    }

    fn get_with(&mut self, queue: &str, no_ack: bool) -> Result<Option<(bool, Vec<u8>)>> {
        self.send(&method(1, 60, 70, Arguments::default().short(0).text(queue).octet(u8::from(no_ack))))?;
        let frame = self.frame()?;
        if frame.method() == (60, 72) {
            return Ok(None);
        }
        assert_eq!(frame.method(), (60, 71));
        let redelivered = frame.payload[12] != 0;
        Ok(Some((redelivered, self.content()?)))
    }

    /// The body that follows a method.
    fn content(&mut self) -> Result<Vec<u8>> {
        let header = self.frame()?;
        let size = u64::from_be_bytes(header.payload[4..12].try_into().expect("8 bytes"));
        let mut body = Vec::new();
        while (body.len() as u64) < size {
            body.extend(self.frame()?.payload);
        }
        Ok(body)
    }
}
