//! MQTT 3.1.1, by hand.

use std::io::{Read, Result, Write};
use std::net::TcpStream;

/// A connected client.
pub struct Mqtt {
    stream: TcpStream,
}

/// A CONNECT of a clean session, as guest.
pub fn connect_packet(client_id: &str) -> Vec<u8> {
    connect_as(client_id, "guest", "guest")
}

/// The same as another user.
pub fn connect_as(client_id: &str, user: &str, password: &str) -> Vec<u8> {
    connect_with(client_id, 0xc2, user, password)
}

fn connect_with(client_id: &str, flags: u8, user: &str, password: &str) -> Vec<u8> {
    let mut body = b"\0\x04MQTT\x04".to_vec();
    body.extend([flags, 0, 0]);
    for text in [client_id, user, password] {
        body.extend(u16::try_from(text.len()).expect("short").to_be_bytes());
        body.extend(text.as_bytes());
    }
    packet(0x10, &body)
}

/// A QoS 1 PUBLISH.
pub fn publish(topic: &str, packet_id: u16, payload: &[u8]) -> Vec<u8> {
    publish_with(0x32, topic, packet_id, payload)
}

/// A QoS 1 PUBLISH that is to be retained.
pub fn retained(topic: &str, packet_id: u16, payload: &[u8]) -> Vec<u8> {
    publish_with(0x33, topic, packet_id, payload)
}

fn publish_with(first: u8, topic: &str, packet_id: u16, payload: &[u8]) -> Vec<u8> {
    let mut body = u16::try_from(topic.len()).expect("short").to_be_bytes().to_vec();
    body.extend(topic.as_bytes());
    body.extend(packet_id.to_be_bytes());
    body.extend(payload);
    packet(first, &body)
}

pub fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut length = body.len();
    loop {
        let more = if length > 127 { 0x80 } else { 0 };
        bytes.push((length & 127) as u8 | more);
        length >>= 7;
        if length == 0 {
            break;
        }
    }
    bytes.extend(body);
    bytes
}

impl Mqtt {
    pub fn open(port: u16, client_id: &str) -> Result<Self> {
        let mut client = Self { stream: super::connect(port)? };
        client.send(&connect_packet(client_id))?;
        let (first, body) = client.packet()?;
        assert_eq!((first, &body[..]), (0x20, &[0, 0][..]), "CONNACK");
        Ok(client)
    }

    /// Resumes or makes a session that stays; says whether it was there.
    pub fn open_session(port: u16, client_id: &str) -> Result<(Self, bool)> {
        let mut client = Self { stream: super::connect(port)? };
        client.send(&connect_with(client_id, 0xc0, "guest", "guest"))?;
        let (first, body) = client.packet()?;
        assert_eq!((first, body[1]), (0x20, 0), "CONNACK");
        Ok((client, body[0] == 1))
    }

    pub fn subscribe(&mut self, filter: &str, qos: u8) -> Result<()> {
        let mut body = vec![0, 1];
        body.extend(u16::try_from(filter.len()).expect("short").to_be_bytes());
        body.extend(filter.as_bytes());
        body.push(qos);
        self.send(&packet(0x82, &body))?;
        let (first, body) = self.packet()?;
        assert_eq!((first, body[2]), (0x90, qos), "SUBACK");
        Ok(())
    }

    /// The next PUBLISH with a packet id: first byte, topic, payload.
    pub fn message(&mut self) -> Result<(u8, String, Vec<u8>)> {
        let (first, body) = self.packet()?;
        assert_eq!(first & 0xf0, 0x30, "PUBLISH");
        let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
        let topic = String::from_utf8_lossy(&body[2..2 + length]).into_owned();
        Ok((first, topic, body[4 + length..].to_vec()))
    }

    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next packet: first byte and what follows the length.
    pub fn packet(&mut self) -> Result<(u8, Vec<u8>)> {
        let mut byte = [0];
        self.stream.read_exact(&mut byte)?;
        let first = byte[0];
        let mut length = 0usize;
        for shift in [0, 7, 14, 21] {
            self.stream.read_exact(&mut byte)?;
            length |= usize::from(byte[0] & 127) << shift;
            if byte[0] & 128 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((first, body))
    }

    /// The packet id of the next PUBACK.
    pub fn puback(&mut self) -> Result<u16> {
        let (first, body) = self.packet()?;
        assert_eq!(first, 0x40, "PUBACK");
        Ok(u16::from_be_bytes([body[0], body[1]]))
    }
}
