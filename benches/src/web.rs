//! WebSocket frames by hand, so that what a broker pays for them can be told from what the protocol in them costs.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use anyhow::{Result, bail};

/// Longest head of an answer to a handshake.
const HEAD_BYTES_MAX: usize = 4 << 10;
/// Longest header of a server's frame.
const HEADER_BYTES_MAX: usize = 10;

/// Where a broker speaks a protocol over WebSocket.
#[derive(Clone, Copy)]
pub struct Place {
    pub port: u16,
    pub path: &'static str,
}

/// A connection that has become a WebSocket.
///
/// # Errors
/// The broker does not want that.
pub fn connect(place: Place, protocol: &str) -> Result<TcpStream> {
    let Place { port, path } = place;
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n"
    )?;
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == HEAD_BYTES_MAX || stream.read(&mut byte)? == 0 {
            bail!("no end of an answer to the handshake");
        }
        head.extend(byte);
    }
    if !head.starts_with(b"HTTP/1.1 101 ") {
        bail!("no WebSocket: {}", String::from_utf8_lossy(&head));
    }
    Ok(stream)
}

/// A client's binary frame. Its mask is 0, which leaves the payload as it is; whoever reads it does not know and unmasks it.
pub fn frame(payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x82];
    match payload.len() {
        short @ ..=125 => bytes.push(0x80 | short as u8),
        middle @ ..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend((middle as u16).to_be_bytes());
        }
        long => {
            bytes.push(0x80 | 127);
            bytes.extend((long as u64).to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

/// Takes the headers of a server's frames out of what arrives.
#[derive(Default)]
pub struct Frames {
    header: Vec<u8>,
    /// What is still to come of a payload.
    left: usize,
}

impl Frames {
    /// Moves the payload to the beginning, and gives how much it is.
    pub fn strip(&mut self, bytes: &mut [u8]) -> usize {
        let (mut read, mut written) = (0, 0);
        while read < bytes.len() {
            if self.left == 0 {
                self.header.push(bytes[read]);
                read += 1;
                if let Some(length) = payload_bytes(&self.header) {
                    self.left = length;
                    self.header.clear();
                }
                continue;
            }
            let count = self.left.min(bytes.len() - read);
            bytes.copy_within(read..read + count, written);
            (read, written, self.left) = (read + count, written + count, self.left - count);
        }
        written
    }
}

/// What a whole header says of its payload's length.
fn payload_bytes(header: &[u8]) -> Option<usize> {
    debug_assert!(header.len() <= HEADER_BYTES_MAX);
    match (header, header.get(1)? & 0x7f) {
        ([_, _, high, low], 126) => Some(usize::from(u16::from_be_bytes([*high, *low]))),
        ([_, _, rest @ ..], 127) => Some(u64::from_be_bytes(rest.try_into().ok()?) as usize),
        (_, 126) => None,
        (_, short) => Some(short.into()),
    }
}
