//! What users may do.

use crossdock_aws::namespaces::{VHOST_PREFIX, parent_of};
use crossdock_common::Name;
use crossdock_common::refusal::{Access, Resource};
use crossdock_core::{Grant, TopicGrant};

use super::records::{PermissionRecord, TopicPermissionRecord};
use super::state::State;
use super::{Administration, AdministrationError, Affects, Change, Made, Origin};

/// Longest expression, in bytes.
const EXPRESSION_BYTES_MAX: usize = 64 << 10;

impl Administration {
    /// All permissions, those of the configuration first.
    pub fn permissions(&self) -> Vec<(PermissionRecord, Origin)> {
        let declared = self.declared.permissions.iter().map(|record| (record.clone(), Origin::Configuration));
        let state = self.state.lock();
        let own = state.permissions.iter().filter(|own| self.declared.permission(&own.vhost, &own.user).is_none());
        declared.chain(own.map(|record| (record.clone(), Origin::Runtime))).collect()
    }

    /// Whether the user may do that. In a region of an AWS account where nobody has made anything, what holds in the account does.
    pub fn may(&self, user: &Name, vhost: &Name, access: Access, resource: Resource, name: &Name) -> bool {
        self.holds(user, vhost, |vhost| self.broker.may(user, vhost, access, resource, name))
    }

    /// Whether the user may do anything there, in the same way.
    pub fn may_enter(&self, user: &Name, vhost: &Name) -> bool {
        self.holds(user, vhost, |vhost| self.broker.may_enter(user, vhost))
    }

    fn holds(&self, user: &Name, vhost: &Name, is_so: impl Fn(&Name) -> bool) -> bool {
        if self.broker.has_vhost(vhost) {
            return is_so(vhost);
        }
        let parent = parent_of(vhost, &self.declared.aws_account);
        // Callers whom nobody checks may do everything in other accounts (`grant_to_namespaces`).
        let is_others = vhost.starts_with(VHOST_PREFIX) && parent.as_deref() != Some("/");
        let is_guests = is_others && self.declared.guest == Some(user.as_str());
        is_guests || is_so(&parent.map_or_else(|| vhost.clone(), Name::from))
    }

    /// Gives a user permissions in a vhost, in place of earlier ones.
    ///
    /// # Errors
    /// User or vhost is missing, an expression is none, or the configuration declares the user's permissions there.
    pub fn put_permission(&self, record: PermissionRecord) -> Result<Made, AdministrationError> {
        let mut state = self.state.lock();
        self.expect_vhost_and_user(&state, &record.vhost, &record.user)?;
        self.expect_free_permission(&record.vhost, &record.user)?;
        check_lengths(&[&record.configure, &record.write, &record.read])?;
        Grant::new(&record.configure, &record.write, &record.read).map_err(invalid_expression)?;
        let mut documents = Vec::new();
        let change = state.permissions.put(record, &mut documents)?;
        Ok(self.commit(&mut state, change, documents, Affects::Permissions))
    }

    /// Takes a user's permissions in a vhost away.
    ///
    /// # Errors
    /// There are none, or the configuration declares them.
    pub fn delete_permission(&self, vhost: &str, user: &str) -> Result<Made, AdministrationError> {
        self.expect_free_permission(vhost, user)?;
        let mut state = self.state.lock();
        let mut documents = Vec::new();
        if state.permissions.remove(&[vhost, user], &mut documents).is_none() {
            let missing = format!("user '{user}' has no permissions in vhost '{vhost}'");
            return Err(AdministrationError::NotFound(missing));
        }
        Ok(self.commit(&mut state, Change::Deleted, documents, Affects::Permissions))
    }

    /// All topic permissions.
    pub fn topic_permissions(&self) -> Vec<TopicPermissionRecord> {
        self.state.lock().topic_permissions.iter().cloned().collect()
    }

    /// Restricts a user's routing keys with a topic exchange, in place of an earlier restriction.
    ///
    /// # Errors
    /// User or vhost is missing, or an expression is none.
    pub fn put_topic_permission(&self, record: TopicPermissionRecord) -> Result<Made, AdministrationError> {
        let mut state = self.state.lock();
        self.expect_vhost_and_user(&state, &record.vhost, &record.user)?;
        check_lengths(&[&record.write, &record.read])?;
        TopicGrant::new(&record.write, &record.read).map_err(invalid_expression)?;
        let mut documents = Vec::new();
        let change = state.topic_permissions.put(record, &mut documents)?;
        Ok(self.commit(&mut state, change, documents, Affects::Permissions))
    }

    /// Takes the restrictions of a user in a vhost away: those of one exchange, or of all.
    ///
    /// # Errors
    /// There are none.
    pub fn delete_topic_permissions(
        &self,
        vhost: &str,
        user: &str,
        exchange: Option<&str>,
    ) -> Result<Made, AdministrationError> {
        let mut state = self.state.lock();
        let mut documents = Vec::new();
        let concerns = |record: &TopicPermissionRecord| {
            record.vhost == vhost && record.user == user && exchange.is_none_or(|exchange| record.exchange == exchange)
        };
        state.topic_permissions.remove_all(concerns, &mut documents);
        if documents.is_empty() {
            let missing = format!("user '{user}' has no topic permissions in vhost '{vhost}'");
            return Err(AdministrationError::NotFound(missing));
        }
        Ok(self.commit(&mut state, Change::Deleted, documents, Affects::Permissions))
    }

    /// Asked under the lock that the change is made under: nobody's permissions outlive the user.
    fn expect_vhost_and_user(&self, state: &State, vhost: &str, user: &str) -> Result<(), AdministrationError> {
        let missing = |_| AdministrationError::Invalid("vhost_or_user_not_found".to_owned());
        self.expect_vhost(vhost).and_then(|()| self.expect_user(state, user)).map_err(missing)
    }

    fn expect_free_permission(&self, vhost: &str, user: &str) -> Result<(), AdministrationError> {
        if self.declared.permission(vhost, user).is_none() {
            return Ok(());
        }
        Err(AdministrationError::Declared(format!("what user '{user}' may do in vhost '{vhost}'")))
    }
}

/// An expression costs a hundred times its length and more while it is compiled.
pub(super) fn check_length(expression: &str) -> Result<(), String> {
    if expression.len() <= EXPRESSION_BYTES_MAX {
        return Ok(());
    }
    Err(format!("it is longer than {EXPRESSION_BYTES_MAX} bytes"))
}

fn check_lengths(expressions: &[&str]) -> Result<(), AdministrationError> {
    expressions.iter().try_for_each(|expression| check_length(expression)).map_err(invalid_expression)
}

fn invalid_expression(error: impl std::fmt::Display) -> AdministrationError {
    AdministrationError::Invalid(format!("invalid_regexp: {error}"))
}
