//! What a session has asked of the core, and what a packet's handling needs at hand.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use crossdock_common::command::RetainedPlace;
use crossdock_common::{Command, ConsumerId, Name, Now, Output, RequestId, Text};
use hashbrown::HashMap;

use crate::authentication::Exchange;
use crate::options::ConnectionOptions;
use crate::packet::Version;
use crate::packet::properties::Bounds;
use crate::reason::Reason;
use crate::subscriptions::Subscription;

/// Why something was asked.
#[derive(Debug)]
pub(crate) enum Asked {
    /// A QoS 2 message's packet id is forgotten; then PUBCOMP.
    Completed { packet_id: u16, reason: Reason },
    /// That a QoS 2 message was received is kept; then PUBREL.
    Released { packet_id: u16 },
    /// What an earlier connection kept is durable; then its PUBRELs are sent again.
    ReleasedBefore,
    /// One filter of a SUBSCRIBE or UNSUBSCRIBE.
    Filter(Box<FilterAsked>),
    /// Some of the retained messages for a subscription.
    Retained(Retained),
    /// A shared subscription of a resumed session.
    Resumed { consumer: ConsumerId },
}

/// Retained messages that a subscription is owed.
#[derive(Debug)]
pub(crate) struct Retained {
    pub filter: Text,
    pub subscription: Subscription,
    /// Where the next ones are.
    pub after: Option<RetainedPlace>,
}

/// One filter of a SUBSCRIBE or UNSUBSCRIBE on its way.
#[derive(Debug)]
pub(crate) struct FilterAsked {
    pub operation: u64,
    pub index: usize,
    pub filter: Text,
    pub subscription: Subscription,
    pub step: Step,
}

/// What was asked for a filter.
#[derive(Debug)]
pub(crate) enum Step {
    /// To bind; there was this subscription before.
    Bind { old: Option<Subscription> },
    /// To unbind.
    Unbind,
    /// To declare a shared queue.
    DeclareShared,
    /// To bind a shared queue.
    BindShared,
    /// To consume from a shared queue.
    Consume { consumer: ConsumerId },
    /// To consume no more.
    Unconsume,
}

/// Open requests.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    last: u64,
    open: HashMap<RequestId, Asked, foldhash::fast::RandomState>,
}

impl Requests {
    /// A number without a reason to remember.
    pub fn number(&mut self) -> RequestId {
        self.last += 1;
        RequestId(self.last)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Gives the core a command that it will answer.
    pub fn ask(&mut self, asked: Asked, commands: &mut Vec<Command>, command: impl FnOnce(RequestId) -> Command) {
        let request = self.number();
        self.open.insert(request, asked);
        commands.push(command(request));
    }

    /// Why it was asked.
    pub fn take(&mut self, request: RequestId) -> Option<Asked> {
        let asked = self.open.remove(&request);
        if self.open.is_empty() {
            // Most clients ask for something at the beginning, and never again.
            self.open = HashMap::default();
        }
        asked
    }
}

/// Who is at the other end, and what was agreed at CONNECT.
#[derive(Debug)]
pub(crate) struct Peer {
    pub version: Version,
    /// The session's name: the client identifier.
    pub client_id: Name,
    pub user: Name,
    /// The session outlives the connection, so QoS 2 states are kept with it.
    pub is_persistent: bool,
    /// For those who logged in by enhanced authentication: they may do it again.
    pub exchange: Option<Box<Exchange>>,
    pub packet_bytes_max: usize,
    pub receive_maximum: u16,
    /// Most topic aliases that it is sent.
    pub topic_alias_maximum: u16,
    pub options: Arc<ConnectionOptions>,
}

impl Peer {
    /// Most unsettled deliveries: as many as both sides like.
    pub fn window(&self) -> u32 {
        u32::from(self.receive_maximum.min(self.options.receive_maximum).max(1))
    }
}

/// What bounds property sections.
pub(crate) fn bounds(options: &ConnectionOptions) -> Bounds {
    Bounds { bytes_max: options.limits.header_bytes_max, user_max: options.limits.table_entries_max }
}

/// What handling a packet or an event needs at hand.
pub(crate) struct Context<'a> {
    pub now: Now,
    pub peer: &'a Peer,
    pub requests: &'a mut Requests,
    pub output: &'a mut Output,
}

impl Context<'_> {
    /// Where packets are written.
    pub fn buffer(&mut self) -> &mut BytesMut {
        self.output.bytes.buffer()
    }

    /// Gives the core a command.
    pub fn command(&mut self, command: Command) {
        self.output.commands.push(command);
    }

    /// Gives the core a command that it will answer.
    pub fn ask(&mut self, asked: Asked, command: impl FnOnce(RequestId) -> Command) {
        self.requests.ask(asked, &mut self.output.commands, command);
    }

    /// Keeps (or, with `None`, forgets) the state of a packet id; answered if it was asked for a reason.
    pub fn keep_state(&mut self, asked: Option<Asked>, key: Bytes, value: Option<Bytes>) {
        match asked {
            Some(asked) => self.ask(asked, |request| Command::SessionState { request: Some(request), key, value }),
            None => self.command(Command::SessionState { request: None, key, value }),
        }
    }
}

/// Session state of messages to the client: `o` and the packet id.
pub(crate) const STATE_OUTBOUND: u8 = b'o';
/// Session state of shared subscriptions: `s` and the filter.
pub(crate) const STATE_SHARED: u8 = b's';

/// The key of a packet id's state.
pub(crate) fn state_key(kind: u8, packet_id: u16) -> Bytes {
    let mut key = Vec::with_capacity(3);
    key.put_u8(kind);
    key.put_u16(packet_id);
    Bytes::from(key)
}
