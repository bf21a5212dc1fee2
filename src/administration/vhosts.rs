//! Virtual hosts.

use super::records::VhostRecord;
use super::{Administration, AdministrationError, Affects, Change, Made, Origin};

/// The kinds that a vhost's queues may have where nobody says.
const QUEUE_TYPES: [&str; 3] = ["classic", "quorum", "stream"];
/// Longest name of a vhost or user, in bytes.
pub(super) const NAME_BYTES_MAX: usize = 255;

impl Administration {
    /// All vhosts, by name.
    pub fn vhosts(&self) -> Vec<(VhostRecord, Origin)> {
        let state = self.state.lock();
        let names = self.broker.vhost_names();
        let record = |name: &str| {
            let plain = || VhostRecord { name: name.to_owned(), ..VhostRecord::default() };
            (state.vhosts.get(&[name]).cloned().unwrap_or_else(plain), self.vhost_origin(name))
        };
        names.iter().map(|name| record(name)).collect()
    }

    /// One vhost.
    pub fn vhost(&self, name: &str) -> Option<(VhostRecord, Origin)> {
        self.vhosts().into_iter().find(|(record, _)| record.name == name)
    }

    /// Makes a vhost, or changes its facts; those of the configuration's vhosts may be changed, too.
    ///
    /// # Errors
    /// The name or the default queue type is none.
    pub fn put_vhost(&self, record: VhostRecord) -> Result<Made, AdministrationError> {
        check_name("vhost", &record.name)?;
        if let Some(kind) = record.default_queue_type.as_ref().filter(|kind| !QUEUE_TYPES.contains(&kind.as_str())) {
            return Err(AdministrationError::Invalid(format!("Unsupported queue type: '{kind}'")));
        }
        let mut state = self.state.lock();
        let exists = self.vhost_exists(&record.name);
        let is_plain = record == VhostRecord { name: record.name.clone(), ..VhostRecord::default() };
        let mut documents = Vec::new();
        let change = match (exists, state.vhosts.get(&[&record.name]).is_some()) {
            (true, false) if is_plain => Change::Unchanged,
            _ => state.vhosts.put(record.clone(), &mut documents)?,
        };
        if !exists {
            let sequence = self.broker.create_vhost(&record.name.as_str().into(), documents);
            let sequence = self.sequence_of(&mut state, sequence);
            // Users of an AWS account may do in a new region what they may elsewhere.
            self.apply(&mut state, Affects::Permissions);
            self.apply(&mut state, Affects::Rules);
            return Ok(Made { change: Change::Created, sequence });
        }
        let change = if change == Change::Created { Change::Updated } else { change };
        Ok(self.commit(&mut state, change, documents, Affects::Rules))
    }

    /// Protects a vhost from being deleted, or does so no longer.
    ///
    /// # Errors
    /// There is none.
    pub fn protect_vhost(&self, name: &str, protected_from_deletion: bool) -> Result<Made, AdministrationError> {
        let not_found = || AdministrationError::NotFound(format!("vhost '{name}' not found"));
        let (record, _) = self.vhost(name).ok_or_else(not_found)?;
        self.put_vhost(VhostRecord { protected_from_deletion, ..record })
    }

    /// Removes a vhost with its queues, exchanges, permissions, policies and parameters, and ends its connections.
    ///
    /// # Errors
    /// There is none, or the configuration declares it, or it is protected.
    pub fn delete_vhost(&self, name: &str) -> Result<Made, AdministrationError> {
        let mut state = self.state.lock();
        self.expect_vhost(name)?;
        if self.vhost_origin(name) == Origin::Configuration {
            return Err(AdministrationError::Declared(format!("vhost '{name}'")));
        }
        if state.vhosts.get(&[name]).is_some_and(|record| record.protected_from_deletion) {
            let why = format!("Refusing to delete virtual host '{name}' because it is protected from deletion");
            return Err(AdministrationError::Protected(why));
        }
        let mut documents = Vec::new();
        state.vhosts.remove(&[name], &mut documents);
        state.vhost_limits.remove(&[name], &mut documents);
        state.permissions.remove_all(|record| record.vhost == name, &mut documents);
        state.topic_permissions.remove_all(|record| record.vhost == name, &mut documents);
        state.policies.remove_all(|record| record.vhost == name, &mut documents);
        state.operator_policies.remove_all(|record| record.vhost == name, &mut documents);
        state.parameters.remove_all(|record| record.vhost == name, &mut documents);
        let sequence = self.broker.delete_vhost(self.clock.now(), &name.into(), documents);
        let sequence = self.sequence_of(&mut state, sequence);
        for affected in [Affects::Permissions, Affects::Policies, Affects::Rules] {
            self.apply(&mut state, affected);
        }
        Ok(Made { change: Change::Deleted, sequence })
    }

    pub(super) fn vhost_exists(&self, name: &str) -> bool {
        self.broker.vhost_names().iter().any(|known| known.as_str() == name)
    }

    pub(super) fn expect_vhost(&self, name: &str) -> Result<(), AdministrationError> {
        if self.vhost_exists(name) {
            return Ok(());
        }
        Err(AdministrationError::NotFound(format!("vhost '{name}' not found")))
    }

    fn vhost_origin(&self, name: &str) -> Origin {
        if self.declared.vhosts.contains(name) { Origin::Configuration } else { Origin::Runtime }
    }
}

pub(super) fn check_name(what: &str, name: &str) -> Result<(), AdministrationError> {
    if (1..=NAME_BYTES_MAX).contains(&name.len()) {
        return Ok(());
    }
    Err(AdministrationError::Invalid(format!("the name of a {what} has 1 to {NAME_BYTES_MAX} bytes")))
}
