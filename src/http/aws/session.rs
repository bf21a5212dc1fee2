//! One request's connection to the core.

use std::collections::VecDeque;
use std::sync::Arc;

use crossdock_aws::{Call, Response};
use crossdock_common::event::Principal;
use crossdock_common::{Command, Event, Name, Now, RequestId};
use crossdock_core::Client;

use super::turn::Turn;
use crate::broker::{Bell, Engine};
use crate::telemetry::Protocol;

/// A client of the core that is closed however the request ends: a long poll whose peer is gone takes no message.
pub(super) struct Session {
    engine: Arc<Engine>,
    client: Option<Client>,
    bell: Arc<Bell>,
    commands: VecDeque<Command>,
    events: VecDeque<Event>,
}

impl Session {
    /// On behalf of a user.
    pub(super) fn new(engine: Arc<Engine>, user: &Name) -> Self {
        let bell = Arc::new(Bell::default());
        let mut client = engine.connect(bell.clone().into());
        client.exempt();
        client.authenticated(RequestId(0), Principal { name: user.clone(), tags: Vec::new() });
        Self { engine, client: Some(client), bell, commands: VecDeque::new(), events: VecDeque::new() }
    }

    /// Carries the call to its response.
    pub(super) async fn run(&mut self, call: &mut Call) -> Response {
        let engine = self.engine.clone();
        Turn::wait(move || engine.wake_journals()).await.take(|| self.step(call));
        loop {
            if let Some(response) = call.response() {
                return response;
            }
            self.bell.heard().await;
            self.step(call);
        }
    }

    fn step(&mut self, call: &mut Call) {
        let now = self.engine.clock.now();
        if self.client.as_ref().is_some_and(Client::must_leave) {
            call.leave();
        }
        self.round(now, call);
    }

    /// Lets call and core talk until both are silent.
    fn round(&mut self, now: Now, call: &mut Call) {
        let Some(client) = &mut self.client else { return };
        let counters = self.engine.metrics.protocol(Protocol::Aws);
        loop {
            let known = self.commands.len();
            call.commands(&mut self.commands).into_iter().for_each(|warrant| client.allow(warrant));
            counters.count_commands(self.commands.iter().skip(known));
            // What has to wait stays in the queue.
            let _ = client.execute(now, &mut self.commands);
            client.take_events(now, &mut self.events);
            if self.events.is_empty() {
                return;
            }
            for event in self.events.drain(..) {
                counters.count_event(&event);
                call.handle(now, event);
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            client.close(self.engine.clock.now());
        }
    }
}
