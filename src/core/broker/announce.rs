//! What the broker says of itself, under keys of its own: the last of each is kept in memory, and nothing of it is ever in a log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use crossdock_common::{Message, Name, Now};
use parking_lot::Mutex;

use super::Broker;
use super::followup::split_by_shard;
use crate::definitions::exchange::Exchange;
use crate::definitions::pattern_matches;
use crate::definitions::route::route_announcement;
use crate::shard::command::ShardCommand;

/// The last announcement of each key. All are of one exchange, and the same in every vhost.
#[derive(Default)]
pub(super) struct Announcements(Mutex<BTreeMap<Bytes, Arc<Message>>>);

impl Announcements {
    /// Those that the pattern names: its first word is theirs, no wildcard.
    pub(super) fn matching(&self, exchange: &Name, pattern: &[u8], found: &mut Vec<Arc<Message>>) {
        let all = self.0.lock();
        let of_exchange = all.values().filter(|message| message.exchange == *exchange);
        let named = of_exchange.filter(|message| names(pattern, &message.routing_key));
        found.extend(named.filter(|message| pattern_matches(pattern, &message.routing_key)).cloned());
    }
}

/// Whether the pattern's first word is the key's, letter by letter.
pub(crate) fn names(pattern: &[u8], key: &[u8]) -> bool {
    let first = |text: &[u8]| text.iter().position(|byte| *byte == b'.').unwrap_or(text.len());
    pattern[..first(pattern)] == key[..first(key)]
}

impl Broker {
    /// Announces something: it takes the place of the last message with this key and goes to the queues of all vhosts that are bound to
    /// its first word by name: a binding of `#` does not get it. Who may read it is asked as of every message.
    pub fn announce(self: &Arc<Self>, now: Now, message: Message) {
        let message = Arc::new(message);
        let is_news = {
            let mut all = self.announcements.0.lock();
            let before = all.insert(message.routing_key.clone(), message.clone());
            before.is_none_or(|before| before.body != message.body)
        };
        if !is_news {
            return;
        }
        let definitions = self.definitions.read();
        let routes = definitions.vhosts.values().map(|vhost| route_announcement(vhost, &message));
        let routes: Vec<_> = routes.filter(|route| !route.targets.is_empty()).collect();
        drop(definitions);
        for (index, targets) in routes.iter().flat_map(|route| split_by_shard(self.shard_count(), route)) {
            let command = ShardCommand::Enqueue { message: message.clone(), targets, confirm: None };
            self.send_batch(now, index, &mut vec![command]);
        }
    }

    /// Sessions: all, and those without a connection.
    pub fn session_counts(&self) -> (usize, usize) {
        let all = self.definitions.read().vhosts.values().map(|vhost| vhost.sessions.len()).sum::<usize>();
        (all, all.saturating_sub(self.sessions_connected.load(Ordering::Relaxed)))
    }

    /// Sessions that have ended because nobody came back in time, since the start.
    pub fn sessions_expired(&self) -> u64 {
        self.sessions_expired.load(Ordering::Relaxed)
    }

    /// Bindings of the exchange in all vhosts.
    pub fn binding_count(&self, exchange: &Name) -> usize {
        let definitions = self.definitions.read();
        let exchanges = definitions.vhosts.values().filter_map(|vhost| vhost.exchanges.get(exchange));
        exchanges.map(Exchange::binding_count).sum()
    }

    /// Retained messages of all vhosts.
    pub fn retained_count(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().retained_count()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn only_the_first_word_counts_and_no_wildcard_is_one() {
        for (pattern, is_named) in [
            ("$SYS.#", true),
            ("$SYS.broker.*", true),
            ("$SYS", true),
            ("#", false),
            ("*.broker.uptime", false),
            ("$SYSTEM.#", false),
        ] {
            assert_eq!(names(pattern.as_bytes(), b"$SYS.broker.uptime"), is_named, "{pattern}");
        }
    }
}
