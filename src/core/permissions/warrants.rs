//! What a connection may do beyond its user's permissions: see [`Warrant`].

use bytes::Bytes;
use crossdock_common::refusal::Resource;
use crossdock_common::warrant::Right;
use crossdock_common::{Name, Warrant};

use crate::rarely::Rare;

/// The warrants of one connection. Asked only where permission was refused.
#[derive(Default)]
pub(crate) struct Warrants {
    given: Vec<Warrant>,
    /// The user has no permission in the vhost at all and is there by a warrant.
    is_guest: bool,
}

impl Rare for Warrants {
    const NONE: &'static Self = &Self { given: Vec::new(), is_guest: false };
}

impl Warrants {
    pub(crate) fn give(&mut self, warrant: Warrant) {
        if !self.given.contains(&warrant) {
            self.given.push(warrant);
        }
    }

    /// Whether something of that vhost may be used.
    pub(crate) fn lead_to(&self, vhost: &Name) -> bool {
        self.given.iter().any(|warrant| warrant.vhost == *vhost)
    }

    /// Notes how the connection has entered its vhost.
    pub(crate) fn enter(&mut self, is_guest: bool) {
        self.is_guest = is_guest;
    }

    /// The connection sees nothing of its vhost but what a warrant is for.
    pub(crate) fn are_all(&self) -> bool {
        self.is_guest
    }

    /// Whether the resource may be looked at.
    pub(crate) fn look(&self, vhost: &Name, resource: Resource, name: &Name) -> bool {
        self.of(vhost, resource, name).next().is_some()
    }

    /// Whether it may be read.
    pub(crate) fn read(&self, vhost: &Name, resource: Resource, name: &Name) -> bool {
        self.of(vhost, resource, name).any(|right| right == Right::Read)
    }

    /// Whether the queue may be made, bound and deleted.
    pub(crate) fn keep(&self, vhost: &Name, queue: &Name) -> bool {
        self.of(vhost, Resource::Queue, queue).any(|right| right == Right::Keep)
    }

    /// Whether a message with these keys may be published. Through the default exchange it goes to the queues of these names.
    pub(crate) fn publish(&self, vhost: &Name, exchange: &Name, keys: &[Bytes]) -> bool {
        let writes = |resource, name: &Name| self.of(vhost, resource, name).any(|right| right == Right::Write);
        if !exchange.is_empty() {
            return writes(Resource::Exchange, exchange);
        }
        let is_queue =
            |key: &Bytes| std::str::from_utf8(key).is_ok_and(|queue| writes(Resource::Queue, &Name::from(queue)));
        !self.given.is_empty() && !keys.is_empty() && keys.iter().all(is_queue)
    }

    fn of(&self, vhost: &Name, resource: Resource, name: &Name) -> impl Iterator<Item = Right> {
        let is_it = move |one: &&Warrant| one.vhost == *vhost && one.resource == resource && one.name == *name;
        self.given.iter().filter(is_it).map(|warrant| warrant.right)
    }
}
