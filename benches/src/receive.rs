//! The consuming side: one thread for all consumers.

use std::io::{ErrorKind, Write as _};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::inbox::READ_BYTES;
use crate::latency::Histogram;
use crate::ready::Ready;
use crate::shared::Shared;
use crate::wire::{Acks, Ear, Event};

/// A thread looks this often whether it is over.
const LOOK: Duration = Duration::from_millis(100);

/// A consumer's connection.
pub struct Receiver {
    stream: TcpStream,
    ear: Ear,
    acks: Acks,
    is_readable: bool,
}

impl Receiver {
    pub fn new(stream: TcpStream, ear: Ear, acks: Acks) -> Self {
        Self { stream, ear, acks, is_readable: true }
    }

    /// Reads once and gives the messages; all of one read have arrived at the same time.
    fn hear(&mut self, shared: &Shared, latencies: Option<&mut Histogram>) -> Result<u64> {
        match self.ear.inbox().read(&mut self.stream)? {
            Some(0) => bail!("the broker hung up on a consumer"),
            // A stream that gives less than there was room for is empty: the next bytes are told.
            Some(count) => self.is_readable = count >= READ_BYTES,
            None => self.is_readable = false,
        }
        match latencies.filter(|_| shared.measuring.load(Ordering::Relaxed)) {
            Some(latencies) => {
                let now = shared.start.elapsed();
                Ok(self.take(|body| latencies.add(Shared::age(now, body).unwrap_or_default())))
            }
            None => Ok(self.take(|_| {})),
        }
    }

    #[inline]
    fn take(&mut self, mut each: impl FnMut(&[u8])) -> u64 {
        let mut messages = 0;
        while let Some(event) = self.ear.next() {
            match event {
                Event::Message { tag, body } => {
                    messages += 1;
                    each(body);
                    self.acks.add(tag);
                }
                Event::Answer(answer) => self.acks.bytes.extend_from_slice(&answer),
                _ => {}
            }
        }
        messages
    }

    /// Writes what can be written now.
    fn acknowledge(&mut self) -> Result<()> {
        if self.acks.bytes.is_empty() {
            return Ok(());
        }
        match self.stream.write(&self.acks.bytes) {
            Ok(count) => drop(self.acks.bytes.drain(..count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error).context("acknowledging"),
        }
        Ok(())
    }
}

/// Consumes until it is over, and gives the latencies if the messages carry stamps.
///
/// # Errors
/// The broker hangs up.
pub fn run(shared: &Shared, mut receivers: Vec<Receiver>, are_stamped: bool) -> Result<Histogram> {
    let (mut ready, mut latencies) = (Ready::new()?, Histogram::default());
    for (number, receiver) in receivers.iter().enumerate() {
        ready.watch(&receiver.stream, number, false)?;
    }
    // Those that are to be read: numbers of receivers.
    let (mut turn, mut next) = ((0..receivers.len()).collect::<Vec<usize>>(), Vec::new());
    while !shared.is_over() {
        for number in turn.drain(..) {
            let receiver = &mut receivers[number];
            let messages = receiver.hear(shared, are_stamped.then_some(&mut latencies))?;
            shared.consumed.fetch_add(messages, Ordering::Relaxed);
            receiver.acknowledge()?;
            if receiver.is_readable || !receiver.acks.bytes.is_empty() {
                next.push(number);
            }
        }
        std::mem::swap(&mut turn, &mut next);
        let most = if turn.is_empty() { LOOK } else { Duration::ZERO };
        ready.wait(most, |number, _, _| {
            if !receivers[number].is_readable {
                receivers[number].is_readable = true;
                turn.push(number);
            }
        })?;
    }
    Ok(latencies)
}
