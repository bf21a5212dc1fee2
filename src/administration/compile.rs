//! From records to what the core and the authenticator work with.

use std::collections::HashMap;

use bytes::Bytes;
use crossdock_aws::namespaces::{VHOST_PREFIX, parent_of};
use crossdock_common::Name;
use crossdock_core::{Grant, Permissions, Policies, Rules, TopicGrant, UserRules, VhostRules};
use parking_lot::Mutex;

use super::declared::Declared;
use super::policy_keys::to_core;
use super::records::{Limits, PermissionRecord, PolicyRecord};
use super::state::State;
use crate::auth::Users;
use crate::config::Settings;

/// The policies of the configuration and of an operator, for queues that are about to be found again. `documents` gives what was
/// kept under a kind.
pub fn policies_at_start(settings: &Settings, documents: &dyn Fn(&str) -> Vec<(Name, Bytes)>) -> Policies {
    let (declared, state) = (Declared::new(settings, &Users::default()), State::load(documents));
    Compiled { declared: &declared, state: &state }.policies()
}

/// The queues of MQTT's shared subscriptions.
const SHARED_QUEUES: &str = r"^share\.";

/// What is declared, by the configuration first.
pub(super) struct Compiled<'a> {
    pub declared: &'a Declared,
    pub state: &'a State,
}

impl Compiled<'_> {
    pub(super) fn users(&self) -> Users {
        let mut users = Users::default();
        self.state.mosquitto.users.values().for_each(|user| users.insert_for_mqtt(user.clone()));
        self.state.users.iter().chain(self.declared.users.values()).for_each(|user| users.insert(user.clone()));
        users
    }

    pub(super) fn permissions(&self) -> Permissions {
        if self.declared.dev {
            return Permissions::everything();
        }
        let mut permissions = Permissions::default();
        let is_user = |name: &str| self.state.users.get(&[name]).is_some() || self.declared.users.contains_key(name);
        if let Some(guest) = self.declared.guest.filter(|guest| !is_user(guest)) {
            // As documented: then every caller may do everything. Nobody else can log in under that name.
            grant(&mut permissions, &self.state.grants, &everything(guest, "/"));
        }
        self.grant_to_mosquitto_users(&mut permissions);
        for record in self.state.permissions.iter().chain(&self.declared.permissions) {
            grant(&mut permissions, &self.state.grants, record);
        }
        for record in self.state.topic_permissions.iter() {
            match TopicGrant::new(&record.write, &record.read) {
                Ok(topics) => {
                    let [user, vhost, exchange] =
                        [&record.user, &record.vhost, &record.exchange].map(|name| Name::from(name.as_str()));
                    permissions.grant_topics(user, vhost, exchange, topics);
                }
                Err(error) => tracing::error!(user = record.user, %error, "a stored topic permission is passed over"),
            }
        }
        self.grant_to_namespaces(&mut permissions);
        permissions
    }

    /// What a user may in an AWS account holds in every region of it.
    fn grant_to_namespaces(&self, permissions: &mut Permissions) {
        let namespaces = self.state.vhosts.iter().map(|vhost| vhost.name.as_str());
        for vhost in namespaces.filter(|name| name.starts_with(VHOST_PREFIX)) {
            let parent = parent_of(vhost, &self.declared.aws_account);
            if let Some(guest) = self.declared.guest.filter(|_| parent.as_deref() != Some("/")) {
                grant(permissions, &self.state.grants, &everything(guest, vhost));
            }
            if let Some(parent) = parent {
                permissions.inherit(&vhost.into(), &parent.as_str().into());
            }
        }
    }

    /// The topics that their files allow. Who is declared otherwise, too, has what is declared there.
    fn grant_to_mosquitto_users(&self, permissions: &mut Permissions) {
        let exchange = &self.declared.mqtt_exchange;
        let both = format!("^{}$|{SHARED_QUEUES}", regex::escape(exchange));
        let is_theirs = |user: &&String| {
            !self.declared.users.contains_key(*user) && self.state.users.get(&[user.as_str()]).is_none()
        };
        for user in self.state.mosquitto.users.keys().filter(is_theirs) {
            let (configure, write, read) = (SHARED_QUEUES.to_owned(), both.clone(), both.clone());
            let record = PermissionRecord { user: user.clone(), vhost: "/".to_owned(), configure, write, read };
            grant(permissions, &self.state.grants, &record);
            if let Some(acl) = &self.state.mosquitto.acl {
                let rules = TopicGrant::Rules(acl.clone());
                permissions.grant_topics(user.as_str().into(), "/".into(), exchange.clone(), rules);
            }
        }
    }

    pub(super) fn policies(&self) -> Policies {
        let mut policies = Policies::new(self.declared.durability);
        for (vhost, durability) in &self.declared.vhost_durabilities {
            policies.set_vhost(vhost.as_str().into(), *durability);
        }
        self.declared.policies.iter().filter_map(understood).for_each(|policy| policies.add(policy));
        self.declared.operator_policies.iter().filter_map(understood).for_each(|policy| policies.add_operator(policy));
        let is_free = |record: &&PolicyRecord, declared: &[PolicyRecord]| {
            !declared.iter().any(|known| known.vhost == record.vhost && known.name == record.name)
        };
        let own = self.state.policies.iter().filter(|record| is_free(record, &self.declared.policies));
        own.filter_map(understood).for_each(|policy| policies.add(policy));
        let own =
            self.state.operator_policies.iter().filter(|record| is_free(record, &self.declared.operator_policies));
        own.filter_map(understood).for_each(|policy| policies.add_operator(policy));
        policies
    }

    pub(super) fn rules(&self) -> Rules {
        let mut rules = Rules::default();
        let mut vhosts = std::collections::BTreeMap::<&str, VhostRules>::new();
        for vhost in self.state.vhosts.iter() {
            let default_queue_type = vhost.default_queue_type.as_deref().map(Name::from);
            vhosts.entry(&vhost.name).or_default().default_queue_type = default_queue_type;
        }
        for record in self.state.vhost_limits.iter() {
            let known = vhosts.entry(&record.name).or_default();
            known.connections_max = limit(&record.limits, "max-connections");
            known.queues_max = limit(&record.limits, "max-queues");
        }
        vhosts.into_iter().for_each(|(name, known)| rules.set_vhost(name.into(), known));
        for record in self.state.user_limits.iter() {
            let connections_max = limit(&record.limits, "max-connections");
            let channels_max = limit(&record.limits, "max-channels");
            rules.set_user(record.name.as_str().into(), UserRules { connections_max, channels_max });
        }
        rules
    }
}

/// A negative limit is none.
fn limit(limits: &Limits, name: &str) -> Option<u64> {
    limits.get(name).and_then(|&limit| u64::try_from(limit).ok())
}

fn everything(user: &str, vhost: &str) -> PermissionRecord {
    let all = || ".*".to_owned();
    PermissionRecord { user: user.to_owned(), vhost: vhost.to_owned(), configure: all(), write: all(), read: all() }
}

/// Expressions that were compiled: an import of many users would compile all of them again for each.
#[derive(Default)]
pub(super) struct Grants(Mutex<HashMap<[String; 3], Grant>>);

/// Grants that are remembered; beyond them it begins anew.
const GRANTS_MAX: usize = 65_536;

impl Grants {
    fn of(&self, record: &PermissionRecord) -> Result<Grant, regex::Error> {
        let expressions = [&record.configure, &record.write, &record.read].map(Clone::clone);
        let mut known = self.0.lock();
        if let Some(grant) = known.get(&expressions) {
            return Ok(grant.clone());
        }
        let grant = Grant::new(&record.configure, &record.write, &record.read)?;
        if known.len() >= GRANTS_MAX {
            known.clear();
        }
        known.insert(expressions, grant.clone());
        Ok(grant)
    }
}

fn grant(permissions: &mut Permissions, grants: &Grants, record: &PermissionRecord) {
    match grants.of(record) {
        Ok(grant) => permissions.grant(record.user.as_str().into(), record.vhost.as_str().into(), grant),
        Err(error) => tracing::error!(user = record.user, %error, "a stored permission is passed over"),
    }
}

fn understood(record: &PolicyRecord) -> Option<crossdock_core::Policy> {
    to_core(record)
        .inspect_err(|error| tracing::error!(policy = record.name, %error, "a stored policy is passed over"))
        .ok()
}
