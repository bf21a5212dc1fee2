//! The last value of each exchange and routing key (MQTT retained messages).

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use crossdock_common::{Message, Name, Now};

use super::Shard;
use super::awaiting::Awaiting;
use super::command::{Confirmee, Effects};
use crate::definitions::pattern_matches;
use crate::log::{Log, RecordKind, Urgency};
use crate::record::{push_message, put_bytes};

/// Keys that are looked at under one lock: about 50 µs.
const KEYS_MAX: usize = 512;
/// Bytes that are found at once, and one message more.
const BYTES_MAX: usize = 128 << 10;

/// Bytes of bodies that a snapshot writes at once, and one message more.
const SNAPSHOT_BYTES_MAX: usize = 1 << 20;

/// What one look has found.
#[derive(Default)]
pub(crate) struct Look {
    pub found: Vec<Arc<Message>>,
    keys: usize,
    bytes: usize,
}

/// Whose last value it is.
#[derive(Clone, Debug)]
pub(crate) struct RetainedKey {
    /// The vhost and the exchange.
    of: (Name, Name),
    key: Bytes,
}

impl Look {
    /// The next ones are looked for later.
    pub(crate) fn is_enough(&self) -> bool {
        self.keys >= KEYS_MAX || self.bytes >= BYTES_MAX
    }
}

/// What all keys begin with that the pattern matches.
fn literal(pattern: &[u8]) -> &[u8] {
    let wild_at = pattern.iter().position(|byte| matches!(byte, b'*' | b'#'));
    let literal = wild_at.and_then(|at| pattern.get(..at)).unwrap_or(pattern);
    // `a.#` matches `a` as well.
    literal.strip_suffix(b".").filter(|_| wild_at.is_some()).unwrap_or(literal)
}

fn is_alive(message: &Message, now: Now) -> bool {
    message.ttl_ms.is_none_or(|ttl_ms| message.received_at.0.saturating_add(ttl_ms) > now.unix.0)
}

/// Retained messages of this shard by vhost, exchange and key.
#[derive(Default)]
pub(crate) struct Retained {
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

    /// Looks on for messages that the pattern matches, behind a key; gives the key that was looked at last, if it was not the last one.
    pub(crate) fn matching(
        &self,
        now: Now,
        (vhost, exchange): (&Name, &Name),
        (pattern, after): (&[u8], Option<&Bytes>),
        look: &mut Look,
    ) -> Option<Bytes> {
        let keys = self.exchanges.get(&(vhost.clone(), exchange.clone()))?;
        let literal = literal(pattern);
        let is_exact = literal.len() == pattern.len();
        let start = after.map_or(Bound::Included(literal), |after| Bound::Excluded(&after[..]));
        let within = keys.range::<[u8], _>((start, Bound::Unbounded));
        for (key, message) in
            within.take_while(|(key, _)| if is_exact { *key == literal } else { key.starts_with(literal) })
        {
            if pattern_matches(pattern, key) && is_alive(message, now) {
                look.bytes += message.body.len();
                look.found.push(message.clone());
            }
            look.keys += 1;
            if look.is_enough() {
                return Some(key.clone());
            }
        }
        None
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

    /// Writes those behind a key, for a snapshot: at most so many. Gives the key that was written last, if it was not the last one.
    pub(super) fn write(
        &self,
        after: Option<&RetainedKey>,
        keys_max: usize,
        log: &mut dyn Log,
        scratch: &mut BytesMut,
    ) -> Option<RetainedKey> {
        let (mut written, mut bytes) = (0, 0);
        for (vhost, exchange, key, message) in self.behind(after) {
            write_retained(log, scratch, vhost, message);
            written += 1;
            bytes += message.body.len();
            if written >= keys_max || bytes >= SNAPSHOT_BYTES_MAX {
                return Some(RetainedKey { of: (vhost.clone(), exchange.clone()), key: key.clone() });
            }
        }
        None
    }

    /// All behind a key, in their order.
    fn behind(&self, after: Option<&RetainedKey>) -> impl Iterator<Item = (&Name, &Name, &Bytes, &Arc<Message>)> {
        let first = after.map_or(Bound::Unbounded, |after| Bound::Included(&after.of));
        self.exchanges.range((first, Bound::Unbounded)).flat_map(move |(of, keys)| {
            let within = after.filter(|after| after.of == *of);
            let start = within.map_or(Bound::Unbounded, |after| Bound::Excluded(&after.key[..]));
            let keys = keys.range::<[u8], _>((start, Bound::Unbounded));
            keys.map(move |(key, message)| (&of.0, &of.1, key, message))
        })
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

fn write_retained(log: &mut dyn Log, scratch: &mut BytesMut, vhost: &Name, message: &Message) {
    scratch.clear();
    put_bytes(scratch, vhost.as_bytes());
    push_message(log, RecordKind::Retained, 0, scratch, message);
}
