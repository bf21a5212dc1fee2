//! Two ends of a connection under virtual time: no ports, no sleeps, no flakes.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::output::Close;
use crate::{Command, Event, Instant, Machine, Now, Output, UnixMillis};

/// Whoever stands behind one end: the core behind a broker's machine, an application behind a client's.
pub trait Peer {
    /// Answers one command with events.
    fn command(&mut self, now: Now, command: Command) -> Vec<Event>;
}

impl<F: FnMut(Now, Command) -> Vec<Event>> Peer for F {
    fn command(&mut self, now: Now, command: Command) -> Vec<Event> {
        self(now, command)
    }
}

struct End<M, P> {
    machine: M,
    peer: P,
    input: BytesMut,
    in_flight: VecDeque<(Instant, Bytes)>,
    close: Option<Close>,
}

/// Two machines joined by a wire of a given latency.
pub struct Link<A, PA, B, PB> {
    /// The virtual time.
    pub now: Now,
    /// Time that bytes need from one end to the other, in milliseconds.
    pub latency_ms: u64,
    a: End<A, PA>,
    b: End<B, PB>,
}

impl<A: Machine, PA: Peer, B: Machine, PB: Peer> Link<A, PA, B, PB> {
    /// Joins two machines, each with whoever stands behind it. Nothing has happened yet.
    pub fn new(a: A, behind_a: PA, b: B, behind_b: PB) -> Self {
        let now = Now { instant: Instant(1), unix: UnixMillis(1_700_000_000_000) };
        Self { now, latency_ms: 1, a: End::new(a, behind_a), b: End::new(b, behind_b) }
    }

    /// Lets `act` drive one end directly, as its application would.
    pub fn drive_a(&mut self, act: impl FnOnce(&mut A, Now, &mut Output)) {
        let mut output = Output::default();
        act(&mut self.a.machine, self.now, &mut output);
        let arrival = self.now.instant.after_ms(self.latency_ms);
        self.a.drain(self.now, output, &mut self.b.in_flight, arrival);
    }

    /// Moves to the next thing that happens: an arrival or a deadline. False when nothing ever will.
    pub fn step(&mut self) -> bool {
        let next = [self.a.next(), self.b.next()].into_iter().flatten().min();
        let Some(at) = next else { return false };
        self.advance_to(at);
        let arrival = self.now.instant.after_ms(self.latency_ms);
        self.a.run(self.now, &mut self.b.in_flight, arrival);
        self.b.run(self.now, &mut self.a.in_flight, arrival);
        true
    }

    /// Steps until nothing happens within `ms` milliseconds of virtual time from now.
    pub fn run_for_ms(&mut self, ms: u64) {
        let end = self.now.instant.after_ms(ms);
        while [self.a.next(), self.b.next()].into_iter().flatten().min().is_some_and(|at| at <= end) {
            self.step();
        }
        self.advance_to(end);
    }

    /// The first machine and whoever stands behind it.
    pub fn a(&mut self) -> (&mut A, &mut PA) {
        (&mut self.a.machine, &mut self.a.peer)
    }

    /// The second machine and whoever stands behind it.
    pub fn b(&mut self) -> (&mut B, &mut PB) {
        (&mut self.b.machine, &mut self.b.peer)
    }

    /// How each end was closed, if it was.
    pub fn closes(&self) -> (Option<&Close>, Option<&Close>) {
        (self.a.close.as_ref(), self.b.close.as_ref())
    }

    fn advance_to(&mut self, instant: Instant) {
        let instant = instant.max(self.now.instant);
        self.now = Now { instant, unix: self.now.unix_at(instant) };
    }
}

impl<M: Machine, P: Peer> End<M, P> {
    fn new(machine: M, peer: P) -> Self {
        Self { machine, peer, input: BytesMut::new(), in_flight: VecDeque::new(), close: None }
    }

    fn next(&self) -> Option<Instant> {
        if self.close.is_some() {
            return None;
        }
        [self.in_flight.front().map(|(at, _)| *at), self.machine.deadline()].into_iter().flatten().min()
    }

    fn run(&mut self, now: Now, wire: &mut VecDeque<(Instant, Bytes)>, arrival: Instant) {
        let mut arrived = false;
        while self.in_flight.front().is_some_and(|(at, _)| *at <= now.instant) {
            if let Some((_, bytes)) = self.in_flight.pop_front() {
                self.input.extend_from_slice(&bytes);
                arrived = true;
            }
        }
        if self.close.is_some() {
            return;
        }
        let mut output = Output::default();
        if arrived {
            self.machine.receive(now, &mut self.input, &mut output);
        }
        if output.close.is_none() && self.machine.deadline().is_some_and(|at| at <= now.instant) {
            self.machine.timeout(now, &mut output);
        }
        self.drain(now, output, wire, arrival);
    }

    fn drain(&mut self, now: Now, mut output: Output, wire: &mut VecDeque<(Instant, Bytes)>, arrival: Instant) {
        let mut commands: VecDeque<Command> = output.commands.drain(..).collect();
        while let Some(command) = commands.pop_front() {
            for event in self.peer.command(now, command) {
                if output.close.is_none() {
                    self.machine.handle(now, event, &mut output);
                }
            }
            commands.extend(output.commands.drain(..));
        }
        let bytes = output.bytes.take_all();
        if !bytes.is_empty() {
            wire.push_back((arrival, bytes));
        }
        self.close = self.close.take().or(output.close);
    }
}
