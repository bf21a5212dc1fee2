//! What an operator changes while the broker runs: vhosts, policies, limits, and what others keep with the definitions.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use crossdock_common::definition::{Definition, QueueSettings};
use crossdock_common::event::Reply;
use crossdock_common::names::{ConnectionId, QueueId};
use crossdock_common::{Name, Now, Refusal};

use super::Broker;
use super::define::Caller;
use crate::definitions::shard_of;
use crate::log::{Sequence, Urgency};
use crate::permissions::{Permissions, Warrants, Who};
use crate::policies::Policies;
use crate::rarely::Rare as _;
use crate::rules::Rules;
use crate::shard::command::Effects;

/// Something that is kept with the definitions, or (without `document`) forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentChange {
    pub kind: &'static str,
    pub key: Name,
    pub document: Option<Bytes>,
}

/// No connection has this number: what an operator makes is nobody's.
const OPERATOR: ConnectionId = ConnectionId(0);

impl Broker {
    /// Replaces who may do what. Connections see it at their next command.
    pub fn set_permissions(&self, permissions: Permissions) {
        *self.permissions.write() = Arc::new(permissions);
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    /// Replaces the limits of vhosts and users. Connections and queues that are there already stay.
    pub fn set_rules(&self, rules: Rules) {
        self.connections.lock().rules_changed(&rules);
        *self.rules.write() = Arc::new(rules);
    }

    pub(crate) fn rules(&self) -> Arc<Rules> {
        self.rules.read().clone()
    }

    /// Replaces the policies: queues and exchanges follow the new ones from now on. The durability of queues that exist is looked
    /// at again at the next start.
    pub fn set_policies(self: &Arc<Self>, now: Now, policies: Policies) {
        let mut effects = Effects::default();
        let mut definitions = self.definitions.write();
        let mut changes = vec![Vec::<(QueueId, QueueSettings)>::new(); self.shards.len()];
        for (id, settings) in definitions.set_policies(policies) {
            if let Some(of_shard) = changes.get_mut(shard_of(id)) {
                of_shard.push((id, settings));
            }
        }
        for (index, of_shard) in changes.into_iter().enumerate() {
            self.with_shard(index, |shard| shard.reconfigure(now, of_shard, &mut effects));
        }
        drop(definitions);
        self.follow_up(now, effects);
    }

    /// Makes a vhost, unless it exists. It survives once the definitions' log is durable up to the number.
    pub fn create_vhost(&self, name: &Name, documents: Vec<DocumentChange>) -> Sequence {
        let mut definitions = self.definitions.write();
        definitions.record_vhost(name);
        definitions.add_vhost(name);
        definitions.change_documents(documents);
        definitions.log.commit(Urgency::Sync);
        definitions.last_sequence()
    }

    /// Removes a vhost with everything in it, and ends its connections.
    pub fn delete_vhost(self: &Arc<Self>, now: Now, name: &Name, documents: Vec<DocumentChange>) -> Sequence {
        let mut effects = Effects::default();
        let mut definitions = self.definitions.write();
        // What was allowed in the vhost goes first: a crash in between must not leave that to a later vhost of the name.
        definitions.change_documents(documents);
        let queues = definitions.remove_vhost(name);
        definitions.log.commit(Urgency::Sync);
        let last = definitions.last_sequence();
        for id in queues {
            self.with_shard(shard_of(id), |shard| shard.remove_queue(id, &mut effects));
        }
        for index in 0..self.shards.len() {
            self.with_shard(index, |shard| shard.forget_retained(name));
        }
        drop(definitions);
        self.follow_up(now, effects);
        let reason = Name::from(format!("vhost '{name}' is deleted"));
        self.connections.lock().end(|_, vhost| vhost == name, &reason);
        last
    }

    /// The vhosts that exist.
    pub fn vhost_names(&self) -> Vec<Name> {
        self.definitions.read().vhosts.keys().cloned().collect()
    }

    /// The queues of a vhost that belong to sessions.
    pub fn session_queues(&self, vhost: &Name) -> Vec<Name> {
        let definitions = self.definitions.read();
        let sessions = definitions.vhosts.get(vhost).map(|vhost| vhost.sessions.values());
        sessions.into_iter().flatten().map(|session| session.queue.clone()).collect()
    }

    /// Ends the connections of a user who is no more.
    pub fn end_connections_of(&self, user: &Name) {
        let reason = Name::from(format!("user '{user}' is deleted"));
        self.connections.lock().end(|of, _| of == user, &reason);
    }

    /// Ends a connection; false if there is none of that number.
    pub fn end_connection(&self, connection: ConnectionId, reason: Name) -> bool {
        self.connections.lock().end_one(connection, reason)
    }

    /// Keeps or forgets documents, in their order: of more than a mebibyte, a crash may leave the first ones only. All are
    /// durable once the definitions' log is, up to the number.
    pub fn change_documents(&self, changes: Vec<DocumentChange>) -> Sequence {
        let mut definitions = self.definitions.write();
        definitions.change_documents(changes);
        definitions.log.commit(Urgency::Sync);
        definitions.last_sequence()
    }

    /// Carries out a definition command on the operator's own authority: nobody's permission is asked. It is durable once the
    /// definitions' log is, up to the number.
    pub fn administer(
        self: &Arc<Self>,
        now: Now,
        vhost: &Name,
        definition: Definition,
    ) -> (Result<Reply, Refusal>, Sequence) {
        let who = Who { vhost: vhost.clone(), ..Who::default() };
        let caller = Caller { who: &who, warrants: Warrants::NONE, connection: OPERATOR, session_queue: None };
        let (result, wait) = self.define_authorised(now, &caller, definition);
        (result, wait.unwrap_or_default())
    }

    /// The definitions' log is durable up to here.
    pub fn definitions_are_durable_to(&self) -> Sequence {
        Sequence(self.definitions_durable.load(Ordering::Acquire))
    }
}
