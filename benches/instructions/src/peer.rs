//! One connection: machine and client, driven as `src/net/driver.rs` does, stage by stage.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use crossdock_common::event::Principal;
use crossdock_common::{Command, Event, Machine, Output};
use crossdock_core::{Client, Execution, cost_bytes};

use crate::world::{NOW, World};

/// The user of all connections.
pub const USER: &str = "guest";

/// A connection whose peer is the scenario.
pub struct Peer {
    machine: Box<dyn Machine>,
    client: Client,
    input: BytesMut,
    output: Output,
    commands: VecDeque<Command>,
    events: VecDeque<Event>,
    unwritten_cost_bytes: usize,
}

impl Peer {
    /// A connection that has not said anything.
    pub fn new(world: &World, machine: Box<dyn Machine>) -> Self {
        Self {
            machine,
            client: world.connect(),
            input: BytesMut::new(),
            output: Output::default(),
            commands: VecDeque::new(),
            events: VecDeque::new(),
            unwritten_cost_bytes: 0,
        }
    }

    /// Says something, waits until everybody is silent, and gives what was answered.
    pub fn talk(&mut self, world: &World, bytes: &[u8]) -> Bytes {
        self.hear(bytes);
        self.decode();
        loop {
            self.execute();
            world.make_durable();
            self.client.take_events(NOW, &mut self.events);
            if self.events.is_empty() && self.commands.is_empty() && self.output.commands.is_empty() {
                return self.written();
            }
            self.handle_events();
            if !self.input.is_empty() {
                self.decode();
            }
        }
    }

    /// Bytes arrive.
    pub fn hear(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// From bytes to commands.
    pub fn decode(&mut self) {
        self.machine.receive(NOW, &mut self.input, &mut self.output);
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
    }

    /// The core carries out the commands.
    pub fn execute(&mut self) {
        self.commands.extend(self.output.commands.drain(..));
        while let Execution::Authenticate { request, .. } = self.client.execute(NOW, &mut self.commands) {
            self.client.authenticated(request, Principal { name: USER.into(), tags: Vec::new() });
        }
    }

    /// From the core's events to bytes.
    pub fn encode(&mut self) {
        self.client.take_events(NOW, &mut self.events);
        self.handle_events();
    }

    fn handle_events(&mut self) {
        while let Some(event) = self.events.pop_front() {
            self.unwritten_cost_bytes += cost_bytes(&event);
            self.machine.handle(NOW, event, &mut self.output);
        }
    }

    /// The bytes are written to the peer, who gets them.
    pub fn written(&mut self) -> Bytes {
        assert_eq!(self.output.close, None, "the connection goes on");
        self.client.written(NOW, std::mem::take(&mut self.unwritten_cost_bytes));
        let written = Bytes::copy_from_slice(&self.output.bytes.buffer()[..]);
        assert_eq!(written.len(), self.output.bytes.len(), "no body is long enough to be linked");
        self.output.bytes.advance(written.len());
        written
    }
}
