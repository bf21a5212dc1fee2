//! What an operator declares while the broker runs: vhosts, users, permissions, policies, limits and parameters.
//!
//! [`Administration`] keeps them as documents with the definitions, so they survive as queues do, and hands what follows from
//! them to the core and to the authenticator at once. A change is made by a call that does not wait, and is safe to answer after
//! [`Administration::durable`]. What the configuration file declares is shown with the rest, and cannot be changed here.
//!
//! No HTTP in here, and no RabbitMQ files: see `src/http` and `src/definitions`.

mod change;
mod compile;
mod declared;
mod first_user;
mod limits;
mod parameters;
mod permissions;
mod policies;
mod policy_keys;
mod records;
mod state;
mod term;
#[cfg(test)]
mod tests;
mod users;
mod vhosts;

pub use change::{AdministrationError, Change, Made, Origin};
pub use compile::policies_at_start;
pub use limits::{USER_LIMITS, VHOST_LIMITS};
pub use parameters::{operator_parameter, policy_of_parameter};
pub use policies::{AppliedPolicies, PolicyKind};
pub use policy_keys::{is_ignored_policy_key, merge, validate_policy};
pub use records::{
    GlobalParameterRecord, Limits, ParameterRecord, PermissionRecord, PolicyRecord, TopicPermissionRecord, VhostRecord,
};

use std::sync::Arc;
use std::time::Duration;

use crossdock_core::{Broker, DocumentChange, Sequence};
use crossdock_store::{Journal, JournalStatus};
use parking_lot::Mutex;

use crate::auth::Authenticator;
use crate::broker::Clock;
use crate::config::Settings;
use compile::Compiled;
use declared::Declared;
use state::State;

/// How often a waiting change looks whether it is durable.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Everything that an operator has declared, and where it takes effect.
pub struct Administration {
    broker: Arc<Broker>,
    authenticator: Arc<Authenticator>,
    journal: Arc<dyn Journal>,
    clock: Clock,
    declared: Declared,
    state: Mutex<State>,
}

/// While it is there, changes are only written: see [`Administration::in_bulk`].
pub struct Bulk<'a>(&'a Administration);

impl Drop for Bulk<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.bulks -= 1;
        if state.bulks == 0 {
            let pending = std::mem::take(&mut state.pending);
            pending.into_iter().for_each(|affected| self.0.apply(&mut state, affected));
        }
    }
}

/// What a change has an effect on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Affects {
    Users,
    Permissions,
    Policies,
    Rules,
    /// It is only kept.
    Nothing,
}

impl Administration {
    /// Reads what was declared before, and puts it into effect. `authenticator` has the users of the configuration.
    pub fn new(
        settings: &Settings,
        broker: Arc<Broker>,
        authenticator: Arc<Authenticator>,
        journal: Arc<dyn Journal>,
        clock: Clock,
    ) -> Arc<Self> {
        let declared = Declared::new(settings, &authenticator.users());
        declared.vhosts.iter().for_each(|vhost| broker.add_vhost(&vhost.as_str().into()));
        let state = State::load(&|kind| broker.documents(kind));
        let administration =
            Arc::new(Self { broker, authenticator, journal, clock, declared, state: Mutex::new(state) });
        users::rehash_at_login(&administration);
        let mut state = administration.state.lock();
        [Affects::Users, Affects::Permissions, Affects::Policies, Affects::Rules]
            .into_iter()
            .for_each(|affected| administration.apply(&mut state, affected));
        drop(state);
        administration
    }

    /// From now until the guard is dropped, changes are written as always and put into effect together at the end. Nobody's change
    /// is answered before that.
    pub fn in_bulk(&self) -> Bulk<'_> {
        self.state.lock().bulks += 1;
        Bulk(self)
    }

    /// Waits until a change survives, and is in effect.
    ///
    /// # Errors
    /// [`AdministrationError::Unavailable`] when the journal has failed.
    pub async fn durable(&self, made: Made) -> Result<Change, AdministrationError> {
        while self.broker.definitions_are_durable_to() < made.sequence || self.state.lock().bulks > 0 {
            if self.journal.status() != JournalStatus::Healthy {
                return Err(AdministrationError::Unavailable("the journal of the definitions has failed".to_owned()));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(made.change)
    }

    /// The core, for what is asked of it directly: queues, exchanges and bindings.
    pub fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// Writes documents down and puts them into effect.
    fn commit(&self, state: &mut State, change: Change, documents: Vec<DocumentChange>, affected: Affects) -> Made {
        if !documents.is_empty() {
            state.last = self.broker.change_documents(documents);
            self.apply(state, affected);
        }
        // What is there already may not be durable yet.
        Made { change, sequence: state.last }
    }

    fn apply(&self, state: &mut State, affected: Affects) {
        if state.bulks > 0 {
            if !state.pending.contains(&affected) {
                state.pending.push(affected);
            }
            return;
        }
        let compiled = Compiled { declared: &self.declared, state };
        match affected {
            Affects::Users => self.authenticator.replace_users(compiled.users()),
            Affects::Permissions => self.broker.set_permissions(compiled.permissions()),
            Affects::Policies => self.broker.set_policies(self.clock.now(), compiled.policies()),
            Affects::Rules => self.broker.set_rules(compiled.rules()),
            Affects::Nothing => {}
        }
    }

    fn sequence_of(&self, state: &mut State, sequence: Sequence) -> Sequence {
        state.last = state.last.max(sequence);
        state.last
    }
}
