//! WebSocket by hand, with frames that no library would write.

use std::io::{Read, Result, Write};
use std::net::TcpStream;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A client after its handshake.
pub struct Web {
    pub stream: TcpStream,
}

/// A request for a WebSocket. Further headers end with line breaks.
pub fn request(path: &str, more: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: broker\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    )
}

/// The header that asks for a sub-protocol.
pub fn asking(sub_protocol: &str) -> String {
    format!("Sec-WebSocket-Protocol: {sub_protocol}\r\n")
}

/// A frame: its first byte, and the payload behind a mask.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match u16::try_from(payload.len()) {
        Ok(short @ ..=125) => bytes.push(0x80 | short as u8),
        Ok(wide) => {
            bytes.push(0x80 | 126);
            bytes.extend(wide.to_be_bytes());
        }
        Err(_) => {
            bytes.push(0x80 | 127);
            bytes.extend((payload.len() as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.into_iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// The head of an answer, to the empty line.
pub fn head(stream: &mut TcpStream) -> Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).to_lowercase())
}

/// What a request is answered with: the status, and the head.
pub fn ask(port: u16, request: &str) -> Result<(u16, String, TcpStream)> {
    let mut stream = super::connect(port)?;
    stream.write_all(request.as_bytes())?;
    let head = head(&mut stream)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Ok((status, head, stream))
}

impl Web {
    /// Shakes hands.
    pub fn open(port: u16, path: &str, sub_protocol: &str) -> Result<Self> {
        let (status, head, stream) = ask(port, &request(path, &asking(sub_protocol)))?;
        assert_eq!(status, 101, "{head}");
        assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"), "{head}");
        assert!(head.contains(&format!("sec-websocket-protocol: {sub_protocol}\r\n")), "{head}");
        Ok(Self { stream })
    }

    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next frame: its first byte and its payload.
    pub fn frame(&mut self) -> Result<(u8, Vec<u8>)> {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head)?;
        let mut wide = [0; 8];
        let length = match head[1] {
            126 => {
                self.stream.read_exact(&mut wide[6..])?;
                u64::from_be_bytes(wide)
            }
            127 => {
                self.stream.read_exact(&mut wide)?;
                u64::from_be_bytes(wide)
            }
            short => u64::from(short),
        };
        let mut payload = vec![0; usize::try_from(length).expect("it fits")];
        self.stream.read_exact(&mut payload)?;
        Ok((head[0], payload))
    }

    /// The payload of the next message.
    pub fn message(&mut self) -> Result<Vec<u8>> {
        let (first, payload) = self.frame()?;
        assert!(matches!(first, 0x81 | 0x82), "{first:x} {payload:?}");
        Ok(payload)
    }

    /// Reads to the close frame and gives its code, 0 if it has none; then to the end of the connection.
    pub fn closed_with(&mut self) -> Result<u16> {
        loop {
            let (first, payload) = self.frame()?;
            if first == 0x88 {
                self.stream.shutdown(std::net::Shutdown::Write)?;
                self.stream.read_to_end(&mut Vec::new())?;
                return Ok(payload.first_chunk().map_or(0, |code| u16::from_be_bytes(*code)));
            }
        }
    }
}
