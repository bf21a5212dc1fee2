//! What all channels of an open connection share.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use crossdock_common::event::Principal;
use crossdock_common::lane_quota::LaneShare;
use crossdock_common::random::Random;
use crossdock_common::{Command, ConsumerId, Instant, Limits, Name, Now, Output, Table, Text};
use sha2::{Digest, Sha256};

use super::handshake::Capabilities;
use super::requests::Requests;
use crate::convert::facts::Publisher;

/// The connection's part of every channel's work.
pub(crate) struct Shared {
    pub limits: Arc<Limits>,
    pub principal: Principal,
    pub is_impersonator: bool,
    pub capabilities: Capabilities,
    pub frame_max: usize,
    pub requests: Requests,
    pub consumers: Consumers,
    /// Deliveries that are not settled, of all channels.
    pub unsettled: usize,
    /// Every confirm number up to this may belong to a channel that is closed.
    pub confirm_floor: u64,
    pub random: Random,
    pub secrets: Secrets,
    /// When channels are asked for deliveries that have been unsettled for too long.
    pub check_at: Option<Instant>,
    /// The client is a publisher: it is told when publishers have to stop.
    pub publishes: bool,
    /// What the connection's channels use of its user's.
    pub lane_share: LaneShare,
}

impl Shared {
    pub(crate) fn publisher(&self) -> Publisher<'_> {
        Publisher { name: self.principal.name.as_str(), is_impersonator: self.is_impersonator }
    }

    /// A consumer tag that the client does not know, in RabbitMQ's form.
    pub(crate) fn new_consumer_tag(&mut self) -> Text {
        let bytes = self.random.uuid().to_be_bytes();
        Text::from(format!("amq.ctag-{}", URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Channels are asked then, if not before.
    pub(crate) fn check_at(&mut self, at: Option<Instant>) {
        self.check_at = [self.check_at, at].into_iter().flatten().min();
    }

    pub(crate) fn user(&self) -> Name {
        self.principal.name.clone()
    }
}

/// Makes names that nobody can guess, also who knows earlier ones.
pub(crate) struct Secrets {
    key: [u8; 16],
    count: u64,
}

impl Secrets {
    pub(crate) fn new(random: &mut Random) -> Self {
        Self { key: random.uuid().to_be_bytes(), count: 0 }
    }

    /// Another 128 bits.
    pub(crate) fn token(&mut self) -> [u8; 16] {
        self.count += 1;
        let digest = Sha256::new().chain_update(self.key).chain_update(self.count.to_be_bytes()).finalize();
        std::array::from_fn(|index| digest[index])
    }
}

/// One call's surroundings.
pub(crate) struct Context<'a> {
    pub now: Now,
    pub shared: &'a mut Shared,
    pub output: &'a mut Output,
}

impl Context<'_> {
    pub(crate) fn command(&mut self, command: Command) {
        self.output.commands.push(command);
    }
}

/// A consumer of some channel.
#[derive(Clone, Debug)]
pub(crate) struct Consumer {
    pub channel: u16,
    pub tag: Text,
    pub no_ack: bool,
    pub queue: Name,
    pub prefetch: u16,
    pub arguments: Table,
}

/// The consumers of a connection, by the number that the core knows them by.
#[derive(Default)]
pub(crate) struct Consumers {
    last: u64,
    // The numbers are ours, so nobody can make them collide.
    by_id: HashMap<ConsumerId, Consumer, foldhash::fast::FixedState>,
}

impl Consumers {
    pub(crate) fn add(&mut self, consumer: Consumer) -> ConsumerId {
        self.last += 1;
        let id = ConsumerId(self.last);
        self.by_id.insert(id, consumer);
        id
    }

    pub(crate) fn get(&self, id: ConsumerId) -> Option<&Consumer> {
        self.by_id.get(&id)
    }

    pub(crate) fn remove(&mut self, id: ConsumerId) -> Option<Consumer> {
        self.by_id.remove(&id)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }
}
