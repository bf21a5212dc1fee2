//! How much vhosts and users may have.

use serde_json::Value;

use super::records::{Limits, LimitsRecord};
use super::term::{pairs, term};
use super::{Administration, AdministrationError, Affects, Change, Made};

/// The limits that a vhost may have.
pub const VHOST_LIMITS: [&str; 2] = ["max-connections", "max-queues"];
/// The limits that a user may have.
pub const USER_LIMITS: [&str; 2] = ["max-connections", "max-channels"];

impl Administration {
    /// The limits of all vhosts that have any.
    pub fn vhost_limits(&self) -> Vec<(String, Limits)> {
        self.state.lock().vhost_limits.iter().map(shown).collect()
    }

    /// The limits of all users that have any.
    pub fn user_limits(&self) -> Vec<(String, Limits)> {
        self.state.lock().user_limits.iter().map(shown).collect()
    }

    /// Sets one limit of a vhost. What is there already stays.
    ///
    /// # Errors
    /// There is no such vhost or limit.
    pub fn put_vhost_limit(&self, vhost: &str, limit: &str, value: &Value) -> Result<Made, AdministrationError> {
        self.expect_vhost(vhost)?;
        let mut limits = self.limits_of_vhost(vhost);
        limits.insert(limit.to_owned(), OF_VHOSTS.check(limit, value)?);
        self.replace_vhost_limits(vhost, limits)
    }

    /// Sets all limits of a vhost, as the runtime parameter `vhost-limits` does.
    ///
    /// # Errors
    /// There is no such vhost or limit.
    pub fn put_vhost_limits(&self, vhost: &str, value: &Value) -> Result<Made, AdministrationError> {
        self.expect_vhost(vhost)?;
        self.replace_vhost_limits(vhost, OF_VHOSTS.check_all(value)?)
    }

    /// Takes a limit of a vhost away; `None` takes all.
    ///
    /// # Errors
    /// There is no such vhost.
    pub fn delete_vhost_limit(&self, vhost: &str, limit: Option<&str>) -> Result<Made, AdministrationError> {
        self.expect_vhost(vhost)?;
        let mut limits = self.limits_of_vhost(vhost);
        limits.retain(|name, _| limit.is_some_and(|limit| limit != name));
        self.replace_vhost_limits(vhost, limits)
    }

    /// Sets one limit of a user.
    ///
    /// # Errors
    /// There is no such user or limit.
    pub fn put_user_limit(&self, user: &str, limit: &str, value: &Value) -> Result<Made, AdministrationError> {
        self.expect_user(&self.state.lock(), user)?;
        let mut limits = self.limits_of_user(user);
        limits.insert(limit.to_owned(), OF_USERS.check(limit, value)?);
        self.replace_user_limits(user, limits)
    }

    /// Sets all limits of a user, as a definitions file does.
    ///
    /// # Errors
    /// There is no such user or limit.
    pub fn put_user_limits(&self, user: &str, value: &Value) -> Result<Made, AdministrationError> {
        self.expect_user(&self.state.lock(), user)?;
        self.replace_user_limits(user, OF_USERS.check_all(value)?)
    }

    /// Takes a limit of a user away; `None` takes all.
    ///
    /// # Errors
    /// There is no such user.
    pub fn delete_user_limit(&self, user: &str, limit: Option<&str>) -> Result<Made, AdministrationError> {
        self.expect_user(&self.state.lock(), user)?;
        let mut limits = self.limits_of_user(user);
        limits.retain(|name, _| limit.is_some_and(|limit| limit != name));
        self.replace_user_limits(user, limits)
    }

    /// A vhost's limits; empty if it has none.
    pub fn limits_of_vhost(&self, vhost: &str) -> Limits {
        self.state.lock().vhost_limits.get(&[vhost]).map(|record| record.limits.clone()).unwrap_or_default()
    }

    /// A user's limits; empty if there are none.
    pub fn limits_of_user(&self, user: &str) -> Limits {
        self.state.lock().user_limits.get(&[user]).map(|record| record.limits.clone()).unwrap_or_default()
    }

    fn replace_vhost_limits(&self, vhost: &str, limits: Limits) -> Result<Made, AdministrationError> {
        let mut state = self.state.lock();
        let mut documents = Vec::new();
        let change = if limits.is_empty() {
            state.vhost_limits.remove(&[vhost], &mut documents).map_or(Change::Unchanged, |_| Change::Deleted)
        } else {
            state.vhost_limits.put(LimitsRecord { name: vhost.to_owned(), limits }, &mut documents)?
        };
        Ok(self.commit(&mut state, change, documents, Affects::Rules))
    }

    fn replace_user_limits(&self, user: &str, limits: Limits) -> Result<Made, AdministrationError> {
        let mut state = self.state.lock();
        let mut documents = Vec::new();
        let change = if limits.is_empty() {
            state.user_limits.remove(&[user], &mut documents).map_or(Change::Unchanged, |_| Change::Deleted)
        } else {
            state.user_limits.put(LimitsRecord { name: user.to_owned(), limits }, &mut documents)?
        };
        Ok(self.commit(&mut state, change, documents, Affects::Rules))
    }
}

fn shown(record: &LimitsRecord) -> (String, Limits) {
    (record.name.clone(), record.limits.clone())
}

/// What RabbitMQ calls a set of limits, and how it says that one is wrong.
struct Kind {
    limits: &'static [&'static str],
    words: &'static str,
    introduction: &'static str,
}

const OF_VHOSTS: Kind = Kind { limits: &VHOST_LIMITS, words: "limits", introduction: "Validation failed\n\n" };
const OF_USERS: Kind = Kind { limits: &USER_LIMITS, words: "user-limits", introduction: "" };

impl Kind {
    fn invalid(&self, text: &str) -> AdministrationError {
        let end = if self.introduction.is_empty() { "" } else { "\n" };
        AdministrationError::Invalid(format!("{}{text}{end}", self.introduction))
    }

    fn check(&self, limit: &str, value: &Value) -> Result<i64, AdministrationError> {
        if !self.limits.contains(&limit) {
            let unknown = (limit.to_owned(), value.clone());
            let unknown = pairs(std::iter::once((&unknown.0, &unknown.1)));
            return Err(self.invalid(&format!("Unrecognised terms {unknown} in {}", self.words)));
        }
        let wrong = || self.invalid(&format!("{limit} should be a number, actually was {}", term(value)));
        value.as_i64().ok_or_else(wrong)
    }

    fn check_all(&self, value: &Value) -> Result<Limits, AdministrationError> {
        let Some(limits) = value.as_object() else {
            return Err(self.invalid(&format!("{} not a list {}", self.words, term(value))));
        };
        limits.iter().map(|(name, value)| Ok((name.clone(), self.check(name, value)?))).collect()
    }
}
