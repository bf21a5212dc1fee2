//! Keep-alive connections, each with one request under way, served by one thread.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use rustix::event::{PollFd, PollFlags, poll};

use crate::inbox::Inbox;
use crate::latency::Histogram;

/// All connections to a broker.
pub struct Fleet {
    port: u16,
    connections: Vec<Connection>,
}

struct Connection {
    stream: TcpStream,
    inbox: Inbox,
    asked: Option<Instant>,
}

/// What comes after an answer.
pub trait Work {
    /// The next request of a connection, given the body of the answer to its last one; `None` if there is none for it any more.
    fn next(&mut self, connection: usize, answer: Option<&[u8]>) -> Option<&[u8]>;
}

impl Fleet {
    pub fn open(port: u16, count: usize) -> Result<Self> {
        Ok(Self { port, connections: (0..count).map(|_| Connection::open(port)).collect::<Result<_>>()? })
    }

    /// One request on the first connection.
    pub fn ask(&mut self, request: &[u8]) -> Result<Vec<u8>> {
        let mut once = Once { request: Some(request.to_vec()), sent: Vec::new(), answer: Vec::new() };
        self.drive(&mut once, &mut Histogram::default())?;
        Ok(once.answer)
    }

    /// Works until no connection has anything to do. Counts the answers' latencies.
    pub fn drive(&mut self, work: &mut impl Work, latencies: &mut Histogram) -> Result<()> {
        for (number, connection) in self.connections.iter_mut().enumerate() {
            connection.say(work.next(number, None))?;
        }
        while self.connections.iter().any(|connection| connection.asked.is_some()) {
            for number in self.ready()? {
                self.serve(number, work, latencies)?;
            }
        }
        Ok(())
    }

    fn ready(&self) -> Result<Vec<usize>> {
        let waiting = || self.connections.iter().enumerate().filter(|(_, connection)| connection.asked.is_some());
        let mut polled: Vec<_> =
            waiting().map(|(_, connection)| PollFd::new(&connection.stream, PollFlags::IN)).collect();
        poll(&mut polled, None)?;
        let is_ready = |polled: &PollFd<'_>| !polled.revents().is_empty();
        Ok(waiting().zip(&polled).filter(|(_, polled)| is_ready(polled)).map(|((number, _), _)| number).collect())
    }

    fn serve(&mut self, number: usize, work: &mut impl Work, latencies: &mut Histogram) -> Result<()> {
        let connection = &mut self.connections[number];
        let hung_up = connection.inbox.read(&mut connection.stream)? == Some(0);
        let Some(answer) = Answer::of(connection.inbox.rest())? else {
            if hung_up {
                bail!("the broker hung up in the middle of an answer");
            }
            return Ok(());
        };
        latencies.add(connection.asked.take().context("an answer without a question")?.elapsed());
        let Answer { head_bytes, body_bytes, closes } = answer;
        let next = work.next(number, Some(&connection.inbox.take(head_bytes + body_bytes)[head_bytes..]));
        if closes {
            *connection = Connection::open(self.port)?;
        }
        connection.say(next)
    }
}

impl Connection {
    fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, inbox: Inbox::default(), asked: None })
    }

    fn say(&mut self, request: Option<&[u8]>) -> Result<()> {
        let Some(request) = request else { return Ok(()) };
        self.asked = Some(Instant::now());
        self.stream.write_all(request).context("writing")
    }
}

/// Where an answer's parts are.
struct Answer {
    head_bytes: usize,
    body_bytes: usize,
    /// The connection ends with it.
    closes: bool,
}

impl Answer {
    /// The first answer in these bytes, if it is there as a whole.
    fn of(bytes: &[u8]) -> Result<Option<Self>> {
        let Some(head_bytes) = bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4) else {
            return Ok(None);
        };
        let head = std::str::from_utf8(&bytes[..head_bytes])?.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        let body_bytes: usize = length.context("an answer without a length")?;
        let Some(body) = bytes[head_bytes..].get(..body_bytes) else { return Ok(None) };
        if head.split_whitespace().nth(1) != Some("200") {
            bail!("{head}{}", String::from_utf8_lossy(body));
        }
        let closes = head.starts_with("http/1.0") || head.contains("\nconnection: close");
        Ok(Some(Self { head_bytes, body_bytes, closes }))
    }
}

struct Once {
    request: Option<Vec<u8>>,
    sent: Vec<u8>,
    answer: Vec<u8>,
}

impl Work for Once {
    fn next(&mut self, _: usize, answer: Option<&[u8]>) -> Option<&[u8]> {
        if let Some(answer) = answer {
            self.answer = answer.to_vec();
        }
        self.sent = self.request.take()?;
        Some(&self.sent)
    }
}
