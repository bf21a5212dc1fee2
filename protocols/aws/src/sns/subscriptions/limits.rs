//! How many subscriptions of a kind a topic can have.

use crossdock_common::definition::ExchangeInfo;

use super::super::protocol::Protocol;
use super::super::subscription::Subscription;
use super::super::{replay, topics};
use crate::call::Job;
use crate::error::Failure;
use crate::memory::FilterRoom;

/// Most filter policies of a topic, as at AWS.
const FILTER_POLICIES_MAX: usize = 200;
/// Most filter policies of an account in a region, as at AWS.
const FILTER_POLICIES_OF_ACCOUNT_MAX: usize = 10_000;
const LIMIT_EXCEEDED: &str = "FilterPolicyLimitExceeded";
/// Most subscriptions of a topic that takes messages of more than 256 KiB, as at AWS.
const LARGE_SUBSCRIPTIONS_MAX: usize = 100;

/// Refuses a subscription that is one too many beside the others, or wants what the topic's messages are too large for.
pub(super) async fn check_limits(
    job: &Job,
    info: &ExchangeInfo,
    others: &[Subscription],
    subscription: &Subscription,
) -> Result<(), Failure> {
    if topics::is_large(info) {
        let count = others.iter().filter(|other| other.id != subscription.id).count();
        check_large(subscription.protocol, count + 1)
            .map_err(|reason| Failure::SnsInvalid(format!("Endpoint Reason: {reason}")))?;
    }
    let policy = subscription.replay.as_ref().map_or("", |replay| &replay.policy);
    replay::check(job, info, others, &subscription.id, policy)?;
    check_filter_limit(others, subscription)?;
    let has_policy = |other: &Subscription| other.id == subscription.id && other.filter.is_some();
    if subscription.filter.is_none() || others.iter().any(has_policy) {
        return Ok(());
    }
    check_filters_of_account(job).await
}

/// All are counted at the first filter policy after a start, and when there could be too many; at most once a second while there are.
async fn check_filters_of_account(job: &Job) -> Result<(), Failure> {
    let (memory, now) = (&job.environment.memory, job.desk.now().instant);
    let most = FILTER_POLICIES_OF_ACCOUNT_MAX;
    let mut room = memory.take_filter_room(most, now);
    if room == FilterRoom::Unknown {
        let all = Subscription::all(job).await?;
        memory.filters_counted(all.iter().filter(|one| one.filter.is_some()).count(), most, now);
        room = memory.take_filter_room(most, now);
    }
    if room == FilterRoom::Enough {
        return Ok(());
    }
    let text = format!("An account can have at most {most} filter policies");
    Err(Failure::sns(403, LIMIT_EXCEEDED, text))
}

fn check_filter_limit(others: &[Subscription], subscription: &Subscription) -> Result<(), Failure> {
    let has_policy = |other: &&Subscription| other.filter.is_some() && other.id != subscription.id;
    if subscription.filter.is_none() || others.iter().filter(has_policy).count() < FILTER_POLICIES_MAX {
        return Ok(());
    }
    let text = format!("A topic can have at most {FILTER_POLICIES_MAX} filter policies");
    Err(Failure::sns(403, LIMIT_EXCEEDED, text))
}

/// Whether one of so many subscriptions of the protocol can have messages of more than 256 KiB.
///
/// # Errors
/// Why not.
pub(in crate::sns) fn check_large(protocol: Protocol, count: usize) -> Result<(), String> {
    if count > LARGE_SUBSCRIPTIONS_MAX {
        return Err(format!(
            "a topic of larger messages than 256 KiB has at most {LARGE_SUBSCRIPTIONS_MAX} subscriptions"
        ));
    }
    match protocol {
        Protocol::Sqs | Protocol::Lambda | Protocol::Firehose => Ok(()),
        other => Err(format!("messages of more than 256 KiB do not go to subscriptions of protocol {}", other.word())),
    }
}
