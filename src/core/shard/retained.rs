//! The last value of each exchange and routing key (MQTT retained messages).

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use crossdock_common::{Message, Name, Now};

use super::Shard;
use super::awaiting::Awaiting;
use super::command::{Confirmee, Effects};
use crate::definitions::pattern_matches;
use crate::log::{Log, RecordKind, Urgency};
use crate::record::{push_message, put_bytes};

/// Retained messages of this shard by vhost, exchange and key.
#[derive(Default)]
pub(super) struct Retained {
    exchanges: BTreeMap<(Name, Name), BTreeMap<Bytes, Arc<Message>>>,
}

impl Retained {
    pub(super) fn set(&mut self, vhost: &Name, message: Arc<Message>) {
        let of = (vhost.clone(), message.exchange.clone());
        let keys = self.exchanges.entry(of).or_default();
        if message.body.is_empty() {
            keys.remove(&message.routing_key);
        } else {
            keys.insert(message.routing_key.clone(), message);
        }
    }

    pub(super) fn matching(
        &self,
        now: Now,
        vhost: &Name,
        exchange: &Name,
        pattern: &[u8],
        found: &mut Vec<Arc<Message>>,
    ) {
        let Some(keys) = self.exchanges.get(&(vhost.clone(), exchange.clone())) else { return };
        let alive = |message: &&Arc<Message>| {
            message.ttl_ms.is_none_or(|ttl_ms| message.received_at.0.saturating_add(ttl_ms) > now.unix.0)
        };
        if !pattern.iter().any(|byte| matches!(byte, b'*' | b'#')) {
            return found.extend(keys.get(pattern).filter(alive).cloned());
        }
        let matching = keys.iter().filter(|(key, _)| pattern_matches(pattern, key));
        found.extend(matching.map(|(_, message)| message).filter(alive).cloned());
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.exchanges.values().map(BTreeMap::len).sum()
    }

    /// Takes those of a vhost away, and gives them.
    fn take_vhost(&mut self, vhost: &Name) -> Vec<Arc<Message>> {
        let here = |(of, _): &(Name, Name)| of == vhost;
        let exchanges: Vec<_> = self.exchanges.keys().filter(|key| here(key)).cloned().collect();
        let taken = exchanges.iter().filter_map(|key| self.exchanges.remove(key));
        taken.flat_map(BTreeMap::into_values).collect()
    }

    /// Writes all of them, for a snapshot.
    pub(super) fn write(&self, log: &mut dyn Log, scratch: &mut bytes::BytesMut) {
        for ((vhost, _), keys) in &self.exchanges {
            for message in keys.values() {
                write_retained(log, scratch, vhost, message);
            }
        }
    }
}

impl Shard {
    pub(super) fn retain(
        &mut self,
        vhost: &Name,
        message: Arc<Message>,
        confirm: Option<Confirmee>,
        effects: &mut Effects,
    ) {
        write_retained(self.log.as_mut(), &mut self.scratch, vhost, &message);
        self.retained.set(vhost, message);
        if let Some(confirmee) = confirm {
            self.wait(Urgency::Sync, Awaiting::Confirm(confirmee), effects);
        }
    }
}

impl Shard {
    /// The vhost is gone: one of the same name begins without retained messages.
    pub(crate) fn forget_retained(&mut self, vhost: &Name) {
        for message in self.retained.take_vhost(vhost) {
            let mut forgotten = message.to_mutable();
            forgotten.body = Bytes::new();
            write_retained(self.log.as_mut(), &mut self.scratch, vhost, &forgotten);
        }
        self.commit();
    }
}

fn write_retained(log: &mut dyn Log, scratch: &mut bytes::BytesMut, vhost: &Name, message: &Message) {
    scratch.clear();
    put_bytes(scratch, vhost.as_bytes());
    push_message(log, RecordKind::Retained, 0, scratch, message);
}
