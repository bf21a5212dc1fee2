//! A connection whose peer is the fuzzer, driven as `src/net/driver.rs` does.

use std::collections::VecDeque;

use bytes::BytesMut;
use crossdock_common::event::Principal;
use crossdock_common::{Command, Event, Instant, Machine, Now, Output, UnixMillis};
use crossdock_core::{Client, Execution, cost_bytes};
use crossdock_instructions::world::{NOW, World};

/// A machine with the whole core behind it.
pub struct Peer {
    machine: Box<dyn Machine>,
    /// `None` once the connection is over.
    client: Option<Client>,
    now: Now,
    input: BytesMut,
    output: Output,
    commands: VecDeque<Command>,
    events: VecDeque<Event>,
}

impl Peer {
    /// A connection that has not said anything.
    pub fn new(world: &World, machine: Box<dyn Machine>) -> Self {
        Self {
            machine,
            client: Some(world.connect()),
            now: NOW,
            input: BytesMut::new(),
            output: Output::default(),
            commands: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Bytes arrive, as many at a time as the machine lets the driver hold.
    pub fn hear(&mut self, world: &World, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.client.is_some() {
            let room = self.machine.input_bytes_max().saturating_sub(self.input.len());
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.input.extend_from_slice(now);
            let before = self.input.len();
            self.round(world);
            if now.is_empty() && self.input.len() == before {
                // The machine waits for the core, which has nothing more to say: nothing more is read.
                return;
            }
            bytes = later;
        }
    }

    /// Time passes.
    pub fn wait(&mut self, world: &World, ms: u64) {
        self.now = Now { instant: Instant(self.now.instant.0 + ms * 1_000), unix: UnixMillis(self.now.unix.0 + ms) };
        world.tick(self.now);
        if self.client.is_some() && self.machine.deadline().is_some_and(|at| at <= self.now.instant) {
            self.machine.timeout(self.now, &mut self.output);
        }
        self.round(world);
    }

    /// The peer hangs up without a goodbye.
    pub fn hang_up(&mut self, world: &World) {
        if self.client.is_some() {
            self.machine.end(self.now, &mut self.output);
            self.end(world);
        }
    }

    fn round(&mut self, world: &World) {
        if self.client.is_some() {
            self.machine.receive(self.now, &mut self.input, &mut self.output);
        }
        while self.execute(world) || self.handle_events() {}
        let _ = self.output.bytes.take_all();
        if self.output.close.take().is_some() {
            self.end(world);
        }
    }

    /// True if the core was asked something.
    fn execute(&mut self, world: &World) -> bool {
        let Some(client) = &mut self.client else { return false };
        self.commands.extend(self.output.commands.drain(..));
        let waiting = self.commands.len();
        while let Execution::Authenticate { request, .. } = client.execute(self.now, &mut self.commands) {
            client.authenticated(request, Principal { name: "guest".into(), tags: Vec::new() });
        }
        world.make_durable();
        client.take_events(self.now, &mut self.events);
        self.commands.len() < waiting
    }

    /// True if the core had something to say.
    fn handle_events(&mut self) -> bool {
        let had_some = !self.events.is_empty();
        let mut written_bytes = 0;
        while let Some(event) = self.events.pop_front() {
            written_bytes += cost_bytes(&event);
            if self.output.close.is_none() {
                self.machine.handle(self.now, event, &mut self.output);
            }
        }
        if let Some(client) = &mut self.client {
            client.written(self.now, written_bytes);
        }
        if had_some && !self.input.is_empty() && self.output.close.is_none() {
            self.machine.receive(self.now, &mut self.input, &mut self.output);
        }
        had_some
    }

    fn end(&mut self, world: &World) {
        let Some(mut client) = self.client.take() else { return };
        self.commands.extend(self.output.commands.drain(..));
        client.finish(self.now, &mut self.commands);
        client.close(self.now);
        world.make_durable();
    }
}
