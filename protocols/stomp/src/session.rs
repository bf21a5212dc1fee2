//! What a connected client asks for. Each concern has its file; this one hands frames and events out.

mod browse;
mod deliver;
mod describe;
mod durable;
mod plan;
mod repeat;
mod requests;
mod send;
mod settle;
mod subscribe;
mod subscriptions;
mod template;
mod transactions;
mod wildcard;

use std::collections::{HashMap, HashSet};

use crossdock_common::definition::{Definition, QueueSpec};
use crossdock_common::event::Reply;
use crossdock_common::random::Random;
use crossdock_common::{Command, Event, Limits, Name, Now, Output, Refusal, RequestId, Text, Value};

use crate::error::Fault;
use crate::frame::{Frame, Headers, Verb, Version};
use crate::options::ConnectionOptions;
use repeat::Repeat;
use requests::{Open, Purpose, ReceiptId, Requests};
use settle::Unsettled;
use subscriptions::Subscriptions;
use transactions::Transactions;

/// Who is in, and what it speaks.
pub(crate) struct Peer {
    pub(crate) version: Version,
    pub(crate) user: Name,
    /// What its durable subscriptions of ActiveMQ's kind belong to.
    pub(crate) client_id: Option<Text>,
}

/// A client that is in.
pub(crate) struct Session {
    peer: Peer,
    id: Text,
    options: ConnectionOptions,
    requests: Requests,
    /// Queues that this connection has declared: a repeated SEND does not declare them again.
    declared: HashSet<Name>,
    /// The queues behind `/temp-queue/…` names.
    replies: HashMap<Text, Name>,
    subscriptions: Subscriptions,
    unsettled: Unsettled,
    transactions: Transactions,
    /// Answers that further frames must wait for, since they decide which queue is meant: generated names, and what durable subscriptions
    /// were until now.
    awaited: usize,
    /// The last SEND, if others like it may follow.
    repeat: Option<Box<Repeat>>,
    /// DISCONNECT was read: the goodbye follows when nothing is open any more.
    leaving: bool,
    goodbye: Option<ReceiptId>,
}

impl Session {
    /// A transaction has gathered a message.
    pub(crate) fn has_published(&self) -> bool {
        self.transactions.has_published
    }

    pub(crate) fn new(peer: Peer, mut random: Random, options: &ConnectionOptions) -> Self {
        Self {
            requests: Requests::new(peer.version),
            peer,
            id: Text::from(format!("session-{:032x}", random.uuid())),
            options: options.clone(),
            declared: HashSet::new(),
            replies: HashMap::new(),
            subscriptions: Subscriptions::default(),
            unsettled: Unsettled::default(),
            transactions: Transactions::default(),
            awaited: 0,
            repeat: None,
            leaving: false,
            goodbye: None,
        }
    }

    pub(crate) fn version(&self) -> Version {
        self.peer.version
    }

    fn limits(&self) -> &Limits {
        &self.options.limits
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Frames wait while it is open which queue is meant, and while as many answers are open as a connection may have.
    pub(crate) fn must_wait(&self) -> bool {
        self.leaving || self.awaited > 0 || self.requests.open() >= self.limits().unsettled_max
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving
    }

    pub(crate) fn frame(&mut self, now: Now, frame: &Frame, output: &mut Output) -> Result<(), Fault> {
        let id = frame.headers.text("receipt");
        let receipt = id.clone().map(|id| self.requests.open_receipt(id));
        self.dispatch(now, frame, receipt, output).map_err(|fault| fault.with_receipt(id))?;
        if self.leaving {
            self.goodbye = receipt;
        } else {
            self.requests.step_done(receipt, output);
        }
        Ok(())
    }

    fn dispatch(
        &mut self,
        now: Now,
        frame: &Frame,
        receipt: Option<ReceiptId>,
        output: &mut Output,
    ) -> Result<(), Fault> {
        match frame.verb {
            Verb::Connect => Err(Fault::violation("Bad CONNECT", "The connection is already logged in")),
            Verb::Send => self.send(now, frame, receipt, output),
            Verb::Subscribe => self.subscribe(frame, receipt, output),
            Verb::Unsubscribe => self.unsubscribe(frame, receipt, output),
            Verb::Ack | Verb::Nack => self.acknowledge(frame, receipt, output),
            Verb::Begin | Verb::Commit | Verb::Abort => self.transaction(frame, receipt, output),
            Verb::Disconnect => {
                self.leaving = true;
                Ok(())
            }
        }
    }

    pub(crate) fn event(&mut self, now: Now, event: Event, output: &mut Output) -> Result<(), Fault> {
        match event {
            Event::Reply { request, result } => self.reply(now, request, result, output),
            Event::Deliver(deliveries) => {
                self.deliver(&deliveries, output);
                Ok(())
            }
            Event::DeliverRun(run) => {
                self.deliver_run(&run, output);
                Ok(())
            }
            Event::Confirmed { confirms, .. } => {
                confirms.into_iter().for_each(|confirm| self.requests.confirmed(confirm, output));
                Ok(())
            }
            Event::Rejected { confirm, reason, .. } => Err(self.requests.rejected(confirm, reason)),
            Event::PublishRefused { confirm, refusal, .. } => {
                Err(Fault::from(refusal).with_receipt(self.requests.receipt_of(confirm)))
            }
            Event::Unroutable { confirm, message, .. } => self.unroutable(confirm, &message),
            Event::ConsumerCancelled { consumer } => self.cancelled(consumer),
            Event::QueueMade { follower, queue } => self.queue_made(follower, queue, output),
            Event::TakenOver => Err(Fault::refused("taken over", "Another connection took the session")),
            Event::Forced { reason } => Err(Fault::refused("connection closed", reason.as_str())),
            Event::Authenticated { .. }
            | Event::Challenge { .. }
            | Event::Proof { .. }
            | Event::LaneQuota(_)
            | Event::Fetched { .. }
            | Event::Placed { .. }
            | Event::Blocked { .. }
            | Event::Unblocked => Ok(()),
        }
    }

    fn reply(
        &mut self,
        now: Now,
        request: RequestId,
        result: Result<Reply, Refusal>,
        output: &mut Output,
    ) -> Result<(), Fault> {
        let Some(Open { purpose, receipt }) = self.requests.take(request) else { return Ok(()) };
        let reply = match result {
            Ok(reply) => reply,
            Err(Refusal::NotFound { .. }) if purpose.may_find_nothing() => Reply::Done,
            Err(Refusal::UnknownDelivery(_)) if matches!(purpose, Purpose::Settle) => Reply::Done,
            Err(refusal) if self.passed_over(&purpose, &refusal) => Reply::Done,
            Err(refusal) => return Err(Fault::from(refusal).with_receipt(self.requests.receipt_text(receipt))),
        };
        if let (Purpose::Browse(browsing), Reply::Browsed(found)) = (&purpose, &reply) {
            // The subscription is there: its messages follow.
            self.requests.step_done(receipt, output);
            self.browsed(browsing, found, output);
            return Ok(());
        }
        let result = self.go_on(now, purpose, reply, receipt, output);
        result.map_err(|fault| fault.with_receipt(self.requests.receipt_text(receipt)))?;
        self.requests.step_done(receipt, output);
        Ok(())
    }

    /// What the answer was waited for.
    fn go_on(
        &mut self,
        now: Now,
        purpose: Purpose,
        reply: Reply,
        receipt: Option<ReceiptId>,
        output: &mut Output,
    ) -> Result<(), Fault> {
        let (name, found, queues) = match reply {
            Reply::Queue { name, .. } => (name, None, Vec::new()),
            Reply::QueueInfo(info) => (Name::default(), Some(info.spec), Vec::new()),
            Reply::Names(queues) => (Name::default(), None, queues),
            _ => (Name::default(), None, Vec::new()),
        };
        if purpose.is_waited_for() {
            self.awaited = self.awaited.saturating_sub(1);
        }
        match purpose {
            Purpose::Resume(resumed) => {
                self.resume(*resumed, found, receipt, output);
                Ok(())
            }
            Purpose::Plain | Purpose::DeleteQueue | Purpose::Browse(_) | Purpose::Found(_) | Purpose::Settle => Ok(()),
            Purpose::Follow(follower) => self.found(follower, queues, receipt, output),
            Purpose::Unsubscribe(consumer) => {
                self.unsubscribed(consumer);
                Ok(())
            }
            Purpose::SubscribeTo(plan) => {
                if let Some(temporary) = &plan.temporary {
                    self.replies.insert(temporary.clone(), name.clone());
                }
                self.bind_and_consume(*plan, name, receipt, output);
                Ok(())
            }
            Purpose::ReplyTo(send) => self.send_with_reply(now, *send, name, receipt, output),
        }
    }

    /// Closes after DISCONNECT, once every open answer has come.
    pub(crate) fn say_goodbye(&mut self, output: &mut Output) {
        if self.leaving && self.requests.is_quiet(self.goodbye) && output.close.is_none() {
            self.requests.step_done(self.goodbye.take(), output);
            output.close(crossdock_common::output::Close::Normal);
        }
    }

    fn define(
        &mut self,
        purpose: Purpose,
        definition: Definition,
        receipt: Option<ReceiptId>,
        output: &mut Output,
    ) -> RequestId {
        let request = self.requests.ask(purpose, receipt);
        output.commands.push(Command::Define { request, definition: Box::new(definition) });
        request
    }

    /// Declares a queue, unless this connection has done so before.
    fn declare(&mut self, spec: QueueSpec, receipt: Option<ReceiptId>, output: &mut Output) {
        // A declaration too many is harmless; forgetting bounds what a peer can make us remember.
        if self.declared.len() >= self.limits().consumers_max {
            self.declared.clear();
            self.repeat = None;
        }
        if self.declared.insert(spec.name.clone()) {
            self.define(Purpose::Plain, Definition::DeclareQueue { spec, passive: false }, receipt, output);
        }
    }
}

/// Declaration arguments that may stand in the headers of SEND and SUBSCRIBE.
const QUEUE_ARGUMENTS: [&str; 15] = [
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-delivery-limit",
    "x-durability",
    "x-expires",
    "x-max-age",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-priority",
    "x-message-ttl",
    "x-overflow",
    "x-queue-mode",
    "x-queue-type",
    "x-queue-version",
    "x-single-active-consumer",
];

/// A queue as the headers wish it, where they say nothing as `default` has it.
fn queue_spec(headers: &Headers, default: QueueSpec) -> QueueSpec {
    let flag = |name: &str, default: bool| headers.get(name).map_or(default, |value| value == "true");
    let argument = |name: &'static str| Some((Text::from_static(name), argument(&headers.get(name)?)));
    QueueSpec {
        durable: flag("durable", default.durable),
        exclusive: flag("exclusive", default.exclusive),
        auto_delete: flag("auto-delete", default.auto_delete),
        arguments: QUEUE_ARGUMENTS.into_iter().filter_map(argument).collect(),
        ..default
    }
}

fn argument(text: &str) -> Value {
    match (text, text.parse::<i64>()) {
        (_, Ok(number)) => Value::I64(number),
        ("true", _) => Value::Bool(true),
        ("false", _) => Value::Bool(false),
        _ => Value::string(text.to_owned()),
    }
}
