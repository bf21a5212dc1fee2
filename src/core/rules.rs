//! What an operator allows a vhost or a user to have, and what a vhost's queues are where nobody says.

use crossdock_common::definition::QueueSpec;
use crossdock_common::{Name, Refusal};
use hashbrown::HashMap;

/// The rules of all vhosts and users that have any, replaced as a whole.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    vhosts: HashMap<Name, VhostRules>,
    users: HashMap<Name, UserRules>,
}

/// A vhost's. `None` is no limit, 0 allows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VhostRules {
    /// Connections of messaging protocols.
    pub connections_max: Option<u64>,
    /// Queues of every kind.
    pub queues_max: Option<u64>,
    /// The `x-queue-type` of declarations that have none.
    pub default_queue_type: Option<Name>,
}

/// A user's. `None` is no limit, 0 allows nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UserRules {
    /// Connections of messaging protocols.
    pub connections_max: Option<u64>,
    /// AMQP channels of all connections together.
    pub channels_max: Option<u64>,
}

impl Rules {
    /// Sets a vhost's rules, in place of earlier ones.
    pub fn set_vhost(&mut self, vhost: Name, rules: VhostRules) {
        self.vhosts.insert(vhost, rules);
    }

    /// Sets a user's rules, in place of earlier ones.
    pub fn set_user(&mut self, user: Name, rules: UserRules) {
        self.users.insert(user, rules);
    }

    pub(crate) fn vhost(&self, vhost: &Name) -> Option<&VhostRules> {
        self.vhosts.get(vhost)
    }

    pub(crate) fn user(&self, user: &Name) -> UserRules {
        self.users.get(user).copied().unwrap_or_default()
    }

    /// Whether a vhost that has these queues may have another one. Those that the broker has for itself do not count.
    ///
    /// # Errors
    /// [`Refusal::PreconditionFailed`] in RabbitMQ's words.
    pub(crate) fn may_have_queue<'a>(
        &self,
        vhost: &Name,
        queue: &QueueSpec,
        known: impl Iterator<Item = &'a QueueSpec>,
    ) -> Result<(), Refusal> {
        let Some(max) = self.vhost(vhost).and_then(|rules| rules.queues_max) else { return Ok(()) };
        let is_counted = |queue: &QueueSpec| queue.settings.inner.is_none();
        if !is_counted(queue) || (known.filter(|known| is_counted(known)).count() as u64) < max {
            return Ok(());
        }
        let name = &queue.name;
        let text = format!("cannot declare queue '{name}': queue limit in vhost '{vhost}' ({max}) is reached");
        Err(Refusal::PreconditionFailed(text))
    }
}
