//! Clients that are just enough to load and to annoy a broker, byte by byte. That the broker speaks the protocols is for the real
//! clients to prove, in `clients`.

pub mod amqp;
pub mod http;
pub mod mqtt;
pub mod stomp;

use std::net::TcpStream;

use crate::support::PATIENCE;

/// Connects, with time-outs so that no test hangs.
pub fn connect(port: u16) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}
