//! Who is connected: so many to a vhost, so many of a user.

use std::sync::Arc;

use crossdock_common::lane_quota::LaneQuota;
use crossdock_common::names::ConnectionId;
use crossdock_common::{Event, Name, Refusal};
use hashbrown::HashMap;

use crate::outbox::Outbox;
use crate::permissions::Who;
use crate::rules::Rules;

/// All connections, authenticated or not.
#[derive(Default)]
pub(super) struct Connections {
    all: HashMap<ConnectionId, Connection>,
    of_vhosts: HashMap<Name, u64>,
    of_users: HashMap<Name, OfUser>,
    /// That of the last one who came: most come as the one before.
    last: Arc<Place>,
}

struct Connection {
    outbox: Arc<Outbox>,
    /// Once it has entered a vhost.
    place: Option<Arc<Place>>,
    /// Counts for limits: not so the single requests of HTTP.
    is_counted: bool,
}

/// Whose connections are in which vhost.
#[derive(Default, PartialEq)]
struct Place {
    user: Name,
    vhost: Name,
}

#[derive(Default)]
struct OfUser {
    connections: u64,
    lanes: Arc<LaneQuota>,
}

impl Connections {
    pub(super) fn add(&mut self, outbox: Arc<Outbox>) {
        self.all.insert(outbox.connection, Connection { outbox, place: None, is_counted: true });
    }

    /// Lanes (AMQP channels) that are open.
    pub(super) fn lanes(&self) -> u64 {
        self.of_users.values().map(|user| user.lanes.used()).sum()
    }

    /// The name as the user's other connections have it: one copy for all of them.
    pub(super) fn shared(&self, user: Name) -> Name {
        self.of_users.get_key_value(&user).map_or(user, |(known, _)| known.clone())
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn outboxes(&self) -> impl Iterator<Item = &Arc<Outbox>> {
        self.all.values().map(|connection| &connection.outbox)
    }

    pub(super) fn exempt(&mut self, id: ConnectionId) {
        if let Some(connection) = self.all.get_mut(&id) {
            connection.is_counted = false;
        }
    }

    /// Whether the vhost and the user may have one connection more.
    ///
    /// # Errors
    /// [`Refusal::LimitReached`] in RabbitMQ's words.
    pub(super) fn has_room(&self, id: ConnectionId, who: &Who, rules: &Rules) -> Result<(), Refusal> {
        if self.all.get(&id).is_none_or(|connection| !connection.is_counted) {
            return Ok(());
        }
        let Who { user, vhost, .. } = who;
        let of_vhost = self.of_vhosts.get(vhost).copied().unwrap_or(0);
        if let Some(max) = rules.vhost(vhost).and_then(|rules| rules.connections_max).filter(|&max| of_vhost >= max) {
            return Err(Refusal::LimitReached(format!(
                "access to vhost '{vhost}' refused for user '{user}': connection limit ({max}) is reached"
            )));
        }
        let of_user = self.of_users.get(user).map_or(0, |known| known.connections);
        match rules.user(user).connections_max {
            Some(max) if of_user >= max => Err(Refusal::LimitReached(format!(
                "connection refused for user '{user}': user connection limit ({max}) is reached"
            ))),
            _ => Ok(()),
        }
    }

    /// The connection is in its vhost. Gives what it shares with the user's other connections.
    pub(super) fn entered(&mut self, id: ConnectionId, who: &Who, rules: &Rules) -> Option<Arc<LaneQuota>> {
        let connection = self.all.get_mut(&id)?;
        let place = Place { user: who.user.clone(), vhost: who.vhost.clone() };
        if *self.last != place {
            self.last = Arc::new(place);
        }
        connection.place = Some(self.last.clone());
        if !connection.is_counted {
            return None;
        }
        *self.of_vhosts.entry(who.vhost.clone()).or_default() += 1;
        let of_user = self.of_users.entry(who.user.clone()).or_default();
        of_user.connections += 1;
        of_user.lanes.set_max(rules.user(&who.user).channels_max);
        Some(of_user.lanes.clone())
    }

    pub(super) fn remove(&mut self, id: ConnectionId) {
        let Some(Connection { place: Some(place), is_counted: true, .. }) = self.all.remove(&id) else { return };
        let Place { user, vhost } = &*place;
        if let Some(count) = self.of_vhosts.get_mut(vhost) {
            *count -= 1;
            if *count == 0 {
                self.of_vhosts.remove(vhost);
            }
        }
        if let Some(of_user) = self.of_users.get_mut(user) {
            of_user.connections -= 1;
            if of_user.connections == 0 {
                self.of_users.remove(user);
            }
        }
    }

    /// The operator has changed the rules: those of lanes hold for connections that are there.
    pub(super) fn rules_changed(&self, rules: &Rules) {
        for (user, of_user) in &self.of_users {
            of_user.lanes.set_max(rules.user(user).channels_max);
        }
    }

    /// Asks those connections to say goodbye that have such a user and vhost.
    pub(super) fn end(&self, concerns: impl Fn(&Name, &Name) -> bool, reason: &Name) {
        let is_concerned =
            |one: &&Connection| one.place.as_ref().is_some_and(|place| concerns(&place.user, &place.vhost));
        for connection in self.all.values().filter(is_concerned) {
            connection.outbox.push(Event::Forced { reason: reason.clone() });
            connection.outbox.wake();
        }
    }

    /// Asks one connection to say goodbye; false if there is none of that number.
    pub(super) fn end_one(&self, id: ConnectionId, reason: Name) -> bool {
        let Some(connection) = self.all.get(&id) else { return false };
        connection.outbox.push(Event::Forced { reason });
        connection.outbox.wake();
        true
    }
}
