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
        limits.insert(limit.to_owned(), checked(&VHOST_LIMITS, limit, value)?);
        self.replace_vhost_limits(vhost, limits)
    }

    /// Sets all limits of a vhost, as the runtime parameter `vhost-limits` does.
    ///
    /// # Errors
    /// There is no such vhost or limit.
    pub fn put_vhost_limits(&self, vhost: &str, value: &Value) -> Result<Made, AdministrationError> {
        self.expect_vhost(vhost)?;
        self.replace_vhost_limits(vhost, all_checked(&VHOST_LIMITS, value)?)
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
        self.expect_user(user)?;
        let mut limits = self.limits_of_user(user);
        limits.insert(limit.to_owned(), checked(&USER_LIMITS, limit, value)?);
        self.replace_user_limits(user, limits)
    }

    /// Sets all limits of a user, as a definitions file does.
    ///
    /// # Errors
    /// There is no such user or limit.
    pub fn put_user_limits(&self, user: &str, value: &Value) -> Result<Made, AdministrationError> {
        self.expect_user(user)?;
        self.replace_user_limits(user, all_checked(&USER_LIMITS, value)?)
    }

    /// Takes a limit of a user away; `None` takes all.
    ///
    /// # Errors
    /// There is no such user.
    pub fn delete_user_limit(&self, user: &str, limit: Option<&str>) -> Result<Made, AdministrationError> {
        self.expect_user(user)?;
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
            state.vhost_limits.put(LimitsRecord { name: vhost.to_owned(), limits }, &mut documents)
        };
        Ok(self.commit(&mut state, change, documents, Affects::Rules))
    }

    fn replace_user_limits(&self, user: &str, limits: Limits) -> Result<Made, AdministrationError> {
        let mut state = self.state.lock();
        let mut documents = Vec::new();
        let change = if limits.is_empty() {
            state.user_limits.remove(&[user], &mut documents).map_or(Change::Unchanged, |_| Change::Deleted)
        } else {
            state.user_limits.put(LimitsRecord { name: user.to_owned(), limits }, &mut documents)
        };
        Ok(self.commit(&mut state, change, documents, Affects::Rules))
    }
}

fn shown(record: &LimitsRecord) -> (String, Limits) {
    (record.name.clone(), record.limits.clone())
}

fn checked(known: &[&str], limit: &str, value: &Value) -> Result<i64, AdministrationError> {
    let failed = |text: String| AdministrationError::Invalid(format!("Validation failed\n\n{text}\n"));
    if !known.contains(&limit) {
        let unknown = [(limit.to_owned(), value.clone())];
        let unknown = pairs(unknown.iter().map(|(name, value)| (name, value)));
        return Err(failed(format!("Unrecognised terms {unknown} in limits")));
    }
    value.as_i64().ok_or_else(|| failed(format!("{limit} should be a number, actually was {}", term(value))))
}

fn all_checked(known: &[&str], value: &Value) -> Result<Limits, AdministrationError> {
    let Some(limits) = value.as_object() else {
        return Err(AdministrationError::Invalid(format!("Validation failed\n\nlimits not a list {}\n", term(value))));
    };
    limits.iter().map(|(name, value)| Ok((name.clone(), checked(known, name, value)?))).collect()
}
