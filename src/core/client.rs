//! One connection's view of the broker.

mod consume;
mod exactly_once;
mod publish;
mod reading;
mod searching;
mod session;
mod streams;

use std::collections::VecDeque;
use std::sync::Arc;

use crossdock_common::command::Credentials;
use crossdock_common::definition::Definition;
use crossdock_common::event::{Principal, Reply};
use crossdock_common::names::{ConnectionId, QueueId};
use crossdock_common::{Command, ConsumerId, Event, Lane, Name, Now, Refusal, RequestId, Warrant};
use hashbrown::{HashMap, HashSet};

use crate::broker::Broker;
use crate::broker::define::Caller;
use crate::definitions::traffic::Counting;
use crate::log::Sequence;
use crate::outbox::{Item, Outbox, cost_bytes};
use crate::permissions::{Warrants, Who};
use crate::rarely::Rarely;
use crate::shard::command::ShardCommand;
use crate::window::LaneWindow;
use publish::RouteCache;
use searching::{Search, Searches};

/// Exclusive queues that a connection remembers without looking which of them are still there.
const EXCLUSIVE_MAX: usize = 64;

/// A connection as the core sees it. The driver gives it the machine's commands and takes its events.
pub struct Client {
    broker: Arc<Broker>,
    outbox: Arc<Outbox>,
    who: Who,
    warrants: Rarely<Warrants>,
    entered: bool,
    /// Commands for each shard, sent as one batch; nothing where there are none.
    pending: Vec<Vec<ShardCommand>>,
    /// Boxed: most connections never publish.
    routes: Option<Box<RouteCache>>,
    counting: Counting,
    /// Boxed: a session's own queue is all that most devices have.
    holdings: Option<Box<Holdings>>,
    session: Option<Box<session::OwnSession>>,
    /// Answers to definition commands and purges that are not durable yet: other commands wait for them.
    held_answers: usize,
    /// The only one of them is a purge's.
    purging: bool,
    items: Vec<Item>,
    /// A shard's log is being synced for the commands that were carried out last.
    hurried: Option<Hurried>,
    published: bool,
    /// Deliveries that the session could not read any more.
    unreadable: u64,
    searches: Rarely<Searches>,
    /// The connection ends: no command waits for an answer that nobody will hear.
    ending: bool,
}

/// What a connection has in queues, beside its session's.
struct Holdings {
    consumers: HashMap<ConsumerId, ConsumerPlace>,
    lanes: HashMap<Lane, Arc<LaneWindow>>,
    /// Queues where something of the connection may have to be cleaned up, and whether it may hold deliveries that end with it.
    touched: HashMap<QueueId, bool>,
    exclusive: Vec<Name>,
    /// With so many, it is looked which of them are still there.
    exclusive_max: usize,
    /// It hears of queues that others make.
    follows: bool,
}

impl Default for Holdings {
    fn default() -> Self {
        let (consumers, lanes, touched) = (HashMap::default(), HashMap::default(), HashMap::default());
        Self { consumers, lanes, touched, exclusive: Vec::new(), exclusive_max: EXCLUSIVE_MAX, follows: false }
    }
}

/// Where a consumer is.
#[derive(Clone, Copy)]
struct ConsumerPlace {
    queue: QueueId,
    lane: Lane,
}

/// Somebody waits for a shard's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hurried {
    pub shard: usize,
    /// The log is being synced up to here.
    pub to: Sequence,
}

/// Why [`Client::execute`] returned.
#[derive(Debug)]
pub enum Execution {
    /// All commands are carried out.
    Done,
    /// The rest waits for a definition or a purge to become durable: call again after the next events.
    Waiting,
    /// The rest waits for [`Client::authenticated`] or [`Client::rejected`].
    Authenticate { request: RequestId, credentials: Credentials },
}

impl Client {
    pub(crate) fn new(broker: Arc<Broker>, outbox: Arc<Outbox>) -> Self {
        Self {
            broker,
            outbox,
            who: Who::default(),
            warrants: Rarely::default(),
            entered: false,
            pending: Vec::new(),
            routes: None,
            counting: Counting::default(),
            holdings: None,
            session: None,
            held_answers: 0,
            purging: false,
            items: Vec::new(),
            hurried: None,
            published: false,
            unreadable: 0,
            searches: Rarely::default(),
            ending: false,
        }
    }

    /// Carries out commands in order, as far as it can. What touches messages goes to the shards as one batch each.
    pub fn execute(&mut self, now: Now, commands: &mut VecDeque<Command>) -> Execution {
        let mut execution = Execution::Done;
        while let Some(command) = commands.pop_front() {
            if self.must_wait(&command) {
                commands.push_front(command);
                execution = Execution::Waiting;
                break;
            }
            if let Command::Authenticate { request, credentials } = command {
                execution = Execution::Authenticate { request, credentials };
                break;
            }
            self.command(now, command);
        }
        self.flush(now);
        execution
    }

    /// Carries out the last commands of a connection that ends, without waiting for anything: call it before
    /// [`close`](Self::close).
    pub fn finish(&mut self, now: Now, commands: &mut VecDeque<Command>) {
        self.ending = true;
        let _ = self.execute(now, commands);
    }

    /// What the connection now waits for, if the last commands made it wait for the disk; told once.
    pub fn take_hurried(&mut self) -> Option<Hurried> {
        self.hurried.take()
    }

    /// It is a single request of HTTP and not a connection that counts for limits. Before it enters a vhost.
    pub fn exempt(&self) {
        self.broker.exempt(self.outbox.connection);
    }

    /// It is a part of the broker and nobody's: it may do everything. Before it enters a vhost.
    pub fn trust(&mut self) {
        self.who.is_broker = true;
    }

    /// Lets the connection do one thing more than its user's permissions say, until it ends. Whoever calls this has asked the owner.
    pub fn allow(&mut self, warrant: Warrant) {
        self.warrants.give(warrant);
    }

    /// The driver has checked the credentials and they are good.
    pub fn authenticated(&mut self, request: RequestId, principal: Principal) {
        let principal = Principal { name: self.broker.shared_user(principal.name), ..principal };
        self.who.user = principal.name.clone();
        self.outbox.push(Event::Authenticated { request, result: Ok(principal) });
    }

    /// The driver's answer to one message of an exchange that goes on.
    pub fn challenge(&mut self, request: RequestId, data: bytes::Bytes) {
        self.outbox.push(Event::Challenge { request, data });
    }

    /// What the peer is told together with the good answer, which follows.
    pub fn prove(&mut self, request: RequestId, data: bytes::Bytes) {
        self.outbox.push(Event::Proof { request, data });
    }

    /// The driver has checked the credentials and they are not good.
    pub fn rejected(&mut self, request: RequestId, refusal: Refusal) {
        self.outbox.push(Event::Authenticated { request, result: Err(refusal) });
    }

    /// Takes everything that waits for the machine.
    pub fn take_events(&mut self, now: Now, into: &mut VecDeque<Event>) {
        self.search_on(now);
        let mut items = std::mem::take(&mut self.items);
        self.outbox.take(&mut items);
        for item in items.drain(..) {
            let mut event = match item {
                Item::Event(event) => event,
                Item::Held(event) => {
                    self.held_answers = self.held_answers.saturating_sub(1);
                    self.purging = false;
                    event
                }
            };
            if let Event::Reply { result: Ok(Reply::Session(_)), .. } = &event {
                self.start_session(now);
            }
            if let Event::Reply { request, .. } = &event
                && self.searches.is_browsing(*request)
            {
                self.browsed(now, &mut event);
            }
            if let Event::ConsumerCancelled { consumer } = event {
                self.forget_consumer(consumer);
            }
            if let Event::Deliver(deliveries) = &mut event {
                self.keep_readable(now, deliveries);
            }
            if let Event::DeliverRun(run) = &event
                && !self.keep_readable_run(now, run, cost_bytes(&event))
            {
                continue;
            }
            into.push_back(event);
        }
        self.items = items;
        // A queue that was deleted gave room back, too.
        self.resume_starved_lanes(now);
    }

    /// Deliveries that cost so many bytes ([`crate::cost_bytes`]) are written to the peer: there is room for more.
    pub fn written(&mut self, now: Now, bytes: usize) {
        if bytes > 0 && self.outbox.written(bytes) {
            let consumers = self.holdings.iter().flat_map(|holdings| holdings.consumers.values());
            let queues: HashSet<QueueId> = consumers.map(|place| place.queue).collect();
            let own = self.session.as_ref().map(|session| session.queue);
            for queue in queues.into_iter().chain(own) {
                self.push(queue, ShardCommand::Resume { queue });
            }
            self.flush(now);
        }
        if !self.searches.are_none() {
            self.serve_search(now);
            self.outbox.wake();
        }
    }

    /// It has done something long, and others should have their turn before it goes on; told once.
    pub fn must_yield(&mut self) -> bool {
        self.searches.present().is_some_and(Searches::must_yield)
    }

    /// Gives back the memory of what is empty: the connection may be idle for long.
    pub fn rest(&mut self) {
        self.items = Vec::new();
        if self.searches.are_over() {
            self.searches = Rarely::default();
        }
        if self.pending.iter().all(Vec::is_empty) {
            self.pending = Vec::new();
        }
    }

    /// The connection has published: it is one to stop when publishers are too fast.
    pub fn publishes(&self) -> bool {
        self.published
    }

    /// The broker drains: the driver should let the machine say goodbye.
    pub fn must_leave(&self) -> bool {
        self.broker.is_draining()
    }

    /// The connection's number.
    pub fn connection(&self) -> ConnectionId {
        self.outbox.connection
    }

    /// The vhost, once the connection has entered it.
    pub fn vhost(&self) -> Option<&Name> {
        self.entered.then_some(&self.who.vhost)
    }

    /// The user, once authenticated.
    pub fn user(&self) -> &Name {
        &self.who.user
    }

    /// The connection is over: consumers end, deliveries are released, exclusive queues and temporary sessions go.
    pub fn close(mut self, now: Now) {
        self.end(now);
    }

    /// As [`close`](Self::close), for an owner that is being dropped.
    pub fn end(&mut self, now: Now) {
        self.flush(now);
        self.unfollow_queues(None);
        let connection = self.outbox.connection;
        let holdings = self.holdings.take();
        let (touched, exclusive) = holdings.map(|holdings| (holdings.touched, holdings.exclusive)).unwrap_or_default();
        for (queue, holds) in touched.into_iter().chain(self.session.as_ref().map(|session| (session.queue, true))) {
            self.push(queue, ShardCommand::Detach { queue, connection, holds });
        }
        self.flush(now);
        self.close_session(now);
        if !exclusive.is_empty() {
            self.broker.delete_exclusive(now, &self.who.vhost, &exclusive, connection);
        }
        self.broker.forget_connection(connection);
    }

    /// Answers keep the order of their commands. Those of definitions come from one line, so definitions may follow each other; a
    /// purge is answered by its queue's shard.
    fn must_wait(&self, command: &Command) -> bool {
        self.held_answers > 0 && !self.ending && (self.purging || !matches!(command, Command::Define { .. }))
    }

    fn command(&mut self, now: Now, command: Command) {
        if !self.entered && !matches!(command, Command::Open { .. }) {
            // A machine lets nothing through before it has entered a vhost.
            debug_assert!(false, "command before Open: {command:?}");
            return;
        }
        match command {
            Command::Publish(publish) => self.publish(now, publish),
            Command::PublishRun(publish) => self.publish_run(now, &publish),
            Command::Settle { deliveries, outcome, request } => self.settle(now, deliveries, outcome, request),
            Command::Purge { request, queue, everything } => self.purge(now, request, &queue, everything),
            Command::Define { request, definition } => self.define(now, request, *definition),
            Command::Subscribe { request, subscribe } => self.subscribe(now, request, *subscribe),
            Command::Unsubscribe { request, consumer } => self.unsubscribe(request, consumer),
            Command::FollowQueues { request, follower, pattern } => self.follow_queues(now, request, follower, pattern),
            Command::UnfollowQueues { follower } => self.unfollow_queues(Some(follower)),
            Command::Window { consumer, window } => self.set_window(consumer, window),
            Command::LaneWindow { lane, window } => self.set_lane_window(lane, window),
            Command::Fetch { request, fetch } => self.fetch(now, request, *fetch),
            Command::ExtendLease { request, delivery, lease_ms } => {
                let outbox = self.outbox.clone();
                self.push(delivery.queue, ShardCommand::ExtendLease { delivery, lease_ms, request, outbox });
            }
            Command::SettleLate { request, delivery, removes } => {
                let outbox = self.outbox.clone();
                self.push(delivery.queue, ShardCommand::SettleLate { delivery, removes, request, outbox });
            }
            Command::CancelDelayed { request, exchange, position } => {
                self.cancel_delayed(now, request, &exchange, position);
            }
            Command::Browse { request, browse } => self.search(now, request, Search::Browse(*browse)),
            Command::FetchRetained { request, fetch } => self.search(now, request, Search::Retained(*fetch)),
            Command::OpenSession { request, session } => self.open_session(now, request, *session),
            Command::SessionExpiry { expiry_ms } => self.set_session_expiry(expiry_ms),
            Command::DiscardWill => self.discard_will(),
            Command::SessionState { request, key, value } => self.set_session_state(request, key, value),
            Command::ReleasePublication { request, id } => self.release_publication(request, id),
            Command::Open { request, vhost } => self.open(request, vhost),
            Command::Authenticate { .. } => {}
        }
    }

    fn open(&mut self, request: RequestId, vhost: Name) {
        self.who.vhost = vhost;
        let is_guest = self.is_guest();
        let result = self.broker.enter(self.outbox.connection, &self.who, is_guest);
        self.entered = result.is_ok();
        if let Ok(Some(quota)) = &result {
            self.outbox.push(Event::LaneQuota(quota.clone()));
        }
        self.answer(request, result.map(|_| Reply::Done));
    }

    /// Only a warrant leads to the vhost.
    fn is_guest(&mut self) -> bool {
        let Some(warrants) = self.warrants.present() else { return false };
        let Who { user, vhost, .. } = &self.who;
        let is_guest = warrants.lead_to(vhost) && !self.broker.may_enter(user, vhost);
        warrants.enter(is_guest);
        is_guest
    }

    fn define(&mut self, now: Now, request: RequestId, definition: Definition) {
        self.flush(now);
        let exclusive = match &definition {
            Definition::DeclareQueue { spec, passive: false } => spec.exclusive,
            _ => false,
        };
        let broker = self.broker.clone();
        let (result, wait) = broker.define(now, &self.caller(), definition);
        if let (true, Ok(Reply::Queue { name, .. })) = (exclusive, &result) {
            self.holdings().exclusive.push(name.clone());
            self.forget_deleted();
        }
        self.answer_after(request, result, wait);
    }

    /// Exclusive queues that were deleted need not be deleted again: a connection that makes and deletes them for ever does not grow.
    fn forget_deleted(&mut self) {
        let Some(holdings) = &mut self.holdings else { return };
        if holdings.exclusive.len() < holdings.exclusive_max {
            return;
        }
        let (definitions, connection) = (self.broker.definitions(), self.outbox.connection);
        if let Ok(vhost) = definitions.vhost(&self.who.vhost) {
            let is_mine = |name: &Name| vhost.queues.get(name).is_some_and(|queue| queue.owner == Some(connection));
            holdings.exclusive.retain(is_mine);
        }
        holdings.exclusive_max = (holdings.exclusive.len() * 2).max(EXCLUSIVE_MAX);
    }

    /// Consumers and queues that are remembered.
    #[cfg(test)]
    pub(crate) fn holdings_count(&self) -> usize {
        self.holdings.as_ref().map_or(0, |holdings| holdings.consumers.len() + holdings.touched.len())
    }

    fn holdings(&mut self) -> &mut Holdings {
        self.holdings.get_or_insert_default()
    }

    fn caller(&self) -> Caller<'_> {
        let session_queue = self.session.as_ref().map(|session| &session.queue_name);
        Caller { who: &self.who, warrants: &self.warrants, connection: self.outbox.connection, session_queue }
    }

    fn answer(&mut self, request: RequestId, result: Result<Reply, Refusal>) {
        self.outbox.push(Event::Reply { request, result });
    }

    /// Answers, after the definitions are durable up to `wait`; later answers do not overtake it.
    fn answer_after(&mut self, request: RequestId, result: Result<Reply, Refusal>, wait: Option<Sequence>) {
        let event = Event::Reply { request, result };
        if wait.is_none() && self.held_answers == 0 {
            return self.outbox.push(event);
        }
        self.held_answers += 1;
        self.broker.answer_when_durable(wait, self.outbox.clone(), event);
    }

    /// Adds a command to the batch of the queue's shard.
    fn push(&mut self, queue: QueueId, command: ShardCommand) {
        self.push_to(crate::definitions::shard_of(queue), command);
    }

    fn push_to(&mut self, index: usize, command: ShardCommand) {
        if self.pending.is_empty() {
            self.pending.resize_with(self.broker.shard_count(), Vec::new);
        }
        if let Some(batch) = self.pending.get_mut(index) {
            batch.push(command);
        }
    }

    /// Sends the batches.
    fn flush(&mut self, now: Now) {
        self.counting.flush();
        for index in 0..self.pending.len() {
            if !self.pending[index].is_empty()
                && let Some(to) = self.broker.send_batch(now, index, &mut self.pending[index])
            {
                self.hurried = Some(Hurried { shard: index, to });
            }
        }
        self.resume_starved_lanes(now);
    }
}
