//! HTTP/1.1 with a connection that is kept, by hand.

use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::TcpStream;

/// Sends bytes on a connection of their own, and gives all that is said until it ends.
pub fn exchange(port: u16, bytes: &[u8]) -> Result<String> {
    let mut stream = super::connect(port)?;
    stream.write_all(bytes)?;
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard)?;
    Ok(String::from_utf8_lossy(&heard).into_owned())
}

/// A connection.
pub struct Http {
    reader: BufReader<TcpStream>,
}

impl Http {
    pub fn open(port: u16) -> Result<Self> {
        Ok(Self { reader: BufReader::new(super::connect(port)?) })
    }

    /// Over a connection on which something was said already.
    pub fn over(stream: TcpStream) -> Self {
        Self { reader: BufReader::new(stream) }
    }

    /// A call to the management API as this user (base64 of name and password).
    pub fn get_as(&mut self, login: &str, path: &str) -> Result<(u16, String)> {
        self.send_as(login, "GET", path, "")
    }

    /// The same with another method and a JSON body.
    pub fn send_as(&mut self, login: &str, method: &str, path: &str, body: &str) -> Result<(u16, String)> {
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Basic {login}\r\ncontent-type: \
             application/json\r\ncontent-length: {length}\r\n"
        );
        self.reader.get_mut().write_all(head.as_bytes())?;
        self.finish(body)
    }

    /// Sends a request; gives the status and the body.
    pub fn request(&mut self, head: &str, body: &str) -> Result<(u16, String)> {
        let length = body.len();
        let bytes = format!("{head} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n");
        self.reader.get_mut().write_all(bytes.as_bytes())?;
        self.finish(body)
    }

    /// A call to the management API as the user of development mode, with a JSON body.
    pub fn manage(&mut self, method: &str, path: &str, body: &str) -> Result<(u16, String)> {
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\ncontent-type: \
             application/json\r\ncontent-length: {length}\r\n"
        );
        self.reader.get_mut().write_all(head.as_bytes())?;
        self.finish(body)
    }

    /// An AWS JSON 1.0 call to SQS.
    pub fn sqs(&mut self, action: &str, body: &str) -> Result<(u16, String)> {
        let length = body.len();
        let head = format!(
            "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-amz-json-1.0\r\nx-amz-target: \
             AmazonSQS.{action}\r\ncontent-length: {length}\r\n"
        );
        self.reader.get_mut().write_all(head.as_bytes())?;
        self.finish(body)
    }

    /// An AWS Query call to SNS.
    pub fn sns(&mut self, form: &str) -> Result<(u16, String)> {
        let length = form.len();
        let head = format!(
            "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\n"
        );
        self.reader.get_mut().write_all(head.as_bytes())?;
        self.finish(form)
    }

    fn finish(&mut self, body: &str) -> Result<(u16, String)> {
        self.reader.get_mut().write_all(format!("\r\n{body}").as_bytes())?;
        let status = self.line()?;
        let status = status.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        let mut length = 0;
        loop {
            let line = self.line()?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut bytes = vec![0; length];
        self.reader.read_exact(&mut bytes)?;
        Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}
