//! Everything that was declared while the broker ran.

use bytes::Bytes;
use crossdock_common::Name;
use crossdock_core::Sequence;

use super::Affects;
use super::compile::Grants;
use super::records::{
    GlobalParameterRecord, LimitsRecord, ParameterRecord, PermissionRecord, PolicyRecord, Records,
    TopicPermissionRecord, VhostRecord,
};
use crate::auth::UserRecord;
use crate::mosquitto::Contents;

pub(super) struct State {
    pub vhosts: Records<VhostRecord>,
    pub users: Records<UserRecord>,
    pub permissions: Records<PermissionRecord>,
    pub topic_permissions: Records<TopicPermissionRecord>,
    pub policies: Records<PolicyRecord>,
    pub operator_policies: Records<PolicyRecord>,
    pub vhost_limits: Records<LimitsRecord>,
    pub user_limits: Records<LimitsRecord>,
    pub parameters: Records<ParameterRecord>,
    pub global_parameters: Records<GlobalParameterRecord>,
    /// Users of Mosquitto's files.
    pub mosquitto: Contents,
    /// What was written last.
    pub last: Sequence,
    pub grants: Grants,
    /// Many changes are being made: what they have an effect on is put into effect after the last of them.
    pub bulks: usize,
    pub pending: Vec<Affects>,
}

impl State {
    /// `documents` gives what was kept under a kind.
    pub(super) fn load(documents: &dyn Fn(&str) -> Vec<(Name, Bytes)>) -> Self {
        Self {
            vhosts: Records::load("vhost", documents),
            users: Records::load("user-record", documents),
            permissions: Records::load("permission", documents),
            topic_permissions: Records::load("topic-permission", documents),
            policies: Records::load("policy", documents),
            operator_policies: Records::load("operator-policy", documents),
            vhost_limits: Records::load("vhost-limits", documents),
            user_limits: Records::load("user-limits", documents),
            parameters: Records::load("parameter", documents),
            global_parameters: Records::load("global-parameter", documents),
            mosquitto: Contents::default(),
            last: Sequence(0),
            grants: Grants::default(),
            bulks: 0,
            pending: Vec::new(),
        }
    }
}
