//! The attributes of a subscription that a request gives.

use super::super::delivery_policy::SubscriptionPolicy;
use super::super::filter::{self, FilterPolicy, Scope};
use super::super::replay::{self, Replay};
use super::super::subscription::Subscription;
use super::super::{redrive, view};
use super::in_attributes;
use crate::access;
use crate::call::Job;
use crate::error::Failure;

/// Longest name of a role, as IAM makes them.
const ROLE_BYTES_MAX: usize = 2_048;

/// What a request says of a subscription; `None` where it says nothing.
#[derive(Default)]
pub(super) struct Given {
    pub raw: Option<bool>,
    /// Empty for none.
    pub filter: Option<String>,
    pub scope: Option<Scope>,
    /// Empty for none, as those below.
    pub delivery_policy: Option<String>,
    pub redrive_policy: Option<String>,
    pub role: Option<String>,
    pub replay: Option<Option<Replay>>,
}

impl Given {
    /// Takes one attribute.
    ///
    /// # Errors
    /// What SNS says of it, behind `Invalid parameter: `.
    pub(super) fn take(&mut self, job: &Job, name: &str, value: &str) -> Result<(), String> {
        match name {
            "RawMessageDelivery" => self.raw = Some(truth(value)?),
            "FilterPolicy" => self.filter = Some(if filter::is_none(value) { String::new() } else { value.to_owned() }),
            "FilterPolicyScope" => self.scope = Some(scope(value)?),
            "DeliveryPolicy" => {
                if !value.is_empty() {
                    SubscriptionPolicy::parse(value).map_err(|text| format!("DeliveryPolicy: {text}"))?;
                }
                self.delivery_policy = Some(value.to_owned());
            }
            "RedrivePolicy" => {
                redrive::check(value, &access::home_place(job))?;
                self.redrive_policy = Some(value.to_owned());
            }
            "SubscriptionRoleArn" if value.len() > ROLE_BYTES_MAX => {
                return Err(format!("SubscriptionRoleArn: It can have at most {ROLE_BYTES_MAX} bytes."));
            }
            "SubscriptionRoleArn" => self.role = Some(value.to_owned()),
            replay::NAME => self.replay = Some(Replay::new(job, value)?),
            other => return Err(format!("Unknown attribute {other}")),
        }
        Ok(())
    }

    /// Changes a subscription.
    ///
    /// # Errors
    /// What SNS says of it then.
    pub(super) fn apply(self, subscription: &mut Subscription) -> Result<(), String> {
        if self.raw == Some(true) && !subscription.protocol.has_raw_delivery() {
            let protocol = subscription.protocol.word();
            return Err(format!("RawMessageDelivery: Not supported for protocol {protocol}."));
        }
        let outward = &mut subscription.outward;
        for (given, kept) in [
            (self.delivery_policy, &mut outward.delivery_policy),
            (self.redrive_policy, &mut outward.redrive_policy),
            (self.role, &mut outward.role),
        ] {
            if let Some(given) = given {
                *kept = Some(given).filter(|given| !given.is_empty());
            }
        }
        if let Some(replay) = self.replay {
            subscription.replay = replay;
        }
        subscription.raw = self.raw.unwrap_or(subscription.raw);
        subscription.scope = self.scope.unwrap_or(subscription.scope);
        if let Some(filter) = self.filter {
            subscription.filter = Some(filter).filter(|filter| !filter.is_empty());
        }
        let Some(filter) = &subscription.filter else { return Ok(()) };
        FilterPolicy::parse(filter, subscription.scope).map(drop).map_err(filter::complaint)
    }

    /// Whether the subscription is so already.
    pub(super) fn is_as(&self, known: &Subscription) -> bool {
        let same = |given: &Option<String>, known: &Option<String>| {
            given.as_deref().is_none_or(|given| given == known.as_deref().unwrap_or_default())
        };
        let outward = &known.outward;
        let filter = same(&self.filter, &known.filter)
            && same(&self.delivery_policy, &outward.delivery_policy)
            && same(&self.redrive_policy, &outward.redrive_policy)
            && same(&self.role, &outward.role);
        let policy = |replay: &Option<Replay>| replay.as_ref().map(|replay| replay.policy.clone());
        let is_same_replay = self.replay.as_ref().is_none_or(|given| policy(given) == policy(&known.replay));
        filter
            && is_same_replay
            && self.raw.is_none_or(|raw| raw == known.raw)
            && self.scope.is_none_or(|scope| scope == known.scope)
    }
}

fn scope(value: &str) -> Result<Scope, String> {
    Scope::from_word(value).ok_or_else(|| {
        format!("FilterPolicyScope: Invalid value [{value}]. Please use either MessageBody or MessageAttributes")
    })
}

/// Those of a Subscribe request.
pub(super) fn given(job: &Job) -> Result<Given, Failure> {
    let mut given = Given::default();
    for (name, value) in view(job).text_map("Attributes")? {
        given.take(job, name, value).map_err(|reason| in_attributes(&reason))?;
    }
    Ok(given)
}

fn truth(value: &str) -> Result<bool, String> {
    match value.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("RawMessageDelivery: Invalid value [{value}]. Must be true or false.")),
    }
}
