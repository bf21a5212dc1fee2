//! Subscriptions to topics of other accounts. A user of the subscription's account has no permission where the topic is. To subscribe, the
//! topic's policy has spoken; afterwards the subscription is his account's, whatever the policy says now. The queue that its messages
//! go out from is SNS's own, so he is lent it, for one request: that queue, and nothing else of the topic's account.

use std::sync::Arc;

use crossdock_common::Name;
use crossdock_common::refusal::{Access, Resource as Kind};
use crossdock_common::warrant::Right;

use super::refusal::Reason;
use super::{Resource, warrants};
use crate::arn::Place;
use crate::call::Job;
use crate::directory::Directory;
use crate::error::Failure;
use crate::sns::outward::Needed;
use crate::sns::{Subscription, find_in, outward};
use crate::wire::Service;

/// Lets the user in of the account whose subscription the request names, if that permits him the same for a topic of that name.
///
/// # Errors
/// There is no such subscription, or it is another account's, or the user may not.
pub(super) fn appeal(job: &Job, topic: &str, id: &str) -> Result<(), Failure> {
    let (vhost, topic) = (&job.environment.namespace.vhost, Name::from(topic));
    let directory = job.environment.directory.as_ref();
    let bindings = directory.map(|directory| directory.bindings(vhost, Some(&topic))).unwrap_or_default();
    let found = find_in(bindings.iter().map(Arc::as_ref), id).ok_or(Failure::SnsNotFound("Subscription"))?;
    check_owner(job, &found)?;
    let right = if job.action == "GetSubscriptionAttributes" { Right::Look } else { Right::Read };
    if !is_his_to_end(job, &found) && !is_permitted(job, &found, right) {
        return Err(refuse(job, &topic, Reason::NotPermitted));
    }
    warrants::give_topic(job, &topic, right);
    Ok(())
}

/// Refuses whoever is not of the account that has subscribed.
pub(crate) fn check_owner(job: &Job, subscription: &Subscription) -> Result<(), Failure> {
    match subscription.owner(&job.place) == job.account() {
        true => Ok(()),
        false => Err(refuse(job, &subscription.topic, Reason::NotShared)),
    }
}

fn refuse(job: &Job, topic: &Name, reason: Reason) -> Failure {
    Resource { service: Service::Sns, name: topic, policy: None }.refuse(job, &job.action, reason)
}

/// Who has subscribed may end that, whatever has become of the permission to.
fn is_his_to_end(job: &Job, subscription: &Subscription) -> bool {
    job.action == "Unsubscribe" && job.user.as_str() == subscription.subscriber
}

fn is_permitted(job: &Job, subscription: &Subscription, right: Right) -> bool {
    let topic = Resource { service: Service::Sns, name: &subscription.topic, policy: None };
    let changes = right == Right::Read;
    warrants::is_permitted_at_home(job, &topic, right)
        && (!changes || subscription.needed(&job.place).is_none_or(|needed| may_have(job, &needed)))
}

/// Whether the permissions of the user's own account let him have such a subscription to another one's topic.
fn may_have(job: &Job, needed: &Needed) -> bool {
    let Some((directory, vhost)) = home_of(job, needed) else { return false };
    let may = |access: &Access| directory.may(&job.user, &vhost, *access, Kind::Queue, &needed.queue);
    needed.accesses.iter().all(may)
}

fn home_of<'a>(job: &'a Job, needed: &Needed) -> Option<(&'a dyn Directory, Name)> {
    let directory = job.environment.directory.as_deref()?;
    let own = &job.home().namespace;
    // There may be nothing yet at the caller's own.
    let is_own = own.account == needed.account && (own.regions_together || own.region == needed.region);
    let found = || Some(directory.find(&needed.account, Some(&needed.region))?.namespace.vhost.clone());
    Some((directory, if is_own { own.vhost.clone() } else { found()? }))
}

/// Whether the user may make such a subscription to another account's topic, which has allowed it.
///
/// # Errors
/// The permissions of his own account do not give it, or his queue is not there.
pub(crate) fn check_home(job: &Job, subscription: &Subscription) -> Result<(), Failure> {
    let Some(needed) = subscription.needed(&job.place) else { return Ok(()) };
    let no_queue = || Failure::SnsInvalid(format!("Endpoint Reason: there is no queue {}", needed.queue));
    match home_of(job, &needed) {
        None if needed.is_own_queue => Err(no_queue()),
        _ if !may_have(job, &needed) => Err(refuse(job, &subscription.topic, Reason::NotPermitted)),
        Some((directory, vhost)) if needed.is_own_queue => {
            directory.attributes(&vhost, Kind::Queue, &needed.queue).map(drop).ok_or_else(no_queue)
        }
        _ => Ok(()),
    }
}

/// Where the caller's own resources are.
pub(crate) fn home_place(job: &Job) -> Place {
    match &job.home {
        Some(home) => Place::of(&home.namespace, Some(&job.place.region)),
        None => job.place.clone(),
    }
}

/// Whether the caller's own account has such a queue and lets him know it.
pub(crate) fn is_queue_at_home(job: &Job, queue: &str) -> bool {
    let (vhost, queue) = (&job.home().namespace.vhost, Name::from(queue));
    let Some(directory) = &job.environment.directory else { return false };
    let may = |access| directory.may(&job.user, vhost, access, Kind::Queue, &queue);
    [Access::Configure, Access::Write, Access::Read].into_iter().any(may)
        && directory.attributes(vhost, Kind::Queue, &queue).is_some()
}

/// Lends the queue from which the messages of another account's subscription go out. Called where it is known that the caller may.
pub(crate) fn lend(job: &Job, subscription: &Subscription) {
    if subscription.outward.owner.is_some() && outward::is_outgoing(&subscription.queue) {
        warrants::give_topic(job, &subscription.topic, Right::Read);
        warrants::give_own(job, &subscription.queue);
    }
}

/// Lends the queue of what goes to no subscription, for the goodbye to one.
pub(crate) fn lend_direct(job: &Job) {
    if job.is_foreign() {
        warrants::give_own(job, &Name::from(outward::DIRECT_QUEUE));
    }
}

/// Who has subscribed may end that, whatever has become of the permission to: it may have been a policy's. Another account's subscription
/// ends who owns the topic, too.
pub(crate) fn let_end(job: &Job, subscription: &Subscription) {
    let is_owners = job.account() == subscription.owner(&job.place);
    match &subscription.outward.owner {
        Some(_) if is_owners || owns_topic(job, &subscription.topic) => lend(job, subscription),
        None if is_owners && job.user.as_str() == subscription.subscriber => {
            warrants::give_topic(job, &subscription.topic, Right::Read);
        }
        _ => {}
    }
}

/// Who may configure a topic of his account is its owner.
fn owns_topic(job: &Job, topic: &Name) -> bool {
    let may = |directory: &Arc<dyn Directory>| {
        let vhost = &job.environment.namespace.vhost;
        directory.may(&job.user, vhost, Access::Configure, Kind::Exchange, topic)
    };
    !job.is_foreign() && job.environment.directory.as_ref().is_some_and(may)
}
