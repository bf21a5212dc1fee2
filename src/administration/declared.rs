//! What the configuration file declares.

use std::collections::{BTreeMap, BTreeSet};

use crossdock_common::Name;
use crossdock_common::definition::Durability;

use super::records::{PermissionRecord, PolicyRecord};
use crate::auth::{UserRecord, Users};
use crate::config::Settings;
use crate::http::GUEST;

pub(super) struct Declared {
    /// Development mode: everybody may do everything.
    pub dev: bool,
    /// Callers of the AWS APIs are not asked for a signature, and act as this user.
    /// The AWS account that is at home.
    pub aws_account: String,
    pub guest: Option<&'static str>,
    /// Where MQTT's topics are.
    pub mqtt_exchange: Name,
    pub durability: Durability,
    pub vhosts: BTreeSet<String>,
    pub vhost_durabilities: BTreeMap<String, Durability>,
    pub users: BTreeMap<String, UserRecord>,
    pub permissions: Vec<PermissionRecord>,
    pub policies: Vec<PolicyRecord>,
    pub operator_policies: Vec<PolicyRecord>,
}

impl Declared {
    /// `users` are the configuration's, with their passwords hashed.
    pub(super) fn new(settings: &Settings, users: &Users) -> Self {
        let durability_of = |vhost: &crate::config::VhostSettings| Some((vhost.name.clone(), vhost.durability?.into()));
        let (operator, policies): (Vec<_>, Vec<_>) =
            settings.policies.iter().enumerate().partition(|(_, policy)| policy.operator);
        let records = |all: Vec<(usize, &crate::config::PolicySettings)>| {
            all.into_iter().map(|(index, policy)| policy.record(index)).collect()
        };
        Self {
            dev: settings.dev,
            aws_account: settings.aws.account_id.clone(),
            guest: (!settings.aws.verify_signatures).then_some(GUEST),
            mqtt_exchange: settings.mqtt.exchange.as_str().into(),
            durability: settings.durability.into(),
            vhosts: settings.vhosts.names().map(str::to_owned).collect(),
            vhost_durabilities: settings.vhosts.iter().filter_map(durability_of).collect(),
            users: users.iter().map(|user| (user.name.clone(), user.clone())).collect(),
            permissions: settings.users.iter().flat_map(crate::config::UserSettings::permission_records).collect(),
            policies: records(policies),
            operator_policies: records(operator),
        }
    }

    pub(super) fn permission(&self, vhost: &str, user: &str) -> Option<&PermissionRecord> {
        self.permissions.iter().find(|record| record.vhost == vhost && record.user == user)
    }
}
