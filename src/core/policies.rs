//! What the operator sets for queues, where their declarations say nothing.

use crossdock_common::Name;
use crossdock_common::definition::{Durability, QueueSettings, QueueSpec};
use hashbrown::HashMap;
use regex::Regex;

/// The operator's rules: for all queues, for those of a vhost, and for those of certain names.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    durability: Durability,
    vhosts: HashMap<Name, Durability>,
    /// Highest priority first; of equals, the one that was added first.
    policies: Vec<Policy>,
}

/// What holds for the queues of a vhost whose names match.
#[derive(Clone, Debug)]
pub struct Policy {
    vhost: Name,
    pattern: Regex,
    priority: u32,
    durability: Option<Durability>,
}

impl Policy {
    /// A policy for the queues that `pattern` matches from end to end or in part, as RabbitMQ does.
    ///
    /// # Errors
    /// The pattern is not a regular expression.
    pub fn new(
        vhost: Name,
        pattern: &str,
        priority: u32,
        durability: Option<Durability>,
    ) -> Result<Self, regex::Error> {
        Ok(Self { vhost, pattern: Regex::new(pattern)?, priority, durability })
    }

    fn applies_to(&self, vhost: &Name, queue: &Name) -> bool {
        self.vhost == *vhost && self.pattern.is_match(queue)
    }
}

impl Policies {
    /// No policy; `durability` where nothing else is said.
    pub fn new(durability: Durability) -> Self {
        Self { durability, ..Self::default() }
    }

    /// Sets what holds in a vhost where no policy and no queue says otherwise.
    pub fn set_vhost(&mut self, vhost: Name, durability: Durability) {
        self.vhosts.insert(vhost, durability);
    }

    /// Adds a policy.
    pub fn add(&mut self, policy: Policy) {
        let place = self.policies.partition_point(|known| known.priority >= policy.priority);
        self.policies.insert(place, policy);
    }

    /// The durability of a queue's messages: what the queue says itself, else the policy, the vhost, the broker. A queue that does
    /// not survive a restart keeps its messages in memory, whatever anybody says.
    pub(crate) fn durability(&self, vhost: &Name, spec: &QueueSpec, settings: &QueueSettings) -> Durability {
        if !spec.durable {
            return Durability::Memory;
        }
        let of_policy = || self.policy(vhost, &spec.name)?.durability;
        let of_vhost = || self.vhosts.get(vhost).copied();
        settings.durability.or_else(of_policy).or_else(of_vhost).unwrap_or(self.durability)
    }

    /// The one policy that applies: as in RabbitMQ, policies do not add up.
    fn policy(&self, vhost: &Name, queue: &Name) -> Option<&Policy> {
        self.policies.iter().find(|policy| policy.applies_to(vhost, queue))
    }
}
