//! Who wants to hear of queues by what they are called.

use std::sync::Arc;

use bytes::Bytes;
use crossdock_common::event::Reply;
use crossdock_common::names::ConnectionId;
use crossdock_common::refusal::{Access, Resource};
use crossdock_common::{ConsumerId, Event, Name, Refusal};

use super::Broker;
use super::session::QUEUE_PREFIX as SESSION_QUEUE_PREFIX;
use crate::definitions::{Definitions, QueueEntry, Vhost, pattern_matches};
use crate::outbox::Outbox;
use crate::permissions::{Permissions, Who};
use crate::settings::is_stream;

/// One who does.
pub(crate) struct Follower {
    pub who: Who,
    pub outbox: Arc<Outbox>,
    /// Its connection's number for it.
    pub id: ConsumerId,
    /// A topic pattern.
    pub pattern: Bytes,
}

impl Follower {
    /// It wants to hear of this queue, and may.
    fn follows(&self, permissions: &Permissions, queue: &QueueEntry) -> bool {
        let name = &queue.spec.name;
        pattern_matches(&self.pattern, name.as_bytes())
            && permissions.check(&self.who, Access::Read, Resource::Queue, name).is_ok()
    }
}

impl Broker {
    /// Names the queues that are there; the follower is told of later ones.
    pub(crate) fn follow_queues(&self, follower: Follower) -> Result<Reply, Refusal> {
        let permissions = self.permissions();
        let mut definitions = self.definitions.write();
        let vhost = definitions.vhost_mut(&follower.who.vhost)?;
        let queues = vhost.queues.values().filter(|queue| is_anybodys(queue, vhost, &follower.who.vhost));
        let found = queues.filter(|queue| follower.follows(&permissions, queue));
        let names = found.map(|queue| queue.spec.name.clone()).collect();
        vhost.followers.push(follower);
        Ok(Reply::Names(names))
    }

    /// No more of that, for one follower of a connection or all of them.
    pub(crate) fn unfollow_queues(&self, vhost: &Name, connection: ConnectionId, id: Option<ConsumerId>) {
        let mut definitions = self.definitions.write();
        let Some(vhost) = definitions.vhosts.get_mut(vhost) else { return };
        let stays = |one: &Follower| one.outbox.connection != connection || id.is_some_and(|id| id != one.id);
        vhost.followers.retain(stays);
    }

    /// A client has made a queue.
    pub(super) fn tell_followers(&self, definitions: &Definitions, vhost: &Name, name: &Name) {
        let Some(entry) = definitions.vhosts.get(vhost).filter(|entry| !entry.followers.is_empty()) else { return };
        let Some(queue) = entry.queues.get(name).filter(|queue| is_anybodys(queue, entry, vhost)) else { return };
        let permissions = self.permissions();
        for follower in entry.followers.iter().filter(|follower| follower.follows(&permissions, queue)) {
            follower.outbox.push(Event::QueueMade { follower: follower.id, queue: name.clone() });
            follower.outbox.wake();
        }
    }
}

fn is_sessions(entry: &Vhost, queue: &Name) -> bool {
    let session = queue.strip_prefix(SESSION_QUEUE_PREFIX).and_then(|session| entry.sessions.get(&Name::from(session)));
    session.is_some_and(|session| session.queue == *queue)
}

/// It is a queue that clients share: not the broker's own, a session's, one with a generated name, one connection's or a stream.
fn is_anybodys(queue: &QueueEntry, entry: &Vhost, vhost: &Name) -> bool {
    let spec = &queue.spec;
    queue.owner.is_none()
        && spec.settings.inner.is_none()
        && !spec.name.starts_with("amq.")
        && !is_stream(spec, vhost)
        && !is_sessions(entry, &spec.name)
}
