//! MQTT 3.1.1 and a little of 5, by hand.

use std::io::{Read, Result, Write};
use std::net::TcpStream;

/// A connected client.
pub struct Mqtt {
    stream: TcpStream,
    /// Packets have properties.
    is_v5: bool,
}

/// A CONNECT of a clean session, as guest.
pub fn connect_packet(client_id: &str) -> Vec<u8> {
    connect_as(client_id, "guest", "guest")
}

/// The same as another user.
pub fn connect_as(client_id: &str, user: &str, password: &str) -> Vec<u8> {
    connect_with(client_id, 0xc2, user, password)
}

/// A CONNECT of a clean session without name and password.
fn connect_anonymous(client_id: &str) -> Vec<u8> {
    let mut body = b"\0\x04MQTT\x04\x02\0\0".to_vec();
    body.extend(u16::try_from(client_id.len()).expect("short").to_be_bytes());
    body.extend(client_id.as_bytes());
    packet(0x10, &body)
}

fn connect_with(client_id: &str, flags: u8, user: &str, password: &str) -> Vec<u8> {
    connect_body(4, &[flags, 0, 0], client_id, user, password)
}

/// A CONNECT of a session that stays.
pub fn connect_session(is_v5: bool, client_id: &str) -> Vec<u8> {
    if is_v5 {
        // Keep-alive 0; the session expires after an hour.
        return connect_body(5, &[0xc0, 0, 0, 5, 0x11, 0, 0, 0x0e, 0x10], client_id, "guest", "guest");
    }
    connect_with(client_id, 0xc0, "guest", "guest")
}

pub fn connect_body(level: u8, head: &[u8], client_id: &str, user: &str, password: &str) -> Vec<u8> {
    let mut body = b"\0\x04MQTT".to_vec();
    body.push(level);
    body.extend(head);
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

/// The packet id that an acknowledgement begins with.
pub fn packet_id(body: &[u8]) -> u16 {
    u16::from_be_bytes([body[0], body[1]])
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
        Self::open_as(port, client_id, "guest", "guest")
    }

    /// The same as another user.
    pub fn open_as(port: u16, client_id: &str, user: &str, password: &str) -> Result<Self> {
        let (client, answer) = Self::ask(port, &connect_as(client_id, user, password))?;
        assert_eq!(answer, [0, 0], "CONNACK");
        Ok(client)
    }

    /// The same without a name.
    pub fn open_anonymous(port: u16, client_id: &str) -> Result<Self> {
        let (client, answer) = Self::ask(port, &connect_anonymous(client_id))?;
        assert_eq!(answer, [0, 0], "CONNACK");
        Ok(client)
    }

    /// A connection of version 5 on which nothing was said yet.
    pub fn connected(port: u16) -> Result<Self> {
        Ok(Self { stream: super::connect(port)?, is_v5: true })
    }

    /// Connects with this CONNECT, and gives what the CONNACK says.
    pub fn ask(port: u16, connect: &[u8]) -> Result<(Self, Vec<u8>)> {
        let mut client = Self { stream: super::connect(port)?, is_v5: false };
        client.send(connect)?;
        let (first, answer) = client.packet()?;
        assert_eq!(first, 0x20, "CONNACK");
        Ok((client, answer))
    }

    /// Resumes or makes a session that stays; says whether it was there.
    pub fn open_session(port: u16, client_id: &str) -> Result<(Self, bool)> {
        Self::open_session_of(port, client_id, false)
    }

    /// The same with MQTT 5 or 3.1.1.
    pub fn open_session_of(port: u16, client_id: &str, is_v5: bool) -> Result<(Self, bool)> {
        let mut client = Self { stream: super::connect(port)?, is_v5 };
        client.send(&connect_session(is_v5, client_id))?;
        let (first, body) = client.packet()?;
        assert_eq!((first, body[1]), (0x20, 0), "CONNACK");
        Ok((client, body[0] == 1))
    }

    pub fn subscribe(&mut self, filter: &str, qos: u8) -> Result<()> {
        assert_eq!(self.ask_to_subscribe(filter, qos)?, qos, "SUBACK");
        Ok(())
    }

    /// Subscribes, and gives the code of the SUBACK.
    pub fn ask_to_subscribe(&mut self, filter: &str, qos: u8) -> Result<u8> {
        let mut body = vec![0, 1];
        body.extend(self.no_properties());
        body.extend(u16::try_from(filter.len()).expect("short").to_be_bytes());
        body.extend(filter.as_bytes());
        body.push(qos);
        self.send(&packet(0x82, &body))?;
        let (first, body) = self.packet()?;
        assert_eq!(first, 0x90, "SUBACK");
        Ok(*body.last().expect("a code"))
    }

    /// The next PUBLISH with a packet id: first byte, topic, payload.
    pub fn message(&mut self) -> Result<(u8, String, Vec<u8>)> {
        let (first, body) = self.packet()?;
        assert_eq!(first & 0xf0, 0x30, "PUBLISH");
        let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
        let topic = String::from_utf8_lossy(&body[2..2 + length]).into_owned();
        Ok((first, topic, body[4 + length..].to_vec()))
    }

    fn no_properties(&self) -> Option<u8> {
        self.is_v5.then_some(0)
    }

    /// Another handle of the connection, to end it from elsewhere.
    pub fn handle(&self) -> Result<TcpStream> {
        self.stream.try_clone()
    }

    /// Sends a QoS 2 PUBLISH, for the first time or again.
    pub fn publish_once(&mut self, topic: &str, (packet_id, again): (u16, bool), payload: &[u8]) -> Result<()> {
        let properties = self.no_properties();
        let payload: Vec<u8> = properties.into_iter().chain(payload.iter().copied()).collect();
        self.send(&publish_with(if again { 0x3c } else { 0x34 }, topic, packet_id, &payload))
    }

    /// Sends a PUBREC, PUBREL or PUBCOMP.
    pub fn acknowledge(&mut self, first: u8, packet_id: u16) -> Result<()> {
        self.send(&packet(first, &packet_id.to_be_bytes()))
    }

    /// Packet id and payload of a PUBLISH with QoS 1 or 2 and no properties of more than 127 bytes.
    pub fn parse_publish(&self, body: &[u8]) -> (u16, Vec<u8>) {
        let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
        let rest = &body[2 + length..];
        let properties = if self.is_v5 { 1 + usize::from(rest[2]) } else { 0 };
        (packet_id(rest), rest[2 + properties..].to_vec())
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
