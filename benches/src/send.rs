//! The publishing side: one thread for all publishers.

use std::io::{ErrorKind, Write as _};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::block::Block;
use crate::confirms::Confirms;
use crate::inbox::READ_BYTES;
use crate::ready::Ready;
use crate::server::pause;
use crate::shared::Shared;
use crate::wire::{Ear, Event};

/// What is due is sent at most this often, so that a high rate is not one write for each message: on a machine of two cores, a client
/// that spins would measure how the broker gets along without a core.
const TICK: Duration = Duration::from_micros(100);
/// Waiting for the consumer.
const WAIT: Duration = Duration::from_micros(50);
/// A thread looks this often whether it is over.
const LOOK: Duration = Duration::from_millis(100);

/// A publisher's connection.
pub struct Sender {
    stream: TcpStream,
    ear: Ear,
    block: Block,
    /// Messages a second; `None` is as fast as it goes.
    rate: Option<f64>,
    unconfirmed_max: Option<u64>,
    confirms: Confirms,
    sent: u64,
    /// What has to be said before the next message.
    answers: Vec<u8>,
    /// What is written of the block, and what is to be.
    at: usize,
    to: usize,
    is_readable: bool,
    is_writable: bool,
}

impl Sender {
    pub fn new(stream: TcpStream, ear: Ear, block: Block, rate: Option<f64>, unconfirmed_max: Option<u64>) -> Self {
        let confirms = Confirms::default();
        let (sent, at, to, is_readable, is_writable) = (0, 0, 0, true, true);
        let answers = Vec::new();
        Self { stream, ear, block, rate, unconfirmed_max, confirms, sent, answers, at, to, is_readable, is_writable }
    }

    /// Reads what the broker says, once.
    fn hear(&mut self) -> Result<bool> {
        if !self.is_readable {
            return Ok(false);
        }
        match self.ear.inbox().read(&mut self.stream)? {
            Some(0) => bail!("the broker hung up on a publisher"),
            // A stream that gives less than there was room for is empty: the next bytes are told.
            Some(count) => self.is_readable = count >= READ_BYTES,
            None => self.is_readable = false,
        }
        while let Some(event) = self.ear.next() {
            match event {
                Event::Confirmed { tag, multiple } => self.confirms.add(tag, multiple),
                Event::Acknowledged => self.confirms.add_next(),
                Event::Answer(answer) => self.answers.extend_from_slice(&answer),
                _ => {}
            }
        }
        Ok(true)
    }

    /// How long what is due waits for more at that rate: never for much of what may be unconfirmed.
    fn tick(&self, rate: f64) -> Duration {
        if rate <= 5_000.0 {
            return Duration::ZERO;
        }
        let window = self.unconfirmed_max.map(|most| Duration::from_secs_f64(most as f64 / 8.0 / rate));
        window.map_or(TICK, |window| window.min(TICK))
    }

    /// Messages that are due: at a high rate, up to the last tick.
    fn due(&self, rate: f64, now: Duration) -> u64 {
        let tick = self.tick(rate).as_nanos().max(1);
        let now = Duration::from_nanos((now.as_nanos() / tick * tick) as u64);
        (now.as_secs_f64() * rate) as u64
    }

    /// Messages that may be sent now.
    fn room(&self, shared: &Shared, now: Duration) -> u64 {
        let pace = match self.rate {
            Some(rate) => self.due(rate, now).saturating_sub(self.sent),
            None => shared.room(),
        };
        let Some(most) = self.unconfirmed_max else { return pace };
        let unconfirmed = most - (self.sent - self.confirms.count());
        // One write for many: single confirms do not lead to single messages.
        if self.rate.is_none() && unconfirmed < most / 8 { 0 } else { pace.min(unconfirmed) }
    }

    /// Chooses the next messages to write.
    fn choose(&mut self, shared: &Shared, now: Duration) {
        if self.at == self.block.bytes.len() {
            self.at = 0;
        }
        let range = self.block.some(self.at, self.room(shared, now));
        self.to = range.end;
        for at in range.clone().step_by(self.block.one).filter(|_| self.rate.is_some()) {
            let intended = self.sent + ((at - range.start) / self.block.one) as u64 + 1;
            let moment = Duration::from_secs_f64(intended as f64 / self.rate.unwrap_or(1.0));
            self.block.stamp(at, Shared::stamp(moment));
        }
        let count = (range.len() / self.block.one) as u64;
        self.sent += count;
        shared.published.fetch_add(count, Ordering::Relaxed);
    }

    /// Writes what can be written now, between two messages.
    fn answer(&mut self) -> Result<bool> {
        match self.stream.write(&self.answers) {
            Ok(count) => drop(self.answers.drain(..count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.is_writable = false,
            Err(error) => return Err(error).context("answering"),
        }
        Ok(true)
    }

    fn write(&mut self, shared: &Shared, now: Duration) -> Result<bool> {
        if !self.is_writable {
            return Ok(false);
        }
        if !self.answers.is_empty() && self.at.is_multiple_of(self.block.one) {
            return self.answer();
        }
        if self.at == self.to {
            self.choose(shared, now);
        }
        if self.at == self.to {
            return Ok(false);
        }
        match self.stream.write(&self.block.bytes[self.at..self.to]) {
            Ok(count) => self.at += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.is_writable = false,
            Err(error) => return Err(error).context("publishing"),
        }
        Ok(true)
    }

    /// How long it has nothing to do unless the broker says something: `None` until then.
    fn idle(&self, now: Duration) -> Option<Duration> {
        if !self.is_writable {
            return None;
        }
        match (self.rate, self.unconfirmed_max) {
            (_, Some(most)) if self.sent - self.confirms.count() > most - (most / 8).max(1) => None,
            (Some(rate), _) => {
                let due = Duration::from_secs_f64((self.sent + 1) as f64 / rate);
                Some(due.saturating_sub(now).max(self.tick(rate)))
            }
            (None, _) => Some(WAIT),
        }
    }
}

/// Publishes until it is over.
///
/// # Errors
/// The broker hangs up.
pub fn run(shared: &Shared, mut senders: Vec<Sender>) -> Result<()> {
    let mut ready = Ready::new()?;
    for (number, sender) in senders.iter().enumerate() {
        ready.watch(&sender.stream, number, true)?;
    }
    while !shared.is_over() {
        let now = shared.start.elapsed();
        let mut has_worked = false;
        for sender in &mut senders {
            has_worked |= sender.hear()?;
            has_worked |= sender.write(shared, now)?;
        }
        if !has_worked {
            let idle = senders.iter().filter_map(|sender| sender.idle(now)).min();
            idle.inspect(|idle| pause((*idle).min(LOOK)));
            ready.wait(if idle.is_some() { Duration::ZERO } else { LOOK }, |number, is_readable, is_writable| {
                senders[number].is_readable |= is_readable;
                senders[number].is_writable |= is_writable;
            })?;
        }
    }
    Ok(())
}
