//! Policies and operator policies.

use crossdock_core::QueueKind;
use serde_json::{Map, Value};

use super::compile::Compiled;
use super::permissions::check_length;
use super::policy_keys::{merge, to_core};
use super::records::{PolicyRecord, Records};
use super::state::State;
use super::vhosts::check_name;
use super::{Administration, AdministrationError, Affects, Change, Made, Origin};

/// Which of the two kinds of policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyKind {
    /// What users of a vhost set.
    Policy,
    /// What bounds that.
    Operator,
}

/// The policies that apply to a queue or exchange.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AppliedPolicies {
    pub policy: Option<String>,
    pub operator_policy: Option<String>,
    /// Both definitions merged, as RabbitMQ shows them.
    pub definition: Map<String, Value>,
}

impl Administration {
    /// All policies of the kind, those of the configuration first.
    pub fn policies(&self, kind: PolicyKind) -> Vec<(PolicyRecord, Origin)> {
        let declared = self.declared_policies(kind);
        let of_file = declared.iter().map(|record| (record.clone(), Origin::Configuration));
        let state = self.state.lock();
        let is_free = |own: &&PolicyRecord| !declared.iter().any(|known| is_same(known, &own.vhost, &own.name));
        let own = records(&state, kind).iter().filter(is_free);
        of_file.chain(own.map(|record| (record.clone(), Origin::Runtime))).collect()
    }

    /// Adds a policy, or replaces the one of that name. Queues and exchanges follow it at once.
    ///
    /// # Errors
    /// The vhost is missing, the policy is none, or the configuration declares it.
    pub fn put_policy(&self, kind: PolicyKind, record: PolicyRecord) -> Result<Made, AdministrationError> {
        self.expect_vhost(&record.vhost)?;
        check_name("policy", &record.name)?;
        self.expect_free_policy(kind, &record.vhost, &record.name)?;
        super::validate_policy(kind, &record).map_err(AdministrationError::Invalid)?;
        let mut state = self.state.lock();
        let mut documents = Vec::new();
        let change = records_mut(&mut state, kind).put(record, &mut documents)?;
        Ok(self.commit(&mut state, change, documents, Affects::Policies))
    }

    /// Removes a policy.
    ///
    /// # Errors
    /// There is none, or the configuration declares it.
    pub fn delete_policy(&self, kind: PolicyKind, vhost: &str, name: &str) -> Result<Made, AdministrationError> {
        self.expect_free_policy(kind, vhost, name)?;
        let mut state = self.state.lock();
        let mut documents = Vec::new();
        if records_mut(&mut state, kind).remove(&[vhost, name], &mut documents).is_none() {
            return Err(AdministrationError::NotFound(format!("policy '{name}' in vhost '{vhost}' not found")));
        }
        Ok(self.commit(&mut state, Change::Deleted, documents, Affects::Policies))
    }

    /// What applies to queues of that vhost, by name and kind.
    pub fn policies_of_queues(&self, vhost: &str, queues: &[(&str, QueueKind)]) -> Vec<AppliedPolicies> {
        let (policies, vhost) = (self.compiled_policies(), vhost.into());
        let names = queues.iter().map(|(queue, kind)| {
            let applied = policies.of_queue(&vhost, &(*queue).into(), *kind);
            [applied.policy, applied.operator_policy].map(|policy| policy.map(|policy| policy.name.to_string()))
        });
        self.applied(&vhost, names.collect())
    }

    /// What applies to exchanges of that vhost.
    pub fn policies_of_exchanges(&self, vhost: &str, exchanges: &[&str]) -> Vec<AppliedPolicies> {
        let (policies, vhost) = (self.compiled_policies(), vhost.into());
        let names = exchanges.iter().map(|&exchange| {
            let applied = policies.of_exchange(&vhost, &exchange.into());
            [applied.policy, applied.operator_policy].map(|policy| policy.map(|policy| policy.name.to_string()))
        });
        self.applied(&vhost, names.collect())
    }

    fn compiled_policies(&self) -> crossdock_core::Policies {
        Compiled { declared: &self.declared, state: &self.state.lock() }.policies()
    }

    fn applied(&self, vhost: &str, names: Vec<[Option<String>; 2]>) -> Vec<AppliedPolicies> {
        let all = [PolicyKind::Policy, PolicyKind::Operator].map(|kind| self.policies(kind));
        let definition = |index: usize, name: &Option<String>| {
            let found =
                all[index].iter().find(|(record, _)| name.as_deref() == Some(&record.name) && record.vhost == vhost);
            found.map(|(record, _)| &record.definition)
        };
        let one = |[policy, operator_policy]: [Option<String>; 2]| {
            let definition = merge(definition(0, &policy), definition(1, &operator_policy));
            AppliedPolicies { policy, operator_policy, definition }
        };
        names.into_iter().map(one).collect()
    }

    fn declared_policies(&self, kind: PolicyKind) -> &[PolicyRecord] {
        match kind {
            PolicyKind::Policy => &self.declared.policies,
            PolicyKind::Operator => &self.declared.operator_policies,
        }
    }

    fn expect_free_policy(&self, kind: PolicyKind, vhost: &str, name: &str) -> Result<(), AdministrationError> {
        if self.declared_policies(kind).iter().any(|known| is_same(known, vhost, name)) {
            return Err(AdministrationError::Declared(format!("policy '{name}' in vhost '{vhost}'")));
        }
        Ok(())
    }
}

fn is_same(record: &PolicyRecord, vhost: &str, name: &str) -> bool {
    record.vhost == vhost && record.name == name
}

fn records(state: &State, kind: PolicyKind) -> &Records<PolicyRecord> {
    match kind {
        PolicyKind::Policy => &state.policies,
        PolicyKind::Operator => &state.operator_policies,
    }
}

fn records_mut(state: &mut State, kind: PolicyKind) -> &mut Records<PolicyRecord> {
    match kind {
        PolicyKind::Policy => &mut state.policies,
        PolicyKind::Operator => &mut state.operator_policies,
    }
}

/// Whether the core understands it, beside what [`super::validate_policy`] finds.
pub(super) fn check_pattern(record: &PolicyRecord) -> Result<(), String> {
    let invalid = |error: String| format!("pattern should be regular expression but is invalid: {error}");
    check_length(&record.pattern).map_err(invalid)?;
    to_core(record).map(drop).map_err(|error| invalid(error.to_string()))
}
