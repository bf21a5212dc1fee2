//! A connection of our own to the core.

use std::collections::VecDeque;
use std::sync::Arc;

use crossdock_common::command::{BoundedBy, Publish, Subscribe};
use crossdock_common::definition::Definition;
use crossdock_common::event::{Principal, Reply};
use crossdock_common::{Command, ConsumerId, Event, Lane, Message, Name, Refusal, RequestId, Table};
use crossdock_core::{Client, cost_bytes};

use crate::broker::{Bell, Engine};

/// The request that enters the vhost.
const OPEN: RequestId = RequestId(1);
const FIRST: u64 = 2;
/// The only consumer of a connection.
pub(super) const CONSUMER: ConsumerId = ConsumerId(1);

/// On whose behalf something is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Actor {
    /// A user, who has to have the permission.
    User(Name),
    /// The broker.
    Broker,
}

/// It is closed when it is dropped: what it holds goes back to its queue.
pub(super) struct Link {
    engine: Arc<Engine>,
    client: Client,
    bell: Arc<Bell>,
    commands: VecDeque<Command>,
    events: VecDeque<Event>,
    next: u64,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Published {
    /// It is safe.
    Confirmed,
    /// There is no such queue.
    Unroutable,
    /// Not now.
    Rejected(String),
}

impl Link {
    pub(super) fn open(engine: &Arc<Engine>, vhost: Name, actor: Actor) -> Self {
        let bell = Arc::new(Bell::default());
        let mut client = engine.connect(bell.clone().into());
        client.exempt();
        let name = match actor {
            Actor::User(name) => name,
            Actor::Broker => {
                client.trust();
                Name::from("crossdock")
            }
        };
        client.authenticated(RequestId(0), Principal { name, tags: Vec::new() });
        let open = Command::Open { request: OPEN, vhost };
        let engine = engine.clone();
        Self { engine, client, bell, commands: VecDeque::from([open]), events: VecDeque::new(), next: FIRST }
    }

    pub(super) fn push(&mut self, command: impl FnOnce(RequestId) -> Command) -> RequestId {
        let request = RequestId(self.next);
        self.next += 1;
        self.commands.push_back(command(request));
        request
    }

    /// Begins to consume a queue, with so many deliveries unsettled.
    pub(super) fn consume(&mut self, queue: Name, window: u32, arguments: Table) {
        let subscribe = Box::new(Subscribe {
            consumer: CONSUMER,
            lane: Lane(0),
            queue,
            presettled: false,
            exclusive: false,
            priority: 0,
            window,
            bounded_by: BoundedBy::Protocol,
            arguments,
        });
        self.push(|request| Command::Subscribe { request, subscribe });
    }

    /// Gives the core what it shall do. A refusal to enter is the last that is heard.
    ///
    /// # Errors
    /// The vhost may not be entered.
    pub(super) fn round(&mut self, heard: &mut Vec<Event>) -> Result<(), Refusal> {
        loop {
            let now = self.engine.clock.now();
            // What has to wait stays in the queue.
            let _ = self.client.execute(now, &mut self.commands);
            self.client.take_events(now, &mut self.events);
            if self.events.is_empty() {
                return Ok(());
            }
            let cost: usize = self.events.iter().map(cost_bytes).sum();
            for event in self.events.drain(..) {
                match event {
                    Event::Reply { request: OPEN, result: Err(refusal) } => return Err(refusal),
                    event => heard.push(event),
                }
            }
            self.client.written(now, cost);
        }
    }

    pub(super) fn must_leave(&self) -> bool {
        self.client.must_leave()
    }

    pub(super) async fn heard(&self) {
        self.bell.heard().await;
    }

    /// Carries out one change.
    ///
    /// # Errors
    /// The core's.
    pub(super) async fn define(&mut self, definition: Definition) -> Result<Reply, Refusal> {
        let asked = self.push(|request| Command::Define { request, definition: Box::new(definition) });
        let mut heard = Vec::new();
        loop {
            self.round(&mut heard)?;
            for event in heard.drain(..) {
                if let Event::Reply { request, result } = event
                    && request == asked
                {
                    return result;
                }
            }
            self.leave_or_wait().await?;
        }
    }

    /// Publishes a message and waits until it is safe.
    pub(super) async fn publish(&mut self, message: Message) -> Published {
        self.publish_all(vec![message]).await
    }

    /// Publishes messages in their order and waits until all are safe. One that is not is what became of all.
    pub(super) async fn publish_all(&mut self, messages: Vec<Message>) -> Published {
        let waiting = messages.len();
        for message in messages {
            let (confirm, message) = (Some(self.next), Arc::new(message));
            let (lane, mandatory, retain, exactly_once) = (Lane(0), false, false, None);
            self.push(|_| Command::Publish(Publish { lane, confirm, message, mandatory, retain, exactly_once }));
        }
        self.outcome_of(waiting).await
    }

    async fn outcome_of(&mut self, mut waiting: usize) -> Published {
        let mut heard = Vec::new();
        let mut outcome = Published::Confirmed;
        loop {
            if let Err(refusal) = self.round(&mut heard) {
                return Published::Rejected(refusal.to_string());
            }
            for event in heard.drain(..) {
                match event {
                    Event::Unroutable { .. } if outcome == Published::Confirmed => outcome = Published::Unroutable,
                    Event::Confirmed { confirms, .. } => waiting = waiting.saturating_sub(confirms.len()),
                    Event::Rejected { .. } => {
                        outcome = Published::Rejected("the queue is full".to_owned());
                        waiting = waiting.saturating_sub(1);
                    }
                    Event::PublishRefused { refusal, .. } => {
                        outcome = Published::Rejected(refusal.to_string());
                        waiting = waiting.saturating_sub(1);
                    }
                    _ => {}
                }
            }
            if waiting == 0 {
                return outcome;
            }
            if let Err(refusal) = self.leave_or_wait().await {
                return Published::Rejected(refusal.to_string());
            }
        }
    }

    async fn leave_or_wait(&self) -> Result<(), Refusal> {
        if self.must_leave() {
            return Err(Refusal::Unavailable("the broker is being stopped".to_owned()));
        }
        self.heard().await;
        Ok(())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.client.end(self.engine.clock.now());
    }
}
