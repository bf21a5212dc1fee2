//! Publishing: permission, route, and the batch for each shard.

use std::sync::Arc;

use bytes::Bytes;
use crossdock_common::command::{Publish, PublishRun};
use crossdock_common::refusal::{Access, Resource};
use crossdock_common::{Command, Event, Message, Name, Now, Refusal, address};
use hashbrown::HashMap;

use super::Client;
use crate::broker::Broker;
use crate::broker::followup::{routing_keys, share_count, split_by_shard};
use crate::definitions::route::{Route, route};
use crate::permissions::{Warrants, Who};
use crate::rarely::Rare as _;
use crate::shard::command::{Confirmee, ShardCommand, Share, Shares};
use crate::shard::runs::{EnqueueRun, RunConfirmee};

/// Routes that a connection remembers; beyond them it starts anew.
const ROUTES_MAX: usize = 4_096;

/// Routes that were found and permitted, valid until definitions or permissions change.
#[derive(Default)]
pub(super) struct RouteCache {
    version: u64,
    last: Option<(Name, Bytes, Arc<Route>)>,
    /// Empty as long as there is only one, which is the last.
    routes: HashMap<(Name, Bytes), Arc<Route>, foldhash::fast::RandomState>,
}

impl RouteCache {
    fn get(&mut self, version: u64, message: &Message) -> Option<Arc<Route>> {
        if self.version != version {
            self.version = version;
            self.last = None;
            self.routes.clear();
        }
        if message.rare.as_ref().is_some_and(|rare| !rare.extra_keys.is_empty()) {
            return None;
        }
        if let Some((exchange, key, route)) = &self.last
            && *key == message.routing_key
            && *exchange == message.exchange
        {
            return Some(route.clone());
        }
        if self.routes.is_empty() {
            return None;
        }
        let found = self.routes.get(&(message.exchange.clone(), message.routing_key.clone()))?.clone();
        self.last = Some((message.exchange.clone(), message.routing_key.clone(), found.clone()));
        Some(found)
    }

    fn keep(&mut self, message: &Message, route: &Arc<Route>) {
        if !route.cacheable || message.rare.as_ref().is_some_and(|rare| !rare.extra_keys.is_empty()) {
            return;
        }
        if self.routes.len() >= ROUTES_MAX {
            self.routes.clear();
        }
        // A copy of the key: the message's own may be a slice of a large buffer.
        let key = Bytes::copy_from_slice(&message.routing_key);
        let Some((exchange, last, known)) = &self.last else {
            self.last = Some((message.exchange.clone(), key, route.clone()));
            return;
        };
        if self.routes.is_empty() {
            self.routes.insert((exchange.clone(), last.clone()), known.clone());
        }
        self.routes.insert((message.exchange.clone(), key), route.clone());
    }
}

impl Client {
    fn routes(&mut self) -> &mut RouteCache {
        self.routes.get_or_insert_default()
    }

    pub(super) fn publish(&mut self, now: Now, mut publish: Publish) {
        self.published = true;
        let version = self.broker.version();
        let found = match self.routes().get(version, &publish.message) {
            Some(found) => Ok(found),
            None => self.find_route(&mut publish.message),
        };
        let found = match found {
            Ok(found) => found,
            Err(refusal) => {
                let (lane, confirm) = (publish.lane, publish.confirm);
                return self.outbox.push(Event::PublishRefused { lane, confirm, refusal });
            }
        };
        self.counting.count(found.traffic.as_ref(), 1, found.targets.len());
        if let Some(asked) = publish.exactly_once {
            return self.publish_once(now, publish, asked, &found);
        }
        let is_new = publish.message.durable && found.defined > self.broker.definitions_are_durable_to();
        match &found.targets[..] {
            [] => self.unroutable(publish),
            [only] if !publish.retain && !is_new => {
                let confirm = self.confirmee(&publish, None);
                let targets = found.targets.clone();
                self.push(only.queue, ShardCommand::Enqueue { message: publish.message, targets, confirm });
            }
            _ => self.fan_out(now, &publish, &found, is_new),
        }
    }

    /// As [`publish`](Self::publish) for each message of a run.
    pub(super) fn publish_run(&mut self, now: Now, publish: &PublishRun) {
        self.published = true;
        let version = self.broker.version();
        let found = self.routes().get(version, publish.run.head());
        let split = found.as_ref().map(|found| split_by_shard(self.broker.shard_count(), found)).unwrap_or_default();
        let defined = found.as_ref().map(|found| found.defined);
        let is_new = publish.run.head().durable && defined > Some(self.broker.definitions_are_durable_to());
        if split.is_empty() || is_new {
            return publish.publishes().for_each(|publish| self.command(now, Command::Publish(publish)));
        }
        if let Some(found) = found {
            self.counting.count(found.traffic.as_ref(), publish.run.len(), found.targets.len());
        }
        let is_shared = publish.confirm.is_some() && split.len() > 1;
        let shares = is_shared.then(|| Share::many(publish.run.len(), split.len()));
        for (index, targets) in split {
            let (outbox, lane) = (self.outbox.clone(), publish.lane);
            let confirmee = |first| RunConfirmee { outbox, lane, first, shares: shares.clone() };
            let run = EnqueueRun { run: publish.run.clone(), targets, confirm: publish.confirm.map(confirmee) };
            self.push_to(index, ShardCommand::EnqueueRun(Box::new(run)));
        }
    }

    /// Looks the route up, and makes of the message what goes there.
    fn find_route(&mut self, message: &mut Arc<Message>) -> Result<Arc<Route>, Refusal> {
        self.readdress(message);
        let found = Arc::new(self.broker.find_route(&self.who, &self.warrants, message)?);
        self.routes().keep(message, &found);
        *message = found.prepare(message.clone());
        Ok(found)
    }

    /// An answer that was sent to a `reply-to` as if that were a queue, but is the address of an exchange and key, goes there.
    fn readdress(&self, message: &mut Arc<Message>) {
        if !message.exchange.is_empty() || !message.routing_key.starts_with(address::PREFIX.as_bytes()) {
            return;
        }
        let Ok(name) = std::str::from_utf8(&message.routing_key) else { return };
        let Some((exchange, routing_key)) = address::exchange_and_key(name) else { return };
        let definitions = self.broker.definitions();
        let Ok(vhost) = definitions.vhost(&self.who.vhost) else { return };
        if vhost.exchanges.contains_key(&exchange) && !vhost.queues.contains_key(name) {
            let mut moved = message.to_mutable();
            (moved.exchange, moved.routing_key) = (exchange, routing_key);
            *message = Arc::new(moved);
        }
    }

    /// Confirmed once every shard has it, the one that retains it too, and the definitions of a new route are durable.
    fn fan_out(&mut self, now: Now, publish: &Publish, found: &Route, is_new: bool) {
        let split = split_by_shard(self.broker.shard_count(), found);
        let shares = share_count(split.len() + usize::from(publish.retain) + usize::from(is_new));
        if publish.retain {
            let confirm = self.confirmee(publish, shares.clone());
            self.retain(publish.message.clone(), confirm);
        }
        if is_new && let Some(confirmee) = self.confirmee(publish, shares.clone()) {
            self.broker.confirm_when_durable(now, found.defined, confirmee);
        }
        for (index, targets) in split {
            let confirm = self.confirmee(publish, shares.clone());
            self.push_to(index, ShardCommand::Enqueue { message: publish.message.clone(), targets, confirm });
        }
    }

    fn confirmee(&self, publish: &Publish, shares: Shares) -> Option<Confirmee> {
        let confirm = publish.confirm?;
        Some(Confirmee::Publisher { outbox: self.outbox.clone(), lane: publish.lane, confirm, shares })
    }

    fn unroutable(&mut self, publish: Publish) {
        if publish.retain {
            let confirm = self.confirmee(&publish, None);
            self.retain(publish.message.clone(), confirm);
        }
        let Publish { lane, confirm, message, mandatory, retain, .. } = publish;
        if mandatory || confirm.is_some() {
            self.outbox.push(Event::Unroutable { lane, confirm, mandatory, message });
        }
        // A retained message is confirmed by the shard that keeps it.
        if let (Some(confirm), false) = (confirm, retain) {
            self.outbox.confirm(lane, confirm..confirm + 1);
        }
    }

    /// Keeps the message as its key's last value; the shard that keeps it confirms its share.
    pub(super) fn retain(&mut self, message: Arc<Message>, confirm: Option<Confirmee>) {
        let index = retained_shard(&message.routing_key, self.broker.shard_count());
        let vhost = self.who.vhost.clone();
        self.push_to(index, ShardCommand::Retain { vhost, message, confirm });
    }
}

/// The shard that keeps the retained message of a key.
fn retained_shard(key: &[u8], shards: usize) -> usize {
    let hash = key.iter().fold(0u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    (hash % shards.max(1) as u64) as usize
}

impl Broker {
    /// The route of a message that this user publishes, after permission was asked.
    pub(crate) fn find_route(&self, who: &Who, warrants: &Warrants, message: &Message) -> Result<Route, Refusal> {
        let definitions = self.definitions();
        let vhost = definitions.vhost(&who.vhost)?;
        let exchange = vhost.exchange(&who.vhost, &message.exchange)?;
        let keys = routing_keys(message);
        let checked = self.permissions().check(who, Access::Write, Resource::Exchange, &message.exchange);
        checked.or_else(|refusal| {
            let is_warranted = warrants.publish(&who.vhost, &message.exchange, &keys);
            if is_warranted { Ok(()) } else { Err(refusal) }
        })?;
        if exchange.is_topic() {
            let permissions = self.permissions();
            let check = |key: &Bytes| permissions.check_topic(who, Access::Write, &message.exchange, key);
            keys.iter().try_for_each(check)?;
        }
        if exchange.spec.internal {
            let name = &message.exchange;
            return Err(Refusal::Forbidden(format!(
                "cannot publish to internal exchange '{name}' in vhost '{}'",
                who.vhost
            )));
        }
        let found = route(vhost, &message.exchange, &keys, message).unwrap_or_default();
        Ok(Route { defined: definitions.last_sequence(), traffic: Some(exchange.traffic.clone()), ..found })
    }

    /// Publishes on behalf of a user whose connection is gone.
    pub(crate) fn publish_for(self: &Arc<Self>, now: Now, who: &Who, message: Arc<Message>, retain: bool) {
        let Ok(found) = self.find_route(who, Warrants::NONE, &message) else { return };
        let message = found.prepare(message);
        if retain {
            let index = retained_shard(&message.routing_key, self.shard_count());
            let command = ShardCommand::Retain { vhost: who.vhost.clone(), message: message.clone(), confirm: None };
            self.send_batch(now, index, &mut vec![command]);
        }
        for (index, targets) in split_by_shard(self.shard_count(), &found) {
            let command = ShardCommand::Enqueue { message: message.clone(), targets, confirm: None };
            self.send_batch(now, index, &mut vec![command]);
        }
    }
}
