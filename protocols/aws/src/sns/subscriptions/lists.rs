//! Lists of subscriptions.

use super::super::subscription::Subscription;
use super::super::{PAGE, page, read_token, view};
use crate::arn::Place;
use crate::call::Job;
use crate::error::Failure;
use crate::wire::Shape;

const PENDING: &str = "PendingConfirmation";

/// Those of the account, wherever their topics are.
pub(in crate::sns) async fn list(job: &Job) -> Result<Shape, Failure> {
    let here = Subscription::list(job, None).await?.into_iter().map(|one| (job.place.clone(), one));
    let own = here.filter(|(place, one)| one.owner(place) == job.account());
    show(job, own.chain(elsewhere(job)))
}

/// Those to topics of other accounts in the region, each with the place of its topic.
fn elsewhere(job: &Job) -> impl Iterator<Item = (Place, Subscription)> {
    let home = &job.environment.namespace;
    let directory = job.environment.directory.as_ref();
    let namespaces = directory.map(|directory| directory.namespaces()).unwrap_or_default().into_iter();
    let others = namespaces.filter(|one| one.region == home.region && one.account != home.account);
    others.flat_map(move |other| {
        let bindings = directory.map(|directory| directory.bindings(&other.vhost, None)).unwrap_or_default();
        let place = Place::of(&other, Some(&job.place.region));
        let subscriptions = bindings.into_iter().filter_map(|binding| Subscription::of_binding(&binding));
        let own = subscriptions.filter(|one| one.outward.owner.as_deref() == Some(job.account()));
        own.map(move |one| (place.clone(), one))
    })
}

/// In the order of their ARNs, so that a token means the same after changes.
pub(super) fn show(job: &Job, all: impl Iterator<Item = (Place, Subscription)>) -> Result<Shape, Failure> {
    let after = read_token(view(job), "NextToken")?.unwrap_or_default();
    let arn = |place: &Place, one: &Subscription| one.place_in(place).subscription_arn(&one.topic, &one.id);
    let mut found: Vec<_> = all.map(|(place, one)| (arn(&place, &one), place, one)).collect();
    found.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    let rest = found.into_iter().filter(|(arn, ..)| *arn > after).take(PAGE + 1);
    Ok(page("Subscriptions", rest.map(|(arn, place, one)| (arn.clone(), item(arn, &place, &one))).collect()))
}

fn item(arn: String, place: &Place, subscription: &Subscription) -> Shape {
    let arn = if subscription.is_pending() { PENDING.to_owned() } else { arn };
    Shape::fields([
        ("SubscriptionArn", Shape::text(arn)),
        ("Owner", Shape::text(subscription.owner(place))),
        ("Protocol", Shape::text(subscription.protocol.word())),
        ("Endpoint", Shape::Text(subscription.shown_endpoint())),
        ("TopicArn", Shape::text(subscription.place_in(place).topic_arn(&subscription.topic))),
    ])
}
