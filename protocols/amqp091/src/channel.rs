//! One open channel: what it remembers, and which of its methods does what.

mod confirms;
mod consumers;
mod deliver;
mod describe;
mod exchange;
mod patience;
mod publish;
mod queue;
mod repeat;
mod replies;
mod run;
mod settle;
mod transaction;
mod unsettled;

use std::collections::BTreeMap;

use bytes::BytesMut;
use crossdock_common::definition::Definition;
use crossdock_common::event::Reply;
use crossdock_common::{Command, ConsumerId, Lane, Name, Now, Refusal, RequestId, Text};

use crate::connection::requests::{Open, Pending};
use crate::connection::shared::{Context, Shared};
use crate::error::{Fault, Interrupt, ReplyCode};
use crate::frame::basic::outgoing::ConsumeOk;
use crate::frame::channel::{FlowOk, Request};
use crate::frame::method::{self, Method, MethodId};
use crate::frame::{access, confirm, put_empty, put_method, tx};

use confirms::Confirms;
use patience::Patience;
use publish::Assembly;
pub(crate) use publish::Piece;
use repeat::Repeat;
use replies::Replies;
use transaction::Transaction;
use unsettled::Unsettled;

pub(crate) use deliver::{release, told};
pub(crate) use run::is_ours;

/// A body frame of at least this size is kept as a slice of the read buffer; smaller ones are copied. The read buffer is
/// some 10 times larger, which bounds what a slice can keep alive.
pub(crate) const SLICE_BYTES_MIN: usize = 8 << 10;

/// Everything about one open channel.
pub(crate) struct Channel {
    number: u16,
    assembly: Assembly,
    /// The exchange published to last, so that its name is made once.
    last_exchange: Name,
    /// Made by the first publish.
    repeat: Option<Box<Repeat>>,
    /// What an empty queue name means.
    last_queue: LastQueue,
    /// For consumers to come.
    prefetch: u16,
    /// Of all consumers together; 0 for any number.
    prefetch_global: u16,
    last_delivery_tag: u64,
    unsettled: Unsettled,
    patience: Patience,
    mode: Mode,
    consumers: BTreeMap<Text, ConsumerId>,
    /// Where answers to this channel's messages go, if it consumes them.
    replies: Option<Replies>,
    /// Requests and replies that are open: a reply that needs no core waits for them.
    open_requests: usize,
}

/// What happens to publishes and settlements.
enum Mode {
    Plain,
    Confirm(Confirms),
    Transaction(Box<Transaction>),
}

enum LastQueue {
    None,
    /// The core was asked for a name.
    Pending,
    Named(Name),
}

impl Channel {
    pub(crate) fn new(number: u16) -> Self {
        Self {
            number,
            assembly: Assembly::Idle,
            last_exchange: Name::default(),
            repeat: None,
            last_queue: LastQueue::None,
            prefetch: 0,
            prefetch_global: 0,
            last_delivery_tag: 0,
            unsettled: Unsettled::default(),
            patience: Patience::default(),
            mode: Mode::Plain,
            consumers: BTreeMap::new(),
            replies: None,
            open_requests: 0,
        }
    }

    pub(crate) fn lane(&self) -> Lane {
        Lane(self.number)
    }

    /// A method other than `channel.close`. Before a stall nothing is changed.
    pub(crate) fn method(&mut self, cx: &mut Context<'_>, id: MethodId, method: Method<'_>) -> Result<(), Interrupt> {
        match method {
            Method::Basic(request) => self.basic(cx, id, request),
            Method::Queue(request) => self.queue(cx, id, request),
            Method::Exchange(request) => self.exchange(cx, id, request),
            Method::Channel(request) => Ok(self.channel(cx, request)?),
            Method::Confirm(select) => Ok(self.confirm_select(cx, select)?),
            Method::Tx(request) => Ok(self.tx(cx, request)?),
            Method::Access => {
                self.answer(cx, |buffer, number| put_method(buffer, number, &access::RequestOk));
                Ok(())
            }
            Method::Connection(_) => Err(Fault::new(ReplyCode::CommandInvalid, "unimplemented method").into()),
        }
    }

    /// Whether the next frame has to wait for the core.
    pub(crate) fn is_committing(&self) -> bool {
        matches!(&self.mode, Mode::Transaction(transaction) if transaction.is_committing())
    }

    fn channel(&mut self, cx: &mut Context<'_>, request: Request) -> Result<(), Fault> {
        match request {
            Request::Open => Err(Fault::new(ReplyCode::ChannelError, "second 'channel.open' seen")),
            Request::Flow { active: false } => Err(Fault::not_implemented("active=false")),
            Request::Flow { active } => {
                self.answer(cx, |buffer, number| put_method(buffer, number, &FlowOk { active }));
                Ok(())
            }
            Request::FlowOk | Request::Close | Request::CloseOk => Ok(()),
        }
    }

    fn confirm_select(&mut self, cx: &mut Context<'_>, select: confirm::Select) -> Result<(), Fault> {
        match self.mode {
            Mode::Transaction(_) => return Err(Fault::precondition("cannot switch from tx to confirm mode")),
            Mode::Plain => self.mode = Mode::Confirm(Confirms::new(cx.shared.confirm_floor)),
            Mode::Confirm(_) => {}
        }
        if !select.no_wait {
            self.answer(cx, |buffer, number| put_empty(buffer, number, confirm::SELECT_OK));
        }
        Ok(())
    }

    fn tx(&mut self, cx: &mut Context<'_>, request: tx::Request) -> Result<(), Fault> {
        match (request, &mut self.mode) {
            (tx::Request::Select, Mode::Confirm(_)) => {
                return Err(Fault::precondition("cannot switch from confirm to tx mode"));
            }
            (tx::Request::Select, mode) => {
                if matches!(mode, Mode::Plain) {
                    *mode = Mode::Transaction(Box::new(Transaction::new(cx.shared.confirm_floor)));
                }
                self.answer(cx, |buffer, number| put_empty(buffer, number, tx::SELECT_OK));
            }
            (tx::Request::Commit, Mode::Transaction(_)) => self.commit(cx),
            (tx::Request::Rollback, Mode::Transaction(_)) => self.rollback(cx),
            _ => return Err(Fault::precondition("channel is not transactional")),
        }
        Ok(())
    }

    /// Writes an answer that needs no core, after those that do.
    fn answer(&mut self, cx: &mut Context<'_>, write: impl FnOnce(&mut BytesMut, u16)) {
        if self.open_requests == 0 {
            return write(cx.output.bytes.buffer(), self.number);
        }
        let mut bytes = BytesMut::new();
        write(&mut bytes, self.number);
        self.open_requests += 1;
        cx.shared.requests.wait(self.number, bytes.freeze());
    }

    fn request(
        &mut self,
        cx: &mut Context<'_>,
        id: MethodId,
        pending: Pending,
        make: impl FnOnce(RequestId) -> Command,
    ) {
        self.open_requests += 1;
        let request = cx.shared.requests.begin(self.number, id, pending);
        cx.command(make(request));
    }

    fn define(&mut self, cx: &mut Context<'_>, id: MethodId, pending: Pending, definition: Definition) {
        let definition = Box::new(definition);
        self.request(cx, id, pending, |request| Command::Define { request, definition });
    }

    /// One request or waiting reply of this channel is done.
    pub(crate) fn request_done(&mut self) {
        self.open_requests = self.open_requests.saturating_sub(1);
    }

    /// The core's answer to one of this channel's requests.
    pub(crate) fn reply(
        &mut self,
        cx: &mut Context<'_>,
        open: Open,
        result: Result<Reply, Refusal>,
    ) -> Result<(), Fault> {
        if let Pending::Cancel { consumer, tag, no_wait } = open.pending {
            self.cancelled(cx, consumer, &tag, no_wait);
            return Ok(());
        }
        let reply = match result {
            Err(refusal) if is_idempotent(open.method, &refusal) => Reply::Count(0),
            Err(refusal) => {
                self.forget_refused(cx, &open.pending);
                return Err(Fault::from(refusal).at(open.method));
            }
            Ok(reply) => reply,
        };
        self.accepted(cx, open.pending, reply).map_err(|fault| fault.at(open.method))
    }

    fn accepted(&mut self, cx: &mut Context<'_>, pending: Pending, reply: Reply) -> Result<(), Fault> {
        if let Reply::Consumer { queue, consumer_timeout_ms } = reply {
            self.patience.set_own(queue, consumer_timeout_ms);
        }
        let (number, count) = (self.number, count_of(&reply));
        match (pending, reply) {
            (Pending::Empty(ok), _) => put_empty(cx.output.bytes.buffer(), number, ok),
            (Pending::DeclareQueue { no_wait }, Reply::Queue { name, ready, consumers }) => {
                self.declared(cx, name, ready, consumers, no_wait);
            }
            (Pending::Purge, _) => {
                put_method(cx.output.bytes.buffer(), number, &crate::frame::queue::PurgeOk(count));
            }
            (Pending::DeleteQueue, _) => {
                put_method(cx.output.bytes.buffer(), number, &crate::frame::queue::DeleteOk(count));
            }
            (Pending::Consume { tag, no_wait: false, .. }, _) => {
                put_method(cx.output.bytes.buffer(), number, &ConsumeOk(&tag));
            }
            (Pending::Commit, _) => self.commit_settled(cx)?,
            _ => {}
        }
        Ok(())
    }

    fn forget_refused(&mut self, cx: &mut Context<'_>, pending: &Pending) {
        if let Pending::Consume { consumer, .. } = pending
            && let Some(consumer) = cx.shared.consumers.remove(*consumer)
        {
            self.consumers.remove(&consumer.tag);
        }
    }

    /// A delivery that has to be settled was handed out.
    #[inline]
    pub(crate) fn handed_out(&mut self, now: Now, shared: &mut Shared) {
        self.handed_out_from(self.last_delivery_tag, now, shared);
    }

    /// The same for all deliveries from this tag on.
    #[inline]
    pub(crate) fn handed_out_from(&mut self, tag: u64, now: Now, shared: &mut Shared) {
        if let Some(at) = self.patience.note(tag, now.instant, shared.limits.consumer_timeout_ms) {
            shared.check_at(Some(at));
        }
    }

    /// Refuses to go on if something has been unsettled for too long.
    pub(crate) fn check_patience(&mut self, now: Now, shared: &mut Shared) -> Result<(), Fault> {
        match self.patience.overdue(&self.unsettled, now.instant, shared.limits.consumer_timeout_ms) {
            Ok(check_at) => {
                shared.check_at(check_at);
                Ok(())
            }
            Err(timeout_ms) => Err(Fault::precondition(format!(
                "delivery acknowledgement on channel {} timed out. Timeout value used: {timeout_ms} ms. This timeout \
                 value can be configured, see consumers doc guide to learn more",
                self.number
            ))),
        }
    }

    /// Gives everything back to the core because the channel ends. The last request is answered when nothing of the
    /// channel is under way any more.
    pub(crate) fn release(&mut self, cx: &mut Context<'_>) {
        for consumer in std::mem::take(&mut self.consumers).into_values() {
            cx.shared.consumers.remove(consumer);
            self.request(cx, MethodId::NONE, Pending::Ignored, |request| Command::Unsubscribe { request, consumer });
        }
        if self.prefetch_global != 0 {
            cx.command(Command::LaneWindow { lane: Lane(self.number), window: 0 });
        }
        let last_number = match &self.mode {
            Mode::Plain => 0,
            Mode::Confirm(confirms) => confirms.last_number(),
            Mode::Transaction(transaction) => transaction.last_number(),
        };
        cx.shared.confirm_floor = cx.shared.confirm_floor.max(last_number);
        self.release_unsettled(cx, MethodId::NONE, Pending::Released);
    }
}

/// RabbitMQ answers `delete-ok` and `unbind-ok` when there is nothing to delete or unbind.
fn is_idempotent(method: MethodId, refusal: &Refusal) -> bool {
    use crossdock_common::refusal::Resource;
    const QUEUE_DELETE: MethodId = MethodId::new(method::QUEUE, 40);
    const EXCHANGE_DELETE: MethodId = MethodId::new(method::EXCHANGE, 20);
    match refusal {
        Refusal::NotFound { resource: Resource::Queue, .. } => method == QUEUE_DELETE,
        Refusal::NotFound { resource: Resource::Exchange, .. } => method == EXCHANGE_DELETE,
        Refusal::NotFound { resource: Resource::Binding, .. } => true,
        _ => false,
    }
}

fn count_of(reply: &Reply) -> u32 {
    match reply {
        Reply::Count(count) => u32::try_from(*count).unwrap_or(u32::MAX),
        _ => 0,
    }
}
