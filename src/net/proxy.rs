//! The PROXY protocol, versions 1 and 2: a proxy says whose connection it passes on, ahead of everything else.
//!
//! Of version 2's additions (TLVs) none is looked at, not even what a proxy says of a client's certificate: whoever is to be let in by a
//! certificate shows it to the broker.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use ppp::{v1, v2};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::config::{Networks, Settings};

/// What tells the versions apart; no header is shorter.
const START_BYTES: usize = 12;
/// Version 2 up to the length of the rest.
const V2_HEAD_BYTES: usize = 16;
/// The longest header of version 1, with the end of its line.
const V1_BYTES_MAX: usize = 107;

/// Both ends of a connection, as they are to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    pub peer: SocketAddr,
    pub local: SocketAddr,
}

/// Why a proxy's connection is not served.
#[derive(Debug, thiserror::Error)]
pub(super) enum HeaderError {
    #[error("not one of listeners.trusted_proxies")]
    Untrusted,
    #[error("the header did not come in time")]
    Slow,
    #[error("no PROXY protocol header")]
    Missing,
    #[error("a header of {0} bytes is too long")]
    TooLong(usize),
    #[error("the header of version 1 is wrong: {0}")]
    V1(#[from] v1::BinaryParseError),
    #[error("the header of version 2 is wrong: {0}")]
    V2(#[from] v2::ParseError),
    #[error("it says that {0} connects from elsewhere")]
    Loopback(SocketAddr),
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
}

/// What a listener with `proxy_protocol` believes.
#[derive(Debug)]
pub(super) struct Proxies {
    trusted: Networks,
    timeout: Duration,
    header_bytes_max: usize,
}

impl Proxies {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            trusted: settings.listeners.trusted_proxies.clone(),
            timeout: settings.limits.handshake_timeout_ms.duration(),
            header_bytes_max: settings.limits.first_frame_bytes_max.as_usize(),
        }
    }

    /// Reads the header, and not a byte more. A proxy that speaks for itself (its health checks) keeps its own address.
    pub(super) async fn ends(&self, stream: &mut TcpStream, own: Ends) -> Result<Ends, HeaderError> {
        if !self.trusted.is_empty() && !self.trusted.contains(own.peer.ip()) {
            return Err(HeaderError::Untrusted);
        }
        let header = tokio::time::timeout(self.timeout, read_header(stream, self.header_bytes_max));
        let header = header.await.map_err(|_| HeaderError::Slow)??;
        match announced(&header)? {
            None => Ok(own),
            // Some users may come from loopback addresses only: nobody becomes one of them by saying so from elsewhere.
            Some(ends) if is_loopback(ends.peer) && !is_loopback(own.peer) => Err(HeaderError::Loopback(ends.peer)),
            Some(ends) => Ok(ends),
        }
    }
}

fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

async fn read_header(stream: &mut TcpStream, bytes_max: usize) -> Result<Vec<u8>, HeaderError> {
    let mut header = vec![0; START_BYTES];
    read(stream, &mut header).await?;
    if header == v2::PROTOCOL_PREFIX {
        read_more(stream, &mut header, V2_HEAD_BYTES).await?;
        let rest = usize::from(u16::from_be_bytes([header[14], header[15]]));
        if V2_HEAD_BYTES + rest > bytes_max {
            return Err(HeaderError::TooLong(V2_HEAD_BYTES + rest));
        }
        read_more(stream, &mut header, V2_HEAD_BYTES + rest).await?;
    } else if header.starts_with(v1::PROTOCOL_PREFIX.as_bytes()) {
        read_line(stream, &mut header).await?;
    } else {
        return Err(HeaderError::Missing);
    }
    Ok(header)
}

/// The rest of a line, looked at before it is taken, since what follows is not ours.
async fn read_line(stream: &mut TcpStream, header: &mut Vec<u8>) -> Result<(), HeaderError> {
    let mut ahead = [0; V1_BYTES_MAX];
    while !header.ends_with(b"\n") {
        let room = V1_BYTES_MAX - header.len();
        if room == 0 {
            return Err(HeaderError::TooLong(V1_BYTES_MAX + 1));
        }
        let seen = stream.peek(&mut ahead[..room]).await?;
        let end = ahead[..seen].iter().position(|byte| *byte == b'\n').map_or(seen, |newline| newline + 1);
        // Nothing to be seen is the end of the stream: reading says so.
        read_more(stream, header, header.len() + end.max(1)).await?;
    }
    Ok(())
}

async fn read_more(stream: &mut TcpStream, header: &mut Vec<u8>, length: usize) -> Result<(), HeaderError> {
    let known = header.len();
    header.resize(length, 0);
    read(stream, &mut header[known..]).await
}

async fn read(stream: &mut TcpStream, into: &mut [u8]) -> Result<(), HeaderError> {
    match stream.read_exact(into).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(HeaderError::Missing),
        Err(error) => Err(error.into()),
    }
}

/// Whose connection it is; `None` if the proxy speaks for itself or does not know.
fn announced(header: &[u8]) -> Result<Option<Ends>, HeaderError> {
    if header.starts_with(v2::PROTOCOL_PREFIX) {
        return of_v2(&v2::Header::try_from(header)?);
    }
    Ok(match v1::Header::try_from(header)?.addresses {
        v1::Addresses::Tcp4(ends) => Some(Ends::of_v4(ends)),
        v1::Addresses::Tcp6(ends) => Some(Ends::of_v6(ends)),
        v1::Addresses::Unknown => None,
    })
}

fn of_v2(header: &v2::Header<'_>) -> Result<Option<Ends>, HeaderError> {
    if header.command == v2::Command::Local {
        return Ok(None);
    }
    Ok(match (header.addresses, header.protocol) {
        (v2::Addresses::IPv4(_) | v2::Addresses::IPv6(_), protocol) if protocol != v2::Protocol::Stream => {
            return Err(v2::ParseError::Protocol(protocol as u8).into());
        }
        (v2::Addresses::IPv4(ends), _) => Some(Ends::of_v4(ends)),
        (v2::Addresses::IPv6(ends), _) => Some(Ends::of_v6(ends)),
        (v2::Addresses::Unix(_) | v2::Addresses::Unspecified, _) => None,
    })
}

impl Ends {
    fn of_v4(ends: v1::IPv4) -> Self {
        Self {
            peer: (ends.source_address, ends.source_port).into(),
            local: (ends.destination_address, ends.destination_port).into(),
        }
    }

    fn of_v6(ends: v1::IPv6) -> Self {
        Self {
            peer: (ends.source_address, ends.source_port).into(),
            local: (ends.destination_address, ends.destination_port).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use crossdock_common::random::Random;

    use super::*;

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [v2::PROTOCOL_PREFIX, &[command, family], &length, rest].concat()
    }

    fn ends(peer: &str, local: &str) -> Ends {
        Ends { peer: peer.parse().unwrap(), local: local.parse().unwrap() }
    }

    #[test]
    fn headers_say_whose_connection_it_is() {
        let four = [192, 0, 2, 1, 10, 0, 0, 1, 0xc3, 0x50, 0x07, 0x5b];
        let mut six = [0; 36];
        (six[15], six[31], six[33], six[35]) = (1, 2, 9, 8);
        let known = Some(ends("192.0.2.1:50000", "10.0.0.1:1883"));
        for (header, expected) in [
            (b"PROXY TCP4 192.0.2.1 10.0.0.1 50000 1883\r\n".to_vec(), known),
            (b"PROXY TCP6 2001:db8::1 ::2 9 8\r\n".to_vec(), Some(ends("[2001:db8::1]:9", "[::2]:8"))),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff::1 ::2 9 8\r\n".to_vec(), None),
            (v2(0x21, 0x11, &four), known),
            // With additions: a name, and one that is cut.
            (v2(0x21, 0x11, &[&four[..], &[2, 0, 1, b'x', 0x20, 0xff]].concat()), known),
            (v2(0x21, 0x21, &six), Some(ends("[::1]:9", "[::2]:8"))),
            (v2(0x20, 0x11, &four), None),
            (v2(0x20, 0, &[]), None),
            (v2(0x21, 0, &[]), None),
            (v2(0x21, 0x31, &[b'x'; 216]), None),
        ] {
            assert_eq!(announced(&header).unwrap(), expected, "{header:?}");
        }
    }

    #[test]
    fn what_is_no_header_is_an_error() {
        for header in [
            b"PROXY TCP4 192.0.2.1 10.0.0.1 50000\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.256 10.0.0.1 1 1\r\n".to_vec(),
            b"PROXY TCP4 ::1 ::2 1 1\r\n".to_vec(),
            b"PROXY TCP6 192.0.2.1 10.0.0.1 1 1\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 10.0.0.1 65536 1\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 10.0.0.1 1 1 1\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 10.0.0.1 1 1\n".to_vec(),
            b"PROXY UDP4 192.0.2.1 10.0.0.1 1 1\r\n".to_vec(),
            b"PROXYTCP4 192.0.2.1 10.0.0.1 1 1\r\n".to_vec(),
            v2(0x31, 0x11, &[0; 12]),
            v2(0x22, 0x11, &[0; 12]),
            v2(0x21, 0x41, &[0; 12]),
            v2(0x21, 0x13, &[0; 12]),
            v2(0x21, 0x12, &[0; 12]),
            v2(0x21, 0x11, &[0; 11]),
            v2(0x21, 0x21, &[0; 35]),
            v2(0x21, 0x31, &[0; 215]),
        ] {
            announced(&header).expect_err("an error");
        }
    }

    #[test]
    fn random_bytes_are_survived() {
        let mut random = Random::from_seed(1);
        for _ in 0..20_000 {
            let length = random.next_u64() as usize % 64;
            let mut rest: Vec<u8> = (0..length).map(|_| random.next_u64() as u8).collect();
            let _ = announced(&v2(random.next_u64() as u8, random.next_u64() as u8, &rest));
            rest.splice(0..0, *b"PROXY TCP4 ");
            let _ = announced(&rest);
        }
    }
}
