//! Users: who may log in.

use std::sync::Arc;

use super::state::State;
use super::vhosts::check_name;
use super::{Administration, AdministrationError, Affects, Change, Made, Origin};
use crate::auth::{PasswordHash, UserRecord};
use crate::mosquitto::Contents;

impl Administration {
    /// All users, by name.
    pub fn users(&self) -> Vec<(UserRecord, Origin)> {
        let state = self.state.lock();
        let own = state.users.iter().filter(|user| !self.declared.users.contains_key(&user.name));
        let own = own.map(|user| (user.clone(), Origin::Runtime));
        let of_file = self.declared.users.values().map(|user| (user.clone(), Origin::Configuration));
        let mut users: Vec<_> = own.chain(of_file).collect();
        users.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
        users
    }

    /// One user.
    pub fn user(&self, name: &str) -> Option<(UserRecord, Origin)> {
        match self.declared.users.get(name) {
            Some(user) => Some((user.clone(), Origin::Configuration)),
            None => self.state.lock().users.get(&[name]).map(|user| (user.clone(), Origin::Runtime)),
        }
    }

    /// Makes a user, or changes password and tags. Connections that are open stay.
    ///
    /// # Errors
    /// The name is none, or the configuration declares the user.
    pub fn put_user(&self, record: UserRecord) -> Result<Made, AdministrationError> {
        check_name("user", &record.name)?;
        self.expect_free_user(&record.name)?;
        let mut state = self.state.lock();
        let mut documents = Vec::new();
        let change = state.users.put(record, &mut documents)?;
        Ok(self.commit(&mut state, change, documents, Affects::Users))
    }

    /// Removes a user with permissions and limits, and ends the user's connections.
    ///
    /// # Errors
    /// There is none, or the configuration declares the user.
    pub fn delete_user(&self, name: &str) -> Result<Made, AdministrationError> {
        let mut state = self.state.lock();
        self.expect_user(&state, name)?;
        self.expect_free_user(name)?;
        let mut documents = Vec::new();
        state.permissions.remove_all(|record| record.user == name, &mut documents);
        state.topic_permissions.remove_all(|record| record.user == name, &mut documents);
        state.user_limits.remove(&[name], &mut documents);
        state.users.remove(&[name], &mut documents);
        let made = self.commit(&mut state, Change::Deleted, documents, Affects::Users);
        self.apply(&mut state, Affects::Permissions);
        self.apply(&mut state, Affects::Rules);
        drop(state);
        self.broker.end_connections_of(&name.into());
        Ok(made)
    }

    /// Mosquitto's files say this now. Connections of users who are in them no longer, and are nowhere else, end.
    pub fn set_mosquitto(&self, contents: Contents) {
        let mut state = self.state.lock();
        let former = std::mem::replace(&mut state.mosquitto, contents);
        self.apply(&mut state, Affects::Users);
        self.apply(&mut state, Affects::Permissions);
        let users = self.authenticator.users();
        drop(state);
        for name in former.users.keys().filter(|name| users.get(name).is_none()) {
            self.broker.end_connections_of(&name.as_str().into());
        }
    }

    pub(super) fn expect_user(&self, state: &State, name: &str) -> Result<(), AdministrationError> {
        if self.declared.users.contains_key(name) || state.users.get(&[name]).is_some() {
            return Ok(());
        }
        Err(AdministrationError::NotFound(format!("user '{name}' not found")))
    }

    fn expect_free_user(&self, name: &str) -> Result<(), AdministrationError> {
        match self.declared.users.contains_key(name) {
            true => Err(AdministrationError::Declared(format!("user '{name}'"))),
            false => Ok(()),
        }
    }

    /// A password that was right is kept as a better hash than the one that came with the user.
    fn rehash(&self, name: &str, known: &PasswordHash, better: PasswordHash) {
        let mut state = self.state.lock();
        let Some(user) = state.users.get(&[name]).filter(|user| user.password_hash.as_ref() == Some(known)) else {
            return;
        };
        let record = UserRecord { password_hash: Some(better), ..user.clone() };
        let mut documents = Vec::new();
        let Ok(change) = state.users.put(record, &mut documents) else { return };
        // Nobody waits for it: until it is durable, the old hash is as good.
        let _ = self.commit(&mut state, change, documents, Affects::Users);
        tracing::info!(user = name, "the password is kept as an argon2id hash with keys for SCRAM from now on");
    }
}

/// RabbitMQ's hashes, and those without keys for SCRAM, are replaced once their passwords are known.
pub(super) fn rehash_at_login(administration: &Arc<Administration>) {
    let weak = Arc::downgrade(administration);
    administration.authenticator.when_rehashed(Box::new(move |name, known, better| {
        if let Some(administration) = weak.upgrade() {
            administration.rehash(name, known, better);
        }
    }));
}
