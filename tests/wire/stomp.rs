//! STOMP 1.2, by hand.

use std::io::{BufRead, BufReader, Result, Write};
use std::net::TcpStream;

/// A connected client.
pub struct Stomp {
    reader: BufReader<TcpStream>,
}

/// A CONNECT as guest.
pub const CONNECT: &[u8] = b"CONNECT\naccept-version:1.2\nhost:/\nlogin:guest\npasscode:guest\n\n\0";

/// A persistent SEND that asks for a receipt.
pub fn send(queue: &str, receipt: &str, body: &str) -> Vec<u8> {
    format!("SEND\ndestination:/queue/{queue}\npersistent:true\nreceipt:{receipt}\n\n{body}\0").into_bytes()
}

impl Stomp {
    pub fn open(port: u16) -> Result<Self> {
        let mut client = Self { reader: BufReader::new(super::connect(port)?) };
        client.send(CONNECT)?;
        let frame = client.frame()?;
        assert!(frame.starts_with("CONNECTED\n"), "{frame}");
        Ok(client)
    }

    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    /// The next frame as text, without its NUL.
    pub fn frame(&mut self) -> Result<String> {
        let mut bytes = Vec::new();
        self.reader.read_until(0, &mut bytes)?;
        if bytes.pop() != Some(0) {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(String::from_utf8_lossy(&bytes).trim_start().to_owned())
    }

    /// The id of the next RECEIPT.
    pub fn receipt(&mut self) -> Result<String> {
        let frame = self.frame()?;
        assert!(frame.starts_with("RECEIPT\n"), "{frame}");
        let header = frame.lines().find_map(|line| line.strip_prefix("receipt-id:"));
        Ok(header.expect("an id").to_owned())
    }
}
