//! Runtime parameters: kept for whoever asks for them. Those that have a meaning here lead to where that is.

use serde_json::{Map, Value, json};

use super::records::{GlobalParameterRecord, ParameterRecord, PolicyRecord};
use super::{Administration, AdministrationError, Affects, Change, Limits, Made, PolicyKind};

/// What moves messages between RabbitMQ brokers: kept, and without effect here.
const UNSUPPORTED: [&str; 3] = ["shovel", "federation-upstream", "federation-upstream-set"];

impl Administration {
    /// Whether parameters of the component are kept without having an effect.
    pub fn is_unsupported_component(component: &str) -> bool {
        UNSUPPORTED.contains(&component)
    }

    /// All parameters but policies, which RabbitMQ lists by themselves. Operator policies and limits of vhosts are among them.
    pub fn parameters(&self) -> Vec<ParameterRecord> {
        let mut parameters: Vec<_> = self.state.lock().parameters.iter().cloned().collect();
        let operator = self.policies(PolicyKind::Operator).into_iter().map(|(record, _)| operator_parameter(record));
        parameters.extend(operator);
        parameters.extend(self.vhost_limits().into_iter().map(|(vhost, limits)| limits_parameter(vhost, &limits)));
        parameters
    }

    /// Sets a parameter.
    ///
    /// # Errors
    /// The vhost is missing, or the value is none of the component's.
    pub fn put_parameter(&self, record: ParameterRecord) -> Result<Made, AdministrationError> {
        self.expect_vhost(&record.vhost)?;
        match record.component.as_str() {
            "policy" => self.put_policy(PolicyKind::Policy, policy_of_parameter(record)?),
            "operator_policy" => self.put_policy(PolicyKind::Operator, policy_of_parameter(record)?),
            "vhost-limits" => self.put_vhost_limits(&record.vhost, &record.value),
            _ => {
                let mut state = self.state.lock();
                let mut documents = Vec::new();
                let change = state.parameters.put(record, &mut documents)?;
                Ok(self.commit(&mut state, change, documents, Affects::Nothing))
            }
        }
    }

    /// Removes a parameter.
    ///
    /// # Errors
    /// There is none.
    pub fn delete_parameter(&self, component: &str, vhost: &str, name: &str) -> Result<Made, AdministrationError> {
        match component {
            "policy" => return self.delete_policy(PolicyKind::Policy, vhost, name),
            "operator_policy" => return self.delete_policy(PolicyKind::Operator, vhost, name),
            "vhost-limits" => return self.delete_vhost_limit(vhost, None),
            _ => {}
        }
        let mut state = self.state.lock();
        let mut documents = Vec::new();
        if state.parameters.remove(&[component, vhost, name], &mut documents).is_none() {
            let missing = format!("parameter '{name}' of component '{component}' in vhost '{vhost}' not found");
            return Err(AdministrationError::NotFound(missing));
        }
        Ok(self.commit(&mut state, Change::Deleted, documents, Affects::Nothing))
    }

    /// All global parameters.
    pub fn global_parameters(&self) -> Vec<GlobalParameterRecord> {
        self.state.lock().global_parameters.iter().cloned().collect()
    }

    /// A global parameter's value.
    pub fn global_parameter(&self, name: &str) -> Option<Value> {
        self.state.lock().global_parameters.get(&[name]).map(|record| record.value.clone())
    }

    /// What an operator calls the broker, if anybody has said so.
    pub fn cluster_name(&self) -> Option<String> {
        self.global_parameter("cluster_name")?.as_str().map(str::to_owned)
    }

    /// Sets a global parameter, such as `cluster_name`.
    ///
    /// # Errors
    /// It is too long.
    pub fn put_global_parameter(&self, record: GlobalParameterRecord) -> Result<Made, AdministrationError> {
        let mut state = self.state.lock();
        let mut documents = Vec::new();
        let change = state.global_parameters.put(record, &mut documents)?;
        Ok(self.commit(&mut state, change, documents, Affects::Nothing))
    }

    /// Removes a global parameter.
    ///
    /// # Errors
    /// There is none.
    pub fn delete_global_parameter(&self, name: &str) -> Result<Made, AdministrationError> {
        let mut state = self.state.lock();
        let mut documents = Vec::new();
        if state.global_parameters.remove(&[name], &mut documents).is_none() {
            return Err(AdministrationError::NotFound(format!("global parameter '{name}' not found")));
        }
        Ok(self.commit(&mut state, Change::Deleted, documents, Affects::Nothing))
    }
}

/// An operator policy as the parameter that RabbitMQ keeps it as.
pub fn operator_parameter(record: PolicyRecord) -> ParameterRecord {
    let value = json!({
        "pattern": record.pattern,
        "apply-to": record.apply_to,
        "definition": record.definition,
        "priority": record.priority,
    });
    ParameterRecord { component: "operator_policy".to_owned(), vhost: record.vhost, name: record.name, value }
}

fn limits_parameter(vhost: String, limits: &Limits) -> ParameterRecord {
    let value: Map<String, Value> = limits.iter().map(|(name, limit)| (name.clone(), (*limit).into())).collect();
    ParameterRecord { component: "vhost-limits".to_owned(), vhost, name: "limits".to_owned(), value: value.into() }
}

/// The policy that a parameter's value holds.
///
/// # Errors
/// [`AdministrationError::Invalid`] in RabbitMQ's words.
pub fn policy_of_parameter(record: ParameterRecord) -> Result<PolicyRecord, AdministrationError> {
    let invalid = |text: String| AdministrationError::Invalid(format!("Validation failed\n\n{text}\n"));
    let Value::Object(mut value) = record.value else {
        return Err(invalid(format!("{} not a list", record.name)));
    };
    let missing = |key: &str| invalid(format!("Key \"{key}\" not found in {}", record.name));
    let pattern = value.remove("pattern").ok_or_else(|| missing("pattern"))?;
    let Some(Value::Object(definition)) = value.remove("definition") else { return Err(missing("definition")) };
    let Value::String(pattern) = pattern else { return Err(invalid("pattern should be a binary".to_owned())) };
    let apply_to = value.remove("apply-to").and_then(|value| value.as_str().map(str::to_owned));
    Ok(PolicyRecord {
        vhost: record.vhost,
        name: record.name,
        pattern,
        apply_to: apply_to.unwrap_or_else(|| "all".to_owned()),
        definition,
        priority: value.get("priority").and_then(Value::as_i64).unwrap_or(0),
    })
}
