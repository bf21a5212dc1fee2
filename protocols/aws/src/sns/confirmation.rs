//! ConfirmSubscription, what asks for it, and what says that a subscription is over.

use std::sync::Arc;

use crossdock_common::definition::{BindingSpec, ExchangeInfo};
use crossdock_common::{Name, UnixMillis};

use super::control::{Control, DIRECT_QUEUE, Kind};
use super::owner::find_in;
use super::subscription::Subscription;
use super::token::Token;
use super::{topics, view};
use crate::access;
use crate::arn::subscription_of;
use crate::call::{Environment, Job};
use crate::error::Failure;
use crate::http::Request;
use crate::office::SignatureVersion;
use crate::wire::{Decoded, Service, Shape, View, decode};

/// What stands in place of an ARN.
pub(super) const PENDING: &str = "pending confirmation";

/// Asks the endpoint of a subscription whether it wants it.
pub(super) async fn ask(job: &Job, info: &ExchangeInfo, subscription: &Subscription) -> Result<(), Failure> {
    let version = SignatureVersion::of_attribute(topics::signature_version(info));
    let control = Control::of(job, subscription, Kind::SubscriptionConfirmation, version);
    control.post(job, &subscription.queue).await
}

/// Tells an HTTP endpoint that a subscription is over.
pub(super) async fn say_goodbye(job: &Job, subscription: &Subscription) -> Result<(), Failure> {
    if !subscription.protocol.is_http() || subscription.is_pending() {
        return Ok(());
    }
    access::lend_direct(job);
    let version = topics::find(job, &subscription.topic)
        .await
        .ok()
        .flatten()
        .map_or(SignatureVersion::One, |info| SignatureVersion::of_attribute(topics::signature_version(&info)));
    topics::declare_direct(job).await?;
    let control = Control::of(job, subscription, Kind::UnsubscribeConfirmation, version);
    control.post(job, DIRECT_QUEUE).await
}

/// Confirming twice is fine.
pub(super) async fn confirm(job: &Job) -> Result<Shape, Failure> {
    let (topic, id) = named(job)?;
    let all = Subscription::of_topic(job, &Name::from(topic)).await.map_err(|failure| match failure {
        Failure::SnsNotFound(_) => unknown(),
        other => other,
    })?;
    let mut subscription = all.into_iter().find(|one| one.id == id).ok_or_else(unknown)?;
    if subscription.is_pending() {
        subscription.outward.pending_since = None;
        subscription.outward.unauthenticated = !job.is_signed;
        subscription.outward.locked = job.is_signed && locks(view(job));
        access::lend(job, &subscription);
        subscription.save(job).await?;
    }
    Ok(Shape::fields([("SubscriptionArn", Shape::text(subscription.arn(job)))]))
}

fn unknown() -> Failure {
    Failure::SnsInvalid("Token".to_owned())
}

/// The topic of the request, and the id of the subscription that its token confirms.
pub(super) fn named(job: &Job) -> Result<(String, String), Failure> {
    let topic_arn = view(job).text("TopicArn")?.unwrap_or_default();
    let topic = job.place.topic_of(topic_arn, "Topic").map_err(|_| Failure::SnsInvalid("Topic".to_owned()))?;
    let token = token(&job.environment, view(job), job.desk.now().unix)?;
    if topic_arn.split(':').nth(3) != Some(token.region.as_str()) {
        return Err(Failure::SnsInvalid("Topic".to_owned()));
    }
    Ok((topic.to_owned(), token.id))
}

fn locks(view: View<'_>) -> bool {
    let text = view.text("AuthenticateOnUnsubscribe").ok().flatten();
    text.is_some_and(|text| text.eq_ignore_ascii_case("true"))
}

fn token(environment: &Environment, view: View<'_>, now: UnixMillis) -> Result<Token, Failure> {
    let text = view.text("Token")?.unwrap_or_default();
    if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Failure::SnsInvalidText("Invalid token".to_owned()));
    }
    Token::read(&environment.receipt_key, text, now).ok_or_else(unknown)
}

/// On whose behalf something is done by whoever has a message of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behalf {
    /// Who has subscribed.
    pub subscriber: Name,
    /// The account for which he has, if that is not the topic's.
    pub account: Option<String>,
}

/// On whose behalf somebody of another account confirms a subscription, by its token. `None` if that is not what is asked.
///
/// # Errors
/// The token is none, or its subscription is gone.
pub fn confirmer(
    environment: &Environment,
    request: &Request,
    now: UnixMillis,
    bindings_of: impl FnOnce(&Name) -> Vec<Arc<BindingSpec>>,
) -> Option<Result<Behalf, Failure>> {
    let Decoded { service: Service::Sns, action, fields, .. } = decode(request).ok()? else { return None };
    (action == "ConfirmSubscription").then(|| confirmed(environment, fields.view(), now, bindings_of))
}

/// On whose behalf a request is carried out that nobody has signed: that of the subscriber, where the request says something that
/// only who has got a message of the subscription knows. `None` where a signature is needed.
///
/// # Errors
/// It is such a request, and not a good one.
pub fn bearer(
    environment: &Environment,
    request: &Request,
    now: UnixMillis,
    bindings_of: impl FnOnce(&Name) -> Vec<Arc<BindingSpec>>,
) -> Option<Result<Behalf, Failure>> {
    let Decoded { service: Service::Sns, action, fields, .. } = decode(request).ok()? else { return None };
    match action.as_str() {
        // Whether only the owner may unsubscribe is for those to say who sign.
        "ConfirmSubscription" if locks(fields.view()) => None,
        "ConfirmSubscription" => Some(confirmed(environment, fields.view(), now, bindings_of)),
        "Unsubscribe" => Some(unsubscribed(fields.view(), bindings_of)),
        _ => None,
    }
}

fn confirmed(
    environment: &Environment,
    view: View<'_>,
    now: UnixMillis,
    bindings_of: impl FnOnce(&Name) -> Vec<Arc<BindingSpec>>,
) -> Result<Behalf, Failure> {
    let token = token(environment, view, now)?;
    let topic = view.text("TopicArn")?.unwrap_or_default().rsplit(':').next().unwrap_or_default();
    find_in(bindings_of(&Name::from(topic)).iter().map(Arc::as_ref), &token.id).map(behalf).ok_or_else(unknown)
}

fn unsubscribed(view: View<'_>, bindings_of: impl FnOnce(&Name) -> Vec<Arc<BindingSpec>>) -> Result<Behalf, Failure> {
    let (topic, id) = subscription_of(view.text("SubscriptionArn")?.unwrap_or_default())?;
    match find_in(bindings_of(&Name::from(topic)).iter().map(Arc::as_ref), id) {
        None => Err(Failure::SnsNotFound("Subscription")),
        Some(locked) if locked.outward.locked => Err(Failure::NotSigned),
        Some(found) => Ok(behalf(found)),
    }
}

fn behalf(subscription: Subscription) -> Behalf {
    Behalf { subscriber: Name::from(subscription.subscriber), account: subscription.outward.owner }
}
