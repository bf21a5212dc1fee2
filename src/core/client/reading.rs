//! What a session may still read: its subscriptions were permitted when they were made, and each delivery is asked for again.

use crossdock_common::command::Outcome;
use crossdock_common::event::{Delivery, RunDelivery};
use crossdock_common::names::DeliveryId;
use crossdock_common::refusal::{Access, Resource};
use crossdock_common::{Event, Message, Name, Now};

use super::Client;
use crate::outbox::cost_bytes;

/// What is known of a session's permissions, until definitions or permissions change.
pub(super) struct Reading {
    exchange: Name,
    /// 0 while nothing is known: versions begin with 1.
    version: u64,
    scope: Scope,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Everything,
    Nothing,
    /// Each key is asked for.
    Topics,
}

impl Reading {
    pub(super) fn new(exchange: Name) -> Self {
        Self { exchange, version: 0, scope: Scope::Nothing }
    }
}

impl Client {
    /// How many deliveries were kept from the peer since this was asked last, because it may not read them.
    pub fn take_unreadable(&mut self) -> u64 {
        std::mem::take(&mut self.unreadable)
    }

    /// Takes from the deliveries what the session may not read any more. It is rejected: to the dead letters, if there are any.
    pub(super) fn keep_readable(&mut self, now: Now, deliveries: &mut Vec<Delivery>) {
        if self.session.is_none() || self.scope() == Scope::Everything {
            return;
        }
        let (readable, refused) =
            std::mem::take(deliveries).into_iter().partition(|delivery| self.may_read(&delivery.message));
        *deliveries = readable;
        let refused: Vec<Delivery> = refused;
        if !refused.is_empty() {
            let ids = refused.iter().map(|delivery| delivery.id).collect();
            self.refuse(now, ids, cost_bytes(&Event::Deliver(refused)));
        }
    }

    /// The same for a run, whose messages are all alike. False if none of them may be read.
    pub(super) fn keep_readable_run(&mut self, now: Now, run: &RunDelivery, cost_bytes: usize) -> bool {
        if self.session.is_none() || self.scope() == Scope::Everything || self.may_read(run.run.head()) {
            return true;
        }
        self.refuse(now, run.ids().collect(), cost_bytes);
        false
    }

    fn refuse(&mut self, now: Now, refused: Vec<DeliveryId>, cost_bytes: usize) {
        self.unreadable += refused.len() as u64;
        self.settle(now, refused, Outcome::Rejected, None);
        self.flush(now);
        // The peer will never take them.
        self.written(now, cost_bytes);
    }

    fn scope(&mut self) -> Scope {
        let version = self.broker.version();
        let Some(session) = &mut self.session else { return Scope::Nothing };
        let reading = &mut session.reading;
        if reading.version != version {
            let (permissions, who) = (self.broker.permissions(), &self.who);
            let may_read = permissions.check(who, Access::Read, Resource::Exchange, &reading.exchange).is_ok();
            reading.version = version;
            reading.scope = match permissions.has_topics_of(who, &reading.exchange) {
                _ if !may_read => Scope::Nothing,
                true => Scope::Topics,
                false => Scope::Everything,
            };
        }
        reading.scope
    }

    fn may_read(&self, message: &Message) -> bool {
        let Some(session) = self.session.as_ref().filter(|session| session.reading.scope == Scope::Topics) else {
            return false;
        };
        let permissions = self.broker.permissions();
        let extra = message.rare.iter().flat_map(|rare| &rare.extra_keys);
        let mut keys = std::iter::once(&message.routing_key).chain(extra);
        // A message may have come by any of its keys.
        keys.any(|key| permissions.check_topic(&self.who, Access::Read, &session.reading.exchange, key).is_ok())
    }
}
