//! One request's connection to the core, as its user: permissions are asked where every protocol asks.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crossdock_common::command::{Fetch, Outcome, Publish};
use crossdock_common::definition::Definition;
use crossdock_common::event::{Delivery, Principal, Reply};
use crossdock_common::names::DeliveryId;
use crossdock_common::{Command, Event, Lane, Message, Name, Refusal, RequestId};
use crossdock_core::Client;

use super::access::Visitor;
use super::answer::Failure;
use crate::broker::{Bell, Engine};
use crate::telemetry::{Protocol, ProtocolMetrics};

/// How long the core may take: a full disk keeps answers back.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// The number of a session's only publish.
const CONFIRM: u64 = 1;

/// A client of the core in one vhost. What it holds goes back when it is dropped.
pub(super) struct Session {
    engine: Arc<Engine>,
    client: Option<Client>,
    bell: Arc<Bell>,
    commands: VecDeque<Command>,
    events: VecDeque<Event>,
    last_request: u64,
    counters: ProtocolMetrics,
}

impl Session {
    /// Enters a vhost.
    ///
    /// # Errors
    /// It is not the visitor's.
    pub(super) async fn enter(engine: &Arc<Engine>, visitor: &Visitor, vhost: &Name) -> Result<Self, Failure> {
        let bell = Arc::new(Bell::default());
        let mut client = engine.connect(bell.clone().into());
        client.exempt();
        client.authenticated(RequestId(0), principal(visitor));
        let mut session = Self {
            engine: engine.clone(),
            client: Some(client),
            bell,
            commands: VecDeque::new(),
            events: VecDeque::new(),
            last_request: 0,
            counters: engine.metrics.protocol(Protocol::Management).clone(),
        };
        let vhost = vhost.clone();
        session.ask(|request| Command::Open { request, vhost }).await?;
        Ok(session)
    }

    /// Asks about or changes definitions.
    pub(super) async fn define(&mut self, definition: Definition) -> Result<Reply, Failure> {
        Ok(self.try_define(definition).await??)
    }

    /// The same, for callers who want to see why the core refuses.
    pub(super) async fn try_define(&mut self, definition: Definition) -> Result<Result<Reply, Refusal>, Failure> {
        let definition = Box::new(definition);
        self.request(|request| Command::Define { request, definition }).await
    }

    /// Removes what is ready in a queue.
    pub(super) async fn purge(&mut self, queue: Name) -> Result<(), Failure> {
        self.ask(|request| Command::Purge { request, queue, everything: false }).await.map(drop)
    }

    /// Publishes and waits until the message is safe; false if no queue took it.
    pub(super) async fn publish(&mut self, message: Message) -> Result<Result<bool, Refusal>, Failure> {
        let message = Arc::new(message);
        let (lane, confirm) = (Lane(0), Some(CONFIRM));
        let publish = Publish { lane, confirm, message, mandatory: true, retain: false, exactly_once: None };
        let mut routed = true;
        self.send(Command::Publish(publish), move |event| match event {
            Event::Unroutable { .. } => {
                routed = false;
                None
            }
            Event::Confirmed { .. } => Some(Ok(routed)),
            Event::Rejected { .. } => Some(Ok(false)),
            Event::PublishRefused { refusal, .. } => Some(Err(refusal)),
            _ => None,
        })
        .await
    }

    /// Takes one message, and says how many are left.
    pub(super) async fn fetch(&mut self, fetch: Fetch) -> Result<Result<Option<(Delivery, u64)>, Refusal>, Failure> {
        let fetch = Box::new(fetch);
        let request = self.next_request();
        self.send(Command::Fetch { request, fetch }, |event| match event {
            Event::Fetched { deliveries, ready, .. } => {
                Some(Ok(deliveries.into_iter().next().map(|delivery| (delivery, ready))))
            }
            Event::Reply { result: Err(refusal), .. } => Some(Err(refusal)),
            _ => None,
        })
        .await
    }

    /// Settles deliveries and waits until that is safe.
    pub(super) async fn settle(&mut self, deliveries: Vec<DeliveryId>, outcome: Outcome) -> Result<(), Failure> {
        self.ask(|request| Command::Settle { deliveries, outcome, request: Some(request) }).await.map(drop)
    }

    async fn ask(&mut self, make: impl FnOnce(RequestId) -> Command) -> Result<Reply, Failure> {
        Ok(self.request(make).await??)
    }

    async fn request(&mut self, make: impl FnOnce(RequestId) -> Command) -> Result<Result<Reply, Refusal>, Failure> {
        let request = self.next_request();
        self.send(make(request), |event| match event {
            Event::Reply { result, .. } => Some(result),
            _ => None,
        })
        .await
    }

    fn next_request(&mut self) -> RequestId {
        self.last_request += 1;
        RequestId(self.last_request)
    }

    /// Gives the core a command and waits for the event that answers it.
    async fn send<T>(&mut self, command: Command, mut answer: impl FnMut(Event) -> Option<T>) -> Result<T, Failure> {
        self.counters.count_commands([&command]);
        self.commands.push_back(command);
        let wait = async {
            loop {
                if let Some(found) = self.round(&mut answer) {
                    return found;
                }
                self.bell.heard().await;
            }
        };
        let busy = || Failure::unavailable("the broker does not answer: is its disk full?");
        tokio::time::timeout(ANSWER_TIME_MAX, wait).await.map_err(|_| busy())
    }

    fn round<T>(&mut self, answer: &mut impl FnMut(Event) -> Option<T>) -> Option<T> {
        let client = self.client.as_mut()?;
        let now = self.engine.clock.now();
        // What has to wait stays in the queue.
        let _ = client.execute(now, &mut self.commands);
        client.take_events(now, &mut self.events);
        let mut found = None;
        while let Some(event) = self.events.pop_front() {
            self.counters.count_event(&event);
            found = found.or_else(|| answer(event));
        }
        found
    }
}

/// Who the core sees.
pub(super) fn principal(visitor: &Visitor) -> Principal {
    let tags = visitor.tags.iter().map(|tag| Name::from(tag.as_str())).collect();
    Principal { name: visitor.name.clone(), tags }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            client.close(self.engine.clock.now());
        }
    }
}
