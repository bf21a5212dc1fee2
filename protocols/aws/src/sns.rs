//! SNS: topics are exchanges, subscriptions are announced bindings to queues.

mod applications;
mod archive;
mod confirmation;
mod control;
mod data_protection;
mod delivery_policy;
mod direct;
mod endpoints;
pub(crate) mod envelope;
mod fifo;
mod filter;
mod kept;
pub mod outward;
mod owner;
mod permissions;
mod protocol;
pub(crate) mod publications;
mod publish;
mod redrive;
mod replay;
mod sandbox;
mod sms;
pub(crate) mod standing;
mod subscription;
mod subscriptions;
mod tags;
mod token;
mod topic_attributes;
mod topics;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::call::Job;
use crate::error::Failure;
use crate::wire::{Shape, View};

/// Most topics or subscriptions of one answer.
const PAGE: usize = 100;

/// What `perform` knows; a Query request without a version is recognised by it.
pub const ACTIONS: [&str; 43] = [
    "AddPermission",
    "CheckIfPhoneNumberIsOptedOut",
    "ConfirmSubscription",
    "CreatePlatformApplication",
    "CreatePlatformEndpoint",
    "CreateSMSSandboxPhoneNumber",
    "CreateTopic",
    "DeleteEndpoint",
    "DeletePlatformApplication",
    "DeleteSMSSandboxPhoneNumber",
    "DeleteTopic",
    "GetDataProtectionPolicy",
    "GetEndpointAttributes",
    "GetPlatformApplicationAttributes",
    "GetSMSAttributes",
    "GetSMSSandboxAccountStatus",
    "GetSubscriptionAttributes",
    "GetTopicAttributes",
    "ListEndpointsByPlatformApplication",
    "ListOriginationNumbers",
    "ListPhoneNumbersOptedOut",
    "ListPlatformApplications",
    "ListSMSSandboxPhoneNumbers",
    "ListSubscriptions",
    "ListSubscriptionsByTopic",
    "ListTagsForResource",
    "ListTopics",
    "OptInPhoneNumber",
    "OptOutPhoneNumber",
    "Publish",
    "PublishBatch",
    "PutDataProtectionPolicy",
    "RemovePermission",
    "SetEndpointAttributes",
    "SetPlatformApplicationAttributes",
    "SetSMSAttributes",
    "SetSubscriptionAttributes",
    "SetTopicAttributes",
    "Subscribe",
    "TagResource",
    "Unsubscribe",
    "UntagResource",
    "VerifySMSSandboxPhoneNumber",
];

pub(crate) async fn perform(action: &str, job: &Job) -> Result<Shape, Failure> {
    match action {
        "CreateTopic" => topics::create(job).await,
        "DeleteTopic" => topics::delete(job).await,
        "ListTopics" => topics::list(job).await,
        "GetTopicAttributes" => topics::attributes(job).await,
        "SetTopicAttributes" => topics::set_attribute(job).await,
        "GetDataProtectionPolicy" => data_protection::get(job).await,
        "PutDataProtectionPolicy" => data_protection::put(job).await,
        "TagResource" => tags::tag(job).await,
        "UntagResource" => tags::untag(job).await,
        "ListTagsForResource" => tags::list(job).await,
        "Subscribe" => subscriptions::subscribe(job).await,
        "ConfirmSubscription" => confirmation::confirm(job).await,
        "Unsubscribe" => subscriptions::unsubscribe(job).await,
        "ListSubscriptions" => subscriptions::list(job).await,
        "ListSubscriptionsByTopic" => subscriptions::list_by_topic(job).await,
        "GetSubscriptionAttributes" => subscriptions::attributes(job).await,
        "SetSubscriptionAttributes" => subscriptions::set_attribute(job).await,
        "AddPermission" => permissions::add(job).await,
        "RemovePermission" => permissions::remove(job).await,
        "Publish" => publish::publish(job).await,
        "PublishBatch" => publish::publish_batch(job).await,
        mobile_or_text => perform_mobile(mobile_or_text, job).await,
    }
}

/// Actions of mobile applications and text messages.
async fn perform_mobile(action: &str, job: &Job) -> Result<Shape, Failure> {
    match action {
        "CreatePlatformApplication" => applications::create(job).await,
        "DeletePlatformApplication" => applications::delete(job).await,
        "ListPlatformApplications" => applications::list(job).await,
        "GetPlatformApplicationAttributes" => applications::attributes(job).await,
        "SetPlatformApplicationAttributes" => applications::set_attributes(job).await,
        "CreatePlatformEndpoint" => endpoints::create(job).await,
        "DeleteEndpoint" => endpoints::delete(job).await,
        "ListEndpointsByPlatformApplication" => endpoints::list(job).await,
        "GetEndpointAttributes" => endpoints::attributes(job).await,
        "SetEndpointAttributes" => endpoints::set_attributes(job).await,
        "GetSMSAttributes" => sms::attributes(job).await,
        "SetSMSAttributes" => sms::set_attributes(job).await,
        "CheckIfPhoneNumberIsOptedOut" => sms::check_opted_out(job).await,
        "ListPhoneNumbersOptedOut" => sms::list_opted_out(job).await,
        "OptInPhoneNumber" => sms::opt_in(job).await,
        "OptOutPhoneNumber" => sms::opt_out(job).await,
        "CreateSMSSandboxPhoneNumber" => sandbox::create(job).await,
        "DeleteSMSSandboxPhoneNumber" => sandbox::delete(job).await,
        "VerifySMSSandboxPhoneNumber" => sandbox::verify(job).await,
        "ListSMSSandboxPhoneNumbers" => sandbox::list(job).await,
        "GetSMSSandboxAccountStatus" => Ok(sandbox::status()),
        "ListOriginationNumbers" => sandbox::list_origination_numbers(job),
        other => Err(Failure::UnknownAction(other.to_owned())),
    }
}

pub use confirmation::{Behalf, bearer, confirmer};
pub(crate) use owner::find_in;
pub(crate) use subscription::{Subscription, filter_of};
pub(crate) use subscriptions::{named, names_subscription};
pub(crate) use topics::policy_in;

fn view(job: &Job) -> View<'_> {
    job.fields.view()
}

/// The last item of the page before, out of an opaque token.
fn read_token(view: View<'_>, parameter: &'static str) -> Result<Option<String>, Failure> {
    let Some(token) = view.text(parameter)?.filter(|token| !token.is_empty()) else { return Ok(None) };
    let text = BASE64.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.map(Some).ok_or_else(|| Failure::SnsInvalid(parameter.to_owned()))
}

/// A page of items, each with its key, and the token of the next one.
fn page(name: &'static str, items: Vec<(String, Shape)>) -> Shape {
    page_of((name, "NextToken"), PAGE, items)
}

/// The same of another length, and with another word for the token.
fn page_of(
    (name, token_name): (&'static str, &'static str),
    count_max: usize,
    mut items: Vec<(String, Shape)>,
) -> Shape {
    let more = items.len() > count_max;
    items.truncate(count_max);
    let token = items.last().filter(|_| more).map(|(key, _)| BASE64.encode(key));
    let items = items.into_iter().map(|(_, shape)| shape);
    Shape::Fields(vec![(name, Shape::list("member", items)), (token_name, token.map_or(Shape::Nothing, Shape::Text))])
}

/// What AWS says of a member that has to be there and is not.
fn refuse_null(member: &str) -> Failure {
    Failure::SnsValidation(format!(
        "1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"
    ))
}
