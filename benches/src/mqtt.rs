//! MQTT 3.1.1 packets by hand.

use std::io::Write as _;
use std::net::TcpStream;

use anyhow::{Result, bail};

use crate::inbox::Inbox;
use crate::web::{self, Place};

/// A connected client.
pub struct Mqtt {
    pub stream: TcpStream,
    pub packets: Packets,
    is_web: bool,
}

/// Cuts what arrives into packets.
#[derive(Default)]
pub struct Packets {
    pub inbox: Inbox,
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut length = body.len();
    while length > 127 {
        bytes.push((length & 127) as u8 | 128);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend(body);
    bytes
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat()
}

/// A PUBLISH; the packet id is written for QoS 1 and 2.
pub fn publish(topic: &str, qos: u8, packet_id: u16, payload: &[u8]) -> Vec<u8> {
    let id = packet_id.to_be_bytes();
    let id: &[u8] = if qos > 0 { &id } else { &[] };
    packet(0x30 | qos << 1, &[&text(topic)[..], id, payload].concat())
}

/// A CONNECT as the development user. Keep-alive of an hour: rumqttd refuses none.
pub fn connect(name: &str, is_clean: bool) -> Vec<u8> {
    let flags = if is_clean { 0xc2 } else { 0xc0 };
    let body = [&text("MQTT")[..], &[4, flags, 0x0e, 0x10], &text(name), &text("guest"), &text("guest")].concat();
    packet(0x10, &body)
}

/// A SUBSCRIBE to one filter.
pub fn subscribe(filter: &str, qos: u8) -> Vec<u8> {
    packet(0x82, &[&[0, 1][..], &text(filter), &[qos]].concat())
}

/// First bytes of the packets that only say which message they are about.
pub const PUBACK: u8 = 0x40;
pub const PUBREC: u8 = 0x50;
pub const PUBREL: u8 = 0x62;
pub const PUBCOMP: u8 = 0x70;

/// One of them.
pub fn ack(first: u8, packet_id: u16) -> [u8; 4] {
    let [high, low] = packet_id.to_be_bytes();
    [first, 2, high, low]
}

impl Mqtt {
    /// A client whose session ends with the connection.
    pub fn open(port: u16, name: &str) -> Result<Self> {
        Self::connect(port, name, true)
    }

    /// A client whose session stays.
    pub fn open_session(port: u16, name: &str) -> Result<Self> {
        Self::connect(port, name, false)
    }

    fn connect(port: u16, name: &str, is_clean: bool) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        Self { stream, packets: Packets::default(), is_web: false }.log_in(name, is_clean)
    }

    /// As [`open`](Self::open), within a WebSocket.
    pub fn open_web(place: Place, name: &str) -> Result<Self> {
        let (stream, packets) = (web::connect(place, "mqtt")?, Packets { inbox: Inbox::of_web() });
        Self { stream, packets, is_web: true }.log_in(name, true)
    }

    fn log_in(mut self, name: &str, is_clean: bool) -> Result<Self> {
        self.say(connect(name, is_clean))?;
        self.expect(0x20)?;
        Ok(self)
    }

    pub fn subscribe(&mut self, filter: &str, qos: u8) -> Result<()> {
        self.say(subscribe(filter, qos))?;
        self.expect(0x90)
    }

    fn say(&mut self, packet: Vec<u8>) -> Result<()> {
        let bytes = if self.is_web { web::frame(&packet) } else { packet };
        Ok(self.stream.write_all(&bytes)?)
    }

    fn expect(&mut self, first: u8) -> Result<()> {
        loop {
            if let Some((heard, _)) = self.packets.next() {
                if heard == first {
                    return Ok(());
                }
                bail!("packet {heard:#x} instead of {first:#x}");
            }
            if self.packets.inbox.read(&mut self.stream)? == Some(0) {
                bail!("hung up");
            }
        }
    }
}

impl Packets {
    /// The next whole packet: first byte and body.
    pub fn next(&mut self) -> Option<(u8, &[u8])> {
        let rest = self.inbox.rest();
        let first = *rest.first()?;
        let (mut length, mut header) = (0usize, 1);
        loop {
            let byte = *rest.get(header)?;
            length |= usize::from(byte & 127) << (7 * (header - 1));
            header += 1;
            if byte & 128 == 0 {
                break;
            }
        }
        if rest.len() < header + length {
            return None;
        }
        Some((first, &self.inbox.take(header + length)[header..]))
    }

    /// The parts of a PUBLISH: packet id (0 for QoS 0) and payload.
    pub fn parts(first: u8, body: &[u8]) -> (u16, &[u8]) {
        let topic = usize::from(u16::from_be_bytes([body[0], body[1]])) + 2;
        if first & 6 == 0 {
            return (0, &body[topic..]);
        }
        (u16::from_be_bytes([body[topic], body[topic + 1]]), &body[topic + 2..])
    }
}
