//! SNS: topics are exchanges, subscriptions are announced bindings to queues.

mod confirmation;
mod control;
mod delivery_policy;
pub(crate) mod envelope;
mod filter;
pub mod outward;
mod permissions;
mod protocol;
mod publish;
mod redrive;
mod subscription;
mod subscriptions;
mod token;
mod topics;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::call::Job;
use crate::error::Failure;
use crate::wire::{Shape, View};

/// Most topics or subscriptions of one answer.
const PAGE: usize = 100;

/// What `perform` knows; a Query request without a version is recognised by it.
pub(crate) const ACTIONS: [&str; 17] = [
    "CreateTopic",
    "DeleteTopic",
    "ListTopics",
    "GetTopicAttributes",
    "SetTopicAttributes",
    "Subscribe",
    "ConfirmSubscription",
    "Unsubscribe",
    "ListSubscriptions",
    "ListSubscriptionsByTopic",
    "GetSubscriptionAttributes",
    "SetSubscriptionAttributes",
    "Publish",
    "PublishBatch",
    "ListTagsForResource",
    "AddPermission",
    "RemovePermission",
];

pub(crate) async fn perform(action: &str, job: &Job) -> Result<Shape, Failure> {
    match action {
        "CreateTopic" => topics::create(job).await,
        "DeleteTopic" => topics::delete(job).await,
        "ListTopics" => topics::list(job).await,
        "GetTopicAttributes" => topics::attributes(job).await,
        "SetTopicAttributes" => topics::set_attribute(job).await,
        "ListTagsForResource" => topics::tags(job).await,
        "Subscribe" => subscriptions::subscribe(job).await,
        "ConfirmSubscription" => confirmation::confirm(job).await,
        "Unsubscribe" => subscriptions::unsubscribe(job).await,
        "ListSubscriptions" => subscriptions::list(job, None).await,
        "ListSubscriptionsByTopic" => subscriptions::list_by_topic(job).await,
        "GetSubscriptionAttributes" => subscriptions::attributes(job).await,
        "SetSubscriptionAttributes" => subscriptions::set_attribute(job).await,
        "AddPermission" => permissions::add(job).await,
        "RemovePermission" => permissions::remove(job).await,
        "Publish" => publish::publish(job).await,
        "PublishBatch" => publish::publish_batch(job).await,
        other => Err(Failure::UnknownAction(other.to_owned())),
    }
}

pub use confirmation::bearer;
pub(crate) use subscription::filter_of;

fn view(job: &Job) -> View<'_> {
    job.fields.view()
}

/// The last item of the page before, out of an opaque token.
fn read_token(view: View<'_>) -> Result<Option<String>, Failure> {
    let Some(token) = view.text("NextToken")?.filter(|token| !token.is_empty()) else { return Ok(None) };
    let text = BASE64.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.map(Some).ok_or_else(|| Failure::SnsInvalid("NextToken".to_owned()))
}

/// A page of items, each with its key, and the token of the next one.
fn page(name: &'static str, mut items: Vec<(String, Shape)>) -> Shape {
    let more = items.len() > PAGE;
    items.truncate(PAGE);
    let token = items.last().filter(|_| more).map(|(key, _)| BASE64.encode(key));
    let items = items.into_iter().map(|(_, shape)| shape);
    Shape::Fields(vec![(name, Shape::list("member", items)), ("NextToken", token.map_or(Shape::Nothing, Shape::Text))])
}
