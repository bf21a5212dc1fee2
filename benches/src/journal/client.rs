//! A publisher that counts what is unconfirmed, and a consumer that empties a queue.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};

use super::BODY_BYTES;
use crate::amqp::{self, Amqp, Heard};
use crate::confirms::Confirms;
use crate::server::pause;

/// Messages that a publisher may be ahead of a draining consumer.
const AHEAD_MAX: u64 = 20_000;

/// Publishes messages of 1 KiB to one queue, with confirms.
pub struct Publisher {
    amqp: Amqp,
    one: Vec<u8>,
    sent: u64,
    confirms: Confirms,
}

impl Publisher {
    /// Of messages that survive.
    pub fn open(port: u16, queue: &str) -> Result<Self> {
        Self::of(port, queue, true)
    }

    /// Of messages that need no disk.
    pub fn transient(port: u16, queue: &str) -> Result<Self> {
        Self::of(port, queue, false)
    }

    fn of(port: u16, queue: &str, persistent: bool) -> Result<Self> {
        let mut amqp = Amqp::open(port)?;
        amqp.select_confirms()?;
        let one = amqp::publish("", queue, persistent, &[b'x'; BODY_BYTES]);
        Ok(Self { amqp, one, sent: 0, confirms: Confirms::default() })
    }

    /// Publishes while `room` says how many more may be sent (`None` ends it), with at most `unconfirmed_max` in flight, and returns when all
    /// are confirmed. It waits for nothing but confirms.
    pub fn publish(&mut self, unconfirmed_max: u64, mut room: impl FnMut(u64) -> Option<u64>) -> Result<()> {
        let bytes = self.one.repeat(unconfirmed_max as usize);
        let first = self.sent;
        while let Some(room) = room(self.sent - first) {
            let count = room.min(unconfirmed_max - (self.sent - self.confirms.count()));
            self.amqp.stream.write_all(&bytes[..count as usize * self.one.len()])?;
            self.sent += count;
            if self.sent - self.confirms.count() > 0 {
                self.hear()?;
            }
        }
        while self.confirms.count() < self.sent {
            self.hear()?;
        }
        Ok(())
    }

    /// Publishes so many.
    pub fn publish_count(&mut self, count: u64, unconfirmed_max: u64) -> Result<()> {
        self.publish(unconfirmed_max, |sent| (sent < count).then(|| count - sent))
    }

    /// Publishes for a time, but not further ahead of `drainer` than it can take soon, and tells how many.
    pub fn publish_for(&mut self, time: Duration, unconfirmed_max: u64, drainer: Option<&Drainer>) -> Result<u64> {
        let (start, before) = (Instant::now(), self.sent);
        self.publish(unconfirmed_max, |sent| {
            while drainer.is_some_and(|drainer| drainer.is_behind(before + sent)) {
                pause(Duration::from_micros(100));
            }
            (start.elapsed() < time).then_some(unconfirmed_max)
        })?;
        Ok(self.sent - before)
    }

    fn hear(&mut self) -> Result<()> {
        if self.amqp.frames.inbox.read(&mut self.amqp.stream)? == Some(0) {
            bail!("the broker hung up on the publisher");
        }
        while let Some(heard) = self.amqp.frames.hear() {
            if let Heard::Ack { tag, multiple } = heard {
                self.confirms.add(tag, multiple);
            }
        }
        Ok(())
    }
}

/// A consumer with automatic acknowledgement that keeps a queue empty, in a thread of its own.
pub struct Drainer {
    consumed: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<()>>,
}

impl Drainer {
    pub fn open(port: u16, queue: &str) -> Result<Self> {
        let mut amqp = Amqp::open(port)?;
        amqp.consume(queue, true)?;
        amqp.stream.set_read_timeout(Some(Duration::from_millis(100)))?;
        let (consumed, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (counted, stopped) = (consumed.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                amqp.frames.inbox.read(&mut amqp.stream)?;
                let bodies = std::iter::from_fn(|| amqp.frames.hear().map(|heard| matches!(heard, Heard::Body(_))));
                counted.fetch_add(bodies.filter(|is_body| *is_body).count() as u64, Ordering::Relaxed);
            }
            Ok(())
        });
        Ok(Self { consumed, stop, thread })
    }

    fn is_behind(&self, sent: u64) -> bool {
        sent.saturating_sub(self.consumed.load(Ordering::Relaxed)) > AHEAD_MAX
    }

    pub fn end(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the consumer panicked"))?
    }
}

/// How a consumer acknowledges.
#[derive(Clone, Copy)]
pub enum Acknowledge {
    /// It need not.
    Automatic,
    /// Everything so far, after so many, with that prefetch.
    Multiple { every: u64, prefetch: u16 },
}

/// Takes so many messages out of a queue and gives the time from the first read to the last message.
pub fn drain(port: u16, queue: &str, count: u64, acknowledge: Acknowledge) -> Result<Duration> {
    let mut amqp = Amqp::open(port)?;
    if let Acknowledge::Multiple { prefetch, .. } = acknowledge {
        amqp.qos(prefetch)?;
    }
    let (start, mut bodies) = (Instant::now(), 0);
    amqp.consume(queue, matches!(acknowledge, Acknowledge::Automatic))?;
    let (mut last, mut acks) = (0, Vec::new());
    while bodies < count {
        while let Some(heard) = amqp.frames.hear() {
            match heard {
                Heard::Deliver { tag } => last = tag,
                Heard::Body(_) => bodies += 1,
                _ => continue,
            }
            if let (Acknowledge::Multiple { every, .. }, Heard::Body(_)) = (acknowledge, heard)
                && (bodies % every == 0 || bodies == count)
            {
                acks.extend(amqp::ack(last, true));
            }
        }
        amqp.stream.write_all(&acks)?;
        acks.clear();
        if bodies < count && amqp.frames.inbox.read(&mut amqp.stream)? == Some(0) {
            bail!("the broker hung up on the consumer after {bodies} messages");
        }
    }
    let time = start.elapsed();
    match amqp.ready(queue)? {
        0 => Ok(time),
        left => bail!("{left} messages are left after {bodies}"),
    }
}
